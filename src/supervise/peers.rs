//! Who may command a supervisor: its user and root, but nothing that runs in one of its own sandboxes, which would have
//! a way out of it here.

use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use daemonctl_actors::value::AppName;

use super::host::Host;

/// What the kernel shows in place of a user that has no id in this user namespace.
const NOBODY: u32 = 65534;

/// The namespaces by which a process of an app is known, once its parents are gone.
const NAMESPACES: [&str; 3] = ["mnt", "user", "net"];

/// The most parents that are asked for.
const DEPTH: usize = 1000;

/// Whether a user is the supervisor's own, or root.
pub(super) fn is_admitted(uid: u32) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    let foreign = uid == NOBODY && !fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| maps(&map, NOBODY));
    (uid == own || uid == 0) && !foreign
}

/// Whether a user namespace has this id (user_namespaces(7)).
fn maps(map: &str, uid: u32) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        matches!(numbers[..], [first, _, count] if uid.checked_sub(first).is_some_and(|at| at < count))
    })
}

/// The confined app that a process belongs to. A process that is gone before it can be looked at belongs to the first
/// one there is: whoever is entitled to an answer waits for it.
pub(super) fn confined_app(host: &Rc<Host>, peer: Option<i32>) -> Option<AppName> {
    let apps: Vec<(AppName, i32)> = host.confined();
    let (first, _) = apps.first()?;
    let Some(line) = peer.and_then(ancestors) else { return Some(first.clone()) };
    if let Some((app, _)) = apps.iter().find(|(_, main)| line.contains(main)) {
        return Some(app.clone());
    }
    let own = std::process::id() as i32;
    let shares = |main: i32| {
        NAMESPACES.iter().any(|kind| {
            let theirs = line.first().and_then(|peer| namespace(*peer, kind));
            theirs.is_some() && theirs != namespace(own, kind) && theirs == namespace(main, kind)
        })
    };
    if let Some((app, _)) = apps.iter().find(|(_, main)| shares(*main)) {
        return Some(app.clone());
    }
    // Orphans, hooks and checks of an app that has no namespaces of its own: they descend from keeper or supervisor, and
    // have the promise that every confined app has made and nobody can take back.
    let ours = [host.identity.keeper.pid, own];
    let descends = line.iter().any(|pid| ours.contains(pid));
    let promised = |pid: i32| status_field(pid, "NoNewPrivs").is_some_and(|value| value == "1");
    let is_left_over = descends && line.first().is_some_and(|peer| promised(*peer)) && !promised(own);
    is_left_over.then(|| first.clone())
}

/// A field of /proc/PID/status.
fn status_field(pid: i32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
}

/// A process and its parents.
fn ancestors(pid: i32) -> Option<Vec<i32>> {
    let parent =
        |pid: i32| procfs::process::Process::new(pid).and_then(|process| process.stat()).ok().map(|stat| stat.ppid);
    let mut line = vec![pid];
    let mut at = parent(pid)?;
    while at > 0 && line.len() < DEPTH {
        line.push(at);
        at = parent(at).unwrap_or(0);
    }
    Some(line)
}

fn namespace(pid: i32, kind: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_a_user_only_where_it_has_an_id() {
        assert!(maps("         0          0 4294967295\n", NOBODY));
        assert!(maps("0 100000 65534\n65534 65534 1\n", NOBODY));
        assert!(!maps("         0       1000          1\n", NOBODY));
        assert!(!maps("0 100000 65534\n", NOBODY));
        assert!(!maps("", NOBODY));
    }

    #[test]
    fn a_process_has_parents_up_to_the_first() {
        let own = std::process::id() as i32;
        let line = ancestors(own).unwrap();
        assert_eq!(line[..2], [own, nix::unistd::getppid().as_raw()]);
        assert_eq!(ancestors(i32::MAX), None);
    }
}
