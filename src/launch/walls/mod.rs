//! Walls around a process: namespaces, what is mounted in them, and the Landlock domain that closes the way round.

use std::fmt;

use caps::Capability;
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::options::Extras;
use super::plan::Plan;
use super::report::Report;
use super::sys::Sys;
use crate::config::Options;

/// One wall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wall {}

impl fmt::Display for Wall {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

/// A Landlock domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("enter a Landlock domain")
    }
}

/// The steps that build walls while privilege is there.
pub(super) fn steps(_: &mut Plan, _: &Options, _: &Extras, _: &Facts) -> Result<(), Report> {
    Ok(())
}

/// The step that closes the way round.
pub(super) fn domain(_: &mut Plan, _: &Options, _: &Extras, _: &Facts) -> Result<(), Report> {
    Ok(())
}

/// Whether the options ask for a mount namespace, a Landlock domain with it.
pub(super) fn are_asked(options: &Options) -> bool {
    let sandbox = &options.sandbox;
    sandbox.private_tmp || sandbox.private_dev || sandbox.no_network || !sandbox.readonly_paths.0.is_empty()
}

/// What could take the walls down, or walk around them, and is not left to an app behind them.
pub(super) fn forbidden_capabilities(options: &Options) -> &'static [Capability] {
    const UNDOING: &[Capability] = &[
        Capability::CAP_SYS_ADMIN,
        Capability::CAP_SYS_PTRACE,
        Capability::CAP_MKNOD,
        Capability::CAP_SYS_RAWIO,
        Capability::CAP_DAC_READ_SEARCH,
        Capability::CAP_SYS_MODULE,
        Capability::CAP_SYS_BOOT,
        Capability::CAP_BPF,
        Capability::CAP_PERFMON,
    ];
    if are_asked(options) { UNDOING } else { &[] }
}

impl Wall {
    /// Carries it out. Nothing is mounted before `enclosed` says that the mounts are the process's own.
    pub(super) fn carry_out(&self, _: &mut impl Sys, _: &mut bool) -> Result<(), Report> {
        match *self {}
    }
}

impl Domain {
    /// Carries it out.
    pub(super) fn carry_out(&self, _: &mut impl Sys) -> Result<(), Report> {
        Ok(())
    }
}
