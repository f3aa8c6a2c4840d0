//! The sandbox of an app: what was asked for, what the kernel says holds, and what it runs without.

use caps::Capability;
use nix::unistd::{Gid, Group, Uid, User};

use super::Seen;
use crate::observe::confinement::Confinement;

/// So many capabilities are named; of more only their number is of interest.
const NAMED: usize = 4;

/// One fact a line. Nothing where nothing was asked for.
pub(super) fn told(Seen { status, confinement, .. }: &Seen) -> Vec<(&'static str, String)> {
    let Some(sandbox) = &status.sandbox else { return Vec::new() };
    let walls = (sandbox.kind != "none").then(|| sandbox.kind.clone());
    let asked: Vec<String> = walls.into_iter().chain(sandbox.asked.iter().cloned()).collect();
    let mut told = Vec::new();
    if !asked.is_empty() {
        told.push(("sandbox", asked.join(", ")));
    }
    // firejail stays above the app, and is not confined itself.
    let holds = confinement.as_ref().filter(|_| sandbox.kind != "firejail");
    told.extend(holds.map(|holds| ("in force", in_force(holds))));
    told.extend(sandbox.without.iter().map(|warning| ("but", warning.clone())));
    told
}

/// What the kernel holds the main process to.
fn in_force(Confinement { uid, gid, capabilities, no_new_privs, filtered, namespaces }: &Confinement) -> String {
    let user = User::from_uid(Uid::from_raw(*uid)).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    let group = Group::from_gid(Gid::from_raw(*gid)).ok().flatten().map_or_else(|| gid.to_string(), |group| group.name);
    let mut parts = vec![format!("user {user}, group {group}"), powers(capabilities)];
    parts.extend((!namespaces.is_empty()).then(|| format!("own {} namespaces", namespaces.join(" "))));
    parts.extend(filtered.then(|| "system call filter".to_owned()));
    parts.extend(no_new_privs.then(|| "no new privileges".to_owned()));
    parts.join(", ")
}

fn powers(held: &[u32]) -> String {
    let name = |number: &u32| {
        let known = caps::all().into_iter().find(|capability| *capability as u32 == *number);
        known.map_or_else(|| number.to_string(), |name: Capability| name.to_string().to_ascii_lowercase())
    };
    match held.len() {
        0 => "no capabilities".to_owned(),
        1 => format!("only the capability {}", name(&held[0])),
        2..=NAMED => format!("only the capabilities {}", held.iter().map(name).collect::<Vec<_>>().join(" ")),
        many => format!("{many} capabilities"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_named_where_they_are_few() {
        assert_eq!(powers(&[]), "no capabilities");
        assert_eq!(powers(&[10]), "only the capability cap_net_bind_service");
        assert_eq!(powers(&[0, 10]), "only the capabilities cap_chown cap_net_bind_service");
        assert_eq!(powers(&(0..41).collect::<Vec<_>>()), "41 capabilities");
    }
}
