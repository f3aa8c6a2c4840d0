//! What is done to an app from the screen: another run of this program, with the same options. What that says is what
//! is shown, and it goes on to its end whatever becomes of the screen.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use daemonctl_actors::value::AppName;

use super::super::globals::Globals;
use crate::logs::read::escape;

/// Something to do to an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Start,
    Stop,
    Restart,
}

impl Deed {
    /// The command.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }

    /// Whether it takes something away that runs.
    pub(super) fn hurts(self) -> bool {
        self != Self::Start
    }
}

/// What became of a deed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) good: bool,
    /// What was said, for people.
    pub(super) said: Vec<String>,
}

/// Does it, and waits for its end.
pub(super) fn done(deed: Deed, app: &AppName, globals: &Globals) -> Outcome {
    let mut command = again(globals);
    // Ctrl-C and the end of the terminal are not meant for it.
    command.arg(deed.verb()).arg("--").arg(app.as_str()).stdin(Stdio::null()).process_group(0);
    match command.output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let said = escape(&said).lines().map(|line| line.trim_end().to_owned()).collect();
            Outcome { good: output.status.success(), said }
        }
        Err(error) => {
            Outcome { good: false, said: vec![format!("cannot {} {app}: cannot run daemonctl: {error}", deed.verb())] }
        }
    }
}

/// Shows the log of an app as it comes, until Ctrl-C.
pub(super) fn logs(app: &AppName, globals: &Globals) -> io::Result<Child> {
    again(globals).args(["logs", "-f", "--"]).arg(app.as_str()).spawn()
}

fn again(globals: &Globals) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("daemonctl").args(globals.words());
    command
}
