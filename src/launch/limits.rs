//! How much a process may use: control groups, and the limits of setrlimit(2).
//!
//! Memory, processor time and the number of processes are limited by control groups, of whichever version can be used
//! ([`crate::cgroup`]): they count what the app and everything it starts use together. Where there are none, a limit of
//! setrlimit(2) stands in where one comes near, with a warning that says what is different; where none does, or where it
//! would not bind, the launch fails.

use std::fmt;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::options::Extras;
use super::plan::{Action, Plan, Resource, UNLIMITED};
use super::report::{Report, StepName};
use super::sys::Sys;
use crate::app::Shown;
use crate::cgroup::{Group, Limit, Place, Version};
use crate::config::Options;
use crate::config::values::{CoreLimit, Size};

/// What the groups of processes begin with that were started by a person, and that nobody removes in their stead.
const OWN_PREFIX: &str = "daemonrun-";

/// How often a group is made anew that has vanished meanwhile, with the last app beside it.
const TRIES: u32 = 20;

/// The control groups of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// One for each hierarchy.
    pub groups: Vec<Group>,
    /// Whether to clear up after others that were started by hand, and have ended.
    #[serde(default)]
    pub tidy: bool,
}

/// A limit of an app, and what holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What is limited: `memory`, `cpu` or `processes`.
    pub limit: String,
    /// The value, as people write it.
    pub asked: String,
    /// `cgroup v1`, `cgroup v2`, `rlimit (stand-in)`, or `not enforced (--force)`.
    pub by: String,
}

/// What holds a limit that nothing holds.
pub const NOT_ENFORCED: &str = "not enforced (--force)";

/// What holds a limit where control groups cannot.
const STAND_IN: &str = "rlimit (stand-in)";

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("enter control groups:")?;
        for (at, group) in self.groups.iter().enumerate() {
            let limits: Vec<String> = group.limits.iter().map(|limit| of(*limit)).collect();
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma} {} for {} ({})", group.dir.shown(), limits.join(" and "), group.version)?;
        }
        Ok(())
    }
}

/// The steps that limit the process.
pub(super) fn steps(plan: &mut Plan, options: &Options, extras: &Extras, facts: &Facts) -> Result<(), Report> {
    groups(plan, options, extras, facts)?;
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

/// Whether an option needs control groups.
pub fn needs_groups(options: &Options) -> bool {
    let limits = &options.limits;
    limits.memory_limit.is_some() || limits.cpu_limit.is_some() || limits.process_limit.is_some()
}

/// What control groups are to limit.
fn asked(options: &Options) -> Vec<Limit> {
    let limits = &options.limits;
    let memory = limits.memory_limit.map(|size| Limit::Memory(size.0));
    [memory, limits.cpu_limit.map(Limit::Cpu), limits.process_limit.map(Limit::Pids)].into_iter().flatten().collect()
}

/// What a limit is about, and its value.
pub fn words(limit: Limit) -> (&'static str, String) {
    match limit {
        Limit::Memory(bytes) => ("memory", Size(bytes).to_string()),
        Limit::Cpu(percent) => ("cpu", format!("{percent}%")),
        Limit::Pids(count) => ("processes", count.to_string()),
    }
}

/// The option of the limit that a sentence of this module is about.
pub fn told_of(sentence: &str, options: &Options) -> Option<&'static str> {
    let is_meant = |limit: &Limit| {
        let (what, value) = words(*limit);
        sentence.starts_with(&format!("{what} {value} ")) || sentence.contains(&format!("limit {what} to {value}"))
    };
    asked(options).into_iter().find(is_meant).map(|limit| match limit {
        Limit::Memory(_) => "limits.memory_limit",
        Limit::Cpu(_) => "limits.cpu_limit",
        Limit::Pids(_) => "limits.process_limit",
    })
}

fn of(limit: Limit) -> String {
    let (what, value) = words(limit);
    format!("{what} {value}")
}

/// The step that enters control groups, and the stand-ins for those there are not.
fn groups(plan: &mut Plan, options: &Options, extras: &Extras, facts: &Facts) -> Result<(), Report> {
    let asked = asked(options);
    if asked.is_empty() {
        return Ok(());
    }
    let mut join = Join { groups: Vec::new(), tidy: extras.group.is_none() };
    let name = extras.group.clone().unwrap_or_else(|| format!("{OWN_PREFIX}{}", facts.pid));
    let mut elsewhere = Vec::new();
    for limit in asked {
        let joined = extras.joined.iter().flat_map(|joined| &joined.groups);
        let group = match joined.clone().find(|group| group.limits.contains(&limit)) {
            Some(group) => Ok(group.clone()),
            None => facts.cgroups.place(limit.controller()).map(|place| group(place, &name)),
        };
        match group {
            Ok(group) => {
                plan.hold(limit, &group.version.to_string());
                join.add(group, limit);
            }
            Err(why) => elsewhere.push((limit, why)),
        }
    }
    for group in join.groups {
        // A step each: by --force it is only the limits of one that are done without.
        let why = "first of what costs anything: from here on everything the process uses is counted as the app's";
        let join = Join { groups: vec![group], tidy: join.tidy };
        plan.step(StepName::Cgroup, Action::Join(join), why);
    }
    elsewhere.into_iter().try_for_each(|(limit, why)| stand_in(plan, limit, why, is_root(options, facts)))
}

