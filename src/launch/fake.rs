//! A system that only writes down what it is asked: the door of [`super::sys`], held shut.

use std::ffi::{CStr, CString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::environment::Vars;
use super::facts::Facts;
use super::plan::Resource;
use super::report::{Report, StepName};
use super::sys::capabilities::Held;
use super::sys::{Credentials, Sys, User};

/// The recorder. It knows root, and the user `web` (1000, group 1000, member of 2000), and pretends that what succeeds
/// has its effect on credentials.
pub(super) struct Fake {
    /// Everything that was asked to be changed, in order.
    pub(super) calls: Vec<String>,
    /// The call, by number, that fails, and how.
    pub(super) fails: Option<(usize, Errno)>,
    /// The content of every file.
    pub(super) file: Vec<u8>,
    /// Who the process is.
    pub(super) now: Credentials,
    /// Whether it leads its session and its group.
    pub(super) leads: (bool, bool),
    /// What execve(2) says, one after the other; the last one for ever.
    pub(super) exec: Vec<Errno>,
    /// Arguments and environment of the last exec.
    pub(super) ran: (Vec<String>, Vec<String>),
    /// The capability sets.
    pub(super) held: Held,
    /// Whether the kernel gives root back, or only pretends to change the user.
    pub(super) broken: Option<&'static str>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            calls: Vec::new(),
            fails: None,
            file: Vec::new(),
            now: Credentials { uids: [0; 3], gids: [0; 3], groups: vec![0] },
            leads: (false, false),
            exec: vec![Errno::ECANCELED],
            ran: Default::default(),
            held: Facts::default().held,
            broken: None,
        }
    }
}

impl Fake {
    pub(super) fn call(&mut self, call: impl Into<String>) -> nix::Result<()> {
        self.calls.push(call.into());
        match self.fails {
            Some((at, errno)) if at + 1 == self.calls.len() => Err(errno),
            _ => Ok(()),
        }
    }
}

impl Sys for Fake {
    fn new_session(&mut self) -> nix::Result<()> {
        self.call("setsid")
    }

    fn new_group(&mut self) -> nix::Result<()> {
        self.call("setpgid")
    }

    fn leads(&self) -> (bool, bool) {
        self.leads
    }

    fn limit(&self, _: Resource) -> nix::Result<(u64, u64)> {
        Ok((1024, 20_000))
    }

    fn set_limit(&mut self, resource: Resource, soft: u64, hard: u64) -> nix::Result<()> {
        self.call(format!("setrlimit {resource:?} {soft} {hard}"))
    }

    fn set_nice(&mut self, nice: i32) -> nix::Result<()> {
        self.call(format!("setpriority {nice}"))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.exists() {
            true => Err(Errno::EACCES.into()),
            false => Ok(self.file.clone()),
        }
    }

    fn write(&mut self, path: &str, text: &str) -> io::Result<()> {
        Ok(self.call(format!("write {path} {text}"))?)
    }

    fn make_dir(&mut self, path: &Path) -> io::Result<()> {
        Ok(self.call(format!("mkdir {}", path.display()))?)
    }

    fn remove_empty_dirs(&mut self, parent: &Path, prefix: &str) {
        let _ = self.call(format!("rmdir {}/{prefix}*", parent.display()));
    }

    fn no_input(&mut self) -> io::Result<()> {
        Ok(self.call("stdin /dev/null")?)
    }

    fn hand_over_pipe(&mut self, fd: i32, owner: Option<u32>) -> io::Result<()> {
        let owner = owner.map_or("-".to_owned(), |owner| owner.to_string());
        Ok(self.call(format!("pipe {fd} {owner}"))?)
    }

    fn append_to(&mut self, fd: i32, path: &Path) -> io::Result<()> {
        Ok(self.call(format!("append {fd} {}", path.display()))?)
    }

