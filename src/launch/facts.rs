//! What a plan depends on beside its options: who launches, and what this host can do. Gathered at the edge, and only as
//! far as the options need it, so that planning stays pure and a plain launch asks nothing.

use super::limits;
use super::options::Extras;
use super::report::Report;
use crate::cgroup::{Usable, Version};
use crate::config::Options;

/// What is known of the launching process and its host.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Effective user id.
    pub uid: u32,
    /// The process that plans.
    pub pid: u32,
    /// Where control groups can be made; looked for only where a limit needs them.
    pub cgroups: Usable,
}

impl Facts {
    /// Looks at what these options need to know.
    pub fn gather(options: &Options, extras: &Extras) -> Result<Self, Report> {
        // A hook or check goes where its app is, wherever that was found to be.
        let looks = limits::needs_groups(options) && extras.joined.is_none();
        let cgroups = if looks { Usable::here() } else { Usable::default() };
        Ok(Self { uid: nix::unistd::geteuid().as_raw(), pid: std::process::id(), cgroups })
    }
}

impl Default for Facts {
    /// Root, on a host that can do everything.
    fn default() -> Self {
        Self { uid: 0, pid: 1, cgroups: Usable::everywhere(Version::V2, "/sys/fs/cgroup") }
    }
}
