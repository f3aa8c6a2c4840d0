//! What an app is asked to be confined by, in words for people.
//!
//! The words are made from the options when the app is configured, and stay with the run: what of it could not be had
//! is known from the warnings of its start. What holds at the moment, the kernel tells about the process itself.

use crate::config::Options;
use crate::control::status::SandboxStatus;

/// What these options ask for.
pub(super) fn asked(options: &Options) -> SandboxStatus {
    let (sandbox, security) = (&options.sandbox, &options.security);
    let profile = sandbox.seccomp_profile.as_ref().map(|path| path.to_string_lossy().into_owned());
    let names = |names: &[String]| names.join(", ");
    let words = [
        sandbox.private_tmp.then(|| "private /tmp".to_owned()),
        sandbox.private_dev.then(|| "private /dev".to_owned()),
        sandbox.no_network.then(|| "no network".to_owned()),
        (!sandbox.readonly_paths.0.is_empty()).then(|| format!("read-only {}", sandbox.readonly_paths)),
        sandbox.profile.as_ref().map(|profile| format!("profile {profile}")),
        sandbox.seccomp.then(|| match profile {
            Some(profile) => format!("system call filter {profile}"),
            None => "built-in system call filter".to_owned(),
        }),
        security.user.as_ref().map(|user| format!("user {user}")),
        security.group.as_ref().map(|group| format!("group {group}")),
        (!security.capabilities_keep.0.is_empty())
            .then(|| format!("no capabilities but {}", names(&security.capabilities_keep.0))),
        (!security.capabilities_drop.0.is_empty() && security.capabilities_keep.0.is_empty()).then(|| {
            match security.capabilities_drop.0.iter().any(|name| name == "all") {
                true => "no capabilities".to_owned(),
                false => format!("not {}", names(&security.capabilities_drop.0)),
            }
        }),
        (security.no_new_privs == Some(true)).then(|| "no new privileges".to_owned()),
    ];
    SandboxStatus { kind: sandbox.kind.to_string(), asked: words.into_iter().flatten().collect(), without: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::SandboxType;

    #[test]
    fn every_wall_and_every_power_has_its_words() {
        let mut options = Options::default();
        assert_eq!(asked(&options), SandboxStatus { kind: "none".into(), ..SandboxStatus::default() });
        options.sandbox.kind = SandboxType::Unshare;
        (options.sandbox.private_tmp, options.sandbox.no_network, options.sandbox.seccomp) = (true, true, true);
        options.sandbox.readonly_paths = "/etc:/usr".parse().unwrap();
        options.security.user = Some("www-data".into());
        options.security.capabilities_drop = "all".parse().unwrap();
        options.security.capabilities_keep = "net_bind_service".parse().unwrap();
        options.security.no_new_privs = Some(true);
        let told = asked(&options);
        assert_eq!(told.kind, "unshare");
        assert_eq!(
            told.asked.join("; "),
            "private /tmp; no network; read-only /etc:/usr; built-in system call filter; user www-data; \
             no capabilities but cap_net_bind_service; no new privileges"
        );
        options.security.capabilities_keep.0.clear();
        assert!(asked(&options).asked.contains(&"no capabilities".to_owned()));
        options.security.capabilities_drop = "chown,mknod".parse().unwrap();
        assert!(asked(&options).asked.contains(&"not cap_chown, cap_mknod".to_owned()));
    }
}
