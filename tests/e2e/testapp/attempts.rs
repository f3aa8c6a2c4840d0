//! What a process can do: attempts, each made by a child of its own, so that one that ends in a signal ends nothing
//! else. The outcome is `ok`, the name of an errno, or the name of the signal that ended the child.
//!
//! Attempts that nothing holds back must be harmless: those that would change the host are made only in a mount
//! namespace of the process's own, and the others have arguments that the kernel rejects *after* it has looked at who
//! asks, so that "forbidden" and "allowed, but wrong" look different. Nothing is sent to another machine: the
//! addresses tried belong to nobody, and an errno of routing is all that is wanted.

use std::collections::BTreeMap;
use std::ffi::{CString, c_int, c_long};
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// What the attempts are made against.
#[derive(Default)]
pub(crate) struct Targets {
    /// A process outside.
    pid: Option<i32>,
    /// Directories that may be read-only, with `file` and `victim` in them.
    readonly: Vec<String>,
    /// A directory to put device nodes into.
    scratch: Option<String>,
    /// The name of an abstract socket outside.
    name: Option<String>,
    /// A socket in the file system.
    socket: Option<String>,
    /// A copy of this program that is set-user-id root.
    setuid: Option<String>,
    /// The host's mount namespace, where nothing may be mounted.
    host: Option<String>,
    /// Children to have at most.
    children: Option<usize>,
}

/// Reads `--pid N`, `--ro PATH` and so on.
pub(crate) fn targets(words: &[&str]) -> Option<Targets> {
    let mut targets = Targets::default();
    for pair in words.chunks(2) {
        let [flag, value] = pair else { return None };
        let text = Some((*value).to_owned());
        match *flag {
            "--pid" => targets.pid = value.parse().ok(),
            "--ro" => targets.readonly.extend(text),
            "--scratch" => targets.scratch = text,
            "--abstract" => targets.name = text,
            "--socket" => targets.socket = text,
            "--setuid" => targets.setuid = text,
            "--host" => targets.host = text,
            "--children" => targets.children = value.parse().ok(),
            _ => return None,
        }
    }
    Some(targets)
}

type Outcome = Result<String, Errno>;

/// All attempts and their outcomes.
pub(crate) fn attempts(targets: &Targets) -> Value {
    let own_mounts = targets
        .host
        .as_ref()
        .is_some_and(|host| fs::read_link("/proc/self/ns/mnt").is_ok_and(|own| own.to_string_lossy() != *host));
    let writes: BTreeMap<&String, Value> = targets.readonly.iter().map(|dir| (dir, writes(dir))).collect();
    let mut all =
        json!({ "write": writes, "calls": calls(), "network": network(targets), "devices": devices(targets) });
    if own_mounts {
        let places = targets.readonly.iter().map(String::as_str).chain(["/tmp", "/var/tmp", "/dev"]);
        all["mounts"] = json!(places.map(|place| (place, breakouts(place))).collect::<BTreeMap<_, _>>());
    }
    if let Some(pid) = targets.pid {
        all["outside"] = outside(pid);
    }
    if let Some(program) = &targets.setuid {
        all["setuid"] = isolated(|| status_of(program));
    }
    if let Some(most) = targets.children {
        all["children"] = isolated(|| Ok(children(most).to_string()));
    }
    all
}

/// Makes an attempt in a child.
fn isolated(attempt: impl FnOnce() -> Outcome) -> Value {
    let Ok((mut answer, mut told)) = std::io::pipe() else { return "no pipe".into() };
    let child = super::fork();
    if child == 0 {
        drop(answer);
        // SAFETY: plain numbers; a child that hangs is ended by SIGALRM, one that crashes leaves no core.
        unsafe { (libc::alarm(20), libc::prctl(libc::PR_SET_DUMPABLE, 0)) };
        let outcome = attempt().unwrap_or_else(|errno| format!("{errno:?}"));
        let _ = told.write_all(outcome.as_bytes());
        leave();
    }
    drop(told);
    if child < 0 {
        return format!("fork: {:?}", Errno::last()).into();
    }
    let mut text = String::new();
    let _ = answer.read_to_string(&mut text);
    let mut status = 0;
    // SAFETY: waits for the child just made.
    unsafe { libc::waitpid(child, &mut status, 0) };
    match libc::WIFSIGNALED(status) {
        true => {
            Signal::try_from(libc::WTERMSIG(status)).map_or_else(|_| "signal".into(), |signal| signal.as_str().into())
        }
        false => text.into(),
    }
}

