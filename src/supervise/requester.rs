//! Who asked: the user and process at the other end of the control socket, as they are noted among an app's events.

use crate::logs::happening::Requester;

/// The longest name of a user that is believed to be one (useradd(8)).
const LONGEST: usize = 32;

/// The requester with this user and process. For whom root says that it asks is noted as what it is, a claim; what
/// cannot be the name of a user is not noted.
pub(super) fn of(uid: u32, pid: Option<i32>, sudo_user: Option<&str>) -> Requester {
    let known = nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| user.name);
    let user = known.filter(|name| is_name(name)).unwrap_or_else(|| uid.to_string());
    let sudo = sudo_user.filter(|name| uid == 0 && is_name(name) && *name != user).map(str::to_owned);
    Requester { user, uid, pid: pid.unwrap_or_default(), sudo }
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@$".contains(&byte);
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_asks_for_others_and_only_for_what_may_be_a_user() {
        let sudo = |uid, name| of(uid, Some(7), Some(name)).sudo;
        assert_eq!(sudo(0, "alice").as_deref(), Some("alice"));
        assert_eq!(sudo(0, "root"), None);
        assert_eq!(sudo(1000, "alice"), None);
        for name in ["", "a b", "a\n2026", "x)", &"x".repeat(33)] {
            assert_eq!(sudo(0, name), None, "{name:?}");
        }
        assert_eq!(of(4_000_000, Some(7), None).to_string(), "4000000 (uid 4000000, pid 7)");
    }
}
