//! Which system calls a process may make (seccomp(2)).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::options::Extras;
use super::plan::Plan;
use super::report::Report;
use super::sys::Sys;
use crate::config::Options;

/// A filter as the kernel takes it: instructions of classic BPF.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("load a system call filter")
    }
}

/// The step that loads the filter, the last one before the exec.
pub(super) fn steps(_: &mut Plan, _: &Options, _: &Extras, _: &Facts) -> Result<(), Report> {
    Ok(())
}

impl Program {
    /// Carries it out.
    pub(super) fn carry_out(&self, _: &mut impl Sys) -> Result<(), Report> {
        Ok(())
    }
}
