//! Job control, for a command that shares its parent's session: the command is the terminal's foreground job while it
//! runs, and its parent is again when it is stopped or has ended.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::signal::{Signal, raise};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

/// A terminal that this process holds. SIGTTOU is blocked: taking a terminal back from the background would send it.
#[derive(Debug)]
pub(super) struct Terminal(OwnedFd);

impl Terminal {
    /// The terminal on standard input, if this process is in its foreground.
    pub(super) fn held() -> Option<Self> {
        let stdin = io::stdin();
        let is_ours = tcgetpgrp(stdin.as_fd()) == Ok(getpgrp());
        is_ours.then(|| stdin.as_fd().try_clone_to_owned().ok().map(Self)).flatten()
    }

    /// Gives it to the command.
    pub(super) fn lend(&self, group: Pid) {
        let _ = tcsetpgrp(&self.0, group);
    }

    /// Takes it back.
    pub(super) fn take_back(&self) {
        let _ = tcsetpgrp(&self.0, getpgrp());
    }
}

/// Stops this process, as a shell expects of a job that is told to. Returns when it is continued.
pub(super) fn stop_here() {
    let _ = raise(Signal::SIGSTOP);
}
