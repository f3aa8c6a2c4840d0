//! System calls that are refused, seen from inside; and ordinary programs that notice nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde_json::{Value, json};

use crate::support::{Home, Output, binary, is_root};

/// Who launches, and as whom it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    /// Whoever runs the tests.
    Caller,
    /// root, and the app as another user.
    RootForNobody,
    /// A user without privileges.
    Nobody,
}

impl Who {
    /// All that can be tried here.
    fn all() -> Vec<Self> {
        let mut all = vec![Self::Caller];
        if is_root("launching for and as an ordinary user") {
            all.extend([Self::RootForNobody, Self::Nobody]);
        }
        all
    }

    /// `daemonrun` with these flags, becoming this command.
    #[track_caller]
    fn launches(self, home: &Home, flags: &[&str], command: &[&str]) -> Output {
        let daemonrun = binary("daemonrun");
        let words = |more: &[&str]| -> Vec<String> {
            [more, flags, &["--"], command].concat().into_iter().map(str::to_owned).collect()
        };
        home.finish(match self {
            Self::Caller => home.program(&daemonrun, words(&[])),
            Self::RootForNobody => home.program(&daemonrun, words(&["--user=nobody"])),
            Self::Nobody => {
                let path = daemonrun.to_str().expect("a path");
                let user = ["--reuid=65534", "--regid=65534", "--clear-groups", "--", path];
                home.program(Path::new("/usr/bin/setpriv"), words(&user))
            }
        })
    }
}

/// Makes the calls that are named, and says with which error each ended, or 0. Python is the shortest way to make a call
/// that no library makes, and its C library is as much under the filter as any.
const PROBE: &str = r#"
import ctypes, json, mmap, os, sys, threading

libc = ctypes.CDLL(None, use_errno=True)

def call(number, *args):
    ctypes.set_errno(0)
    long = [ctypes.c_long(value) for value in args]
    result = libc.syscall(ctypes.c_long(number), *long)
    return ctypes.get_errno() if result == -1 else 0

def by_old_gate(path):
    """mkdir by `int 0x80`, which has other numbers and another table."""
    room = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40,
                     prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    start = ctypes.addressof(ctypes.c_char.from_buffer(room))
    assert start < 1 << 32
    # push rbx; mov eax, 39; mov ebx, PATH; mov ecx, 0o755; int 0x80; pop rbx; ret
    code = (b"\x53\xb8" + (39).to_bytes(4, "little") + b"\xbb" + (start + 256).to_bytes(4, "little")
            + b"\xb9" + (0o755).to_bytes(4, "little") + b"\xcd\x80\x5b\xc3")
    room[:len(code)] = code
    room[256:257 + len(path)] = path.encode() + b"\0"
    return -ctypes.CFUNCTYPE(ctypes.c_int)(start)()

threads = []
worker = threading.Thread(target=lambda: threads.append(os.getpid()))
worker.start()
worker.join()

said = {name: call(*number) for name, number in json.loads(sys.argv[1]).items()}
said["int 0x80"] = by_old_gate(sys.argv[2])
said["threads"] = len(threads)
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
said["Seccomp"] = int(status["Seccomp"])
said["NoNewPrivs"] = int(status["NoNewPrivs"])
print(json.dumps(said))
"#;

/// The probe, where any user can read it, and a directory that any user can write to.
fn probe(home: &Home) -> (PathBuf, PathBuf) {
    let (script, open) = (home.base().join("probe.py"), home.base().join("open"));
    fs::write(&script, PROBE).expect("a file");
    fs::create_dir_all(&open).expect("a directory");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("its mode");
    (script, open)
}

#[track_caller]
fn said(output: Output) -> BTreeMap<String, i64> {
    let output = output.ok();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}:\n{output}"))
}

const EPERM: i64 = Errno::EPERM as i64;
const ENOSYS: i64 = Errno::ENOSYS as i64;

