//! What confines a process, as the kernel tells it: proc_pid_status(5) and namespaces(7).

use std::fs;
use std::path::PathBuf;

/// What holds for a process at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// The capabilities in its effective set, by number (capabilities(7)).
    pub capabilities: Vec<u32>,
    /// Whether none of its programs can gain privileges by an exec.
    pub no_new_privs: bool,
    /// Whether a system call filter is loaded.
    pub filtered: bool,
    /// The namespaces that it does not share with whoever asks: `mnt`, `net`, `user` …
    pub namespaces: Vec<&'static str>,
}

/// The kinds of namespaces that matter here.
const NAMESPACES: [&str; 6] = ["user", "mnt", "net", "pid", "ipc", "uts"];

impl Confinement {
    /// Looks at a process. Namespaces of another user's process cannot be seen, and count as shared.
    pub fn of(pid: i32) -> Option<Self> {
        let mut seen = Self::read(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)?;
        let link = |pid: &str, kind: &str| fs::read_link(PathBuf::from(format!("/proc/{pid}/ns/{kind}"))).ok();
        let differs = |kind: &&str| match (link(&pid.to_string(), kind), link("self", kind)) {
            (Some(its), Some(ours)) => its != ours,
            _ => false,
        };
        seen.namespaces = NAMESPACES.into_iter().filter(differs).collect();
        Some(seen)
    }

    fn read(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            rest.map(|rest| rest.split_ascii_whitespace().collect::<Vec<_>>())
        };
        let effective = |name| field(name)?.get(1)?.parse().ok();
        let flag = |name| field(name).is_some_and(|values| values.first().is_some_and(|value| *value != "0"));
        let held = u64::from_str_radix(field("CapEff")?.first()?, 16).ok()?;
        Some(Self {
            uid: effective("Uid")?,
            gid: effective("Gid")?,
            capabilities: (0..64).filter(|number| held >> number & 1 == 1).collect(),
            no_new_privs: flag("NoNewPrivs"),
            filtered: flag("Seccomp"),
            namespaces: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_understood() {
        let status = "Name:\tweb\nUid:\t0\t65534\t0\t0\nGid:\t0\t33\t0\t0\nCapInh:\tff\nCapEff:\t0000000000000400\n\
                      NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let told = Confinement::read(status).unwrap();
        let expected = Confinement {
            uid: 65534,
            gid: 33,
            capabilities: vec![10],
            no_new_privs: true,
            filtered: true,
            namespaces: Vec::new(),
        };
        assert_eq!(told, expected);
        assert_eq!(Confinement::read("Name:\tweb\n"), None);
    }

    #[test]
    fn this_process_shares_all_namespaces_with_itself() {
        let own = Confinement::of(std::process::id() as i32).unwrap();
        assert_eq!(own.uid, nix::unistd::geteuid().as_raw());
        assert!(own.namespaces.is_empty(), "{own:?}");
        assert_eq!(Confinement::of(-1), None);
    }
}
