//! The terminal while the screen is up: an alternate screen, no cursor, keys as they are typed. [`Stage`] gives it back
//! as it was when it is dropped, and also when the program panics.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, Once, PoisonError};

use nix::sys::termios::{self, SetArg, Termios};

/// How the terminal was, while it is not so any more. There is one, whoever panics.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J\x1b[H";
/// On a terminal without an alternate screen, what follows begins below.
const LEAVE: &str = "\x1b[0m\x1b[999;1H\x1b[?25h\x1b[?1049l";

/// The terminal, taken.
pub(super) struct Stage(());

impl Stage {
    /// Takes the terminal that standard input and standard output are.
    pub(super) fn take() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the other threads would go on with a screen that is gone"
                )]
                std::process::exit(101);
            }));
        });
        enter()?;
        Ok(Self(()))
    }

    /// Gives it back for a while.
    pub(super) fn leave(&self) {
        give_back();
    }

    /// Takes it again.
    pub(super) fn enter(&self) -> io::Result<()> {
        enter()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        give_back();
    }
}

/// What has been typed, as far as it is there. Nothing at the end of input.
pub(super) fn typed() -> io::Result<Vec<u8>> {
    let mut bytes = [0; 1024];
    // Not through the standard library's buffer, which would hold back what does not fit here.
    let length = nix::unistd::read(io::stdin(), &mut bytes)?;
    Ok(bytes[..length].to_vec())
}

fn enter() -> io::Result<()> {
    let stdin = io::stdin();
    let before = termios::tcgetattr(stdin.as_fd())?;
    let mut raw = before.clone();
    termios::cfmakeraw(&mut raw);
    termios::tcsetattr(stdin.as_fd(), SetArg::TCSADRAIN, &raw)?;
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    say(ENTER)
}

fn give_back() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        let _ = say(LEAVE);
        let _ = termios::tcsetattr(io::stdin().as_fd(), SetArg::TCSADRAIN, &before);
    }
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::process::{Command, Stdio};

    use super::*;

    const ALONE: &str = "DAEMONCTL_TEST_STAGE";

    /// Another run of this test, on a terminal of its own, panics on the stage.
    #[test]
    fn a_panic_gives_the_terminal_back() {
        if std::env::var_os(ALONE).is_some() {
            let _stage = Stage::take().unwrap();
            std::thread::spawn(|| panic!("the curtain falls")).join().unwrap_err();
            unreachable!("a panic in any thread ends it");
        }
        let pty = nix::pty::openpty(None, None).unwrap();
        let before = termios::tcgetattr(&pty.slave).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "cli::watch::stage::tests::a_panic_gives_the_terminal_back"]);
        let mut child = command.env(ALONE, "1").stdin(end()).stdout(end()).stderr(Stdio::piped()).spawn().unwrap();
        drop(command);
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(101), "{said}");
        assert!(said.contains("the curtain falls"), "{said}");
        assert_eq!(termios::tcgetattr(&pty.slave).unwrap(), before);
        drop(pty.slave);
        let mut seen = Vec::new();
        // The end of the last writer on a terminal is an error to its reader (EIO).
        let _ = File::from(pty.master).read_to_end(&mut seen);
        let seen = String::from_utf8_lossy(&seen).into_owned();
        assert!(seen.contains(ENTER) && seen.trim_end().ends_with(LEAVE), "{seen:?}");
    }
}
