//! What root may do, cut into pieces (capabilities(7)), and the promise that no exec gives any of it back.
//!
//! What is left to the app is what `capabilities_keep` names, or all that whoever launches it has, less what
//! `capabilities_drop` names and less what would undo its walls. Root has it in the bounding, permitted and effective
//! set: an exec gives root the bounding set, no more. Another user has what is kept in all five sets, since only the
//! ambient one outlives an exec, and without `capabilities_keep` nothing, as any ordinary user.
//!
//! Whoever is not root cannot shrink its bounding set, and need not: no_new_privs, which comes with every option here,
//! already keeps every exec from giving what the process has not got.

use std::fmt;

use caps::Capability;
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::options::Extras;
use super::plan::{Action, Plan};
use super::report::{Report, StepName};
use super::sys::Sys;
use super::sys::capabilities::Held;
use super::walls;
use crate::config::Options;
use crate::config::values::capability::{ALL, find};
use crate::config::values::{Names, SandboxType};

/// CAP_SETPCAP, which the bounding set can be shrunk with.
const SETPCAP: u64 = 1 << Capability::CAP_SETPCAP as u32;

/// What a process is left with. In each set bit N stands for capability number N.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sets {
    /// What an exec can give at most.
    bounding: u64,
    /// Whether the bounding set has to shrink to that, or only where the process may do so.
    shrink: bool,
    /// What is left to root.
    root: u64,
    /// What is left to any other user.
    user: u64,
}

/// Whether the options change capabilities, so that a change of identity must leave them for later.
pub(super) fn are_changed(options: &Options) -> bool {
    let security = &options.security;
    let asked = !security.capabilities_drop.0.is_empty() || !security.capabilities_keep.0.is_empty();
    (asked || walls::are_asked(options)) && options.sandbox.kind != SandboxType::Firejail
}

/// The capabilities that the app will have, of those that its launcher has. The second half is what it was asked to
/// keep and nobody can give it.
fn left(options: &Options, facts: &Facts) -> (u64, u64) {
    let (security, own) = (&options.security, facts.held);
    let have = own.bounding & own.permitted;
    let keep = set_of(&security.capabilities_keep);
    let named = &security.capabilities_keep.0;
    let kept = if named.is_empty() || named.iter().any(|name| name == ALL) { have } else { keep };
    // `all` in both is refused; in one of them it gives way to the names in the other.
    let drop = match security.capabilities_drop.0.iter().any(|name| name == ALL) {
        true if named.is_empty() => u64::MAX,
        true => 0,
        false => set_of(&security.capabilities_drop),
    };
    let left = kept & !drop & !forbidden(options);
    (left & have, left & !have)
}

/// The capabilities that the app has once it runs.
pub(super) fn of_the_app(options: &Options, facts: &Facts) -> u64 {
    let is_root = match &options.security.user {
        Some(user) => ["root", "0"].contains(&user.as_str()),
        None => facts.uid == 0,
    };
    if is_root || !options.security.capabilities_keep.0.is_empty() { left(options, facts).0 } else { 0 }
}

/// The steps that take capabilities, and the way to new ones.
pub(super) fn steps(plan: &mut Plan, options: &Options, _: &Extras, facts: &Facts) -> Result<(), Report> {
    // firejail does it itself, and could not begin without the privileges of its file.
    if options.sandbox.kind == SandboxType::Firejail {
        return Ok(());
    }
    if are_changed(options) {
        let sets = plan_sets(plan, options, facts)?;
        let why = "once nothing more needs them; the bounding set too, or root would get all back at the exec";
        plan.step(StepName::Capabilities, Action::Capabilities(sets), why);
    }
    let sandbox = &options.sandbox;
    let needed = are_changed(options) || sandbox.seccomp || sandbox.seccomp_profile.is_some();
    if needed || options.security.no_new_privs == Some(true) {
        let why = "no setuid program gives back what was taken; the kernel wants it before filters and domains";
        plan.step(StepName::NoNewPrivs, Action::NoNewPrivs, why);
    }
    Ok(())
}