    fn end_with_parent(&mut self, signal: i32) -> nix::Result<()> {
        self.call(format!("pdeathsig {signal}"))
    }

    fn executable(&self, path: &Path) -> nix::Result<PathBuf> {
        Ok(path.to_owned())
    }

    fn set_umask(&mut self, mask: u32) {
        let _ = self.call(format!("umask {mask:o}"));
    }

    fn user_by_name(&self, name: &str) -> nix::Result<Option<User>> {
        let user = |name: &str, id, home: &str| {
            Some(User { name: name.to_owned(), uid: id, gid: id, home: home.into(), shell: "/bin/sh".into() })
        };
        Ok(match name {
            "root" => user(name, 0, "/root"),
            "web" => user(name, 1000, "/home/web"),
            "1000" => user(name, 3000, "/home/number"),
            _ => None,
        })
    }

    fn user_by_id(&self, uid: u32) -> nix::Result<Option<User>> {
        let name = match uid {
            0 => "root",
            1000 => "web",
            _ => return Ok(None),
        };
        self.user_by_name(name)
    }

    fn group_by_name(&self, name: &str) -> nix::Result<Option<u32>> {
        Ok((name == "www").then_some(2000))
    }

    fn group_exists(&self, gid: u32) -> nix::Result<bool> {
        Ok(gid == 2000)
    }

    fn groups_of(&self, _: &str, gid: u32) -> nix::Result<Vec<u32>> {
        Ok(vec![2000, gid])
    }

    fn credentials(&self) -> nix::Result<Credentials> {
        Ok(self.now.clone())
    }

    fn set_groups(&mut self, groups: &[u32]) -> nix::Result<()> {
        self.call(format!("setgroups {groups:?}"))?;
        if self.broken != Some("groups") {
            self.now.groups = groups.to_vec();
        }
        Ok(())
    }

    fn set_gid(&mut self, gid: u32) -> nix::Result<()> {
        self.call(format!("setresgid {gid}"))?;
        if self.broken != Some("gid") {
            self.now.gids = [gid; 3];
        }
        Ok(())
    }

    fn set_uid(&mut self, uid: u32) -> nix::Result<()> {
        self.call(format!("setresuid {uid}"))?;
        // A saved id of 0 is how a careless change leaves the way back open.
        self.now.uids = [uid, uid, if self.broken == Some("uid") { 0 } else { uid }];
        Ok(())
    }

    fn regain_root(&mut self) -> nix::Result<()> {
        self.calls.push("setuid 0".to_owned());
        if self.broken == Some("root") { Ok(()) } else { Err(Errno::EPERM) }
    }

    fn enter(&mut self, dir: &Path) -> io::Result<PathBuf> {
        self.call(format!("chdir {}", dir.display()))?;
        Ok(dir.to_owned())
    }

    fn source(&mut self, script: &Path, vars: &Vars) -> Result<Vars, Report> {
        let failed = |errno| Report::new(StepName::EnvScript, "source it", errno);
        self.call(format!("source {}", script.display())).map_err(failed)?;
        let mut vars = vars.clone();
        vars.extend(["FROM_SCRIPT", "FROM_FILE", "FIXED"].map(|key| (key.into(), "script".into())));
        Ok(vars)
    }

    fn close_on_exec(&mut self) -> io::Result<()> {
        Ok(self.call("close_range")?)
    }

    fn default_signals(&mut self) -> nix::Result<()> {
        self.call("signals")
    }

    fn exec(&mut self, path: &CStr, argv: &[CString], env: &[CString]) -> Errno {
        let texts = |list: &[CString]| list.iter().map(|text| text.to_string_lossy().into_owned()).collect();
        self.ran = (texts(argv), texts(env));
        let _ = self.call(format!("exec {}", path.to_string_lossy()));
        if self.exec.len() > 1 { self.exec.remove(0) } else { self.exec[0] }
    }

    fn pause(&mut self, _: Duration) {}
}