/// Ends a child without running anything of its parent's.
fn leave() -> ! {
    // SAFETY: _exit(2) takes any number.
    unsafe { libc::_exit(0) }
}

/// A system call with these arguments.
fn call(number: c_long, args: &[usize]) -> Result<usize, Errno> {
    let arg = |at: usize| args.get(at).copied().unwrap_or(0);
    // SAFETY: whatever the call does, it does to this child only, and callers pass pointers to what lives long enough.
    let result = unsafe { libc::syscall(number, arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)) };
    Errno::result(result).map(|value| value as usize)
}

/// The same where only the outcome counts.
fn only(number: c_long, args: &[usize]) -> Outcome {
    call(number, args).map(|_| ok())
}

/// A call that makes a child, which ends at once.
fn only_parent(number: c_long, args: &[usize]) -> Outcome {
    match call(number, args)? {
        0 => leave(),
        child => {
            // SAFETY: waits for the child just made.
            unsafe { libc::waitpid(child as c_int, std::ptr::null_mut(), 0) };
            Ok(ok())
        }
    }
}

fn ok() -> String {
    "ok".to_owned()
}

/// What an operation of the standard library came to.
fn io<T>(result: std::io::Result<T>) -> Result<T, Errno> {
    result.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

fn c(text: impl AsRef<str>) -> CString {
    CString::new(text.as_ref()).unwrap_or_default()
}

/// Every way to change something in a directory.
fn writes(dir: &str) -> Value {
    let at = |name: &str| Path::new(dir).join(name);
    let file = at("file");
    json!({
        "read": isolated(|| io(fs::read(&file)).map(|_| ok())),
        "create": isolated(|| {
            io(fs::write(at("created"), ""))?;
            io(fs::remove_file(at("created")))?;
            Ok(ok())
        }),
        "mkdir": isolated(|| {
            io(fs::create_dir(at("made")))?;
            io(fs::remove_dir(at("made")))?;
            Ok(ok())
        }),
        "open": isolated(|| io(OpenOptions::new().append(true).open(&file)).map(|_| ok())),
        "truncate": isolated(|| only(libc::SYS_truncate, &[c(file.to_string_lossy()).as_ptr() as usize, 3])),
        "chmod": isolated(|| io(fs::set_permissions(&file, fs::Permissions::from_mode(0o666))).map(|()| ok())),
        "chown": isolated(|| io(std::os::unix::fs::chown(&file, None, None)).map(|()| ok())),
        "utimes": isolated(|| only(libc::SYS_utimensat, &[libc::AT_FDCWD as usize, c(file.to_string_lossy()).as_ptr() as usize])),
        "rename": isolated(|| {
            io(fs::rename(&file, at("moved")))?;
            io(fs::rename(at("moved"), &file))?;
            Ok(ok())
        }),
        "link": isolated(|| {
            io(fs::hard_link(&file, at("linked")))?;
            io(fs::remove_file(at("linked")))?;
            Ok(ok())
        }),
        "symlink": isolated(|| {
            io(std::os::unix::fs::symlink("file", at("pointer")))?;
            io(fs::remove_file(at("pointer")))?;
            Ok(ok())
        }),
        "map": isolated(|| {
            let open = io(OpenOptions::new().read(true).write(true).open(&file))?;
            let (rights, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
            only(libc::SYS_mmap, &[0, 4096, rights as usize, shared as usize, open.as_raw_fd() as usize, 0])
        }),
        "unlink": isolated(|| io(fs::remove_file(at("victim"))).map(|()| ok())),
    })
}

/// Every way to lift what is mounted at a place.
fn breakouts(place: &str) -> Value {
    let at = c(place);
    let at = at.as_ptr() as usize;
    let (none, tmpfs, root) = (c("none"), c("tmpfs"), c("/"));
    let text = |text: &CString| text.as_ptr() as usize;
    let remount = (libc::MS_REMOUNT | libc::MS_BIND) as usize;
    json!({
        "umount": isolated(|| only(libc::SYS_umount2, &[at, libc::MNT_DETACH as usize])),
        "remount": isolated(|| only(libc::SYS_mount, &[text(&none), at, 0, remount, 0])),
        "cover": isolated(|| only(libc::SYS_mount, &[text(&none), at, text(&tmpfs), 0, 0])),
        "bind": isolated(|| only(libc::SYS_mount, &[text(&root), at, 0, (libc::MS_BIND | libc::MS_REC) as usize, 0])),
        "pivot": isolated(|| only(libc::SYS_pivot_root, &[at, at])),
        "chroot": isolated(|| only(libc::SYS_chroot, &[at])),
        "setattr": isolated(|| {
            // struct mount_attr: what to set, what to clear, propagation, user namespace.
            let clear = [0u64, libc::MOUNT_ATTR_RDONLY, 0, 0];
            let recursive = libc::AT_RECURSIVE as usize;
            only(libc::SYS_mount_setattr, &[libc::AT_FDCWD as usize, at, recursive, clear.as_ptr() as usize, size_of_val(&clear)])
        }),
        "clone": isolated(|| only(libc::SYS_open_tree, &[libc::AT_FDCWD as usize, at, 1])),
        // In a user namespace of its own a process has every capability; the mounts of the outer one must hold.
        "nested": isolated(|| {
            call(libc::SYS_unshare, &[(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) as usize])?;
            only(libc::SYS_umount2, &[at, libc::MNT_DETACH as usize])
        }),
    })
}

/// What reaches a process outside.
fn outside(pid: i32) -> Value {
    let pid_arg = pid as usize;
    let list = |path: String| isolated(move || io(fs::read_dir(path)).map(|_| ok()));
    json!({
        "root": list(format!("/proc/{pid}/root/")),
        "root of 1": list("/proc/1/root/".to_owned()),
        "cwd": list(format!("/proc/{pid}/cwd/")),
        "fd": isolated(move || io(fs::File::open(format!("/proc/{pid}/fd/0"))).map(|_| ok())),
        "memory": isolated(move || io(fs::File::open(format!("/proc/{pid}/mem"))).map(|_| ok())),
        "environ": isolated(move || io(fs::read(format!("/proc/{pid}/environ"))).map(|_| ok())),
        "namespace": isolated(move || {
            let open = io(fs::File::open(format!("/proc/{pid}/ns/mnt")))?;
            only(libc::SYS_setns, &[open.as_raw_fd() as usize, libc::CLONE_NEWNS as usize])
        }),
        "signal": isolated(move || only(libc::SYS_kill, &[pid_arg, 0])),
        "trace": isolated(move || {
            // Seizing does not stop the other process, and ends with this one.
            only(libc::SYS_ptrace, &[libc::PTRACE_SEIZE as usize, pid_arg, 0, 0])
        }),
        "read": isolated(move || {
            let mut word = 0u64;
            let own = libc::iovec { iov_base: (&raw mut word).cast(), iov_len: 8 };
            let theirs = libc::iovec { iov_base: 8 as *mut _, iov_len: 8 };
            let vectors = [&raw const own as usize, 1, &raw const theirs as usize, 1];
            only(libc::SYS_process_vm_readv, &[&[pid_arg], &vectors[..]].concat())
        }),
        "descriptor": isolated(move || {
            let process = call(libc::SYS_pidfd_open, &[pid_arg])?;
            only(libc::SYS_pidfd_getfd, &[process, 0])
        }),
        "priority": isolated(move || only(libc::SYS_sched_getscheduler, &[pid_arg])),
    })
}

/// System calls that a filter may refuse, with arguments that change nothing.
fn calls() -> Value {
    let nowhere = c("/nonexistent-dir/nonexistent");
    let nowhere = nowhere.as_ptr() as usize;
    let word = c("tmpfs");
    let word = word.as_ptr() as usize;
    let none = usize::MAX;
    let mut zeros = [0u8; 256];
    let zeros = zeros.as_mut_ptr() as usize;
    let child = libc::SIGCHLD as usize;
    let new_user = libc::CLONE_NEWUSER as usize;
    let one = |number, args: &[usize]| isolated(|| only(number, args));
    let all = json!({
        "mount": one(libc::SYS_mount, &[word, nowhere, word, 0, 0]),
        "umount2": one(libc::SYS_umount2, &[nowhere, 0]),
        "pivot_root": one(libc::SYS_pivot_root, &[nowhere, nowhere]),
        "fsopen": one(libc::SYS_fsopen, &[nowhere, 0]),
        "open_tree": one(libc::SYS_open_tree, &[none, nowhere, 0]),
        "move_mount": one(libc::SYS_move_mount, &[none, nowhere, none, nowhere, 0]),
        "mount_setattr": one(libc::SYS_mount_setattr, &[none, nowhere, 0, zeros, 32]),
        "unshare user": one(libc::SYS_unshare, &[new_user]),
        "unshare mount": one(libc::SYS_unshare, &[libc::CLONE_NEWNS as usize]),
        "clone user": isolated(|| only_parent(libc::SYS_clone, &[new_user | child])),
        "clone": isolated(|| only_parent(libc::SYS_clone, &[child])),
        "clone3": isolated(|| {
            // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls.
            let args = [0, 0, 0, 0, child, 0, 0, 0];
            only_parent(libc::SYS_clone3, &[args.as_ptr() as usize, size_of_val(&args)])
        }),
        "setns": one(libc::SYS_setns, &[none, 0]),
        "bpf": one(libc::SYS_bpf, &[9999, zeros, 64]),
        "perf_event_open": one(libc::SYS_perf_event_open, &[0, 0, none, none, 0]),
        "userfaultfd": one(libc::SYS_userfaultfd, &[1]),
        "io_uring_setup": one(libc::SYS_io_uring_setup, &[1, zeros]),
        "keyctl": one(libc::SYS_keyctl, &[0, -3i32 as usize, 0]),
        "add_key": one(libc::SYS_add_key, &[0, 0, 0, 0, 0]),
        "ptrace": one(libc::SYS_ptrace, &[libc::PTRACE_TRACEME as usize]),
        "process_vm_writev": one(libc::SYS_process_vm_writev, &[std::process::id() as usize, 0, 0, 0, 0, 1]),
        "open_by_handle_at": one(libc::SYS_open_by_handle_at, &[none, 0, 0]),
        "init_module": one(libc::SYS_init_module, &[0, 0, 0]),
        "delete_module": one(libc::SYS_delete_module, &[nowhere, 0]),
        "kexec_load": one(libc::SYS_kexec_load, &[0, 0, 0, 0xffff]),
        "reboot": one(libc::SYS_reboot, &[1, 2, 3, 0]),
        "swapon": one(libc::SYS_swapon, &[nowhere, 0]),
        "clock_settime": one(libc::SYS_clock_settime, &[99, zeros]),
        "acct": one(libc::SYS_acct, &[nowhere]),
        "chroot": one(libc::SYS_chroot, &[nowhere]),
        "sethostname": one(libc::SYS_sethostname, &[nowhere, 9999]),
        "personality": one(libc::SYS_personality, &[0xffff_ffff]),
        "personality odd": one(libc::SYS_personality, &[0x2000_0000]),
        "unknown": one(9999, &[]),
        "setuid": one(libc::SYS_setuid, &[0]),
        "setgroups": one(libc::SYS_setgroups, &[0, 0]),
        "setsid": one(libc::SYS_setsid, &[]),
        "nice": isolated(|| {
            let now = 20 - call(libc::SYS_getpriority, &[0, 0])? as i32;
            only(libc::SYS_setpriority, &[0, 0, (now - 1) as usize])
        }),
        "TIOCSTI": isolated(tiocsti),
        "threads": isolated(|| io(std::thread::Builder::new().spawn(ok)).and_then(|thread| thread.join().map_err(|_| Errno::EIO))),
        "exec": isolated(|| {
            let status = io(std::process::Command::new("/bin/true").status())?;
            Ok(if status.success() { ok() } else { status.to_string() })
        }),
    });
    #[cfg(target_arch = "x86_64")]
    let all = with_foreign_calls(all);
    all
}

/// The same machine's other ways into the kernel, which have numbers of their own.
#[cfg(target_arch = "x86_64")]
fn with_foreign_calls(mut all: Value) -> Value {
    /// getpid(2) and mkdir(2) as an i386 program calls them.
    const GETPID: usize = 20;
    const MKDIR: usize = 39;
    all["int80 getpid"] = isolated(|| interrupt(GETPID, 0));
    all["int80 mkdir"] = isolated(|| {
        // Such a program has addresses of 32 bits.
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT) as usize;
        let low =
            call(libc::SYS_mmap, &[0, 4096, (libc::PROT_READ | libc::PROT_WRITE) as usize, flags, usize::MAX, 0])?;
        let path = b"/nonexistent-dir/made\0";
        // SAFETY: a page of our own.
        unsafe { std::ptr::copy_nonoverlapping(path.as_ptr(), low as *mut u8, path.len()) };
        interrupt(MKDIR, low)
    });
    all["x32 getpid"] = isolated(|| only(0x4000_0000 | libc::SYS_getpid, &[]));
    all
}

#[cfg(target_arch = "x86_64")]
fn interrupt(number: usize, argument: usize) -> Outcome {
    let result: isize;
    // SAFETY: a system call as an i386 program makes it; rbx, which the compiler keeps for itself, is put back.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {argument}",
            "int 0x80",
            "xchg rbx, {argument}",
            argument = inout(reg) argument => _,
            inout("rax") number as isize => result,
            in("rcx") 0o755,
            in("rdx") 0,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    let result = result as i32;
    if result < 0 { Err(Errno::from_raw(-result)) } else { Ok(ok()) }
}

/// A pseudo terminal: both ends.
fn pty() -> Result<(fs::File, fs::File), Errno> {
    let main = io(OpenOptions::new().read(true).write(true).open("/dev/ptmx"))?;
    let (unlock, mut number): (c_int, c_int) = (0, -1);
    // SAFETY: both requests read or write one int.
    Errno::result(unsafe { libc::ioctl(main.as_raw_fd(), libc::TIOCSPTLCK, &unlock) })?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::ioctl(main.as_raw_fd(), libc::TIOCGPTN, &mut number) })?;
    let other = io(OpenOptions::new().read(true).write(true).open(format!("/dev/pts/{number}")))?;
    Ok((main, other))
}

