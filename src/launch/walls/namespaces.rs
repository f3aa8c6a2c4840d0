//! Namespaces: who may make them, what forbids it, and what would still work where they are forbidden.

use std::io;
use std::path::Path;

use nix::errno::Errno;

use crate::config::Options;
use crate::launch::facts::Facts;
use crate::launch::report::{Report, StepName, words};
use crate::launch::sys::Sys;

/// What would still work.
const ALTERNATIVES: &str = "root can do it, and so can sandbox.type = firejail where that is installed; sandbox.seccomp \
                            and security.capabilities_drop need no namespaces";

/// What is known to be in the way of namespaces, before anything is tried.
pub(super) fn obstacle(options: &Options, facts: &Facts) -> Option<Report> {
    if facts.ground.admin {
        return None;
    }
    let (what, security) = ("put walls around the app", &options.security);
    if security.user.is_some() || security.group.is_some() {
        let why = "a change of user or group is impossible in the user namespace that it takes without CAP_SYS_ADMIN";
        return Some(Report::new(StepName::Sandbox, what, why).with_hint("start daemonctl with that capability"));
    }
    let forbidden = facts.ground.forbidden.as_ref()?;
    Some(Report::new(StepName::Sandbox, what, forbidden.clone()).with_hint(ALTERNATIVES))
}

/// The setting of this host that forbids user namespaces, if `read` finds one: certainly, or only to programs without a
/// permission that cannot be asked for.
pub(super) fn forbidden_by(read: &dyn Fn(&str) -> Option<String>, surely: bool) -> Option<String> {
    let is = |path: &str, value: &str| read(path).is_some_and(|text| text.trim() == value);
    if is("/proc/sys/user/max_user_namespaces", "0") {
        return Some("user namespaces are forbidden here (sysctl user.max_user_namespaces is 0)".to_owned());
    }
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        let why = "only root may make user namespaces here (sysctl kernel.unprivileged_userns_clone is 0)";
        return Some(why.to_owned());
    }
    if !surely && is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        let why = "AppArmor admits few programs to user namespaces here (sysctl \
                   kernel.apparmor_restrict_unprivileged_userns is 1)";
        return Some(why.to_owned());
    }
    None
}

/// Why namespaces were refused.
pub(super) fn refused(sys: &impl Sys, user: bool, errno: Errno) -> Report {
    let read = |path: &str| sys.read(Path::new(path)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let setting = if user { forbidden_by(&read, false) } else { None };
    let why = setting.unwrap_or_else(|| match errno {
        Errno::ENOSPC => {
            "a limit of this user is reached (sysctl user.max_user_namespaces, user.max_mnt_namespaces or \
                          user.max_net_namespaces)"
                .to_owned()
        }
        Errno::EPERM if user => "user namespaces are forbidden here, by a container's filter, a security module, or \
                                 because this process is in a chroot"
            .to_owned(),
        errno => words(errno),
    });
    let report = Report::new(StepName::Sandbox, "make namespaces for the app", why).with_errno(errno);
    if user { report.with_hint(ALTERNATIVES) } else { report }
}

/// Makes new namespaces usable.
pub(super) fn settle(sys: &mut impl Sys, ids: Option<(u32, u32)>) -> io::Result<()> {
    if let Some((uid, gid)) = ids {
        // Without this the kernel lets an ordinary user map no group.
        sys.write("/proc/self/setgroups", "deny")?;
        sys.write("/proc/self/uid_map", &format!("{uid} {uid} 1"))?;
        sys.write("/proc/self/gid_map", &format!("{gid} {gid} 1"))?;
    }
    sys.separate_mounts()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_forbids_it_is_named() {
        let host = |name: &'static str, value: &'static str| {
            move |path: &str| path.ends_with(name).then(|| format!("{value}\n"))
        };
        for (name, value) in [
            ("user/max_user_namespaces", "0"),
            ("kernel/unprivileged_userns_clone", "0"),
            ("kernel/apparmor_restrict_unprivileged_userns", "1"),
        ] {
            let why = forbidden_by(&host(name, value), false).unwrap();
            assert!(why.contains(&name.replace('/', ".")), "{why}");
            assert_eq!(forbidden_by(&host(name, "2"), false), None);
        }
        // AppArmor may admit this very program.
        assert_eq!(forbidden_by(&host("kernel/apparmor_restrict_unprivileged_userns", "1"), true), None);
        assert_eq!(forbidden_by(&|_| None, false), None);
    }
}
