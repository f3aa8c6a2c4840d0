//! Walls around a process: namespaces, what is mounted in them, and the Landlock domain that closes the way round.
//!
//! The order of the steps is the point: namespaces first, for nothing is ever mounted in the host's; then what is
//! read-only, then what is private, then what is read-only below that, so that the more specific wins; last of all the
//! daemon's own sockets are covered. [`ground`] is what has to be known for that, `namespaces` what can be in the way.

mod dev;
mod domain;
pub mod ground;
mod namespaces;
mod tmp;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use caps::Capability;
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::options::{Entered, Extras};
use super::plan::{Action, Plan};
use super::report::{Report, StepName};
use super::sys::Sys;
use super::sys::walls::{Attributes, Fs};
use crate::app::Shown;
use crate::config::Options;
use crate::config::values::SandboxType;

pub use domain::Domain;
pub(super) use domain::steps as domain;

/// One wall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wall {
    /// Make namespaces.
    Namespaces {
        /// A user namespace, in which an ordinary user may make the others.
        user: bool,
        /// A network namespace beside the mount namespace.
        network: bool,
    },
    /// Make the new namespaces usable: the same ids as outside, and mounts that stay inside.
    Settle {
        /// User and group to map, where there is a user namespace.
        ids: Option<(u32, u32)>,
    },
    /// Enter the namespaces of the app instead of making new ones.
    Enter {
        /// Its main process.
        of: Entered,
        /// Its user namespace too.
        user: bool,
        /// Its network namespace too.
        network: bool,
    },
    /// Bring the loopback device up.
    Loopback,
    /// Make a tree read-only, with everything mounted below it.
    ReadOnly(PathBuf),
    /// Mount an empty directory for temporary files.
    PrivateTmp {
        /// Where.
        at: PathBuf,
        /// What stays visible below it.
        keep: Vec<PathBuf>,
    },
    /// Mount a /dev with harmless devices only.
    PrivateDev,
    /// Cover a directory.
    Hide(PathBuf),
    /// Enter the current directory again, by its name, so that it is not one that has been covered.
    Return(PathBuf),
}

/// Whether the options ask for a mount namespace, a Landlock domain with it.
pub(crate) fn are_asked(options: &Options) -> bool {
    let sandbox = &options.sandbox;
    let any = sandbox.private_tmp || sandbox.private_dev || sandbox.no_network || !sandbox.readonly_paths.0.is_empty();
    sandbox.kind == SandboxType::Unshare && any
}

/// What root inside the walls must not be able to do, or they are none.
pub fn forbidden_capabilities(options: &Options) -> &'static [Capability] {
    const ALL: &[Capability] = &[
        // Mount and unmount, make and enter namespaces.
        Capability::CAP_SYS_ADMIN,
        // Reach through a process outside: its memory, its descriptors, its root directory.
        Capability::CAP_SYS_PTRACE,
        // Make the device of a disk, and read and write what is on it.
        Capability::CAP_MKNOD,
        // Ports, /dev/mem, raw commands to disks.
        Capability::CAP_SYS_RAWIO,
        // Open files by handle, wherever they are mounted.
        Capability::CAP_DAC_READ_SEARCH,
        // Put code into the kernel.
        Capability::CAP_SYS_MODULE,
        // Start another kernel.
        Capability::CAP_SYS_BOOT,
        // Read the memory of the kernel, and of other processes.
        Capability::CAP_BPF,
        Capability::CAP_PERFMON,
    ];
    if are_asked(options) { ALL } else { &[] }
}