/// Types a character into a terminal, as if a person had.
fn tiocsti() -> Outcome {
    call(libc::SYS_setsid, &[])?;
    // The terminal that is opened becomes the session's, and says so when it is closed.
    super::ignore(&[libc::SIGHUP]);
    let (_main, terminal) = pty()?;
    // SAFETY: reads one character.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSTI, b"x".as_ptr()) }).map(|_| ok())
}

/// What can be reached over the network: nothing answers at the addresses outside, routes are all that is asked for.
fn network(targets: &Targets) -> Value {
    let socket = |family: c_int, kind: c_int, protocol: c_int| {
        isolated(move || only(libc::SYS_socket, &[family as usize, kind as usize, protocol as usize]))
    };
    json!({
        "tcp": isolated(|| towards(libc::SOCK_STREAM)),
        "udp": isolated(|| towards(libc::SOCK_DGRAM)),
        "raw": socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
        "packet": socket(libc::AF_PACKET, libc::SOCK_RAW, 0),
        "netlink": socket(libc::AF_NETLINK, libc::SOCK_RAW, 0),
        "loopback": isolated(|| {
            let listener = io(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
            let mut client = io(listener.local_addr().and_then(TcpStream::connect))?;
            let (mut server, _) = io(listener.accept())?;
            io(client.write_all(b"x"))?;
            io(server.read_exact(&mut [0]))?;
            Ok(ok())
        }),
        "abstract": targets.name.as_ref().map(|name| isolated(|| {
            let address = io(SocketAddr::from_abstract_name(name))?;
            io(UnixStream::connect_addr(&address)).map(|_| ok())
        })),
        "socket": targets.socket.as_ref().map(|path| isolated(|| io(UnixStream::connect(path)).map(|_| ok()))),
    })
}

/// Begins a connection to an address that belongs to nobody (RFC 5737).
fn towards(kind: c_int) -> Outcome {
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let socket = call(libc::SYS_socket, &[libc::AF_INET as usize, kind as usize])?;
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: 9u16.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(Ipv4Addr::new(192, 0, 2, 1)).to_be() },
        sin_zero: [0; 8],
    };
    only(libc::SYS_connect, &[socket, &raw const address as usize, size_of_val(&address)])
}

