//! The Landlock domain behind the walls. Namespaces alone leave a way round: whoever may trace a process outside of
//! them finds the whole host below /proc/PID/root, and whoever may mount can take a wall down. A process in a domain may
//! do neither.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::Options;
use crate::launch::facts::Facts;
use crate::launch::options::Extras;
use crate::launch::plan::{Action, Plan};
use crate::launch::report::{Report, StepName};
use crate::launch::sys::Sys;

/// The first version in which a domain need not forbid to rename files from one directory to another.
const NEEDED: u32 = 2;

/// The first version that can forbid signals.
const SIGNALS: u32 = 6;

/// A Landlock domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// No signal reaches a process outside.
    pub(crate) signals: bool,
    /// No device can be made.
    pub(crate) devices: bool,
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("forbid to trace")?;
        f.write_str(if self.signals { ", and to signal, processes outside" } else { " processes outside" })?;
        f.write_str(if self.devices { ", to make devices, and to mount" } else { ", and to mount" })
    }
}

/// The step that closes the way round.
pub(crate) fn steps(plan: &mut Plan, options: &Options, extras: &Extras, facts: &Facts) -> Result<(), Report> {
    if !super::are_asked(options) {
        return Ok(());
    }
    if facts.ground.landlock < NEEDED {
        // From a user namespace the kernel lets nobody trace what is outside of it.
        if !facts.ground.admin {
            return Ok(());
        }
        let why = "this kernel has no Landlock, or one older than its second version (Linux 5.19), and without it \
                   /proc/PID/root is a way out";
        let report = Report::new(StepName::Landlock, "close the way round the walls", why);
        return plan.cannot(report.with_hint("enable it with lsm=landlock,... on the kernel's command line"));
    }
    // A hook may well send the app a signal, and is not in its domain.
    let signals = facts.ground.landlock >= SIGNALS && extras.enter.is_none();
    let domain = Domain { signals, devices: options.sandbox.private_dev };
    plan.step(StepName::Landlock, Action::Domain(domain), "or /proc/PID/root and umount would be ways round the walls");
    Ok(())
}

impl Domain {
    /// Carries it out.
    pub(crate) fn carry_out(&self, sys: &mut impl Sys) -> Result<(), Report> {
        sys.confine(self).map_err(|error| Report::new(StepName::Landlock, "enter a Landlock domain", error))
    }
}