/// The steps that build walls while privilege is there.
pub(super) fn steps(plan: &mut Plan, options: &Options, extras: &Extras, facts: &Facts) -> Result<(), Report> {
    if !are_asked(options) {
        return Ok(());
    }
    let (sandbox, ground) = (&options.sandbox, &facts.ground);
    let mut add = |wall, why| plan.step(StepName::Sandbox, Action::Wall(wall), why);
    let (user, network) = (!ground.admin, sandbox.no_network);
    if let Some(of) = extras.enter {
        add(Wall::Enter { of, user, network }, "it belongs to the app, and sees what the app sees");
        return Ok(());
    }
    if let Some(report) = namespaces::obstacle(options, facts) {
        return plan.cannot(report);
    }
    add(Wall::Namespaces { user, network }, "what is mounted from here on is mounted for the app alone");
    let ids = user.then_some((facts.uid, ground.gid));
    add(Wall::Settle { ids }, "the same user inside as outside, and no mount that could reach the host");
    if network {
        add(Wall::Loopback, "a new network has a loopback device, but it is down");
    }
    for problem in ground.problems(sandbox) {
        plan.cannot(problem)?;
    }
    let mut add = |wall, why| plan.step(StepName::Sandbox, Action::Wall(wall), why);
    let (within, before): (Vec<_>, Vec<_>) =
        ground.read_only().partition(|path| ground.privates(sandbox).any(|at| path.starts_with(at)));
    for path in before {
        add(Wall::ReadOnly(path.to_owned()), "before what is private, which stays writable below it");
    }
    if sandbox.private_tmp {
        for at in &ground.tmp {
            let keep = ground.kept_below(at);
            add(Wall::PrivateTmp { at: at.clone(), keep }, "temporary files of others are none of the app's business");
        }
    }
    if sandbox.private_dev {
        add(Wall::PrivateDev, "no disk, no memory, no device of another");
    }
    for path in within {
        add(Wall::ReadOnly(path.to_owned()), "after what is private, as it is a part of that");
    }
    for path in &ground.kernel {
        add(Wall::ReadOnly(path.clone()), "root writes there by its uid alone, and so out of its walls and limits");
    }
    for dir in ground.hidden(sandbox) {
        add(Wall::Hide(dir.to_owned()), "whoever reaches the control socket can start anything, outside of the walls");
    }
    if let Some(dir) = &ground.cwd {
        add(Wall::Return(dir.clone()), "where this process is may have been covered, and would be a way out");
    }
    Ok(())
}

impl Wall {
    /// Whether `--force` may go without it.
    pub(super) fn is_dispensable(&self) -> bool {
        // Half a user namespace would make the app nobody.
        !matches!(self, Self::Settle { .. } | Self::Return(_))
    }

    /// Carries it out. Nothing is mounted before `enclosed` says that the mounts are the process's own.
    pub(super) fn carry_out(&self, sys: &mut impl Sys, enclosed: &mut bool) -> Result<(), Report> {
        let failed = |error: io::Error| Report::new(StepName::Sandbox, self.what(), error);
        match self {
            Self::Namespaces { user, network } => {
                sys.new_namespaces(*user, *network).map_err(|errno| namespaces::refused(sys, *user, errno))?;
                *enclosed = true;
                Ok(())
            }
            Self::Enter { of, user, network } => sys.enter_namespaces(*of, *user, *network).map_err(failed),
            Self::Settle { .. } if !*enclosed => Ok(()),
            Self::Settle { ids } => namespaces::settle(sys, *ids).map_err(failed),
            Self::Return(dir) => sys.enter(dir).map(drop).map_err(failed),
            _ if !*enclosed => Err(Report::new(StepName::Sandbox, self.what(), "there are no namespaces to do it in")),
            Self::Loopback => sys.raise_loopback().map_err(failed),
            Self::ReadOnly(path) => read_only(sys, path).map_err(failed),
            Self::PrivateTmp { at, keep } => tmp::mount(sys, at, keep).map_err(failed),
            Self::PrivateDev => dev::mount(sys),
            Self::Hide(dir) => cover(sys, dir).map_err(failed),
        }
    }

