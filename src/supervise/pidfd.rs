//! A process by descriptor, which cannot come to mean another one (pidfd_open(2)).
//!
//! The place of the few system calls for which no crate has a safe form; every `unsafe` block of the supervisor is
//! here.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use daemonctl_actors::cell::Child;
use daemonctl_actors::value::ExitStatus;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub use crate::observe::processes::{boot_id, start_time};

/// A process that was there when this was made.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Opens the process that has `pid` now. Where the pid comes from memory, [`PidFd::of`] is
    /// what is wanted.
    pub fn open(pid: i32) -> io::Result<Self> {
        let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self(rustix::process::pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// Opens `child`, if the process with its pid is still the one with its start time.
    pub fn of(child: Child) -> Option<Self> {
        // First the descriptor, then the comparison: the other way round, the pid could change hands in between.
        let pidfd = loop {
            match Self::open(child.pid) {
                Ok(pidfd) => break pidfd,
                // Only this says that it is gone; without a descriptor to spare nothing can be said, and a living
                // process must not be taken for a dead one.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return None,
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return None,
                Err(_) => nix::poll::poll(&mut [], 50u16).ok(),
            };
        };
        (start_time(child.pid)? == child.start_time).then_some(pidfd)
    }

    /// A second handle.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// Whether the process has ended.
    pub fn has_ended(&self) -> bool {
        let mut fds = [nix::poll::PollFd::new(self.0.as_fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Sends SIGKILL.
    pub fn kill(&self) -> io::Result<()> {
        self.send(libc::SIGKILL)
    }

    /// Sends the signal with this number (pidfd_send_signal(2)).
    pub fn send(&self, signal: i32) -> io::Result<()> {
        // SAFETY: the descriptor is open, the signal information may be null, and the call writes nothing.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits until the process has ended. It is not reaped.
    pub async fn ended(&self) -> io::Result<()> {
        let watch = register(self.0.try_clone()?)?;
        watch.readable().await?.retain_ready();
        Ok(())
    }

    /// How our own child ended; it stays a zombie. Nothing if it runs, or is not our child.
    pub fn status(&self) -> Option<ExitStatus> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = rustix::process::waitid(WaitId::PidFd(self.0.as_fd()), options).ok()??;
        let signalled = |core| {
            let signal = status.terminating_signal().and_then(daemonctl_actors::value::Signal::from_number);
            signal.map_or(ExitStatus::Unknown, |signal| ExitStatus::Signal { signal, core })
        };
        Some(match status.exit_status() {
            Some(code) => ExitStatus::Code(code as u8),
            None => signalled(status.dumped()),
        })
    }

    /// Reaps our own child, if it has ended.
    pub fn reap(&self) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let _ = rustix::process::waitid(WaitId::PidFd(self.0.as_fd()), options);
    }

    /// How a process that is not our child ended, once its parent has reaped it. Kernels before 6.15 cannot tell.
    pub fn foreign_status(&self) -> Option<ExitStatus> {
        /// `PIDFD_INFO_EXIT` of linux/pidfd.h.
        const INFO_EXIT: u64 = 1 << 3;
        /// `struct pidfd_info`, first version (64 bytes), of which only the ends matter.
        #[repr(C)]
        #[derive(Default)]
        struct Info {
            mask: u64,
            between: [u32; 13],
            exit_code: i32,
        }
        let mut info = Info { mask: INFO_EXIT, ..Info::default() };
        // PIDFD_GET_INFO is _IOWR(0xFF, 11, struct pidfd_info).
        const { assert!(size_of::<Info>() == 64) };
        let request = (3 << 30) | (64 << 16) | (0xff << 8) | 11;
        // SAFETY: the request carries the structure's size, so the kernel writes at most those 64 bytes, all of them
        // plain integers, and `info` outlives the call.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), request, &raw mut info) };
        (result == 0 && info.mask & INFO_EXIT != 0).then(|| ExitStatus::from_wait(info.exit_code))
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Watches a descriptor for being readable.
pub fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd gives out one and the same open descriptor for as long as it lives, and nothing else closes
    // it; AsyncFd owns it from here on.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// Reaps any one child that has ended, and returns its pid and raw wait status. Only the keeper may: in a supervisor
/// it would steal statuses that others wait for.
pub fn reap_any() -> Option<(i32, i32)> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a valid place for the one integer that waitpid(2) writes.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        match pid {
            1.. => return Some((pid, status)),
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            _ => return None,
        }
    }
}

/// Sets a signal to its default action, whatever this process was started with.
pub fn default_action(signal: i32) {
    // SAFETY: no handler is installed, so nothing of ours can be called; the signal number is valid.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
    }
}

/// Sends a signal to a process group, whose leader must be known to be there.
pub fn kill_group(leader: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: kill(2) takes two integers and writes nothing.
    let result = unsafe { libc::kill(-leader.as_raw_nonzero().get(), signal) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
