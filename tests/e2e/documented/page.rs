//! From a document to what is typed and what comes back.

use std::mem::take;
use std::sync::LazyLock;

use regex::Regex;

/// A block of a document.
pub(super) struct Block {
    /// Where it begins.
    pub(super) line: usize,
    pub(super) terms: Terms,
    /// What is done before, unseen.
    pub(super) first: Vec<String>,
    pub(super) steps: Vec<Step>,
}

/// When a block is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Terms {
    Everywhere,
    AsRoot,
    NotPlayed,
}

/// One command, and what it answers.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Step {
    /// Where it stands.
    pub(super) line: usize,
    pub(super) typed: String,
    pub(super) answer: Vec<String>,
}

/// The blocks marked `console`.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    let (mut terms, mut first) = (Terms::Everywhere, Vec::new());
    while let Some((line, text)) = lines.next() {
        match text {
            "```console" => {
                let inside: Vec<_> = lines.by_ref().take_while(|(_, line)| *line != "```").collect();
                blocks.push(Block { line, terms, first: take(&mut first), steps: steps(&inside) });
                terms = Terms::Everywhere;
            }
            "<!-- as root -->" => terms = Terms::AsRoot,
            _ if text.starts_with("<!-- not played: ") => terms = Terms::NotPlayed,
            _ if text.starts_with("<!-- first: ") => {
                first.push(text["<!-- first: ".len()..].trim_end_matches("-->").trim_end().to_owned());
            }
            "" => {}
            _ => terms = Terms::Everywhere,
        }
    }
    blocks
}

/// Commands begin with `$ ` or, for root, `# `; they go on below with a backslash at the end, and with a here-document.
fn steps(lines: &[(usize, &str)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = lines.iter().copied();
    while let Some((line, text)) = lines.next() {
        let Some(typed) = text.strip_prefix("$ ").or_else(|| text.strip_prefix("# ").filter(|_| is_command(text)))
        else {
            let step = steps.last_mut().unwrap_or_else(|| panic!("line {line} answers nothing"));
            step.answer.push(text.to_owned());
            continue;
        };
        let mut typed = typed.to_owned();
        while typed.ends_with('\\') {
            typed += &format!("\n{}", lines.next().expect("a line goes on").1);
        }
        if let Some((_, end)) =
            typed.clone().split_once("<<'").and_then(|(_, rest)| rest.split_once('\'').map(|(end, _)| ((), end)))
        {
            let end = end.to_owned();
            for (_, text) in lines.by_ref() {
                typed += &format!("\n{text}");
                if text == end {
                    break;
                }
            }
        }
        steps.push(Step { line, typed, answer: Vec::new() });
    }
    steps
}

/// The header of `list` begins with a number sign as well.
fn is_command(text: &str) -> bool {
    !text.starts_with("# NAME")
}

/// What may differ from one time to the next. Every other number is part of what is said: a code, a count, a line, a
/// limit. What is matched first counts, so that a value that was set is not taken for one that was measured.
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    let rule = r#"(?x)
        \bof\ (?<most> \d+ )\ in\ one\ process\b     # Open files: this host's limit.
      | (?<set>      "[^"]*" | \b(limit|of)\ [^\ ]+ | ^\d+[BKMG]$ )
      | asked\ by\ (?<user> \S+\ \(uid\ \d+ )
      | (\bpid\  | \b(running|starting|stopping)\  | ^main\ ) (?<pid> \d+ )\b
      | ^ (?<process> \d+ )\ [A-Z]\     # In a tree of processes, with its state.
      | (?<time>     (\d{4}-\d\d-\d\d[T\ ])? \d\d:\d\d:\d\d (\.\d+)? (\ ?(UTC|Z)\b)? )
      | \btick\ (?<tick> \d+ )\b        # The clock of the tour.
      | (?<span>     \b\d+(\.\d+)?(ms|s|m|h|d) (\ ?\d+(ms|s|m|h))*\b )
      | (?<size>     \b\d+(\.\d+)?[BKMG]\b )
      | (?<percent>  \b\d+(\.\d+)?% )
    "#;
    Regex::new(rule).expect("a rule")
});

/// What has a name of these in `VARIABLE`, and is left out.
const NAMES: [&str; 9] = ["most", "user", "pid", "process", "time", "tick", "span", "size", "percent"];

/// A line without what may differ.
pub(super) fn lasting(line: &str) -> String {
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut lasting, mut done) = (String::new(), 0);
    for found in VARIABLE.captures_iter(&line) {
        for (name, part) in NAMES.iter().filter_map(|name| Some((name, found.name(name)?))) {
            lasting += &format!("{}<{name}>", &line[done..part.start()]);
            done = part.end();
        }
    }
    lasting + &line[done..]
}

/// Lines that come or do not, as chance has it: whether a script was killed while a child of its ran.
const CHANCE: &str = "that it had left behind";

