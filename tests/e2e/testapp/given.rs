//! What a process was given: everything that can be read about it from the inside without trying anything.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_int};
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use serde_json::{Map, Value, json};

/// What the process holds. `fds` comes first: looking at the rest opens files.
pub(crate) fn given() -> Value {
    let fds: Vec<c_int> = (0..1024).filter(|fd| is_open(*fd)).collect();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let id = |at: usize| after_name.get(at).and_then(|text| text.parse::<i64>().ok());
    let environment: Map<String, Value> = std::env::vars_os()
        .map(|(key, value)| (key.to_string_lossy().into_owned(), value.to_string_lossy().into_owned().into()))
        .collect();
    let mut given = json!({
        "pid": std::process::id(),
        "ppid": id(1), "pgid": id(2), "sid": id(3), "tty": id(4), "nice": id(16),
        "uid": field("Uid"), "gid": field("Gid"), "groups": field("Groups"),
        "umask": field("Umask"),
        "sig_ign": field("SigIgn"), "sig_blk": field("SigBlk"), "sig_cgt": field("SigCgt"),
        "cwd": std::env::current_dir().ok(),
        "oom_score_adj": line("/proc/self/oom_score_adj"),
        "autogroup": line("/proc/self/autogroup"),
        "limits": { "nofile": limit(libc::RLIMIT_NOFILE), "core": limit(libc::RLIMIT_CORE), "stack": limit(libc::RLIMIT_STACK) },
        "fds": fds,
        "stdin": fs::read_link("/proc/self/fd/0").ok(),
        "environment": environment,
    });
    let powers = json!({
        "capabilities": {
            "bounding": field("CapBnd"), "permitted": field("CapPrm"), "effective": field("CapEff"),
            "inheritable": field("CapInh"), "ambient": field("CapAmb"),
        },
        "securebits": control(libc::PR_GET_SECUREBITS),
        "no_new_privs": field("NoNewPrivs"), "seccomp": field("Seccomp"), "seccomp_filters": field("Seccomp_filters"),
        "dumpable": control(libc::PR_GET_DUMPABLE),
        "namespaces": namespaces(),
        "uid_map": line("/proc/self/uid_map"),
        "cgroups": cgroups(),
        "rlimits": limits(),
        "mounts": mounts(),
        "dev": listing("/dev"), "dev_pts": mode("/dev/pts"), "dev_shm": mode("/dev/shm"),
        "tmp": listing("/tmp"), "tmp_mode": mode("/tmp"), "var_tmp": listing("/var/tmp"), "var_tmp_mode": mode("/var/tmp"),
        "interfaces": interfaces(),
    });
    if let (Value::Object(given), Value::Object(powers)) = (&mut given, powers) {
        given.extend(powers);
    }
    given
}

fn line(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_open(fd: c_int) -> bool {
    // SAFETY: F_GETFD reads a flag and changes nothing.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// The answer of a prctl(2) that only asks.
fn control(question: c_int) -> c_int {
    // SAFETY: the questions asked here take no pointers.
    unsafe { libc::prctl(question, 0, 0, 0, 0) }
}

/// Soft and hard limit; `null` is unlimited.
fn limit(resource: libc::__rlimit_resource_t) -> [Option<u64>; 2] {
    let mut value = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes into a valid rlimit.
    unsafe { libc::getrlimit(resource, &mut value) };
    [value.rlim_cur, value.rlim_max].map(|limit| (limit != libc::RLIM_INFINITY).then_some(limit))
}

/// Every resource limit there is.
fn limits() -> BTreeMap<&'static str, [Option<u64>; 2]> {
    let all = [
        ("as", libc::RLIMIT_AS),
        ("core", libc::RLIMIT_CORE),
        ("cpu", libc::RLIMIT_CPU),
        ("data", libc::RLIMIT_DATA),
        ("fsize", libc::RLIMIT_FSIZE),
        ("locks", libc::RLIMIT_LOCKS),
        ("memlock", libc::RLIMIT_MEMLOCK),
        ("msgqueue", libc::RLIMIT_MSGQUEUE),
        ("nice", libc::RLIMIT_NICE),
        ("nofile", libc::RLIMIT_NOFILE),
        ("nproc", libc::RLIMIT_NPROC),
        ("rss", libc::RLIMIT_RSS),
        ("rtprio", libc::RLIMIT_RTPRIO),
        ("rttime", libc::RLIMIT_RTTIME),
        ("sigpending", libc::RLIMIT_SIGPENDING),
        ("stack", libc::RLIMIT_STACK),
    ];
    all.into_iter().map(|(name, resource)| (name, limit(resource))).collect()
}

/// Kind to inode, as the links in /proc/self/ns say it.
fn namespaces() -> BTreeMap<&'static str, String> {
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
    let inode = |kind| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap_or_default();
    kinds.into_iter().map(|kind| (kind, inode(kind).to_string_lossy().into_owned())).collect()
}

