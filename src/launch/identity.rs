//! Who the app is. A name that is misread here runs an app as root, so: what is given is a name first; else a plain
//! decimal id, and only that of an account that exists; anything else is refused. Every change is checked afterwards.

use nix::errno::Errno;

use super::report::{Report, StepName, Why};
use super::sys::{Credentials, Sys, User};

/// Whom to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The account, if a user was asked for.
    pub user: Option<User>,
    /// The group.
    pub gid: u32,
    /// The supplementary groups, sorted.
    pub groups: Vec<u32>,
    /// What was asked for, in words: `user www-data in group adm`.
    pub asked: String,
}

impl Target {
    /// Finds user and group. A user comes with all the groups it is a member of; a group alone comes with no other.
    pub fn find(sys: &impl Sys, user: Option<&str>, group: Option<&str>) -> Result<Self, Report> {
        let user = user
            .map(|text| find_user(sys, text).map_err(|why| failed(&format!("user {}", shown(text)), why)))
            .transpose()?;
        let group_asked = group.map(|text| format!("group {}", shown(text)));
        let group = group
            .map(|text| find_group(sys, text).map_err(|why| failed(&format!("group {}", shown(text)), why)))
            .transpose()?;
        let asked = match (&user, group_asked) {
            (Some(user), None) => format!("user {}", user.name),
            (Some(user), Some(group)) => format!("user {} in {group}", user.name),
            (None, group) => group.unwrap_or_default(),
        };
        let (gid, mut groups) = match (&user, group) {
            (None, None) => return Err(failed("identity", "neither user nor group is given".into())),
            (None, Some(gid)) => (gid, vec![gid]),
            (Some(user), group) => {
                let gid = group.unwrap_or(user.gid);
                (gid, sys.groups_of(&user.name, gid).map_err(|errno| failed(&asked, errno.into()))?)
            }
        };
        groups.sort_unstable();
        groups.dedup();
        Ok(Self { user, gid, groups, asked })
    }

    /// Fails, before anything is changed, where this process may not become the target.
    pub fn check_permission(&self, sys: &impl Sys) -> Result<(), Report> {
        let now = sys.credentials().map_err(|errno| failed(&self.asked, errno.into()))?;
        if now.uids[1] == 0 || self.is(&now) {
            return Ok(());
        }
        let name = sys.user_by_id(now.uids[1]).ok().flatten().map_or_else(|| now.uids[1].to_string(), |user| user.name);
        Err(failed(&self.asked, format!("only root may change identity, and this runs as {name}").into()))
    }

    /// Becomes the target for good.
    pub fn take(&self, sys: &mut impl Sys) -> Result<(), Report> {
        let failed = |what: String| move |errno: Errno| refused(what, errno);
        let now = sys.credentials().map_err(failed(format!("set {}", self.asked)))?;
        if now.uids[1] != 0 && self.is(&now) {
            return Ok(());
        }
        // Groups first: after the uid has changed, they cannot be. Uid last: it takes the privilege with it.
        sys.set_groups(&self.groups).map_err(failed(format!("set the supplementary groups of {}", self.asked)))?;
        sys.set_gid(self.gid).map_err(failed(format!("set group {}", self.gid)))?;
        if let Some(user) = &self.user {
            sys.set_uid(user.uid).map_err(failed(format!("set {}", self.asked)))?;
        }
        self.verify(sys)
    }

    /// Looks whether it worked, and whether there is a way back: a silent half of a change is worse than none.
    fn verify(&self, sys: &mut impl Sys) -> Result<(), Report> {
        let wrong = |why: String| Report::new(StepName::Identity, format!("set {}", self.asked), why);
        let now = sys.credentials().map_err(|errno| wrong(format!("it cannot be verified: {}", errno.desc())))?;
        if !self.is(&now) || now.groups != self.groups {
            return Err(wrong(format!("the system reports success, but the process has {now:?}")));
        }
        if self.user.as_ref().is_some_and(|user| user.uid != 0) && sys.regain_root().is_ok() {
            return Err(wrong("the process could become root again".to_owned())
                .with_hint("the capability CAP_SETUID survives the change of user here (securebits?)"));
        }
        Ok(())
    }

    /// Whether the ids of a process are the target's.
    fn is(&self, now: &Credentials) -> bool {
        self.user.as_ref().is_none_or(|user| now.uids == [user.uid; 3]) && now.gids == [self.gid; 3]
    }
}

fn failed(what: &str, why: Why) -> Report {
    Report::new(StepName::Accounts, format!("set {what}"), why)
}