/// Whether what came is what is shown.
pub(super) fn agree(shown: &[String], came: &[String]) -> bool {
    match shown {
        [] => came.iter().all(|line| line.contains(CHANCE)),
        [any, rest @ ..] if any.trim() == "…" => (0..=came.len()).any(|skipped| agree(rest, &came[skipped..])),
        [line, rest @ ..] => came.split_first().is_some_and(|(first, others)| match alike(line, first) {
            true => agree(rest, others),
            false => first.contains(CHANCE) && agree(shown, others),
        }),
    }
}

fn alike(shown: &str, came: &str) -> bool {
    let (shown, came) = (lasting(shown), lasting(came));
    let mut parts = shown.split('…');
    let Some(mut left) = came.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let rest: Vec<&str> = parts.collect();
    let Some((last, between)) = rest.split_last() else { return left.is_empty() };
    for part in between {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

/// The pids of two lines that say the same.
pub(super) fn pids(shown: &str, came: &str) -> Vec<(String, String)> {
    let all = |line: &str| {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = VARIABLE.captures_iter(&line).filter_map(|found| found.name("pid").or(found.name("process")));
        found.map(|pid| pid.as_str().to_owned()).collect::<Vec<_>>()
    };
    all(shown).into_iter().zip(all(came)).collect()
}

#[test]
fn a_document_is_read_as_a_person_reads_it() {
    let text = "text\n```console\n$ cat > a <<'END'\n$ b\nEND\n$ one \\\n    two\nout\n# NAME  STATUS\n```\n\n<!-- as root -->\n```console\n# true\n```\n";
    let blocks = blocks(text);
    assert_eq!(blocks.iter().map(|block| block.terms).collect::<Vec<_>>(), [Terms::Everywhere, Terms::AsRoot]);
    let typed: Vec<_> = blocks[0].steps.iter().map(|step| (step.typed.as_str(), step.answer.len())).collect();
    assert_eq!(typed, [("cat > a <<'END'\n$ b\nEND", 0), ("one \\\n    two", 2)]);
    assert_eq!(blocks[1].steps[0].typed, "true");
}

#[test]
fn only_what_may_differ_may_differ() {
    let agree = |shown: &[&str], came: &[&str]| {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        agree(&owned(shown), &owned(came))
    };
    assert!(agree(&["one", "…", "two …"], &["one", "x", "y", "two three"]));
    assert!(!agree(&["started a"], &["started b"]));
    assert!(!agree(&["one"], &["one", "two"]));
    assert!(!agree(&["a"], &[]));
}

#[test]
fn a_number_may_be_another_only_where_it_was_measured_or_given_by_the_system() {
    let alike = |shown: &str, came: &str| alike(shown, came) && alike(came, shown);
    let measured = [
        ("started a (pid 13812)", "started a (pid 7)"),
        ("a  running  13812  4s  -", "a running 7 30ms -"),
        ("main        23193 /bin/sh", "main 7 /bin/sh"),
        ("  23193  S      0.0%  1.6M    1        sh", "  7  S  12.5%  768K  1  sh"),
        ("killed by SIGKILL after 3s", "killed by SIGKILL after 1m 2s"),
        ("2026-11-23T03:39:27.464Z info  started", "2027-01-01T00:00:00.001Z info  started"),
        ("since 2026-11-23 03:39:32 UTC, 1.2s ago", "since 2026-11-24 04:40:33 UTC, 2s ago"),
        ("start asked by root (uid 0, pid 22699)", "start asked by eve (uid 1000, pid 5)"),
        ("out | tick 3", "out | tick 4"),
        ("open files  7, 4 of 20000 in one process", "open files  7, 4 of 1024 in one process"),
    ];
    for (shown, came) in measured {
        assert!(alike(shown, came), "{shown:?} and {came:?}");
    }
    let said = [
        ("7", "0"),
        ("512M", "1G"),
        ("exit 7 after 2ms", "exit 0 after 2ms"),
        ("  23193  S  0.0%  1.6M  1  sh", "  23193  S  0.0%  1.6M  2  sh"),
        ("1 restart, last: exit 3", "2 restarts, last: exit 3"),
        ("restart 1 of 3 in 1.1s", "restart 1 of 4 in 1.1s"),
        ("out of memory (limit 64M) after 3s", "out of memory (limit 65M) after 3s"),
        ("memory 760K of 256M: cgroup v1", "memory 760K of 128M: cgroup v1"),
        ("memory_limit = \"512M\"", "memory_limit = \"1G\""),
        ("conf.toml:3:13: wrong", "conf.toml:4:13: wrong"),
        ("open files  7, 4 of 20000 in one process", "open files  8, 4 of 20000 in one process"),
        ("CapEff: 0000000000000400", "CapEff: 0000000000000000"),
    ];
    for (shown, came) in said {
        assert!(!alike(shown, came), "{shown:?} and {came:?}");
    }
}

#[test]
fn a_pid_is_known_again() {
    let pair = |shown: &str, came: &str| vec![(shown.to_owned(), came.to_owned())];
    assert_eq!(pids("started, pid 13812, up 400s", "started, pid 321, up 500s"), pair("13812", "321"));
    assert_eq!(pids("a  running  13812  4s  127", "a  running  321  4s  127"), pair("13812", "321"));
    assert_eq!(pids("exit 127", "exit 127"), []);
}