/// Hierarchy to path.
fn cgroups() -> BTreeMap<String, String> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let entry = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1).map(str::to_owned);
        Some((parts.next()?, parts.next()?))
    };
    text.lines().filter_map(entry).collect()
}

/// What is mounted where: of several mounts at one place the last, which is the one that is seen.
fn mounts() -> BTreeMap<String, Value> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let entry = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let front: Vec<&str> = front.split(' ').collect();
        let (root, at, options) = (*front.get(3)?, *front.get(4)?, *front.get(5)?);
        let options: Vec<&str> = options.split(',').filter(|option| !option.ends_with("atime")).collect();
        let kind = back.split(' ').next()?;
        Some((at.to_owned(), json!({ "root": root, "options": options.join(","), "type": kind })))
    };
    text.lines().filter_map(entry).collect()
}

/// Name to kind (or target, of a link).
fn listing(dir: &str) -> Value {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries.filter_map(Result::ok),
        Err(error) => return error.to_string().into(),
    };
    let describe = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        // By its inode: the entry itself may be a file that something is mounted on.
        let kind = match fs::symlink_metadata(entry.path()).map(|found| found.file_type()) {
            Ok(kind) if kind.is_dir() => "directory".to_owned(),
            Ok(kind) if kind.is_char_device() => "char".to_owned(),
            Ok(kind) if kind.is_block_device() => "block".to_owned(),
            Ok(kind) if kind.is_symlink() => {
                fs::read_link(entry.path()).map_or_else(|_| "link".to_owned(), |to| format!("-> {}", to.display()))
            }
            _ => "file".to_owned(),
        };
        (name, kind)
    };
    json!(entries.map(describe).collect::<BTreeMap<_, _>>())
}

fn mode(path: &str) -> Option<String> {
    fs::metadata(path).ok().map(|found| format!("{:o}", found.permissions().mode() & 0o7777))
}

/// Network interface to whether it is up.
fn interfaces() -> BTreeMap<String, bool> {
    // SAFETY: an ordinary socket, to put questions to.
    let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    let mut found = BTreeMap::new();
    // SAFETY: the list ends with index 0 and is given back at the end; each name is a C string shorter than IFNAMSIZ.
    unsafe {
        let list = libc::if_nameindex();
        let mut at = list;
        while !at.is_null() && (*at).if_index != 0 {
            let name = CStr::from_ptr((*at).if_name);
            let mut question: libc::ifreq = std::mem::zeroed();
            for (to, from) in question.ifr_name.iter_mut().zip(name.to_bytes()) {
                *to = *from as _;
            }
            let asked = libc::ioctl(socket, libc::SIOCGIFFLAGS, &mut question);
            let up = asked == 0 && c_int::from(question.ifr_ifru.ifru_flags) & libc::IFF_UP != 0;
            found.insert(name.to_string_lossy().into_owned(), up);
            at = at.add(1);
        }
        if !list.is_null() {
            libc::if_freenameindex(list);
        }
        libc::close(socket);
    }
    found
}
