//! The door to the kernel. Whatever a launch changes, it changes through [`Sys`]: a test can hold the door shut and
//! see that nothing happens which was not planned.
//!
//! The only unsafe code of the launcher is below. Each method is one system call, or one habit around it; none decides
//! anything. What walls, capabilities and filters need is in files of their own: [`walls`], [`capabilities`] and
//! [`filter`]; [`processes`] is for the parent that stays.

pub mod capabilities;
pub mod filter;
pub mod processes;
pub mod walls;

use std::ffi::{CStr, CString, OsStr};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{self, getrlimit, setrlimit};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{self, Gid, Pid, Uid};

use super::environment::Vars;
use super::plan::Resource;
use super::report::Report;
use super::script;
use crate::app::small;
use crate::config::is_of_a_process;

pub use capabilities::CapabilitySys;
pub use filter::FilterSys;
pub use walls::WallSys;

/// What a launch asks of the kernel.
pub trait Sys: WallSys + CapabilitySys + FilterSys {
    /// setsid(2).
    fn new_session(&mut self) -> nix::Result<()>;
    /// setpgid(0, 0).
    fn new_group(&mut self) -> nix::Result<()>;
    /// Whether this process leads its session; whether it leads its group.
    fn leads(&self) -> (bool, bool);
    /// Soft and hard value of a limit.
    fn limit(&self, resource: Resource) -> nix::Result<(u64, u64)>;
    /// Sets soft and hard value of a limit.
    fn set_limit(&mut self, resource: Resource, soft: u64, hard: u64) -> nix::Result<()>;
    /// setpriority(2) of this process.
    fn set_nice(&mut self, nice: i32) -> nix::Result<()>;
    /// Reads a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Writes to a file of /proc, or of a control group, that exists.
    fn write(&mut self, path: &str, text: &str) -> io::Result<()>;
    /// Makes a directory, unless it is there.
    fn make_dir(&mut self, path: &Path) -> io::Result<()>;
    /// Removes the empty directories in a directory whose names begin so and end with the pid of no process.
    fn remove_empty_dirs(&mut self, parent: &Path, prefix: &str);
    /// Puts /dev/null in the place of standard input.
    fn no_input(&mut self) -> io::Result<()>;
    /// If the descriptor is a pipe: opens it for reading and writing, and gives it to a user.
    fn hand_over_pipe(&mut self, fd: i32, owner: Option<u32>) -> io::Result<()>;
    /// Appends what is written to a standard descriptor to a file, which is made where it is missing.
    fn append_to(&mut self, fd: i32, path: &Path) -> io::Result<()>;
    /// Asks for a signal when the parent ends (prctl(2), PR_SET_PDEATHSIG).
    fn end_with_parent(&mut self, signal: i32) -> nix::Result<()>;
    /// The absolute path of a program, if this process may execute it.
    fn executable(&self, path: &Path) -> nix::Result<PathBuf>;
    /// umask(2).
    fn set_umask(&mut self, mask: u32);
    /// The account with a name.
    fn user_by_name(&self, name: &str) -> nix::Result<Option<User>>;
    /// The account with an id.
    fn user_by_id(&self, uid: u32) -> nix::Result<Option<User>>;
    /// The id of the group with a name.
    fn group_by_name(&self, name: &str) -> nix::Result<Option<u32>>;
    /// Whether there is a group with an id.
    fn group_exists(&self, gid: u32) -> nix::Result<bool>;
    /// The groups of a user, `gid` among them.
    fn groups_of(&self, name: &str, gid: u32) -> nix::Result<Vec<u32>>;
    /// Who this process is.
    fn credentials(&self) -> nix::Result<Credentials>;
    /// setgroups(2).
    fn set_groups(&mut self, groups: &[u32]) -> nix::Result<()>;
    /// setresgid(2), all three.
    fn set_gid(&mut self, gid: u32) -> nix::Result<()>;
    /// setresuid(2), all three.
    fn set_uid(&mut self, uid: u32) -> nix::Result<()>;
    /// Tries to become root again, which must fail.
    fn regain_root(&mut self) -> nix::Result<()>;
    /// chdir(2), and where that led.
    fn enter(&mut self, dir: &Path) -> io::Result<PathBuf>;
    /// Sources a script in an environment, and returns the environment that results.
    fn source(&mut self, script: &Path, vars: &Vars) -> Result<Vars, Report>;
    /// Marks all descriptors but 0, 1 and 2 as close-on-exec.
    fn close_on_exec(&mut self) -> io::Result<()>;
    /// Default disposition of every signal, empty mask.
    fn default_signals(&mut self) -> nix::Result<()>;
    /// execve(2). Returns only if it failed.
    fn exec(&mut self, path: &CStr, argv: &[CString], env: &[CString]) -> Errno;
    /// Waits a little before something is tried again.
    fn pause(&mut self, time: Duration);
}