#[test]
#[cfg(target_arch = "x86_64")]
fn the_built_in_list_refuses_what_no_service_needs() {
    let home = Home::new();
    let (script, open) = probe(&home);
    let newuser = 0x1000_0000;
    let calls: [(&str, Vec<i64>, i64); 22] = [
        ("mount", vec![165, 0, 0, 0, 0, 0], EPERM),
        ("umount2", vec![166, 0, 0], EPERM),
        ("move_mount", vec![429, 0, 0, 0, 0, 0], EPERM),
        ("pivot_root", vec![155, 0, 0], EPERM),
        ("unshare", vec![272, newuser], EPERM),
        ("setns", vec![308, 0, 0], EPERM),
        ("clone", vec![56, newuser | 17, 0, 0, 0, 0], EPERM),
        ("clone3", vec![435, 0, 0], ENOSYS),
        ("ptrace", vec![101, 0, 0, 0, 0], EPERM),
        ("process_vm_readv", vec![310, 1, 0, 0, 0, 0, 0], EPERM),
        ("io_uring_setup", vec![425, 1, 0], EPERM),
        ("keyctl", vec![250, 0, -3, 0], EPERM),
        ("add_key", vec![248, 0, 0, 0, 0, 0], EPERM),
        ("bpf", vec![321, 0, 0, 0], EPERM),
        ("perf_event_open", vec![298, 0, 0, 0, 0, 0], EPERM),
        ("userfaultfd", vec![323, 0], EPERM),
        ("init_module", vec![175, 0, 0, 0], EPERM),
        ("kexec_load", vec![246, 0, 0, 0, 0], EPERM),
        ("open_by_handle_at", vec![304, 0, 0, 0], EPERM),
        ("TIOCSTI", vec![16, 0, 0x5412, 0], EPERM),
        ("personality", vec![135, 0x4_0000], EPERM),
        ("unknown", vec![9999], ENOSYS),
    ];
    let asked: BTreeMap<&str, &[i64]> = calls.iter().map(|(name, call, _)| (*name, call.as_slice())).collect();
    let asked = serde_json::to_string(&asked).expect("JSON");
    for who in Who::all() {
        let made = open.join(format!("{who:?}"));
        let command = ["/usr/bin/python3", script.to_str().unwrap(), &asked, made.to_str().unwrap()];
        // Without the filter, only what does no harm.
        let harmless = [command[0], command[1], r#"{"io_uring_setup": [425, 1, 0]}"#, command[3]];
        let bare = said(who.launches(&home, &[], &harmless));
        assert_eq!((bare["Seccomp"], bare["NoNewPrivs"]), (0, 0), "{who:?}");
        assert_eq!(
            (bare["io_uring_setup"], bare["threads"]),
            (Errno::EFAULT as i64, 1),
            "without it the call is there"
        );
        let there = fs::remove_dir(&made);

        let seen = said(who.launches(&home, &["--seccomp"], &command));
        assert_eq!((seen["Seccomp"], seen["NoNewPrivs"], seen["threads"]), (2, 1, 1), "{who:?}");
        for (name, _, errno) in &calls {
            assert_eq!(seen[*name], *errno, "{name} of {who:?}");
        }
        assert_eq!(seen["int 0x80"], ENOSYS, "{who:?}");
        assert!(!made.exists(), "the old gate is open to {who:?}");
        // Whether there is such a gate at all is the kernel's affair.
        assert_eq!(there.is_ok(), bare["int 0x80"] == 0, "{who:?}");
    }
}

#[test]
fn ordinary_programs_notice_nothing() {
    let home = Home::new();
    let python = "import threading, subprocess, socket, ssl, json, asyncio, multiprocessing, tempfile, time\n\
                  def work(): pass\n\
                  t = [threading.Thread(target=work) for _ in range(8)]\n\
                  [one.start() for one in t]; [one.join() for one in t]\n\
                  p = multiprocessing.Process(target=work); p.start(); p.join(); assert p.exitcode == 0\n\
                  asyncio.run(asyncio.sleep(0))\n\
                  a, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'\n\
                  s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n\
                  tempfile.TemporaryFile().write(b'x')\n\
                  print(subprocess.run(['/bin/echo', 'hello'], capture_output=True).stdout.decode(), end='')";
    let node = "const {Worker} = require('worker_threads'); const {execSync} = require('child_process');\n\
                require('fs').readdirSync('/');\n\
                const server = require('net').createServer().listen(0, '127.0.0.1', () => server.close());\n\
                new Worker('require(\"worker_threads\").parentPort.postMessage(1)', {eval: true}).on('message', () =>\n\
                process.stdout.write(execSync('echo hello')));";
    for who in Who::all() {
        for flags in [&["--seccomp"][..], &["--seccomp", "--caps-drop=all"]] {
            let output = who.launches(&home, flags, &["/usr/bin/python3", "-c", python]).ok();
            assert_eq!(output.stdout, "hello\n", "{who:?}: {output}");
            let output = who.launches(&home, flags, &["/usr/bin/node", "-e", node]).ok();
            assert_eq!(output.stdout, "hello\n", "{who:?}: {output}");
        }
    }
}

#[test]
fn redis_serves_behind_a_filter() {
    let home = Home::new();
    let socket = home.base().join("redis.sock");
    let app = home.app("redis").conf("sandbox.seccomp = true\nsecurity.capabilities_drop = ['all']");
    app.run_script(&format!(
        "exec redis-server --port 0 --unixsocket {} --save '' --dir \"$APPDEPLOY_APP_PATH\"",
        socket.display()
    ))
    .script("check", &format!("redis-cli -s {} ping | grep -q PONG", socket.display()));
    home.ctl(["start", "--wait", "redis"]).ok();
    let says = |words: &[&str]| {
        let args = ["-s", socket.to_str().expect("a path")].into_iter().chain(words.iter().copied());
        home.finish(home.program("redis-cli".as_ref(), args)).stdout.trim().to_owned()
    };
    assert_eq!(says(&["set", "colour", "red"]), "OK");
    assert_eq!(says(&["get", "colour"]), "red");
    assert_eq!(says(&["bgsave"]), "Background saving started", "it can fork");
    let status = fs::read_to_string(format!("/proc/{}/status", app.status().main_pid())).expect("its status");
    assert!(status.contains("Seccomp:\t2"), "{status}");
    home.ctl(["stop", "redis"]).ok();
    assert_eq!(app.status().last_exit.expect("an exit").code, Some(0));
}

/// A profile beside the apps, readable for everybody.
fn profile(home: &Home, name: &str, json: &Value) -> String {
    let file = home.base().join(name);
    fs::write(&file, json.to_string()).expect("a file");
    format!("--seccomp-profile={}", file.display())
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_profile_decides_by_action_number_and_argument() {
    let home = Home::new();
    let (script, open) = probe(&home);
    let masked = json!([{"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 0x4_0000, "valueTwo": 0x4_0000}]);
    let far = json!([{"index": 2, "op": "SCMP_CMP_GT", "value": 0x1_0000_0000u64}]);
    let flag = profile(
        &home,
        "some.json",
        &json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "syscalls": [
                {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 100},
                {"names": ["umount2"], "action": "SCMP_ACT_ERRNO"},
                {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 101, "args": masked},
                {"names": ["lseek"], "action": "SCMP_ACT_ERRNO", "errnoRet": 102, "args": far},
                {"names": ["getppid"], "action": "SCMP_ACT_LOG"},
                {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 103},
            ]
        }),
    );
    let asked = json!({
        "mount": [165, 0, 0, 0, 0, 0],
        "umount2": [166, 0, 0],
        "personality with": [135, 0x4_0008],
        "personality without": [135, 0],
        // 64 bits are compared: a smaller upper half, an equal one with a greater lower one, and a closed descriptor.
        "lseek below": [8, 99, 0, 0xffff_ffffu32],
        "lseek above": [8, 99, 0, 0x1_0000_0001u64],
        "getppid": [110],
    });
    for who in Who::all() {
        let made = open.join(format!("{who:?}"));
        let asked = asked.to_string();
        let command = ["/usr/bin/python3", script.to_str().unwrap(), &asked, made.to_str().unwrap()];
        let seen = said(who.launches(&home, &[&flag], &command));
        let expected = [
            ("mount", 100),
            ("umount2", EPERM),
            ("personality with", 101),
            ("personality without", 0),
            ("lseek below", Errno::EBADF as i64),
            ("lseek above", 102),
            ("getppid", 0),
        ];
        for (name, errno) in expected {
            assert_eq!(seen[name], errno, "{name} of {who:?}");
        }
        assert!([103, ENOSYS].contains(&seen["int 0x80"]), "the elder architecture is covered as well: {seen:?}");
        assert_eq!(seen["Seccomp"], 2);
    }
}

#[test]
fn a_process_that_is_killed_by_its_filter_is_told_so() {
    let home = Home::new();
    let json = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["sync"], "action": "SCMP_ACT_KILL_PROCESS"}]
    });
    let app = home.app("web").run_script("echo before; exec /usr/bin/python3 -c 'import os; os.sync()'");
    // The file is the app's own: a relative name is meant from its directory.
    app.file("strict.json", json.to_string()).conf("sandbox.seccomp_profile = 'strict.json'\nlimits.core_limit = 0");
    home.ctl(["start", "web"]).ok();
    let status = app.wait_for("killed", |status| status.last_exit.is_some());
    assert_eq!(status.last_exit.unwrap().signal.as_deref(), Some("SIGSYS"));
    app.wait_for_output("before\n");
}