fn plan_sets(plan: &mut Plan, options: &Options, facts: &Facts) -> Result<Sets, Report> {
    let security = &options.security;
    let is_kept = !security.capabilities_keep.0.is_empty();
    let failed = |what: String, why: String| Report::new(StepName::Capabilities, what, why);
    let undoing = set_of(&security.capabilities_keep) & forbidden(options);
    if undoing != 0 {
        let wall = walls_of(options);
        let report = failed(format!("keep {}", names(undoing)), format!("with it the app could undo {wall}"));
        return Err(report.with_hint(format!("keep less, or leave out {wall}")));
    }
    let (left, missing) = left(options, facts);
    if missing != 0 {
        let hint = match facts.uid {
            0 => "this root is without it, as in a container: start the supervisor with it",
            _ => "only root, or who has it, can leave it to an app: start the supervisor as root",
        };
        let report = failed(format!("keep {}", names(missing)), "whoever launches the app has not got it".to_owned());
        plan.cannot(report.with_hint(hint))?;
    }
    let own = facts.held;
    let bounding = match is_kept {
        true => left,
        false => own.bounding & !dropped(options),
    };
    let must = facts.uid == 0 && bounding != own.bounding;
    if must && own.permitted & SETPCAP == 0 {
        let why = "this root lacks cap_setpcap, without which the bounding set stays as it is".to_owned();
        let hint = "run the supervisor with cap_setpcap, or the app as another user with no_new_privs";
        plan.cannot(failed("drop capabilities".to_owned(), why).with_hint(hint))?;
    }
    let shrink = must && own.permitted & SETPCAP != 0;
    Ok(Sets { bounding, shrink, root: left, user: if is_kept { left } else { 0 } })
}

/// What is taken away where nothing is said about keeping.
fn dropped(options: &Options) -> u64 {
    let names = &options.security.capabilities_drop;
    let all = names.0.iter().any(|name| name == ALL);
    forbidden(options) | if all { u64::MAX } else { set_of(names) }
}

fn forbidden(options: &Options) -> u64 {
    walls::forbidden_capabilities(options).iter().fold(0, |set, capability| set | capability.bitmask())
}

/// The first wall that is asked for, by its option.
fn walls_of(options: &Options) -> &'static str {
    let sandbox = &options.sandbox;
    match (sandbox.private_tmp, sandbox.private_dev, sandbox.no_network) {
        (true, _, _) => "sandbox.private_tmp",
        (_, true, _) => "sandbox.private_dev",
        (_, _, true) => "sandbox.no_network",
        _ => "sandbox.readonly_paths",
    }
}

/// The set of these names; `all` is none of them.
fn set_of(names: &Names) -> u64 {
    names.0.iter().filter_map(|name| find(name)).fold(0, |set, capability| set | capability.bitmask())
}

/// A set in words.
fn names(set: u64) -> String {
    let name = |number: u32| {
        let all = caps::all();
        let known = all.iter().find(|capability| u32::from(capability.index()) == number);
        known.map_or_else(|| number.to_string(), |capability| capability.to_string().to_ascii_lowercase())
    };
    match set {
        0 => "none".to_owned(),
        _ => numbers(set).map(name).collect::<Vec<_>>().join(", "),
    }
}

