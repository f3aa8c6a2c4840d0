//! Capability sets and no_new_privs.

use super::Linux;

/// What giving up capabilities asks of the kernel.
pub trait CapabilitySys {
    /// prctl(PR_SET_NO_NEW_PRIVS).
    fn no_new_privs(&mut self) -> nix::Result<()>;
    /// prctl(PR_SET_KEEPCAPS): the permitted set survives the next change of user.
    fn keep_capabilities(&mut self) -> nix::Result<()>;
}

impl CapabilitySys for Linux {
    fn no_new_privs(&mut self) -> nix::Result<()> {
        nix::sys::prctl::set_no_new_privs()
    }

    fn keep_capabilities(&mut self) -> nix::Result<()> {
        nix::sys::prctl::set_keepcaps(true)
    }
}

#[cfg(test)]
impl CapabilitySys for crate::launch::fake::Fake {
    fn no_new_privs(&mut self) -> nix::Result<()> {
        self.call("no_new_privs")
    }

    fn keep_capabilities(&mut self) -> nix::Result<()> {
        self.call("keepcaps")
    }
}
