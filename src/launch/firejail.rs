//! The same walls, built by firejail(1).
//!
//! firejail is a program of its own, setuid root, that stands before the command: what is the app's main process is
//! firejail, and the command runs below it. It is given options by us alone. What comes from elsewhere is refused where
//! firejail would read more into it than a name, and the command is passed as an absolute path, which no option looks
//! like: the first word that is no option ends them. (`--` would do so too, but firejail 0.9.72 then runs the login shell
//! of the user in place of the command, which for a service's account is one that says no.)
//!
//! Whatever firejail enforces must not be enforced by the launcher before it: under no_new_privs or without
//! capabilities, a setuid program is nobody.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::facts::Facts;
use super::options::Extras;
use super::plan::{Action, Plan};
use super::report::{Report, StepName};
use crate::app::Shown;
use crate::config::Options;
use crate::config::values::SandboxType;

/// What firejail expands, or refuses, in the name of a file (its `invalid_filename`, and glob(7)).
const MEANINGFUL: &str = "\\&!?\"'<>%^{};,*[]$~";

/// What is known of firejail, and of what it is to be told, on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firejail {
    /// Where it is, if it is installed.
    pub program: Option<PathBuf>,
    /// Whether it belongs to root and is setuid.
    pub is_setuid: bool,
    /// Whether a setuid program has any effect below this process.
    pub may_gain: bool,
    /// Files that it is told about and that are not there. It would pass over them.
    pub absent: Vec<PathBuf>,
}

impl Firejail {
    /// Looks for it in the search path.
    pub fn look(options: &Options) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        let found = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).find_map(|dir| {
            let program = dir.join("firejail");
            let meta =
                program.metadata().ok().filter(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)?;
            Some((program, meta))
        });
        let is_setuid = found.as_ref().is_some_and(|(_, meta)| {
            use std::os::unix::fs::MetadataExt;
            meta.uid() == 0 && meta.mode() & 0o4000 != 0
        });
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let named = options.sandbox.readonly_paths.0.iter().cloned();
        let profile = options.sandbox.profile.iter().map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            program: found.map(|(program, _)| program),
            is_setuid,
            may_gain: !status.lines().any(|line| line.starts_with("NoNewPrivs:") && line.ends_with('1')),
            absent: named.chain(profile).filter(|path| !path.exists()).collect(),
        }
    }
}

/// Whether firejail builds the walls.
pub(super) fn is_used(options: &Options) -> bool {
    options.sandbox.kind == SandboxType::Firejail
}

/// The step that puts firejail before the command.
pub(super) fn steps(plan: &mut Plan, options: &Options, extras: &Extras, facts: &Facts) -> Result<(), Report> {
    let Some(firejail) = facts.firejail.as_ref().filter(|_| is_used(options)) else { return Ok(()) };
    let cannot = |why: &str| Report::new(StepName::Sandbox, "set up firejail", why);
    let Some(program) = &firejail.program else {
        return plan
            .cannot(cannot("it is not installed").with_hint("apt install firejail, or use sandbox.type = unshare"));
    };
    if facts.uid != 0 || options.security.user.is_some() {
        if !firejail.is_setuid {
            let why = format!("{} is not setuid root, and only root can use it", program.shown());
            return plan.cannot(cannot(&why).with_hint("use sandbox.type = unshare"));
        }
        if !firejail.may_gain {
            let why = "no_new_privs is set for this process, so that no setuid program works";
            return plan.cannot(cannot(why).with_hint("use sandbox.type = unshare"));
        }
    }
    let words = std::iter::once(Ok(program.to_string_lossy().into_owned())).chain(flags(options, extras));
    let words = words.collect::<Result<_, _>>()?;
    for path in &firejail.absent {
        let what = format!("tell firejail about {}", path.shown());
        plan.cannot(Report::new(StepName::Sandbox, what, "no such file or directory"))?;
    }
    if options.sandbox.seccomp_profile.is_some() {
        let why = "firejail takes names of system calls, not a JSON profile";
        let report = Report::new(StepName::Seccomp, "give sandbox.seccomp_profile to firejail", why);
        plan.cannot(report.with_hint("use sandbox.type = unshare, or a seccomp line in a profile of firejail's own"))?;
    }
    plan.step(StepName::Sandbox, Action::Wrap(words), "after all that must be ours: from here on, firejail sets up");
    Ok(())
}

/// What firejail is told.
fn flags(options: &Options, extras: &Extras) -> Vec<Result<String, Report>> {
    let sandbox = &options.sandbox;
    let mut flags = vec![Ok("--quiet".to_owned())];
    flags.push(match &sandbox.profile {
        Some(profile) => named("--profile", Path::new(profile)),
        None => Ok("--noprofile".to_owned()),
    });
    let plain = |asked: bool, flag: &str| asked.then(|| Ok(flag.to_owned()));
    flags.extend(plain(sandbox.private_tmp, "--private-tmp"));
    if sandbox.private_tmp {
        let hidden = |dir: &&PathBuf| dir.starts_with("/tmp") || dir.starts_with("/var/tmp");
        flags.extend(extras.keep.iter().filter(hidden).map(|dir| named("--whitelist", dir)));
    }
    flags.extend(plain(sandbox.private_dev, "--private-dev"));
    flags.extend(plain(sandbox.no_network, "--net=none"));
    flags.extend(sandbox.readonly_paths.0.iter().map(|path| named("--read-only", path)));
    flags.extend(extras.hide.iter().map(|dir| named("--blacklist", dir)));
    let capabilities = capabilities(options);
    let restricted = capabilities.is_some() || sandbox.seccomp;
    flags.extend(capabilities.map(Ok));
    flags.extend(plain(sandbox.seccomp, "--seccomp"));
    flags.extend(plain(options.security.no_new_privs.unwrap_or(restricted), "--nonewprivs"));
    flags
}