fn group(place: &Place, name: &str) -> Group {
    let (base, dir) = (place.base.clone(), place.base.join(name));
    Group { version: place.version, base, dir, evacuate: place.evacuate.clone(), limits: Vec::new() }
}

/// Whether the app runs as root, whom RLIMIT_NPROC does not bind.
fn is_root(options: &Options, facts: &Facts) -> bool {
    let named = options.security.user.as_deref();
    facts.uid == 0 && named.is_none_or(|user| user == "root" || user.parse() == Ok(0))
}

/// What comes near to a limit that no control group holds.
fn stand_in(plan: &mut Plan, limit: Limit, why: &str, is_root: bool) -> Result<(), Report> {
    let (resource, value, difference) = match limit {
        Limit::Memory(bytes) => {
            let difference = "RLIMIT_AS holds it: address space is counted, not memory, and for each process by itself";
            (Resource::AddressSpace, bytes, difference)
        }
        Limit::Pids(count) if !is_root => {
            let difference = "RLIMIT_NPROC holds it: all processes of the user are counted, not those of the app";
            (Resource::Processes, count, difference)
        }
        Limit::Pids(_) => {
            let report = cannot_limit(limit, format!("{why}; RLIMIT_NPROC, which would be next, does not bind root"));
            plan.hold(limit, NOT_ENFORCED);
            return plan.cannot(
                report.with_hint(
                    "give the app a user of its own (security.user), or run it by --force without the limit",
                ),
            );
        }
        Limit::Cpu(_) => {
            let report = cannot_limit(limit, why.to_owned());
            plan.hold(limit, NOT_ENFORCED);
            return plan.cannot(report.with_hint(
                "nothing else can limit it: make the control group writable, or run it by --force without the limit",
            ));
        }
    };
    plan.hold(limit, STAND_IN);
    plan.warnings.push(format!("{} is not limited by a control group: {why}; {difference}", of(limit)));
    plan.step(
        StepName::Limits,
        Action::Limit(resource, value),
        "the nearest thing to a control group, which cannot be had",
    );
    Ok(())
}

fn cannot_limit(limit: Limit, why: String) -> Report {
    let (what, value) = words(limit);
    Report::new(StepName::Cgroup, format!("limit {what} to {value}"), why)
}

impl Plan {
    /// Notes what holds a limit.
    fn hold(&mut self, limit: Limit, by: &str) {
        let (limit, asked) = words(limit);
        self.held.push(Held { limit: limit.to_owned(), asked, by: by.to_owned() });
    }
}

impl Join {
    /// All control groups that these actions enter.
    pub(super) fn of_all(actions: &[Action]) -> Option<Self> {
        let joins = actions.iter().filter_map(|action| match action {
            Action::Join(join) => Some(join.clone()),
            _ => None,
        });
        joins.reduce(|mut all, join| {
            all.groups.extend(join.groups);
            all
        })
    }

    /// A limit more; groups of one directory are one group.
    fn add(&mut self, group: Group, limit: Limit) {
        let at = self.groups.iter().position(|known| known.dir == group.dir).unwrap_or_else(|| {
            self.groups.push(Group { limits: Vec::new(), ..group });
            self.groups.len() - 1
        });
        self.groups[at].limits.push(limit);
    }

    /// Carries it out: limits are set before a group is entered.
    pub(super) fn carry_out(&self, sys: &mut impl Sys) -> Result<(), Report> {
        for group in &self.groups {
            if self.tidy {
                sys.remove_empty_dirs(&group.base, OWN_PREFIX);
            }
            prepare(sys, group)?;
            limit(sys, group)?;
        }
        self.groups.iter().try_for_each(|group| {
            let failed = |error| failed(&format!("enter the control group {}", group.dir.shown()), error);
            write(sys, &group.dir.join("cgroup.procs"), "0").map_err(failed)
        })
    }
}

