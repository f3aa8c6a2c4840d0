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

/// What may differ from one time to the next, and what stands for it.
static VARIABLE: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        (r"\basked by \S+ \(uid \d+", "asked by <user>"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(UTC|Z))?", "<time>"),
        (r"\b\d\d:\d\d:\d\d(\.\d+)?\b", "<time>"),
        (r"\b\d+(\.\d+)?(ms|s|m|h|d)( ?\d+(ms|s|m|h))*\b", "<span>"),
        (r"\b\d+(\.\d+)?[BKMG]\b", "<size>"),
        (r"\b\d+(\.\d+)?%", "<percent>"),
        (r"\d+(\.\d+)?", "<n>"),
        (r"\s+", " "),
    ];
    rules.map(|(rule, name)| (Regex::new(rule).unwrap(), name)).into()
});

/// A line without what may differ.
pub(super) fn lasting(line: &str) -> String {
    let mut line = line.trim().to_owned();
    for (rule, name) in VARIABLE.iter() {
        line = rule.replace_all(&line, *name).into_owned();
    }
    line
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

/// The numbers of two lines that say the same.
pub(super) fn numbers<'a>(shown: &'a str, came: &'a str) -> Vec<(&'a str, &'a str)> {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b\d{3,7}\b").unwrap());
    let all = |line: &'a str| NUMBER.find_iter(line).map(|found| found.as_str());
    all(shown).zip(all(came)).collect()
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
    assert!(agree(&["started a (pid 13812)"], &["started a (pid 7)"]));
    assert!(agree(&["a  running  up 4s, 3.2M"], &["a running up 30ms, 768K"]));
    assert!(agree(&["one", "…", "two …"], &["one", "x", "y", "two three"]));
    assert!(!agree(&["started a"], &["started b"]));
    assert!(!agree(&["one"], &["one", "two"]));
    assert!(!agree(&["a"], &[]));
    assert_eq!(numbers("pid 13812, up 4s", "pid 321, up 5s"), [("13812", "321")]);
}
