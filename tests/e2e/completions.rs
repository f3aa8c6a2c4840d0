//! Command lines completed by the shells themselves.

use std::path::Path;

use crate::support::{Home, binary};

/// What a shell prints that runs this script, with `daemonctl` in its PATH.
fn told(home: &Home, shell: &str, script: &str) -> Vec<String> {
    let mut command = home.program(Path::new(shell), ["-c", script]);
    let path = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value).unwrap().to_owned();
    let mut ours = binary("daemonctl").parent().unwrap().as_os_str().to_owned();
    ours.push(":");
    ours.push(path);
    command.env("PATH", ours);
    let output = home.finish(command);
    assert_eq!(output.stderr, "", "{output}");
    output.stdout.split_whitespace().map(str::to_owned).collect()
}

fn world() -> Home {
    let home = Home::new();
    for name in ["web", "worker", "db"] {
        home.app(name).run_script("exec sleep 60");
    }
    std::fs::create_dir(home.root().join("no-app")).unwrap();
    home
}

#[test]
fn bash() {
    let home = world();
    let line = |words: &str, typed: &str| {
        format!(
            "source <(daemonctl completions bash); COMP_WORDS=({words} '{typed}'); \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             $(complete -p daemonctl | sed 's/.*-F \\([^ ]*\\).*/\\1/') daemonctl '{typed}' 2>/dev/null; \
             echo \"${{COMPREPLY[@]}}\""
        )
    };
    assert_eq!(told(&home, "bash", &line("daemonctl stop", "w")), ["web", "worker"]);
    assert_eq!(told(&home, "bash", &line("daemonctl", "stop")), ["stop", "stop-all"]);
    assert_eq!(told(&home, "bash", &line("daemonctl kill web", "US")), ["USR1", "USR2"]);
    assert_eq!(told(&home, "bash", &line("daemonctl start web", "--no-net")), ["--no-network"]);
    let elsewhere = home.base().join("other/api");
    std::fs::create_dir_all(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("run"), "").unwrap();
    let root = home.base().join("other");
    assert_eq!(told(&home, "bash", &line(&format!("daemonctl -p {} stop", root.display()), "a")), ["api"]);
}

#[test]
fn fish() {
    let home = world();
    let line = |typed: &str| format!("daemonctl completions fish | source; complete -C '{typed}' | cut -f1");
    assert_eq!(told(&home, "fish", &line("daemonctl stop w")), ["web", "worker"]);
    assert_eq!(told(&home, "fish", &line("daemonctl start web --sandbox un")), ["unshare"]);
}

#[test]
fn zsh() {
    let home = world();
    // Its line editor needs a terminal; what the completion hands to it does not.
    let script = "autoload -Uz compinit; compinit -u -D; source <(daemonctl completions zsh); \
                  print ${_comps[daemonctl]}; CURRENT=3; words=(daemonctl stop w); \
                  _describe() { print -l ${(P)3} }; ${_comps[daemonctl]}";
    let told = told(&home, "zsh", script);
    assert_eq!(told[1..], ["web", "worker"], "{told:?}");
}
