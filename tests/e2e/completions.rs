//! Command lines completed by the shells themselves.

use std::path::Path;

use crate::support::{Home, SOON, Shows, Terminal, binary, wait_until};

/// The apps of the root, and a root besides it, below the home directory.
fn world() -> Home {
    let home = Home::new();
    for name in ["web", "worker", "db"] {
        home.app(name).run_script("exec sleep 60");
    }
    std::fs::create_dir(home.root().join("no-app")).unwrap();
    let api = home.base().join("home/other/api");
    std::fs::create_dir_all(&api).unwrap();
    std::fs::create_dir(home.base().join("home/my  apps")).unwrap();
    std::fs::write(api.join("run"), "").unwrap();
    home
}

/// A PATH with `daemonctl`.
fn path() -> String {
    format!("{}:{}", binary("daemonctl").parent().unwrap().display(), std::env::var("PATH").unwrap())
}

/// A shell on a terminal, and somebody who lets it complete lines.
struct Typist {
    shell: Terminal,
    lines: usize,
}

impl Typist {
    fn at(home: &Home, shell: &str, args: &[&str], setup: &str) -> Self {
        let other = home.base().join("home/other");
        let variables =
            [("PATH", &*path()), ("TERM", "dumb"), ("OTHER", other.to_str().unwrap()), ("PS1", "> "), ("INPUTRC", "/")];
        let shell = home.on_terminal_as(Path::new(shell), args, Shows::Both, &variables);
        let mut typist = Self { shell, lines: 0 };
        typist.shell.wait_for("> ");
        typist.shell.press(&format!("{setup}\n"));
        typist.line("true");
        typist
    }

    /// What a line is when it has been typed, and the key for completion pressed.
    #[track_caller]
    fn line(&mut self, typed: &str) -> String {
        self.lines += 1;
        // It is not executed: at its beginning and end, something is put that has it printed.
        let begin = format!("\n{} [ ", self.lines);
        self.shell.press(&format!("{typed}\t\x01echo {} [ \x05 ]\n", self.lines));
        wait_until(&format!("{typed:?} is completed"), SOON, || {
            let all = self.shell.text();
            let line = all.split_once(&begin).and_then(|(_, rest)| rest.split_once(" ]"));
            line.map(|(line, _)| line.trim_end().to_owned()).ok_or_else(|| all.clone())
        })
    }
}

/// What is typed into every shell, and what becomes of it; a shell does not change what has nothing to be completed.
const LINES: [(&str, &str); 13] = [
    ("daemonctl stop wo", "daemonctl stop worker"),
    ("daemonctl stat", "daemonctl status"),
    ("daemonctl kill web SIGTE", "daemonctl kill web SIGTERM"),
    ("daemonctl start web worker ", "daemonctl start web worker db"),
    ("daemonctl start web --no-net", "daemonctl start web --no-network"),
    ("daemonctl start web --sandbox un", "daemonctl start web --sandbox unshare"),
    ("daemonctl start web --sandbox=un", "daemonctl start web --sandbox=unshare"),
    ("daemonctl config set web process.restart=al", "daemonctl config set web process.restart=always"),
    ("daemonctl config set web  sandbox.ty", "daemonctl config set web sandbox.type="),
    ("daemonctl -p ~/other start ", "daemonctl -p HOME/other start api"),
    ("daemonctl -p $OTHER stop ", "daemonctl -p HOME/other stop api"),
    ("daemonctl -p ~/my", "daemonctl -p HOME/my  apps/"),
    ("daemonctl -p /nonexistent start ", "daemonctl -p /nonexistent start"),
];

fn completes_lines(home: &Home, mut typist: Typist) {
    let own = home.base().join("home").to_string_lossy().into_owned();
    for (typed, completed) in LINES {
        assert_eq!(typist.line(typed), completed.replace("HOME", &own), "{typed:?}");
    }
}

#[test]
fn bash() {
    let home = world();
    let typist = Typist::at(&home, "bash", &["--norc", "-i"], "source <(daemonctl completions bash)");
    completes_lines(&home, typist);
}

#[test]
fn zsh() {
    let home = world();
    let setup = "bindkey -e; autoload -Uz compinit; compinit -u -D; source <(daemonctl completions zsh)";
    completes_lines(&home, Typist::at(&home, "zsh", &["-f", "-i"], setup));
}

/// Where it is found by its name, it is loaded by the first completion, and answers it.
#[test]
fn zsh_with_a_directory_of_functions() {
    let home = world();
    let setup = "bindkey -e; mkdir fn; daemonctl completions zsh > fn/_daemonctl; fpath+=($PWD/fn); \
                 autoload -Uz compinit; compinit -u -D";
    assert_eq!(Typist::at(&home, "zsh", &["-f", "-i"], setup).line("daemonctl stop wo"), "daemonctl stop worker");
}

#[test]
fn fish() {
    let home = world();
    let offered = |typed: &str| {
        let script = format!("daemonctl completions fish | source; complete -C '{typed}' | cut -f1");
        let mut command = home.program(Path::new("fish"), ["-c", &script]);
        command.env("PATH", path()).env("OTHER", home.base().join("home/other"));
        let output = home.finish(command);
        assert_eq!(output.stderr, "", "{output}");
        output.stdout.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(offered("daemonctl start "), ["db", "web", "worker"]);
    assert_eq!(offered("daemonctl start web w"), ["worker"]);
    assert_eq!(offered("daemonctl start web --sandbox un"), ["unshare"]);
    assert_eq!(offered("daemonctl start web --sandbox=un"), ["--sandbox=unshare"]);
    assert_eq!(offered("daemonctl config set web process.restart=al"), ["process.restart=always"]);
    assert_eq!(offered("daemonctl -p ~/other start "), ["api"]);
    assert_eq!(offered("daemonctl -p $OTHER start "), ["api"]);
    assert_eq!(offered("daemonctl -p /nonexistent start "), Vec::<String>::new());
}