/// One flag with the name of a file, which firejail must take for nothing else.
fn named(flag: &str, path: &Path) -> Result<String, Report> {
    let text = path.to_str().filter(|text| !text.chars().any(|c| c.is_control() || MEANINGFUL.contains(c)));
    let text = text.ok_or_else(|| {
        let what = format!("tell firejail about {:?}", path.as_os_str());
        Report::new(
            StepName::Sandbox,
            what,
            format!("it does not take a name with a control character or one of {MEANINGFUL}"),
        )
    })?;
    Ok(format!("{flag}={text}"))
}

/// The flag for capabilities, which firejail writes as `net_raw`. No name is in both lists.
fn capabilities(options: &Options) -> Option<String> {
    let (drop, keep) = (&options.security.capabilities_drop.0, &options.security.capabilities_keep.0);
    let is_all = |names: &[String]| names.iter().any(|name| name == "all");
    let (flag, names) = if keep.is_empty() || is_all(keep) { ("drop", drop) } else { ("keep", keep) };
    let bare: Vec<&str> = match is_all(names) {
        true => vec!["all"],
        false => names.iter().map(|name| name.strip_prefix("cap_").unwrap_or(name)).collect(),
    };
    (!bare.is_empty()).then(|| format!("--caps.{flag}={}", bare.join(",")))
}

/// The command line with firejail before it. The command is a path by now.
pub(super) fn wrapped(words: &[String], command: &Path, arguments: &[std::ffi::OsString]) -> Vec<std::ffi::OsString> {
    let words = words.iter().map(OsStr::new);
    let rest = std::iter::once(command.as_os_str()).chain(arguments.iter().map(AsRef::as_ref));
    words.chain(rest).map(OsStr::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::options;
    use super::super::plan::plan;
    use super::*;

    /// The words before the command, or why there are none.
    fn words(flags: &[&str], facts: Facts) -> Result<Vec<String>, String> {
        let line = ["--sandbox=firejail"].iter().chain(flags).chain(&["--", "true"]);
        let request = options::parse(line.map(Into::into).collect(), true).map_err(|refusal| refusal.to_string())?;
        let plan = plan(&request.options, &request.extras, &facts).map_err(|report| report.message())?;
        let wrap = plan.steps.into_iter().find_map(|step| match step.action {
            Action::Wrap(words) => Some(words),
            _ => None,
        });
        Ok(wrap.unwrap_or_default())
    }

    fn on(mut facts: Facts, uid: u32, host: Firejail) -> Facts {
        (facts.uid, facts.firejail) = (uid, Some(host));
        facts
    }

    #[test]
    fn each_option_is_one_of_firejails_own() {
        let base = ["/usr/bin/firejail", "--quiet", "--noprofile"];
        for (flags, expected) in [
            (&[] as &[&str], &[] as &[&str]),
            (&["--private-tmp", "--keep=/tmp/web", "--keep=/srv"], &["--private-tmp", "--whitelist=/tmp/web"]),
            (&["--private-dev"], &["--private-dev"]),
            (&["--no-network"], &["--net=none"]),
            (&["--readonly-paths=/etc:/usr"], &["--read-only=/etc", "--read-only=/usr"]),
            (&["--hide=/run/daemonctl"], &["--blacklist=/run/daemonctl"]),
            (&["--caps-drop=all"], &["--caps.drop=all", "--nonewprivs"]),
            (&["--caps-drop=CAP_NET_RAW,kill"], &["--caps.drop=net_raw,kill", "--nonewprivs"]),
            (&["--caps-keep=chown", "--caps-drop=all"], &["--caps.keep=chown", "--nonewprivs"]),
            (&["--seccomp"], &["--seccomp", "--nonewprivs"]),
            (&["--config-override=security.no_new_privs=true"], &["--nonewprivs"]),
        ] {
            let words = words(flags, Facts::default()).unwrap();
            assert_eq!(words, [&base, expected].concat(), "{flags:?}");
        }
        let words = words(&["--sandbox-profile=/etc/firejail/x.profile"], Facts::default()).unwrap();
        assert_eq!(words, ["/usr/bin/firejail", "--quiet", "--profile=/etc/firejail/x.profile"]);
    }

    #[test]
    fn what_firejail_cannot_do_is_refused() {
        for (flags, why) in [
            (&["--readonly-paths=/a*"] as &[&str], "tell firejail about \"/a*\""),
            (&["--hide=/run/a\nb"], "control character"),
            (&["--sandbox-profile=${HOME}/x"], "does not take"),
            (&["--seccomp", "--seccomp-profile=/etc/x.json"], "not a JSON profile"),
        ] {
            let error = words(flags, Facts::default()).unwrap_err();
            assert!(error.contains(why), "{flags:?}: {error}");
        }
        let host = Facts::default().firejail.unwrap();
        for (host, uid, why) in [
            (Firejail { program: None, ..host.clone() }, 0, "cannot set up firejail: it is not installed"),
            (Firejail { is_setuid: false, ..host.clone() }, 1000, "is not setuid root"),
            (Firejail { may_gain: false, ..host.clone() }, 1000, "no_new_privs is set"),
            (Firejail { absent: vec!["/x".into()], ..host.clone() }, 0, "about /x: no such file"),
        ] {
            let facts = on(Facts::default(), uid, host);
            let error = words(&[], facts.clone()).unwrap_err();
            assert!(error.contains(why), "{error}");
            assert!(words(&["--force"], facts).is_ok(), "{why}");
        }
        let root = on(Facts::default(), 0, Firejail { is_setuid: false, may_gain: false, ..host });
        assert!(words(&[], root).is_ok(), "root needs no setuid");
    }
}