/// Makes a group and those above it. Those that are shared may vanish with the last group in them just now.
fn prepare(sys: &mut impl Sys, group: &Group) -> Result<(), Report> {
    let controllers: Vec<String> =
        group.limits.iter().map(|limit| format!("+{}", limit.controller().as_str())).collect();
    if let (Some(leaf), Version::V2) = (&group.evacuate, group.version) {
        evacuate(sys, &group.base, leaf)?;
    }
    let mut made = Ok(());
    for _ in 0..TRIES {
        made = descend(sys, group, &controllers.join(" "));
        if !matches!(&made, Err((_, error)) if error.kind() == io::ErrorKind::NotFound) {
            break;
        }
    }
    made.map_err(|(what, error)| failed(&what, error))
}

fn descend(sys: &mut impl Sys, group: &Group, controllers: &str) -> Result<(), (String, io::Error)> {
    let mut above = group.base.clone();
    for dir in group.path() {
        if group.version == Version::V2 {
            let give = write(sys, &above.join("cgroup.subtree_control"), controllers);
            give.map_err(|error| (format!("divide the control group {}", above.shown()), error))?;
        }
        sys.make_dir(&dir).map_err(|error| (format!("make the control group {}", dir.shown()), error))?;
        above = dir;
    }
    Ok(())
}

/// Moves all processes of a group into a leaf below it.
fn evacuate(sys: &mut impl Sys, base: &Path, leaf: &Path) -> Result<(), Report> {
    let what = format!("move daemonctl's processes to the control group {}", leaf.shown());
    sys.make_dir(leaf).map_err(|error| failed(&what, error))?;
    for _ in 0..TRIES {
        let procs = sys.read(&base.join("cgroup.procs")).map_err(|error| failed(&what, error))?;
        let text = String::from_utf8_lossy(&procs).into_owned();
        if text.trim().is_empty() {
            break;
        }
        for pid in text.lines() {
            match write(sys, &leaf.join("cgroup.procs"), pid) {
                Err(error) if error.raw_os_error() != Some(libc::ESRCH) => return Err(failed(&what, error)),
                Ok(()) | Err(_) => {}
            }
        }
    }
    Ok(())
}

/// Writes the limits of a group.
fn limit(sys: &mut impl Sys, group: &Group) -> Result<(), Report> {
    for limit in &group.limits {
        for setting in limit.settings(group.version) {
            match write(sys, &group.dir.join(setting.file), &setting.text) {
                Ok(()) => {}
                Err(error) if setting.optional && error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let (what, value) = words(*limit);
                    return Err(failed(&format!("limit {what} to {value} in {}", group.dir.shown()), error));
                }
            }
        }
    }
    Ok(())
}

fn write(sys: &mut impl Sys, path: &Path, text: &str) -> io::Result<()> {
    sys.write(&path.to_string_lossy(), text)
}

