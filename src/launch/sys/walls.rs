//! Namespaces, mounts and Landlock.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use landlock::{
    AccessFs, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags};

use super::Linux;
use crate::launch::options::Entered;
use crate::launch::walls::Domain;

/// What building walls asks of the kernel.
pub trait WallSys {
    /// unshare(2): a mount namespace, and these.
    fn new_namespaces(&mut self, user: bool, network: bool) -> nix::Result<()>;
    /// No mount made here is seen outside.
    fn separate_mounts(&mut self) -> io::Result<()>;
    /// setns(2): the mount namespace of a process, and these, if it is the process that is meant.
    fn enter_namespaces(&mut self, of: Entered, user: bool, network: bool) -> io::Result<()>;
    /// Brings the loopback device up.
    fn raise_loopback(&mut self) -> io::Result<()>;
    /// A file or directory with all that is mounted below it, to be attached somewhere. No symbolic link is followed.
    fn clone_tree(&mut self, path: &Path) -> io::Result<OwnedFd>;
    /// Makes a tree read-only that is not attached yet.
    fn make_tree_read_only(&mut self, tree: &OwnedFd) -> io::Result<()>;
    /// Attaches a tree. No symbolic link is followed.
    fn attach(&mut self, tree: OwnedFd, at: &Path) -> io::Result<()>;
    /// mount(2).
    fn mount(&mut self, fs: Fs, at: &Path, attributes: Attributes) -> io::Result<()>;
    /// Makes a mount read-only, or all below it as well.
    fn make_read_only(&mut self, at: &Path, below: bool) -> io::Result<()>;
    /// Makes an empty file.
    fn make_file(&mut self, path: &Path) -> io::Result<()>;
    /// Makes a symbolic link.
    fn make_link(&mut self, target: &str, path: &Path) -> io::Result<()>;
    /// Enters a Landlock domain.
    fn confine(&mut self, domain: &Domain) -> io::Result<()>;
}

/// What is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fs {
    /// An empty tmpfs.
    Tmp {
        /// The mode of its root.
        mode: u32,
    },
    /// Terminals of its own.
    Terminals,
}

/// How it is mounted, beside `nosuid`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `noexec`.
    pub no_exec: bool,
    /// `nodev`.
    pub no_dev: bool,
    /// `ro`.
    pub read_only: bool,
}

impl WallSys for Linux {
    fn new_namespaces(&mut self, user: bool, network: bool) -> nix::Result<()> {
        unshare(kinds(user, network))
    }

    fn separate_mounts(&mut self) -> io::Result<()> {
        Ok(rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?)
    }

    fn enter_namespaces(&mut self, of: Entered, user: bool, network: bool) -> io::Result<()> {
        let pid = rustix::process::Pid::from_raw(of.pid).ok_or(io::ErrorKind::InvalidInput)?;
        // First the descriptor, then the comparison: the pid cannot change hands in between.
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
        let stat = procfs::process::Process::new(of.pid).and_then(|process| process.stat());
        match stat {
            Ok(stat) if stat.starttime == of.start_time => Ok(setns(pidfd, kinds(user, network))?),
            _ => Err(io::Error::other("it has ended")),
        }
    }

    fn raise_loopback(&mut self) -> io::Result<()> {
        let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
        // SAFETY: a struct of integers and bytes, for which all zero is a value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (at, byte) in request.ifr_name.iter_mut().zip(b"lo") {
            *at = *byte as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        // SAFETY: SIOCSIFFLAGS reads a struct ifreq, which `request` is, with a name that ends with NUL; it outlives
        // the call.
        let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
        Ok(Errno::result(done).map(drop)?)
    }

    fn clone_tree(&mut self, path: &Path) -> io::Result<OwnedFd> {
        use OpenTreeFlags as Flags;
        let flags = Flags::OPEN_TREE_CLONE | Flags::OPEN_TREE_CLOEXEC | Flags::AT_RECURSIVE | Flags::AT_EMPTY_PATH;
        Ok(rustix::mount::open_tree(find(path)?, c"", flags)?)
    }

    fn make_tree_read_only(&mut self, tree: &OwnedFd) -> io::Result<()> {
        set_read_only(tree.as_fd(), true)
    }

    fn attach(&mut self, tree: OwnedFd, at: &Path) -> io::Result<()> {
        let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        Ok(rustix::mount::move_mount(tree, c"", find(at)?, c"", empty)?)
    }

    fn mount(&mut self, fs: Fs, at: &Path, attributes: Attributes) -> io::Result<()> {
        let mut flags = MountFlags::NOSUID;
        flags.set(MountFlags::NOEXEC, attributes.no_exec);
        flags.set(MountFlags::NODEV, attributes.no_dev);
        flags.set(MountFlags::RDONLY, attributes.read_only);
        let (kind, data) = match fs {
            Fs::Tmp { mode } => ("tmpfs", format!("mode={mode:04o}")),
            Fs::Terminals => ("devpts", "newinstance,ptmxmode=0666,mode=620".to_owned()),
        };
        let data = CString::new(data)?;
        // By descriptor, so that no symbolic link leads elsewhere.
        let place = find(at)?;
        let at = format!("/proc/self/fd/{}", place.as_raw_fd());
        Ok(rustix::mount::mount(kind, at.as_str(), kind, flags, Some(data.as_c_str()))?)
    }