/// An account of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its id.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
    /// Its home directory.
    pub home: PathBuf,
    /// Its login shell.
    pub shell: PathBuf,
}

impl From<unistd::User> for User {
    fn from(user: unistd::User) -> Self {
        let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
        // An empty field is how the account database writes the usual shell (passwd(5)).
        let shell = if user.shell.as_os_str().is_empty() { "/bin/sh".into() } else { user.shell };
        Self { name: user.name, uid, gid, home: user.dir, shell }
    }
}

/// Who a process is: real, effective and saved ids, and its supplementary groups in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User ids.
    pub uids: [u32; 3],
    /// Group ids.
    pub gids: [u32; 3],
    /// Supplementary groups, sorted.
    pub groups: Vec<u32>,
}

/// The most that is read of a file that names variables: the kernel takes far less of them.
const LARGEST_FILE: u64 = 4 << 20;

/// The kernel this process runs on.
#[derive(Debug)]
pub struct Linux;

impl Sys for Linux {
    fn new_session(&mut self) -> nix::Result<()> {
        unistd::setsid().map(drop)
    }

    fn new_group(&mut self) -> nix::Result<()> {
        unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))
    }

    fn leads(&self) -> (bool, bool) {
        let own = Pid::this();
        (unistd::getsid(None) == Ok(own), unistd::getpgrp() == own)
    }

    fn limit(&self, resource: Resource) -> nix::Result<(u64, u64)> {
        getrlimit(rlimit(resource))
    }

    fn set_limit(&mut self, resource: Resource, soft: u64, hard: u64) -> nix::Result<()> {
        if resource == Resource::Stack {
            touch_stack();
        }
        setrlimit(rlimit(resource), soft, hard)
    }

    fn set_nice(&mut self, nice: i32) -> nix::Result<()> {
        rustix::process::setpriority_process(None, nice).map_err(|error| Errno::from_raw(error.raw_os_error()))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if !is_of_a_process(path) {
            return small::read(path, LARGEST_FILE);
        }
        // What the caller has opened, as a shell does for `<(…)`, may take its time.
        let mut bytes = Vec::new();
        File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 {
            ..=LARGEST_FILE => Ok(bytes),
            _ => Err(io::Error::other(format!("it is larger than {} MiB", LARGEST_FILE >> 20))),
        }
    }

    fn write(&mut self, path: &str, text: &str) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
    }

    fn make_dir(&mut self, path: &Path) -> io::Result<()> {
        match std::fs::create_dir(path) {
            // Whatever the umask says: the app's user must get in.
            Ok(()) => std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn remove_empty_dirs(&mut self, parent: &Path, prefix: &str) {
        for entry in std::fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok) {
            let name = entry.file_name();
            let Some(pid) = name.as_bytes().strip_prefix(prefix.as_bytes()) else { continue };
            // One that is in use is not removed (EBUSY), nor one whose process is about to enter it.
            if !Path::new("/proc").join(OsStr::from_bytes(pid)).exists() {
                let _ = std::fs::remove_dir(entry.path());
            }
        }
    }

    fn no_input(&mut self) -> io::Result<()> {
        let null = OpenOptions::new().read(true).open("/dev/null")?;
        Ok(unistd::dup2_stdin(null)?)
    }

    fn hand_over_pipe(&mut self, fd: i32, owner: Option<u32>) -> io::Result<()> {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let stream = if fd == 1 { stdout.as_fd() } else { stderr.as_fd() };
        let kind = SFlag::from_bits_truncate(fstat(stream)?.st_mode & SFlag::S_IFMT.bits());
        if kind != SFlag::S_IFIFO {
            return Ok(());
        }
        if let Some(owner) = owner {
            unistd::fchown(stream, Some(Uid::from_raw(owner)), None)?;
        }
        let mut options = OpenOptions::new();
        let both = options.read(true).write(true).custom_flags(libc::O_NOCTTY).open(format!("/proc/self/fd/{fd}"))?;
        if fd == 1 {
            unistd::dup2_stdout(both)?
        } else {
            unistd::dup2_stderr(both)?
        }
        Ok(())
    }

    fn append_to(&mut self, fd: i32, path: &Path) -> io::Result<()> {
        let file = crate::logs::open_to_append(path)?;
        if fd == 1 {
            unistd::dup2_stdout(file)?
        } else {
            unistd::dup2_stderr(file)?
        }
        Ok(())
    }

    fn end_with_parent(&mut self, signal: i32) -> nix::Result<()> {
        processes::end_with_parent(signal)
    }

    fn executable(&self, path: &Path) -> nix::Result<PathBuf> {
        let absolute =
            std::path::absolute(path).map_err(|error| error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw))?;
        unistd::access(&absolute, unistd::AccessFlags::X_OK)?;
        if absolute.is_file() { Ok(absolute) } else { Err(Errno::EACCES) }
    }

    fn set_umask(&mut self, mask: u32) {
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
    }

    fn user_by_name(&self, name: &str) -> nix::Result<Option<User>> {
        absent_is_none(unistd::User::from_name(name)).map(|user| user.map(User::from))
    }

    fn user_by_id(&self, uid: u32) -> nix::Result<Option<User>> {
        absent_is_none(unistd::User::from_uid(Uid::from_raw(uid))).map(|user| user.map(User::from))
    }

    fn group_by_name(&self, name: &str) -> nix::Result<Option<u32>> {
        absent_is_none(unistd::Group::from_name(name)).map(|group| group.map(|group| group.gid.as_raw()))
    }

    fn group_exists(&self, gid: u32) -> nix::Result<bool> {
        absent_is_none(unistd::Group::from_gid(Gid::from_raw(gid))).map(|group| group.is_some())
    }

    fn groups_of(&self, name: &str, gid: u32) -> nix::Result<Vec<u32>> {
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        Ok(unistd::getgrouplist(&name, Gid::from_raw(gid))?.into_iter().map(Gid::as_raw).collect())
    }

    fn credentials(&self) -> nix::Result<Credentials> {
        let (user, group) = (unistd::getresuid()?, unistd::getresgid()?);
        let mut groups: Vec<u32> = unistd::getgroups()?.into_iter().map(Gid::as_raw).collect();
        groups.sort_unstable();
        Ok(Credentials {
            uids: [user.real, user.effective, user.saved].map(Uid::as_raw),
            gids: [group.real, group.effective, group.saved].map(Gid::as_raw),
            groups,
        })
    }

    fn set_groups(&mut self, groups: &[u32]) -> nix::Result<()> {
        unistd::setgroups(&groups.iter().copied().map(Gid::from_raw).collect::<Vec<_>>())
    }

    fn set_gid(&mut self, gid: u32) -> nix::Result<()> {
        let gid = Gid::from_raw(gid);
        unistd::setresgid(gid, gid, gid)
    }

    fn set_uid(&mut self, uid: u32) -> nix::Result<()> {
        let uid = Uid::from_raw(uid);
        unistd::setresuid(uid, uid, uid)
    }

    fn regain_root(&mut self) -> nix::Result<()> {
        unistd::setuid(Uid::from_raw(0))
    }

    fn enter(&mut self, dir: &Path) -> io::Result<PathBuf> {
        std::env::set_current_dir(dir)?;
        std::env::current_dir()
    }

    fn source(&mut self, script: &Path, vars: &Vars) -> Result<Vars, Report> {
        script::source(script, vars)
    }

    fn close_on_exec(&mut self) -> io::Result<()> {
        // SAFETY: close_range(2) with CLOSE_RANGE_CLOEXEC takes three integers and touches no memory of ours; it closes
        // nothing, so no descriptor that is owned elsewhere becomes invalid.
        let done = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        match Errno::result(done) {
            Ok(_) => Ok(()),
            // Before Linux 5.11: one by one.
            Err(Errno::ENOSYS | Errno::EINVAL) => close_each_on_exec(),
            Err(errno) => Err(errno.into()),
        }
    }

    fn default_signals(&mut self) -> nix::Result<()> {
        for signal in (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
            default_signal(signal)?;
        }
        nix::sys::signal::SigSet::empty().thread_set_mask()
    }

    fn exec(&mut self, path: &CStr, argv: &[CString], env: &[CString]) -> Errno {
        match unistd::execve(path, argv, env) {
            Ok(never) => match never {},
            Err(errno) => errno,
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a launcher is alone in its process, and there is no event to wait for"
    )]
    fn pause(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}

