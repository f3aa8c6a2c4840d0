//! What a plan depends on beside its options: who launches, and what this host can do. Gathered at the edge, and only as
//! far as the options need it, so that planning stays pure and a plain launch asks nothing.

use std::path::Path;

use super::firejail::{self, Firejail};
use super::options::Extras;
use super::report::{Report, StepName, Why};
use super::sys::capabilities::Held;
use super::sys::{CapabilitySys, Linux};
use super::walls::ground::Ground;
use super::{capabilities, filter, limits};
use crate::app::{Shown, small};
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
    /// Capability sets of the launching process; empty where the options change none.
    pub held: Held,
    /// Version of the kernel; 0.0 where no seccomp profile asks for it.
    pub kernel: (u32, u32),
    /// Text of the seccomp profile, if one is used.
    pub profile: String,
    /// What walls are built on.
    pub ground: Ground,
    /// What is known of firejail, where it is to be used.
    pub firejail: Option<Firejail>,
}

impl Facts {
    /// Looks at what these options need to know.
    pub fn gather(options: &Options, extras: &Extras) -> Result<Self, Report> {
        // A hook or check goes where its app is, wherever that was found to be.
        let looks = limits::needs_groups(options) && extras.joined.is_none();
        let cgroups = if looks { Usable::here() } else { Usable::default() };
        let (uid, pid) = (nix::unistd::geteuid().as_raw(), std::process::id());
        let (kernel, profile) = match &options.sandbox.seccomp_profile {
            Some(file) if filter::is_asked(options) => (kernel()?, read_profile(file)?),
            _ => Default::default(),
        };
        let (held, ground) = (held(options)?, Ground::survey(options, extras));
        let firejail = firejail::is_used(options).then(|| Firejail::look(options));
        Ok(Self { uid, pid, cgroups, held, kernel, profile, ground, firejail })
    }
}

impl Default for Facts {
    /// Root, on a host that can do everything.
    fn default() -> Self {
        let all = caps::all().iter().fold(0, |set, capability| set | capability.bitmask());
        let held = Held { bounding: all, permitted: all, effective: all, ..Held::default() };
        let cgroups = Usable::everywhere(Version::V2, "/sys/fs/cgroup");
        let program = Some("/usr/bin/firejail".into());
        let firejail = Some(Firejail { program, is_setuid: true, may_gain: true, absent: Vec::new() });
        let (profile, ground) = (String::new(), Ground::default());
        Self { uid: 0, pid: 1, cgroups, held, kernel: (6, 12), profile, ground, firejail }
    }
}

/// What the launching process may do.
fn held(options: &Options) -> Result<Held, Report> {
    if !capabilities::are_changed(options) && options.sandbox.seccomp_profile.is_none() {
        return Ok(Held::default());
    }
    let failed = |errno| Report::new(StepName::Capabilities, "read the capability sets", errno);
    Linux.capabilities().map_err(failed)
}

/// Version of the running kernel.
fn kernel() -> Result<(u32, u32), Report> {
    let failed = |why: Why| Report::new(StepName::Seccomp, "read the version of the kernel", why);
    let name = nix::sys::utsname::uname().map_err(|errno| failed(errno.into()))?;
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => Ok((major, minor)),
        _ => Err(failed(format!("{release:?} is none").into())),
    }
}

/// The largest profile that is read: Docker's has 14 KiB.
const LARGEST_PROFILE: u64 = 1 << 20;

/// The text of a seccomp profile. A supervisor reads it, so nothing that could keep it waiting is opened.
fn read_profile(file: &Path) -> Result<String, Report> {
    let failed = |why: Why| Report::new(StepName::Seccomp, format!("read the seccomp profile {}", file.shown()), why);
    let bytes = small::read(file, LARGEST_PROFILE).map_err(|error| failed(error.into()))?;
    String::from_utf8(bytes).map_err(|_| failed("it is not text in UTF-8".into()))
}