    /// What it does, in the imperative.
    fn what(&self) -> String {
        let join = |user: bool, network: bool| {
            let user = if user { "user, " } else { "" };
            if network { format!("{user}mount and network") } else { format!("{user}mount") }
        };
        match self {
            Self::Namespaces { user, network } => format!("make {} namespaces", join(*user, *network)),
            Self::Settle { ids: None } => "keep new mounts from the host".to_owned(),
            Self::Settle { ids: Some((uid, gid)) } => {
                format!("map uid {uid} and gid {gid} to themselves, keep new mounts from the host")
            }
            Self::Enter { of, user, network } => {
                format!("enter the {} namespaces of process {}", join(*user, *network), of.pid)
            }
            Self::Loopback => "bring the loopback device up".to_owned(),
            Self::ReadOnly(path) => format!("make {} read-only", path.shown()),
            Self::PrivateTmp { at, keep } if keep.is_empty() => format!("mount a private {}", at.shown()),
            Self::PrivateTmp { at, keep } => {
                let keep: Vec<_> = keep.iter().map(|dir| dir.shown().to_string()).collect();
                format!("mount a private {} that shows {}", at.shown(), keep.join(", "))
            }
            Self::PrivateDev => "mount a private /dev".to_owned(),
            Self::Hide(dir) => format!("cover {}", dir.shown()),
            Self::Return(dir) => format!("enter {}", dir.shown()),
        }
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what())
    }
}

/// A tree over itself, read-only. Only so do the mounts below it become read-only together with it.
fn read_only(sys: &mut impl Sys, path: &Path) -> io::Result<()> {
    if path == Path::new("/") {
        return sys.make_read_only(path, true);
    }
    let tree = sys.clone_tree(path)?;
    sys.make_tree_read_only(&tree)?;
    sys.attach(tree, path)
}