#[test]
fn a_profile_that_cannot_be_honoured_starts_nothing() {
    let home = Home::new();
    let app = home.app("web").behaves("sleep").conf("sandbox.seccomp_profile = 'profile.json'");
    let start = |home: &Home| {
        let output = home.ctl(["start", "web"]);
        assert_ne!(output.code(), 0, "{output}");
        output
    };
    start(&home).explains("cannot read the seccomp profile").explains("web/profile.json: no such file or directory");
    for (text, words) in [
        (String::new(), "profile.json: it is empty"),
        ("{\n \"defaultAction\": }".to_owned(), "profile.json: 2:19: expected value"),
        (json!({"defaultAction": "SCMP_ACT_ERRNO"}).to_string(), "it never lets execve pass"),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "mount", "action": "SCMP_ACT_NOTIFY"}]})
                .to_string(),
            "syscalls[0] (mount): SCMP_ACT_NOTIFY needs another process",
        ),
        (" ".repeat((1 << 20) + 1), "it is larger than 1 MiB"),
    ] {
        app.file("profile.json", text);
        start(&home).explains(words);
    }
    fs::remove_file(app.path("profile.json")).expect("a file");
    nix::unistd::mkfifo(&app.path("profile.json"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    start(&home).explains("it is not a regular file");
    assert!(app.processes().is_empty());

    // A name that no kernel has is no reason not to start, and is told.
    fs::remove_file(app.path("profile.json")).expect("a pipe");
    let odd = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "moutn", "action": "SCMP_ACT_KILL"}]});
    app.file("profile.json", odd.to_string());
    home.ctl(["start", "web"]).ok().says("moutn is no system call that is known");
}

#[test]
fn a_failure_behind_the_filter_is_still_told() {
    let home = Home::new();
    let names = ["sendto", "sendmsg", "socket"];
    let json = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": names, "action": "SCMP_ACT_ERRNO"}]});
    let app = home.app("web").file("mute.json", json.to_string());
    app.conf("process.command = '/nowhere/program'\nsandbox.seccomp_profile = 'mute.json'");
    home.ctl(["start", "web"]).exits(1).explains("cannot run /nowhere/program: /nowhere does not exist");
}