/// What devices can be used, and made.
fn devices(targets: &Targets) -> Value {
    let open =
        |path: &'static str| isolated(move || io(OpenOptions::new().read(true).write(true).open(path)).map(|_| ok()));
    let mut all = json!({
        "pty": isolated(|| pty().map(|_| ok())),
        "null": open("/dev/null"),
        "zero": open("/dev/zero"),
        "random": isolated(|| io(fs::File::open("/dev/urandom")).and_then(|mut file| io(file.read_exact(&mut [0; 8]))).map(|()| ok())),
        "tty": open("/dev/tty"),
        "shm": isolated(|| {
            let path = format!("/dev/shm/probe-{}", std::process::id());
            io(fs::write(&path, "x"))?;
            io(fs::remove_file(&path))?;
            Ok(ok())
        }),
        "create": isolated(|| {
            let path = format!("/dev/probe-{}", std::process::id());
            io(fs::write(&path, "x"))?;
            io(fs::remove_file(&path))?;
            Ok(ok())
        }),
    });
    if let Some(dir) = &targets.scratch {
        all["char"] = isolated(|| node(dir, libc::S_IFCHR, libc::makedev(1, 3)));
        all["block"] = isolated(|| node(dir, libc::S_IFBLK, libc::makedev(7, 0)));
    }
    all["tmp node"] = isolated(|| node("/tmp", libc::S_IFCHR, libc::makedev(1, 3)));
    all
}