/// Nothing over a directory.
fn cover(sys: &mut impl Sys, dir: &Path) -> io::Result<()> {
    let attributes = Attributes { no_exec: true, no_dev: true, read_only: true };
    sys.mount(Fs::Tmp { mode: 0o000 }, dir, attributes)
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;
    use crate::launch::fake::Fake;
    use crate::launch::options;
    use crate::launch::plan::{Step, plan};

    const ALL: [&str; 4] = ["--private-tmp", "--private-dev", "--no-network", "--readonly-paths=/etc"];

    /// The walls of a plan on this ground.
    fn planned(flags: &[&str], facts: &Facts) -> Result<Vec<Step>, Report> {
        let words = flags.iter().chain(&["--", "x"]).map(Into::into).collect();
        let request = options::parse(words, true).unwrap();
        let mut steps = plan(&request.options, &request.extras, facts)?.steps;
        steps.retain(|step| matches!(step.action, Action::Wall(_) | Action::Domain(_)));
        Ok(steps)
    }

    fn facts() -> Facts {
        let mut facts = Facts::default();
        facts.ground.asked = vec![("/etc".into(), Ok("/etc".into()))];
        facts.ground.keep = vec!["/tmp/x/app".into()];
        facts.ground.hide = vec!["/run/daemonctl".into()];
        facts
    }

    /// Carries walls out; returns which of them failed.
    fn build(sys: &mut Fake, steps: &[Step]) -> Vec<Report> {
        let mut enclosed = false;
        let built = steps.iter().map(|step| match &step.action {
            Action::Wall(wall) => wall.carry_out(sys, &mut enclosed),
            Action::Domain(domain) => domain.carry_out(sys),
            other => panic!("{other}"),
        });
        built.filter_map(Result::err).collect()
    }

    #[test]
    fn walls_are_built_from_the_outside_in() {
        let mut sys = Fake::default();
        assert_eq!(build(&mut sys, &planned(&ALL, &facts()).unwrap()), []);
        sys.calls.retain(|call| !call.contains("/dev/") || call.contains("pts"));
        let expected = [
            "unshare user=false network=true",
            "slave /",
            "lo up",
            "clone /etc",
            "clone ro",
            "attach /etc",
            "clone /tmp/x/app",
            "mount Tmp { mode: 1023 } /tmp",
            "mkdir /tmp/x",
            "mkdir /tmp/x/app",
            "attach /tmp/x/app",
            "mount Tmp { mode: 1023 } /var/tmp",
            "mount Tmp { mode: 493 } /dev",
            "mkdir /dev/pts",
            "mount Terminals /dev/pts",
            "symlink pts/ptmx /dev/ptmx",
            "ro /dev below=false",
            "mount Tmp { mode: 0 } /run/daemonctl",
            "landlock Domain { signals: true, devices: true }",
        ];
        assert_eq!(sys.calls, expected);
    }

    #[test]
    fn nothing_is_mounted_where_there_are_no_namespaces() {
        let steps = planned(&ALL, &facts()).unwrap();
        let mut sys = Fake { fails: Some((0, Errno::EPERM)), ..Fake::default() };
        let failed = build(&mut sys, &steps);
        assert_eq!(sys.calls, ["unshare user=false network=true", "landlock Domain { signals: true, devices: true }"]);
        // All but the domain, and the step that makes new namespaces usable.
        assert_eq!(failed.len(), steps.len() - 2);
    }

    #[test]
    fn an_ordinary_user_maps_itself_and_cannot_become_another() {
        let mut facts = facts();
        (facts.uid, facts.ground.admin, facts.ground.gid) = (1000, false, 100);
        let mut sys = Fake::default();
        build(&mut sys, &planned(&["--private-tmp"], &facts).unwrap());
        let expected = [
            "unshare user=true network=false",
            "write /proc/self/setgroups deny",
            "write /proc/self/uid_map 1000 1000 1",
            "write /proc/self/gid_map 100 100 1",
            "slave /",
        ];
        assert_eq!(sys.calls[..5], expected);
        let refused = planned(&["--private-tmp", "--user=web"], &facts).unwrap_err();
        assert!(refused.message().contains("CAP_SYS_ADMIN"), "{refused}");
    }

    #[test]
    fn half_a_user_namespace_is_never_done_without() {
        for step in planned(&ALL, &facts()).unwrap() {
            let vital = matches!(step.action, Action::Wall(Wall::Settle { .. }));
            assert_eq!(step.action.is_dispensable(), !vital, "{}", step.action);
        }
    }

    #[test]
    fn what_is_below_a_private_directory_is_made_read_only_after_it() {
        let mut facts = facts();
        facts.ground.asked = ["/", "/tmp/x/app"].map(|path| (path.into(), Ok(path.into()))).to_vec();
        let steps = planned(&["--private-tmp", "--readonly-paths=/"], &facts).unwrap();
        let at = |wanted: &Wall| steps.iter().position(|step| step.action == Action::Wall(wanted.clone())).unwrap();
        let private = Wall::PrivateTmp { at: "/tmp".into(), keep: vec!["/tmp/x/app".into()] };
        assert!(at(&Wall::ReadOnly("/".into())) < at(&private));
        assert!(at(&private) < at(&Wall::ReadOnly("/tmp/x/app".into())));
        facts.ground.asked = vec![("/tmp/other".into(), Ok("/tmp/other".into()))];
        let refused = planned(&["--private-tmp", "--readonly-paths=/tmp/other"], &facts).unwrap_err();
        assert!(refused.message().contains("out of sight"), "{refused}");
    }

    #[test]
    fn without_landlock_root_has_no_walls_and_a_user_has() {
        let mut facts = facts();
        facts.ground.landlock = 1;
        let refused = planned(&["--private-tmp"], &facts).unwrap_err();
        assert!(refused.message().contains("Landlock"), "{refused}");
        facts.ground.admin = false;
        let steps = planned(&["--private-tmp"], &facts).unwrap();
        assert!(!steps.iter().any(|step| step.name == StepName::Landlock));
    }

    #[test]
    fn a_check_enters_and_may_signal_the_app() {
        let steps = planned(&["--private-tmp", "--no-network", "--enter=7:9"], &facts()).unwrap();
        let of = Entered { pid: 7, start_time: 9 };
        let actions: Vec<_> = steps.into_iter().map(|step| step.action).collect();
        let domain = Domain { signals: false, devices: false };
        assert_eq!(actions, [Action::Wall(Wall::Enter { of, user: false, network: true }), Action::Domain(domain),]);
    }

    #[test]
    fn root_inside_keeps_nothing_that_takes_walls_down() {
        let mut options = Options::default();
        assert_eq!(forbidden_capabilities(&options), &[]);
        (options.sandbox.kind, options.sandbox.no_network) = (SandboxType::Unshare, true);
        assert!(forbidden_capabilities(&options).contains(&Capability::CAP_SYS_ADMIN));
    }
}