/// A refusal by the kernel, and what it means.
fn refused(what: String, errno: Errno) -> Report {
    let report = Report::new(StepName::Identity, what, errno);
    match errno {
        Errno::EPERM => report
            .with_hint("this root lacks CAP_SETGID or CAP_SETUID, as in a container or user namespace without them"),
        Errno::EINVAL => report.with_hint("the id does not exist in this user namespace"),
        _ => report,
    }
}

fn find_user(sys: &impl Sys, text: &str) -> Result<User, Why> {
    if let Some(user) = sys.user_by_name(name(text, "user")?)? {
        return Ok(user);
    }
    let uid = id(text, "user")?;
    sys.user_by_id(uid)?.ok_or_else(|| format!("no account has the id {uid}").into())
}

fn find_group(sys: &impl Sys, text: &str) -> Result<u32, Why> {
    if let Some(gid) = sys.group_by_name(name(text, "group")?)? {
        return Ok(gid);
    }
    let gid = id(text, "group")?;
    if sys.group_exists(gid)? { Ok(gid) } else { Err(format!("no group has the id {gid}").into()) }
}

/// A name as messages show it: in quotes where it would otherwise not be seen for what it is.
fn shown(text: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("{text:?}") }
}

/// What can be asked of the account database: nothing empty, and nothing that would be another line or field of it.
fn name<'a>(text: &'a str, what: &str) -> Result<&'a str, Why> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == ':';
    if text.is_empty() || text.contains(odd) { Err(format!("no such {what}").into()) } else { Ok(text) }
}

/// A plain decimal number that can be an id. The greatest one means "leave it as it is" to the kernel.
fn id(text: &str, what: &str) -> Result<u32, Why> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let id = if plain { text.parse().ok().filter(|id| *id != u32::MAX) } else { None };
    id.ok_or_else(|| format!("no such {what}").into())
}

#[cfg(test)]
mod tests {
    use super::super::fake::Fake;
    use super::*;

    fn find(user: Option<&str>, group: Option<&str>) -> Result<Target, String> {
        Target::find(&Fake::default(), user, group).map_err(|report| report.message())
    }

    #[test]
    fn a_text_is_a_name_first_and_else_the_plain_id_of_an_account() {
        let uid = |text| find(Some(text), None).map(|target| target.user.unwrap().uid);
        assert_eq!(uid("web"), Ok(1000));
        assert_eq!(uid("root"), Ok(0));
        assert_eq!(uid("0"), Ok(0));
        assert_eq!(uid("1000"), Ok(3000), "there is an account with that name");
        for bad in ["0day", "4foo", "0x0", "+0", "-1", "00", "1e3", "4294967295", "4294967296", "web:0", "nobody-here"]
        {
            assert_eq!(uid(bad), Err(format!("cannot set user {bad}: no such user")));
        }
        for bad in ["", " ", " 0", "0\n", "web ", "\t"] {
            assert_eq!(uid(bad), Err(format!("cannot set user {bad:?}: no such user")));
        }
        assert_eq!(uid("77"), Err("cannot set user 77: no account has the id 77".to_owned()));
        assert_eq!(find(None, Some("78")), Err("cannot set group 78: no group has the id 78".to_owned()));
        assert_eq!(find(None, Some("www")).unwrap().gid, 2000);
    }

    #[test]
    fn a_user_brings_its_groups_and_a_group_comes_alone() {
        assert_eq!(find(Some("web"), None).unwrap().groups, [1000, 2000]);
        assert_eq!(find(Some("web"), Some("www")).unwrap().groups, [2000]);
        assert_eq!(find(None, Some("www")).unwrap().groups, [2000]);
    }

    #[test]
    fn only_root_may_and_others_are_told_so() {
        let target = find(Some("web"), None).unwrap();
        let credentials = |id| Credentials { uids: [id; 3], gids: [id; 3], groups: vec![7] };
        let mut other = Fake { now: credentials(1), ..Fake::default() };
        let message = target.check_permission(&other).unwrap_err().message();
        assert_eq!(message, "cannot set user web: only root may change identity, and this runs as 1");
        other.now = credentials(1000);
        target.check_permission(&other).unwrap();
        target.take(&mut other).unwrap();
        assert_eq!(other.calls, Vec::<String>::new(), "who is the user already has nothing to change");
    }

    #[test]
    fn a_change_that_did_not_happen_is_noticed() {
        let target = find(Some("web"), None).unwrap();
        for broken in ["groups", "gid", "uid", "root"] {
            let mut sys = Fake { broken: Some(broken), ..Fake::default() };
            let message = target.take(&mut sys).unwrap_err().message();
            assert!(message.starts_with("cannot set user web: the "), "{broken}: {message}");
        }
        target.take(&mut Fake::default()).unwrap();
    }
}