/// Makes a device node and opens it: `ok` is a node that can be used, or else what could not be done.
fn node(dir: &str, kind: libc::mode_t, device: libc::dev_t) -> Outcome {
    let path = format!("{dir}/probe-node-{}", std::process::id());
    only(
        libc::SYS_mknodat,
        &[libc::AT_FDCWD as usize, c(&path).as_ptr() as usize, (kind | 0o666) as usize, device as usize],
    )?;
    let opened = fs::File::open(&path);
    io(fs::remove_file(&path))?;
    match io(opened) {
        Ok(_) => Ok(ok()),
        Err(errno) => Ok(format!("made, open: {errno:?}")),
    }
}

/// What another program says of itself with `testapp status`.
fn status_of(program: &str) -> Outcome {
    let output = io(std::process::Command::new(program).arg("status").output())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// How many children there can be at once, counted up to a number.
fn children(most: usize) -> usize {
    let mut all = Vec::new();
    while all.len() < most {
        match super::fork() {
            0 => super::wait_for_ever(),
            -1 => break,
            child => all.push(child),
        }
    }
    for child in &all {
        // SAFETY: ends and awaits a child of our own.
        unsafe { (libc::kill(*child, libc::SIGKILL), libc::waitpid(*child, std::ptr::null_mut(), 0)) };
    }
    all.len()
}
