//! How much a process may use: control groups, and the limits of setrlimit(2).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::options::Extras;
use super::plan::{Action, Plan, Resource, UNLIMITED};
use super::report::{Report, StepName};
use super::sys::Sys;
use crate::config::Options;
use crate::config::values::CoreLimit;

/// The control groups of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("enter control groups")
    }
}

/// The steps that limit the process.
pub(super) fn steps(plan: &mut Plan, options: &Options, extras: &Extras, _: &Facts) -> Result<(), Report> {
    let limits = &options.limits;
    match (limits.file_limit, extras.restore_nofile) {
        (Some(files), _) => {
            plan.step(StepName::Limits, Action::Limit(Resource::OpenFiles, files), "while limits may still be raised");
        }
        (None, Some((soft, hard))) => {
            let action = Action::RestoreLimit { resource: Resource::OpenFiles, soft, hard };
            plan.step(StepName::Limits, action, "the supervisor raised its own; a large one makes select(2) unsafe");
        }
        (None, None) => {}
    }
    for (resource, value) in [(Resource::Core, limits.core_limit), (Resource::Stack, limits.stack_limit)] {
        if let Some(value) = value {
            plan.step(StepName::Limits, Action::Limit(resource, bytes(value)), "while limits may still be raised");
        }
    }
    Ok(())
}

fn bytes(limit: CoreLimit) -> u64 {
    match limit {
        CoreLimit::Unlimited => UNLIMITED,
        CoreLimit::Bytes(bytes) => bytes,
    }
}

impl Join {
    /// Carries it out.
    pub(super) fn carry_out(&self, _: &mut impl Sys) -> Result<(), Report> {
        Ok(())
    }
}
