//! Which system calls a process may make (seccomp(2)).
//!
//! Filters are compiled here and not by a library: libseccomp would be a C library to ship, and other compilers have one
//! verdict a program and kill what another architecture calls. A filter is one program with every verdict in it, made
//! while the launch is planned, so that a profile's mistakes are told before anything is begun; the launcher loads it as
//! its last deed before the exec.
//!
//! - `arch`: architectures, and the numbers of their calls.
//! - `rules`: what a filter says.
//! - `builtin`: what ours says.
//! - `profile`: what a file says, in the forms of OCI and Docker.
//! - `compile`: rules as instructions; the tests check them against a reading of their own.

mod arch;
mod builtin;
mod compile;
#[cfg(test)]
mod evaluate;
mod profile;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::capabilities;
use super::facts::Facts;
use super::options::Extras;
use super::plan::{Action, Plan};
use super::report::{Report, StepName};
use super::sys::Sys;
use crate::app::Shown;
use crate::config::Options;
use crate::config::values::SandboxType;
use arch::Arch;
use compile::{Instruction, MOST, compile};
use profile::Host;

/// A filter as the kernel takes it: instructions of classic BPF.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The instructions, each as the sixteen hexadecimal digits of code, jumps and operand: a plan is text.
    code: String,
    /// SECCOMP_FILTER_FLAG_*.
    flags: u64,
}

/// Whether the options ask for a filter that the launcher loads.
pub(super) fn is_asked(options: &Options) -> bool {
    let sandbox = &options.sandbox;
    (sandbox.seccomp || sandbox.seccomp_profile.is_some()) && sandbox.kind != SandboxType::Firejail
}

/// The step that loads the filter, the last one before the exec.
pub(super) fn steps(plan: &mut Plan, options: &Options, _: &Extras, facts: &Facts) -> Result<(), Report> {
    if !is_asked(options) {
        return Ok(());
    }
    let failed = |why: String| Report::new(StepName::Seccomp, "filter system calls", why);
    let Some(native) = Arch::native() else {
        let why = format!("the calls of this architecture, {}, are not known", std::env::consts::ARCH);
        return plan.cannot(failed(why));
    };
    let (rules, flags) = match &options.sandbox.seccomp_profile {
        None => (builtin::rules(native), 0),
        Some(file) => {
            let what = format!("use the seccomp profile {}", file.shown());
            let host = Host { native, kernel: facts.kernel, capabilities: capabilities::of_the_app(options, facts) };
            let profile = profile::read(&facts.profile, host).map_err(|why| {
                let hint = "it has to be in the form of Docker's default profile, or of linux.seccomp in an OCI \
                            configuration";
                Report::new(StepName::Seccomp, what, why).with_hint(hint)
            })?;
            if let Some(warning) = unknown_calls(&profile.unknown) {
                plan.warnings.push(format!("{}: {warning}", file.shown()));
            }
            (profile.rules, profile.flags)
        }
    };
    let code = compile(&rules);
    if code.len() > MOST {
        let why = format!("the filter has {} instructions, and the kernel takes {MOST} at most", code.len());
        return plan.cannot(failed(why).with_hint("a shorter profile has fewer conditions on arguments"));
    }
    let why = "last: it may refuse what the launcher itself has needed";
    plan.step(StepName::Seccomp, Action::Filter(Program::new(&code, flags)), why);
    Ok(())
}

/// What is said about names that are no call.
fn unknown_calls(names: &[String]) -> Option<String> {
    const SHOWN: usize = 5;
    let first: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let (first, more) = (first.join(", "), names.len().saturating_sub(SHOWN));
    match names.len() {
        0 => None,
        1 => Some(format!("{first} is no system call that is known; what the profile says of it is passed over")),
        count if more == 0 => {
            Some(format!("{count} names are no system calls that are known, and passed over: {first}"))
        }
        count => {
            Some(format!("{count} names are no system calls that are known, and passed over: {first} and {more} more"))
        }
    }
}

impl Program {
    fn new(code: &[Instruction], flags: u64) -> Self {
        let digits = |one: &Instruction| format!("{:04x}{:02x}{:02x}{:08x}", one.code, one.yes, one.no, one.k);
        Self { code: code.iter().map(digits).collect(), flags }
    }

    /// The instructions; none if the text is not what [`Program::new`] wrote.
    fn instructions(&self) -> Option<Vec<(u16, u8, u8, u32)>> {
        let read = |digits: &[u8]| {
            let word = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
            Some(((word >> 48) as u16, (word >> 40) as u8, (word >> 32) as u8, word as u32))
        };
        self.code.as_bytes().chunks(16).map(read).collect()
    }

    /// Carries it out.
    pub(super) fn carry_out(&self, sys: &mut impl Sys) -> Result<(), Report> {
        let what = "load the system call filter";
        let Some(program) = self.instructions() else {
            return Err(Report::new(StepName::Seccomp, what, "the plan is damaged"));
        };
        sys.load_filter(&program, self.flags).map_err(|errno| {
            let report = Report::new(StepName::Seccomp, what, errno);
            match errno {
                nix::errno::Errno::ENOSYS | nix::errno::Errno::EINVAL => report
                    .with_hint("this kernel was built without seccomp filters, or is too old for one of its actions"),
                _ => report,
            }
        })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "load a system call filter of {} instructions", self.code.len() / 16)
    }
}
