//! The vocabulary of the stories.
//!
//! A [`Home`] is a private world: an apps root, a runtime directory and a clean environment. Apps are put into it,
//! commands are given in it, and everything that was started there is gone when it is dropped. [`wait_until`] is the
//! only way to wait: for something to become true, with a deadline, and with what was seen last when it did not.

mod app;
mod archives;
mod foreground;
pub(crate) mod groups;
mod home;
mod output;
mod processes;
mod pty;
mod status;
mod terminal;
mod wait;
mod window;

pub(crate) use app::AppDir;
pub(crate) use archives::{archives, everything};
pub(crate) use foreground::Foreground;
pub(crate) use home::{Home, binary, copy_program, example, testapp};
pub(crate) use output::Output;
pub(crate) use processes::{Proc, boot_id, inject, kill, kill_in, process, wait_until_dead, zombies};
pub(crate) use pty::on_terminal;
pub(crate) use status::{LastExit, Status};
pub(crate) use terminal::{Shows, Terminal};
pub(crate) use wait::{SOON, always, poll, wait_until};
pub(crate) use window::Window;

/// Whether the test runs as root; says that it does not do its work otherwise.
pub(crate) fn is_root(what: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: {what} can only be tested as root");
    }
    root
}

/// A TCP port nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// The numbered lines of `testapp lines` in a log: all of them from 0 on, each once, in order, and the last one says
/// how many were written.
#[track_caller]
pub(crate) fn assert_no_line_lost(log: &str) {
    let mut expected = 0;
    for (at, line) in log.lines().enumerate() {
        if line == format!("end {expected}") {
            assert_eq!(log.lines().count(), at + 1, "something follows the last line");
            return;
        }
        assert_eq!(line, format!("line {expected:08}"), "in line {} of the log", at + 1);
        expected += 1;
    }
    panic!("the log breaks off after {expected} lines, without the last one");
}