fn failed(what: &str, error: io::Error) -> Report {
    let hint = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EINVAL) => Some("the control group above may allow less than that"),
        Some(Errno::EBUSY) => Some("a control group that holds processes cannot be divided"),
        Some(Errno::EACCES | Errno::EPERM | Errno::EROFS) => {
            Some("its owner can give it to this user (docs/limits.md)")
        }
        _ => None,
    };
    let report = Report::new(StepName::Cgroup, what, error);
    hint.map_or(report.clone(), |hint| report.with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::super::fake::Fake;
    use super::super::plan::plan;
    use super::*;
    use crate::cgroup::Usable;

    fn options(memory: Option<&str>, cpu: Option<u32>, processes: Option<u64>) -> Options {
        let mut options = Options::default();
        options.limits.memory_limit = memory.map(|size| size.parse().unwrap());
        (options.limits.cpu_limit, options.limits.process_limit) = (cpu, processes);
        options
    }

    fn planned(options: &Options, extras: &Extras, facts: &Facts) -> Plan {
        plan(options, extras, facts).unwrap()
    }

    fn join(plan: &Plan) -> Option<Join> {
        Join::of_all(&plan.steps.iter().map(|step| step.action.clone()).collect::<Vec<_>>())
    }

    /// An ordinary user, or root, on a host without control groups.
    fn without(uid: u32) -> Facts {
        Facts { uid, cgroups: Usable::default(), ..Facts::default() }
    }

    fn held(plan: &Plan) -> Vec<&str> {
        plan.held.iter().map(|held| held.by.as_str()).collect()
    }

    #[test]
    fn a_launch_without_these_limits_touches_no_control_group() {
        let plan = planned(&Options::default(), &Extras::default(), &Facts::default());
        assert_eq!((join(&plan), plan.held.len()), (None, 0));
    }

    #[test]
    fn limits_of_one_hierarchy_share_a_group_that_is_ready_before_it_is_entered() {
        let extras = Extras { group: Some("daemonctl-1/app-web".to_owned()), ..Extras::default() };
        let plan = planned(&options(Some("64M"), Some(20), Some(5)), &extras, &Facts::default());
        assert_eq!(held(&plan), ["cgroup v2"; 3]);
        let mut sys = Fake::default();
        join(&plan).unwrap().carry_out(&mut sys).unwrap();
        let group = "/sys/fs/cgroup/daemonctl-1";
        assert_eq!(
            sys.calls,
            [
                "write /sys/fs/cgroup/cgroup.subtree_control +memory +cpu +pids".to_owned(),
                format!("mkdir {group}"),
                format!("write {group}/cgroup.subtree_control +memory +cpu +pids"),
                format!("mkdir {group}/app-web"),
                format!("write {group}/app-web/memory.max 67108864"),
                format!("write {group}/app-web/memory.swap.max 0"),
                format!("write {group}/app-web/memory.oom.group 1"),
                format!("write {group}/app-web/cpu.max 20000 100000"),
                format!("write {group}/app-web/pids.max 5"),
                format!("write {group}/app-web/cgroup.procs 0"),
            ]
        );
    }

    #[test]
    fn processes_that_are_in_the_way_are_moved_first() {
        let base = Place { version: Version::V2, base: "/cg/svc".into(), evacuate: Some("/cg/svc/leaf".into()) };
        let facts = Facts { cgroups: Usable { pids: Ok(base), ..Usable::default() }, ..Facts::default() };
        let plan = planned(&options(None, None, Some(5)), &Extras::default(), &facts);
        let mut sys = Fake { file: b"10\n11\n".to_vec(), ..Fake::default() };
        join(&plan).unwrap().carry_out(&mut sys).unwrap();
        let first = ["rmdir /cg/svc/daemonrun-*", "mkdir /cg/svc/leaf", "write /cg/svc/leaf/cgroup.procs 10"];
        assert_eq!(sys.calls[..3], first);
        assert_eq!(sys.calls.last().unwrap(), "write /cg/svc/daemonrun-1/cgroup.procs 0");
    }

    #[test]
    fn any_failure_on_the_way_is_reported_and_nothing_is_entered_after_it() {
        let join = join(&planned(&options(Some("64M"), None, Some(5)), &Extras::default(), &Facts::default())).unwrap();
        let mut sys = Fake::default();
        join.carry_out(&mut sys).unwrap();
        for at in 1..sys.calls.len() {
            let mut broken = Fake { fails: Some((at, Errno::EACCES)), ..Fake::default() };
            let report = join.carry_out(&mut broken).unwrap_err();
            assert_eq!(report.step(), StepName::Cgroup);
            assert!(report.hint().is_some() && broken.calls.len() == at + 1, "{:?}", broken.calls);
        }
    }

    #[test]
    fn without_control_groups_the_nearest_limit_stands_in_and_says_so() {
        let plan = planned(&options(Some("64M"), None, Some(5)), &Extras::default(), &without(1000));
        assert_eq!(held(&plan), [STAND_IN; 2]);
        assert!(plan.warnings[0].contains("address space is counted"), "{:?}", plan.warnings);
        assert!(plan.warnings[1].contains("all processes of the user"), "{:?}", plan.warnings);
        let actions: Vec<_> = plan.steps.iter().map(|step| step.action.to_string()).collect();
        for action in ["address space limit to 67108864", "processes to 5"] {
            assert!(actions.iter().any(|line| line.contains(action)), "{actions:?}");
        }
    }

    #[test]
    fn what_nothing_can_hold_fails_and_is_gone_without_by_force() {
        let mut other = options(None, None, Some(5));
        other.security.user = Some("web".to_owned());
        assert_eq!(held(&planned(&other, &Extras::default(), &without(0))), [STAND_IN]);
        for (options, what) in [
            (options(None, None, Some(5)), "limit processes to 5"),
            (options(None, Some(20), None), "limit cpu to 20%"),
        ] {
            let report = plan(&options, &Extras::default(), &without(0)).unwrap_err();
            assert!(report.message().contains(what) && report.hint().is_some(), "{report:?}");
            let forced = planned(&options, &Extras { force: true, ..Extras::default() }, &without(0));
            assert_eq!((held(&forced), forced.warnings.len()), (vec![NOT_ENFORCED], 1));
        }
    }

    #[test]
    fn a_hook_goes_where_its_app_is() {
        let options = options(Some("64M"), None, None);
        let app = planned(&options, &Extras::default(), &Facts::default());
        let extras = Extras { joined: join(&app), group: Some("elsewhere".to_owned()), ..Extras::default() };
        let hook = planned(&options, &extras, &without(0));
        assert_eq!(join(&hook).unwrap().groups, join(&app).unwrap().groups);
    }
}