impl Sets {
    /// Carries it out, and looks whether it is so.
    pub(super) fn carry_out(&self, sys: &mut impl Sys) -> Result<(), Report> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |errno| Report::new(StepName::Capabilities, what, errno)
        };
        let before = sys.capabilities().map_err(failed("read the capability sets"))?;
        let is_root = sys.credentials().map_err(failed("read the user id"))?.uids[1] == 0;
        let may_shrink = self.shrink || before.permitted & SETPCAP != 0;
        let (held, raised) = if is_root { (self.root, 0) } else { (self.user, self.user) };
        let after = Held {
            bounding: if may_shrink { before.bounding & self.bounding } else { before.bounding },
            permitted: held,
            effective: held,
            inheritable: raised,
            ambient: raised,
        };

        if after.bounding != before.bounding {
            // A change of user leaves the permitted set, and empties the effective one.
            sys.set_capabilities(before.permitted, before.inheritable).map_err(failed("raise cap_setpcap"))?;
            for number in numbers(before.bounding & !after.bounding) {
                let what = format!("drop {} from the bounding set", names(1 << number));
                sys.drop_bounding(number).map_err(failed(&what))?;
            }
        }
        sys.clear_ambient().map_err(failed("clear the ambient set"))?;
        sys.set_capabilities(after.permitted, after.inheritable).map_err(failed("set the capability sets"))?;
        for number in numbers(after.ambient) {
            let what = format!("keep {} over the exec", names(1 << number));
            sys.raise_ambient(number).map_err(failed(&what))?;
        }
        let is = sys.capabilities().map_err(failed("read the capability sets back"))?;
        if is != after {
            let why = format!("the system reports success, but the process has {is:x?}");
            return Err(Report::new(StepName::Capabilities, "set the capability sets", why));
        }
        Ok(())
    }
}

fn numbers(set: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |number| set >> number & 1 == 1)
}

/// A set for people: a long list says less than what is missing from it.
fn told(set: u64) -> String {
    let known = caps::all().iter().fold(0, |all, capability| all | capability.bitmask());
    let (held, missing) = (known & set, known & !set);
    match (held.count_ones(), missing.count_ones()) {
        (0, _) => "no capability".to_owned(),
        (_, 0) => "every capability".to_owned(),
        (held, missing) if missing < held => format!("every capability but {}", names(known & !set)),
        _ => names(set),
    }
}

