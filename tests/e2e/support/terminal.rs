//! A command on a terminal of its own, with somebody who types and reads.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};

use super::foreground::Stream;
use super::home::{Home, binary};
use super::{SOON, wait_until};

/// Which outputs of a command are the terminal; the other one is a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    Both,
    Out,
    Err,
}

/// A terminal, and the command that is its foreground job.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    screen: Stream,
    pipe: Option<Stream>,
    device: PathBuf,
}

impl Home {
    /// `daemonctl` with these arguments on a terminal of 80 columns and 24 lines that has colours.
    #[track_caller]
    pub(crate) fn on_terminal(&self, args: &[&str]) -> Terminal {
        self.on_terminal_with(args, Shows::Both, &[("TERM", "xterm-256color")])
    }

    /// The same with some of its outputs, and with these variables.
    #[track_caller]
    pub(crate) fn on_terminal_with(&self, args: &[&str], shows: Shows, variables: &[(&str, &str)]) -> Terminal {
        self.on_terminal_as(&binary("daemonctl"), args, shows, variables)
    }

    /// Any program.
    #[track_caller]
    pub(crate) fn on_terminal_as(
        &self,
        program: &Path,
        args: &[&str],
        shows: Shows,
        variables: &[(&str, &str)],
    ) -> Terminal {
        // It becomes the program that it is given, after it has made a session with this terminal.
        let mut command = self.program(Path::new("setsid"), ["--ctty"]);
        command.arg(program).args(args).envs(variables.iter().copied());
        Terminal::begin(command, shows)
    }
}

impl Terminal {
    #[track_caller]
    fn begin(mut command: Command, shows: Shows) -> Self {
        // Not openpty(3): what another story starts at this moment would inherit what that opens.
        let keyboard = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).expect("a terminal");
        grantpt(&keyboard).and_then(|()| unlockpt(&keyboard)).expect("a terminal to use");
        let device = PathBuf::from(ptsname_r(&keyboard).expect("its name"));
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits());
        let screen = options.open(&device).expect("its other end");
        let end = || Stdio::from(screen.try_clone().expect("its other end"));
        set_size(&device, 24, 80);
        command.stdin(end());
        command.stdout(if shows == Shows::Err { Stdio::piped() } else { end() });
        command.stderr(if shows == Shows::Out { Stdio::piped() } else { end() });
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let pipe = match shows {
            Shows::Both => None,
            Shows::Out => Some(Stream::read(child.stderr.take())),
            Shows::Err => Some(Stream::read(child.stdout.take())),
        };
        drop(command); // It holds the other end, too.
        let keyboard = File::from(OwnedFd::from(keyboard));
        let screen = Stream::read(keyboard.try_clone().ok());
        Self { child, keyboard, screen, pipe, device }
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Types.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("a keyboard");
    }

    /// Ctrl-C.
    pub(crate) fn ctrl_c(&mut self) {
        self.press("\x03");
    }

    /// Ctrl-S: from now on, the terminal takes nothing.
    pub(crate) fn stop(&mut self) {
        self.press("\x13");
    }

    /// Ctrl-Q.
    pub(crate) fn go_on(&mut self) {
        self.press("\x11");
    }

    /// Makes the window another size.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        set_size(&self.device, rows, columns);
    }

    /// What the terminal has been sent, without what it adds itself: carriage returns, and the echo of Ctrl-C, which may
    /// come in the middle of anything.
    pub(crate) fn text(&self) -> String {
        self.screen.text().replace("\r\n", "\n").replace("^C", "")
    }

    /// What came out of the output that is no terminal.
    pub(crate) fn piped(&self) -> String {
        self.pipe.as_ref().map(Stream::text).unwrap_or_default()
    }

    /// Waits until the terminal has been sent this text; returns all.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        wait_until(&format!("the terminal shows {text:?}"), SOON, || {
            let all = self.text();
            if all.contains(text) { Ok(all) } else { Err(end_of(&all)) }
        })
    }

    /// Waits for the end of the command; returns its exit code, and all that the terminal has been sent.
    #[track_caller]
    pub(crate) fn wait(self) -> (i32, String) {
        self.wait_within(SOON)
    }

    /// The same with another deadline.
    #[track_caller]
    pub(crate) fn wait_within(mut self, within: Duration) -> (i32, String) {
        let status = wait_until("the command on the terminal ends", within, || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            _ => Err(end_of(&self.text())),
        });
        // With the last process that has it open, a terminal hangs up: reading it fails then.
        wait_until("nobody holds the terminal", SOON, || match self.screen.ended() {
            true => Ok(()),
            false => Err(end_of(&self.text())),
        });
        (status.code().unwrap_or(-1), self.text())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[track_caller]
fn set_size(device: &Path, rows: u16, columns: u16) {
    let (rows, columns) = (rows.to_string(), columns.to_string());
    let done = Command::new("stty").arg("-F").arg(device).args(["rows", &*rows, "cols", &*columns]).status();
    assert!(done.is_ok_and(|status| status.success()), "the window does not get another size");
}

fn end_of(text: &str) -> String {
    let skipped = text.chars().count().saturating_sub(2000);
    text.chars().skip(skipped).collect()
}
