//! The signals that a command is told in our place.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getpgid, getpgrp};

use crate::launch::sys::processes;

/// Those that are passed on.
const PASSED: [Signal; 8] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCONT,
];

/// Signals held back, to be read from a descriptor.
#[derive(Debug)]
pub(super) struct Signals {
    fd: SignalFd,
    /// What was held back before, for the command.
    pub(super) before: SigSet,
}

/// One that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    signal: Signal,
    /// The kernel sent it: a key was pressed, for instance, or the terminal has gone.
    by_kernel: bool,
}

impl Signals {
    /// Holds back what is passed on, and SIGCHLD. What the caller has ignored (as nohup(1) does) stays ignored, by us
    /// and by the command: a signal that is blocked would arrive all the same.
    pub(super) fn hold() -> io::Result<Self> {
        processes::default_action(libc::SIGCHLD)?;
        let status = procfs::process::Process::myself().and_then(|own| own.status());
        let ignored = status.map_or(0, |status| status.sigign);
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        PASSED
            .into_iter()
            .filter(|signal| ignored >> (*signal as i32 - 1) & 1 == 0)
            .for_each(|signal| mask.add(signal));
        let before = mask.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Self { fd: SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?, before })
    }

    /// Those that have come, without SIGCHLD.
    pub(super) fn received(&self) -> Vec<Received> {
        let mut received = Vec::new();
        while let Ok(Some(info)) = self.fd.read_signal() {
            let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
            let by_kernel = info.ssi_code == libc::SI_KERNEL;
            received
                .extend(signal.filter(|signal| PASSED.contains(signal)).map(|signal| Received { signal, by_kernel }));
        }
        received
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Received {
    /// Passes it on to a child. What comes from the terminal comes to the whole process group: a command that is still
    /// in ours has it already, and may take a second Ctrl-C for an order to drop everything.
    pub(super) fn pass_on(self, child: Pid) {
        if self.by_kernel && getpgid(Some(child)) == Ok(getpgrp()) {
            return;
        }
        // If it is gone, there is nobody to tell.
        let _ = kill(child, self.signal);
    }

    /// Whether somebody wants this to end.
    pub(super) fn ends(self) -> bool {
        matches!(self.signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP | Signal::SIGQUIT)
    }
}
