//! A command on a terminal of a given size.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};

use super::home::in_words;

/// What a command shows on a terminal of so many columns and rows, with the ends of lines as in a file.
#[track_caller]
pub(crate) fn on_terminal(mut command: Command, columns: u16, rows: u16) -> String {
    let line = in_words(&command);
    // No child of another story may inherit either end: the terminal would never hang up.
    let mut master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).expect("a terminal");
    grantpt(&master).and_then(|()| unlockpt(&master)).expect("the right to use it");
    let slave = File::options().read(true).write(true).open(ptsname_r(&master).expect("its name")).expect("its end");
    let end = || Stdio::from(slave.try_clone().expect("a descriptor"));
    let (columns, rows) = (columns.to_string(), rows.to_string());
    let sized = Command::new("stty").args(["cols", &columns, "rows", &rows]).stdin(end()).status();
    assert!(sized.is_ok_and(|status| status.success()), "the terminal has no size");
    let started = command.env("TERM", "xterm").stdout(end()).stderr(end()).spawn();
    let mut child = started.unwrap_or_else(|error| panic!("cannot run {line}: {error}"));
    drop((command, slave));
    let mut shown = Vec::new();
    // A terminal that has hung up tells so by an error.
    let _ = master.read_to_end(&mut shown);
    child.wait().expect("the command to be waited for");
    String::from_utf8_lossy(&shown).replace("\r\n", "\n")
}
