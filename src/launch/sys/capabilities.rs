//! Capability sets and no_new_privs.
//!
//! The kernel is asked itself: a set is 64 bits here, so that a capability younger than any list of names is dropped
//! like the others, and an error keeps its number.

use nix::errno::Errno;

use super::Linux;

/// The five sets of a process, bit N standing for capability number N.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// What an exec can give at most.
    pub bounding: u64,
    /// What can be made effective.
    pub permitted: u64,
    /// What counts.
    pub effective: u64,
    /// What an exec of a file with capabilities keeps.
    pub inheritable: u64,
    /// What any exec keeps.
    pub ambient: u64,
}

/// What giving up capabilities asks of the kernel.
pub trait CapabilitySys {
    /// prctl(PR_SET_NO_NEW_PRIVS).
    fn no_new_privs(&mut self) -> nix::Result<()>;
    /// prctl(PR_SET_KEEPCAPS): the permitted set survives the next change of user.
    fn keep_capabilities(&mut self) -> nix::Result<()>;
    /// The sets as they are.
    fn capabilities(&self) -> nix::Result<Held>;
    /// capset(2): the effective and permitted set become one, beside an inheritable one.
    fn set_capabilities(&mut self, permitted: u64, inheritable: u64) -> nix::Result<()>;
    /// prctl(PR_CAPBSET_DROP).
    fn drop_bounding(&mut self, capability: u32) -> nix::Result<()>;
    /// prctl(PR_CAP_AMBIENT_CLEAR_ALL).
    fn clear_ambient(&mut self) -> nix::Result<()>;
    /// prctl(PR_CAP_AMBIENT_RAISE).
    fn raise_ambient(&mut self, capability: u32) -> nix::Result<()>;
}

/// `_LINUX_CAPABILITY_VERSION_3`: sets of 64 bits, in two halves.
const VERSION: u32 = 0x2008_0522;

/// The head of capget(2) and capset(2). Pid 0 is the caller.
#[repr(C)]
struct Head {
    version: u32,
    pid: i32,
}

/// One half of the three sets.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

impl CapabilitySys for Linux {
    fn no_new_privs(&mut self) -> nix::Result<()> {
        nix::sys::prctl::set_no_new_privs()
    }

    fn keep_capabilities(&mut self) -> nix::Result<()> {
        nix::sys::prctl::set_keepcaps(true)
    }

    fn capabilities(&self) -> nix::Result<Held> {
        let (mut head, mut halves) = (Head { version: VERSION, pid: 0 }, [Half::default(); 2]);
        // SAFETY: capget(2) reads and writes the head, and writes two halves of the three sets, as version 3 has it;
        // both live until the call returns and have the kernel's layout (repr(C)).
        let done = unsafe { libc::syscall(libc::SYS_capget, &raw mut head, halves.as_mut_ptr()) };
        Errno::result(done)?;
        let join = |part: fn(&Half) -> u32| u64::from(part(&halves[0])) | u64::from(part(&halves[1])) << 32;
        Ok(Held {
            bounding: listed(|number| prctl(libc::PR_CAPBSET_READ, number, 0))?,
            permitted: join(|half| half.permitted),
            effective: join(|half| half.effective),
            inheritable: join(|half| half.inheritable),
            ambient: listed(|number| prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET as u32, number))?,
        })
    }

    fn set_capabilities(&mut self, permitted: u64, inheritable: u64) -> nix::Result<()> {
        let mut head = Head { version: VERSION, pid: 0 };
        let halves = [0, 32].map(|shift| Half {
            effective: (permitted >> shift) as u32,
            permitted: (permitted >> shift) as u32,
            inheritable: (inheritable >> shift) as u32,
        });
        // SAFETY: capset(2) reads the head and two halves, as version 3 has it, and may write the head; both live until
        // the call returns and have the kernel's layout (repr(C)).
        let done = unsafe { libc::syscall(libc::SYS_capset, &raw mut head, halves.as_ptr()) };
        Errno::result(done).map(drop)
    }

    fn drop_bounding(&mut self, capability: u32) -> nix::Result<()> {
        prctl(libc::PR_CAPBSET_DROP, capability, 0).map(drop)
    }

    fn clear_ambient(&mut self) -> nix::Result<()> {
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u32, 0).map(drop)
    }

    fn raise_ambient(&mut self, capability: u32) -> nix::Result<()> {
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u32, capability).map(drop)
    }
}

/// The set of the numbers for which the kernel says 1, up to the first number it does not know.
fn listed(has: impl Fn(u32) -> nix::Result<i32>) -> nix::Result<u64> {
    let mut set = 0;
    for number in 0..64 {
        match has(number) {
            Ok(answer) => set |= u64::from(answer == 1) << number,
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(set)
}

/// One of the operations of prctl(2) that take two numbers.
fn prctl(operation: i32, first: u32, second: u32) -> nix::Result<i32> {
    let (first, second, none) = (libc::c_ulong::from(first), libc::c_ulong::from(second), 0 as libc::c_ulong);
    // SAFETY: the operations above take integers only and touch no memory of ours; arguments they do not use are zero,
    // as they demand.
    Errno::result(unsafe { libc::prctl(operation, first, second, none, none) })
}

#[cfg(test)]
impl CapabilitySys for crate::launch::fake::Fake {
    fn no_new_privs(&mut self) -> nix::Result<()> {
        self.call("no_new_privs")
    }

    fn keep_capabilities(&mut self) -> nix::Result<()> {
        self.call("keepcaps")
    }

    fn capabilities(&self) -> nix::Result<Held> {
        Ok(self.held)
    }

    fn set_capabilities(&mut self, permitted: u64, inheritable: u64) -> nix::Result<()> {
        self.call(format!("capset {permitted:x} {inheritable:x}"))?;
        if self.broken != Some("capset") {
            (self.held.permitted, self.held.effective, self.held.inheritable) = (permitted, permitted, inheritable);
        }
        Ok(())
    }

    fn drop_bounding(&mut self, capability: u32) -> nix::Result<()> {
        self.call(format!("bounding -{capability}"))?;
        self.held.bounding &= !(1 << capability);
        Ok(())
    }

    fn clear_ambient(&mut self) -> nix::Result<()> {
        self.call("ambient 0")?;
        self.held.ambient = 0;
        Ok(())
    }

    fn raise_ambient(&mut self, capability: u32) -> nix::Result<()> {
        self.call(format!("ambient +{capability}"))?;
        self.held.ambient |= 1 << capability;
        Ok(())
    }
}
