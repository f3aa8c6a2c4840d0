//! What a parent asks of the kernel beside what nix and rustix offer in safe form.

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, Pid};

/// fork(2): the child's pid, or nothing in the child.
pub fn fork() -> nix::Result<Option<Pid>> {
    // SAFETY: a launcher has one thread, so the child has all of them, and no lock is held by one that is missing.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// prctl(2), PR_SET_PDEATHSIG. nix takes named signals only.
pub fn end_with_parent(signal: i32) -> nix::Result<()> {
    // SAFETY: the request takes one integer and touches no memory.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong, 0, 0, 0) }).map(drop)
}

/// A set of signals by number, real-time signals included.
pub fn signal_set(numbers: impl Iterator<Item = i32>) -> SigSet {
    let mut set = *SigSet::empty().as_ref();
    for number in numbers {
        // SAFETY: `set` is a valid set; a number that is no signal is refused and changes nothing.
        unsafe { libc::sigaddset(&raw mut set, number) };
    }
    // SAFETY: an empty set of libc's with signals added by libc.
    unsafe { SigSet::from_sigset_t_unchecked(set) }
}

/// Sets a signal to its default action.
pub fn default_action(signal: i32) -> nix::Result<()> {
    super::default_signal(signal)
}

/// kill(2), with any signal there is. A negative pid is a process group.
pub fn kill(pid: i32, signal: i32) -> nix::Result<()> {
    // SAFETY: kill(2) takes two integers and writes nothing.
    Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
}
