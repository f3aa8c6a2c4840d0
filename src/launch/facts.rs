//! What a plan depends on beside its options: who launches, and what this host can do. Gathered at the edge, and only as
//! far as the options need it, so that planning stays pure and a plain launch asks nothing.

use super::options::Extras;
use super::report::Report;
use crate::config::Options;

/// What is known of the launching process and its host.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Effective user id.
    pub uid: u32,
}

impl Facts {
    /// Looks at what these options need to know.
    pub fn gather(_: &Options, _: &Extras) -> Result<Self, Report> {
        Ok(Self { uid: nix::unistd::geteuid().as_raw() })
    }
}

impl Default for Facts {
    /// Root, on a host that can do everything.
    fn default() -> Self {
        Self { uid: 0 }
    }
}