    fn make_read_only(&mut self, at: &Path, below: bool) -> io::Result<()> {
        set_read_only(find(at)?.as_fd(), below)
    }

    fn make_file(&mut self, path: &Path) -> io::Result<()> {
        File::create_new(path).map(drop)
    }

    fn make_link(&mut self, target: &str, path: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, path)
    }

    fn confine(&mut self, domain: &Domain) -> io::Result<()> {
        confine(domain, File::open("/")?).map_err(io::Error::other)
    }
}

fn kinds(user: bool, network: bool) -> CloneFlags {
    let mut kinds = CloneFlags::CLONE_NEWNS;
    kinds.set(CloneFlags::CLONE_NEWUSER, user);
    kinds.set(CloneFlags::CLONE_NEWNET, network);
    kinds
}

/// A path, without a symbolic link on the way.
fn find(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_SYMLINKS)?)
}

/// mount_setattr(2), for which no crate has a safe form.
fn set_read_only(at: BorrowedFd<'_>, below: bool) -> io::Result<()> {
    const RDONLY: u64 = 1;
    /// `struct mount_attr`, first version.
    #[repr(C)]
    struct Attr {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let attr = Attr { set: RDONLY, clear: 0, propagation: 0, user_namespace: 0 };
    let flags = libc::AT_EMPTY_PATH | if below { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty string that lives for ever; `attr` has the layout that the kernel reads, of the size
    // that is given, and outlives the call; nothing is written.
    let done = unsafe {
        libc::syscall(libc::SYS_mount_setattr, at.as_raw_fd(), c"".as_ptr(), flags, &raw const attr, size_of::<Attr>())
    };
    Ok(Errno::result(done).map(drop)?)
}

/// The version of Landlock that this kernel has; 0 if none.
pub fn landlock_version() -> u32 {
    const VERSION: u32 = 1;
    // SAFETY: with this flag landlock_create_ruleset(2) takes no struct, and opens nothing: it returns a number.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0usize, VERSION) };
    u32::try_from(version).unwrap_or(0)
}

/// A domain must handle something. It handles what it then allows everywhere, save the making of devices where that is
/// to be forbidden: to trace, and to mount, is forbidden to every domain. To rename from one directory to another is
/// forbidden to every domain that does not handle and allow it.
fn confine(domain: &Domain, root: File) -> Result<(), RulesetError> {
    let devices = AccessFs::MakeBlock | AccessFs::MakeChar;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer)?
        .handle_access(devices)?;
    if domain.signals {
        ruleset = ruleset.scope(Scope::Signal)?;
    }
    let allowed = if domain.devices { AccessFs::Refer.into() } else { devices | AccessFs::Refer };
    let rule = PathBeneath::new(root, allowed);
    ruleset.create()?.add_rule(rule)?.restrict_self().map(drop)
}

#[cfg(test)]
impl WallSys for crate::launch::fake::Fake {
    fn new_namespaces(&mut self, user: bool, network: bool) -> nix::Result<()> {
        self.call(format!("unshare user={user} network={network}"))
    }

    fn separate_mounts(&mut self) -> io::Result<()> {
        Ok(self.call("slave /")?)
    }

    fn enter_namespaces(&mut self, of: Entered, user: bool, network: bool) -> io::Result<()> {
        Ok(self.call(format!("setns {} user={user} network={network}", of.pid))?)
    }

    fn raise_loopback(&mut self) -> io::Result<()> {
        Ok(self.call("lo up")?)
    }

    fn clone_tree(&mut self, path: &Path) -> io::Result<OwnedFd> {
        self.call(format!("clone {}", path.display()))?;
        Ok(File::open("/")?.into())
    }

    fn make_tree_read_only(&mut self, _: &OwnedFd) -> io::Result<()> {
        Ok(self.call("clone ro")?)
    }

    fn attach(&mut self, _: OwnedFd, at: &Path) -> io::Result<()> {
        Ok(self.call(format!("attach {}", at.display()))?)
    }

    fn mount(&mut self, fs: Fs, at: &Path, _: Attributes) -> io::Result<()> {
        Ok(self.call(format!("mount {fs:?} {}", at.display()))?)
    }

    fn make_read_only(&mut self, at: &Path, below: bool) -> io::Result<()> {
        Ok(self.call(format!("ro {} below={below}", at.display()))?)
    }

    fn make_file(&mut self, path: &Path) -> io::Result<()> {
        Ok(self.call(format!("create {}", path.display()))?)
    }

    fn make_link(&mut self, target: &str, path: &Path) -> io::Result<()> {
        Ok(self.call(format!("symlink {target} {}", path.display()))?)
    }

    fn confine(&mut self, domain: &Domain) -> io::Result<()> {
        Ok(self.call(format!("landlock {domain:?}"))?)
    }
}