fn rlimit(resource: Resource) -> resource::Resource {
    match resource {
        Resource::OpenFiles => resource::Resource::RLIMIT_NOFILE,
        Resource::Core => resource::Resource::RLIMIT_CORE,
        Resource::Stack => resource::Resource::RLIMIT_STACK,
        Resource::AddressSpace => resource::Resource::RLIMIT_AS,
        Resource::Processes => resource::Resource::RLIMIT_NPROC,
    }
}

/// Some name services answer "no such file" or "no such process" for an account that does not exist (getpwnam(3)).
fn absent_is_none<T>(answer: nix::Result<Option<T>>) -> nix::Result<Option<T>> {
    match answer {
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        answer => answer,
    }
}

/// Uses as much stack as the rest of the launch may need. A page that is there stays; one that would have to be added
/// beyond a new, small limit kills the process (getrlimit(2), RLIMIT_STACK).
///
/// Inlined, the array would become part of the caller's frame, and the rest of the launch would go on below it.
#[inline(never)]
fn touch_stack() {
    // The compiler touches every page of a large frame.
    std::hint::black_box([0u8; 256 << 10]);
}

/// Sets one signal to its default. libc refuses the two that it uses for threads (32 and 33), and yet they may have been
/// ignored by whoever started us: so this asks the kernel itself.
fn default_signal(signal: i32) -> nix::Result<()> {
    // The kernel's struct sigaction, all zero: SIG_DFL, no flags, empty mask. It is 24 to 32 bytes long.
    let default = [0u64; 8];
    // SAFETY: rt_sigaction(2) reads its struct from `default`, which is longer than it on every architecture and lives
    // until the call returns; the third argument says that the old action is not wanted; the fourth is the size of the
    // kernel's signal set, 64 bits. SIG_DFL installs no code.
    let done = unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null_mut::<libc::c_void>(), 8usize)
    };
    Errno::result(done).map(drop)
}

fn close_each_on_exec() -> io::Result<()> {
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // SAFETY: F_SETFD takes an integer and changes a flag of the descriptor, nothing about its ownership. The one
        // that read the directory is closed by now, and gives EBADF, which is as good.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// Text for execve(2).
pub fn c_string(text: &OsStr) -> Option<CString> {
    CString::new(text.as_bytes()).ok()
}

/// Moves standard input, which is the gate, out of the way of the app: to a descriptor beyond the standard ones that
/// closes on exec.
pub fn take_gate() -> io::Result<UnixStream> {
    io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from)
}
