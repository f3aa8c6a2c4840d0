//! Looking at processes, by what /proc says of them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::{SOON, wait_until};

/// One living process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Proc {
    pub(crate) pid: i32,
    pub(crate) comm: String,
    pub(crate) state: char,
    pub(crate) ppid: i32,
    pub(crate) sid: i32,
    /// In clock ticks since boot: with the pid, what identifies a process.
    pub(crate) started: u64,
}

/// strace(1), which does this to a system call of a process, whichever of its threads makes it.
pub(crate) fn inject(pid: i32, call: &str, what: &str, log: &Path) -> Child {
    Command::new("strace")
        .args(["-f", "-qq", "-e", &format!("trace={call}"), "-e", &format!("inject={call}:{what}")])
        .args(["-p", &pid.to_string(), "-o"])
        .arg(log)
        .stdin(Stdio::null())
        .spawn()
        .expect("strace(1) is installed")
}

/// Kills a process in the how-manyth of its calls of this kind, and waits until it is gone.
#[track_caller]
pub(crate) fn kill_in(pid: i32, call: &str, which: usize) {
    let mut strace = inject(pid, call, &format!("signal=SIGKILL:when={which}"), Path::new("/dev/null"));
    wait_until(&format!("it is killed in {call}"), SOON, || match process(pid) {
        None => Ok(()),
        Some(still) => Err(format!("{still:?}")),
    });
    strace.wait().expect("strace to end");
}

/// Waits until a process is gone, or waits only to be reaped.
#[track_caller]
pub(crate) fn wait_until_dead(pid: i32) {
    wait_until("it is gone", SOON, || match process(pid).filter(|process| process.state != 'Z') {
        None => Ok(()),
        left => Err(format!("{left:#?}")),
    });
}

/// The children of these processes that have ended and have not been reaped.
pub(crate) fn zombies(parents: &[i32]) -> Vec<i32> {
    let lists = parents.iter().flat_map(|pid| fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")));
    let children: Vec<i32> =
        lists.flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect();
    let ended = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    children.into_iter().filter(ended).collect()
}

/// The process with this pid, unless it is gone or a zombie.
pub(crate) fn process(pid: i32) -> Option<Proc> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse().ok();
    let found = Proc {
        pid,
        comm: head.split_once('(')?.1.to_owned(),
        state: fields.first()?.chars().next()?,
        ppid: number(1)?,
        sid: number(3)?,
        started: fields.get(19)?.parse().ok()?,
    };
    (!matches!(found.state, 'Z' | 'X')).then_some(found)
}

impl Proc {
    /// Its command line, arguments separated by spaces.
    pub(crate) fn command_line(&self) -> String {
        String::from_utf8_lossy(&fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default())
            .replace('\0', " ")
            .trim()
            .to_owned()
    }

    /// Whether it is a supervisor, a keeper or a command, rather than an app.
    pub(crate) fn is_ours(&self) -> bool {
        self.comm.starts_with("daemonctl") || self.command_line().starts_with("daemonctl")
    }

    /// Whether it has this assignment in its environment.
    pub(crate) fn has_environment(&self, assignment: &str) -> bool {
        let environ = fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|entry| entry == assignment.as_bytes())
    }

    /// Whether its working directory is this one, or below.
    pub(super) fn works_in(&self, dir: &Path) -> bool {
        fs::read_link(format!("/proc/{}/cwd", self.pid)).is_ok_and(|cwd| cwd.starts_with(dir))
    }

    /// Whether its environment, command line or directory names `path`.
    pub(super) fn names(&self, path: &Path) -> bool {
        let text = path.to_string_lossy();
        let mentions = |file: &str| {
            let bytes = fs::read(format!("/proc/{}/{file}", self.pid)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains(&*text)
        };
        self.works_in(path) || mentions("environ") || mentions("cmdline")
    }
}

/// All living processes that are not this one.
pub(super) fn all() -> Vec<Proc> {
    let own = std::process::id() as i32;
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != own).filter_map(process).collect()
}

/// Sends a signal; that the process is gone already is fine.
pub(crate) fn kill(pid: i32, signal: Signal) {
    let _ = nix::sys::signal::kill(Pid::from_raw(pid), signal);
}

/// The kernel's name for the time since the last start of the machine.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id").trim().to_owned()
}