impl fmt::Display for Sets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.root == self.user {
            true => write!(f, "leave {}", told(self.root)),
            false => write!(f, "leave {} to root, and {} to others", told(self.root), told(self.user)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use nix::errno::Errno;

    use super::super::apply::{Manner, carry_out};
    use super::super::environment::Vars;
    use super::super::fake::Fake;
    use super::super::options::parse;
    use super::super::plan::plan;
    use super::super::sys::Credentials;
    use super::*;

    fn facts(uid: u32, have: u64) -> Facts {
        Facts { uid, held: Held { bounding: u64::MAX >> 23, permitted: have, ..Held::default() }, ..Facts::default() }
    }

    fn planned(flags: &[&str], facts: &Facts) -> Result<(Option<Sets>, bool), String> {
        let words = flags.iter().chain(&["--", "true"]).map(OsString::from).collect();
        let request = parse(words, true).map_err(|refusal| format!("{refusal:?}"))?;
        let plan = plan(&request.options, &request.extras, facts).map_err(|report| {
            let hint = report.hint().map_or(String::new(), |hint| format!("\n  hint: {hint}"));
            format!("{}{hint}", report.message())
        })?;
        let sets = plan.steps.iter().find_map(|step| match step.action {
            Action::Capabilities(sets) => Some(sets),
            _ => None,
        });
        Ok((sets, plan.steps.iter().any(|step| step.action == Action::NoNewPrivs)))
    }

    const ALL_41: u64 = u64::MAX >> 23;
    const CHOWN: u64 = 1;
    const BIND: u64 = 1 << 10;

    #[test]
    fn what_is_left_is_what_is_kept_less_what_is_dropped() {
        let left = |flags: &[&str]| {
            let sets = planned(flags, &facts(0, ALL_41)).unwrap().0.unwrap();
            (sets.bounding, sets.root, sets.user)
        };
        assert_eq!(left(&["--caps-drop=all"]), (0, 0, 0));
        assert_eq!(left(&["--caps-drop=chown"]), (ALL_41 & !CHOWN, ALL_41 & !CHOWN, 0));
        assert_eq!(left(&["--caps-keep=net_bind_service"]), (BIND, BIND, BIND));
        assert_eq!(left(&["--caps-drop=all", "--caps-keep=CAP_NET_BIND_SERVICE"]), (BIND, BIND, BIND));
        let most = ALL_41 & !CHOWN;
        assert_eq!(left(&["--caps-keep=all", "--caps-drop=chown"]), (most, most, most));
        assert_eq!(left(&["--caps-keep=chown,net_bind_service", "--caps-drop=kill"]).0, CHOWN | BIND);
    }

    #[test]
    fn nothing_asked_for_is_nothing_done_and_a_little_brings_no_new_privs() {
        assert_eq!(planned(&[], &facts(0, ALL_41)), Ok((None, false)));
        assert_eq!(planned(&["--config-override=security.no_new_privs=true"], &facts(7, 0)), Ok((None, true)));
        let (sets, no_new_privs) = planned(&["--caps-drop=chown"], &facts(7, 0)).unwrap();
        assert!(no_new_privs);
        assert_eq!((sets.unwrap().user, sets.unwrap().shrink), (0, false), "an ordinary user has none to lose");
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_way_out() {
        insta::assert_snapshot!(
            [
                planned(&["--caps-keep=chown"], &facts(7, 0)),
                planned(&["--caps-keep=chown,sys_resource"], &facts(0, ALL_41 & !(1 << 24))),
                planned(&["--caps-drop=chown"], &facts(0, ALL_41 & !SETPCAP)),
                planned(&["--caps-drop=net_rwa"], &facts(0, ALL_41)),
                planned(&["--caps-drop=chown", "--caps-keep=chown"], &facts(0, ALL_41)),
                planned(&["--caps-drop=all", "--config-override=security.no_new_privs=false"], &facts(0, ALL_41)),
            ]
            .map(Result::unwrap_err)
            .join("\n\n")
        );
        // With --force it is done without.
        let (sets, _) = planned(&["--force", "--caps-keep=chown"], &facts(7, 0)).unwrap();
        assert_eq!(sets.unwrap().user, 0);
    }

    #[test]
    fn a_user_keeps_in_five_sets_and_root_in_three() {
        let sets = Sets { bounding: BIND, shrink: true, root: BIND, user: BIND };
        let mut root = Fake::default();
        sets.carry_out(&mut root).unwrap();
        assert_eq!(root.held, Held { bounding: BIND, permitted: BIND, effective: BIND, ..Held::default() });
        // As a change of user leaves it: what is permitted is not effective.
        let mut user = Fake { now: Credentials { uids: [7; 3], gids: [7; 3], groups: vec![] }, ..Fake::default() };
        user.held.effective = 0;
        sets.carry_out(&mut user).unwrap();
        let five = Held { bounding: BIND, permitted: BIND, effective: BIND, inheritable: BIND, ambient: BIND };
        assert_eq!(user.held, five);
        let first = user.calls.iter().position(|call| call.starts_with("bounding")).unwrap();
        assert!(
            user.calls[..first].iter().any(|call| call.starts_with("capset")),
            "cap_setpcap counts: {:?}",
            user.calls
        );
    }

    #[test]
    fn whatever_fails_of_it_nothing_happens_after_it() {
        let flags = ["--user=web", "--caps-keep=net_bind_service", "--seccomp", "--", "/srv/web/run"];
        let request = parse(flags.map(OsString::from).to_vec(), true).unwrap();
        let plan = plan(&request.options, &request.extras, &Facts::default()).unwrap();
        let launch = |sys: &mut Fake, force| {
            let mut warnings = Vec::new();
            let manner = Manner { force, warn: &mut |warning| warnings.push(warning) };
            let actions = plan.steps.iter().map(|step| &step.action);
            (carry_out(sys, actions, &request.command, Vars::new(), manner), warnings)
        };
        let mut whole = Fake::default();
        launch(&mut whole, false);
        let at =
            |call: &str| whole.calls.iter().position(|one| one.starts_with(call)).unwrap_or_else(|| panic!("{call}"));
        assert!(at("keepcaps") < at("setresuid") && at("setresuid") < at("bounding"), "{:?}", whole.calls);
        assert!(at("ambient +10") < at("no_new_privs") && at("signals") < at("seccomp"), "{:?}", whole.calls);
        assert_eq!((at("seccomp"), at("exec")), (whole.calls.len() - 2, whole.calls.len() - 1));
        let mine = |call: &str| {
            ["keepcaps", "capset", "bounding", "ambient", "no_new_privs", "seccomp"]
                .iter()
                .any(|one| call.starts_with(one))
        };
        for (at, call) in whole.calls.iter().enumerate().filter(|(_, call)| mine(call)) {
            let mut sys = Fake { fails: Some((at, Errno::EIO)), ..Fake::default() };
            let (report, _) = launch(&mut sys, false);
            assert_eq!(sys.calls.len(), at + 1, "after {call}: {:?}", sys.calls);
            assert!(report.message().ends_with("I/O error"), "{call}: {report}");
            // With --force it is told, and the app runs without; who the app is stays what was asked.
            let mut sys = Fake { fails: Some((at, Errno::EIO)), ..Fake::default() };
            let (report, warnings) = launch(&mut sys, true);
            let runs = report.step() == StepName::Exec;
            assert_eq!(
                (runs, warnings.len()),
                (call != "keepcaps", usize::from(call != "keepcaps")),
                "{call}: {report}"
            );
        }
    }

    #[test]
    fn firejail_is_left_to_do_its_own() {
        let mut options = Options::default();
        options.sandbox.kind = SandboxType::Firejail;
        (options.sandbox.seccomp, options.sandbox.no_network) = (true, true);
        options.security.capabilities_drop = "all".parse().unwrap();
        let plan = plan(&options, &Extras::default(), &facts(0, ALL_41)).unwrap();
        let own = [StepName::Capabilities, StepName::NoNewPrivs, StepName::Seccomp];
        assert!(plan.steps.iter().all(|step| !own.contains(&step.name)), "its file is setuid, and it reads our files");
    }

    #[test]
    fn what_could_undo_a_wall_is_taken_and_not_to_be_kept() {
        let mut options = Options::default();
        (options.sandbox.kind, options.sandbox.no_network) = (SandboxType::Unshare, true);
        assert!(are_changed(&options), "so that a change of user leaves them to be taken");
        let admin = Capability::CAP_SYS_ADMIN.bitmask();
        let sets = plan_sets(&mut Plan::default(), &options, &facts(0, ALL_41)).unwrap();
        assert_eq!((sets.bounding & admin, sets.root & admin, sets.user), (0, 0, 0));
        assert_eq!(sets.root, ALL_41 & !forbidden(&options));
        options.security.capabilities_keep = "all".parse().unwrap();
        let sets = plan_sets(&mut Plan::default(), &options, &facts(0, ALL_41)).unwrap();
        assert_eq!(sets.user, ALL_41 & !forbidden(&options), "all that can be kept");
        options.security.capabilities_keep = "net_raw,sys_admin".parse().unwrap();
        let report = plan_sets(&mut Plan::default(), &options, &facts(0, ALL_41)).unwrap_err();
        let message = "cannot keep cap_sys_admin: with it the app could undo sandbox.no_network";
        assert_eq!(report.message(), message);
        assert_eq!(report.hint().unwrap(), "keep less, or leave out sandbox.no_network");
    }

    #[test]
    fn a_change_that_did_not_happen_is_noticed() {
        let mut sys = Fake { broken: Some("capset"), ..Fake::default() };
        let sets = Sets { bounding: 0, shrink: true, root: 0, user: 0 };
        let message = sets.carry_out(&mut sys).unwrap_err().message();
        assert!(message.starts_with("cannot set the capability sets: the system reports success, but"), "{message}");
    }
}
