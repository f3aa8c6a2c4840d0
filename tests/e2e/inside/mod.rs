//! What options do, seen from inside the process that was given them.
//!
//! [`table`] asks for each option alone and compares *everything* the probe reports with a start without options: what
//! the option promises must have changed, and nothing else may have. [`together`] asks for all of them, and lets real
//! programs run there. [`withheld`] takes the mechanisms away: what cannot be enforced does not run.
//!
//! The expectations are written by hand, from the manual and from what the kernel documents: nothing of the product is
//! called to find out what should be.

mod table;
mod together;
mod withheld;

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Home, Output, SOON, binary, copy_program, process, testapp, wait_until};

/// Who starts the launcher.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Caller {
    Root,
    /// An account that owns nothing.
    Nobody,
}

/// The user and group id of nobody, on every Debian.
const NOBODY: u32 = 65534;

/// A place for probes, outside of /tmp, which is what some options change.
struct Yard {
    home: Home,
    dir: tempfile::TempDir,
    /// A process outside, of the user that probes.
    outsider: std::cell::RefCell<std::process::Child>,
    caller: Caller,
    /// Sockets outside: one that has no file, and one where a supervisor would have its own.
    _listeners: [UnixListener; 2],
}

impl Yard {
    /// A place that this caller can use.
    fn new(caller: Caller) -> Self {
        let home = Home::new();
        let dir = tempfile::Builder::new().prefix("daemonctl-inside-").tempdir_in("/var/lib").expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        for (program, name, mode) in
            [(binary("daemonrun"), "daemonrun", 0o755), (testapp(), "testapp", 0o755), (testapp(), "setuid", 0o4755)]
        {
            copy_program(&program, &dir.path().join(name), mode);
        }
        for part in ["ro", "scratch"] {
            fs::create_dir(dir.path().join(part)).expect("a directory");
            own(&dir.path().join(part), caller);
        }
        let mut sleeper = as_caller(&home, caller, &dir.path().join("testapp"), &["sleep".to_owned()]);
        let outsider = sleeper.spawn().expect("a process outside");
        // Before it is what it is to be, it is another program, of another user.
        wait_until("it sleeps", SOON, || match process(outsider.id() as i32) {
            Some(process) if process.comm == "testapp" && process.state == 'S' => Ok(()),
            other => Err(format!("{other:?}")),
        });
        let outsider = outsider.into();
        let runtime = home.runtime_dir();
        fs::create_dir(&runtime).expect("a runtime directory");
        own(&runtime, caller);
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).expect("its mode");
        let socket = UnixListener::bind(runtime.join("socket")).expect("a socket");
        own(&runtime.join("socket"), caller);
        let name = SocketAddr::from_abstract_name(dir.path().as_os_str().as_encoded_bytes()).expect("a name");
        let listeners = [socket, UnixListener::bind_addr(&name).expect("a socket")];
        let yard = Self { home, dir, outsider, caller, _listeners: listeners };
        yard.refill();
        yard
    }

    /// A file in it.
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    /// What a probe may have removed.
    fn refill(&self) {
        for file in ["ro/file", "ro/victim"] {
            fs::write(self.path(file), "content").expect("a file");
            own(&self.path(file), self.caller);
        }
    }

    /// Runs a command under the launcher with these flags.
    fn run(&self, flags: &[String], command: &[String]) -> Output {
        self.run_under(&[], flags, command)
    }

    /// The same, the launcher being started by other words.
    fn run_under(&self, before: &[String], flags: &[String], command: &[String]) -> Output {
        let mut words = before.to_vec();
        words.push(self.text("daemonrun"));
        words.extend(flags.iter().cloned());
        words.push("--".to_owned());
        words.extend(command.iter().cloned());
        let mut whole = as_caller(&self.home, self.caller, Path::new(&words[0]), &words[1..]);
        whole.current_dir(self.dir.path());
        self.home.finish(whole)
    }

    /// What the probe reports under these flags.
    #[track_caller]
    fn probe(&self, flags: &[String]) -> Value {
        self.refill();
        let host = fs::read_link("/proc/self/ns/mnt").expect("a namespace").to_string_lossy().into_owned();
        let outsider = self.outsider.borrow().id().to_string();
        let (program, ro, scratch, setuid) =
            (self.text("testapp"), self.text("ro"), self.text("scratch"), self.text("setuid"));
        let name = self.dir.path().to_string_lossy().into_owned();
        let socket = self.home.runtime_dir().join("socket").to_string_lossy().into_owned();
        let command = [
            &program,
            "probe",
            "-",
            "--pid",
            &outsider,
            "--ro",
            &ro,
            "--scratch",
            &scratch,
            "--setuid",
            &setuid,
            "--abstract",
            &name,
            "--socket",
            &socket,
            "--host",
            &host,
            "--children",
            "60",
        ];
        let output = self.run(flags, &command.map(str::to_owned)).ok();
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{output}"))
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let outsider = self.outsider.get_mut();
        let _ = outsider.kill();
        let _ = outsider.wait();
        // Whoever starts a launcher next removes what this one left; here nobody does.
        for (_, groups) in crate::support::groups::own() {
            for entry in fs::read_dir(groups).into_iter().flatten().filter_map(Result::ok) {
                let name = entry.file_name().to_string_lossy().into_owned();
                let left = name.strip_prefix("daemonrun-").is_some_and(|pid| !Path::new("/proc").join(pid).exists());
                if left {
                    let _ = fs::remove_dir(entry.path());
                }
            }
        }
    }
}

fn own(path: &Path, caller: Caller) {
    if caller == Caller::Nobody {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("its owner");
    }
}

/// A program as this caller would run it.
fn as_caller(home: &Home, caller: Caller, program: &Path, args: &[String]) -> Command {
    match caller {
        Caller::Root => home.program(program, args),
        Caller::Nobody => {
            let mut words: Vec<String> = ["--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned).into();
            words.push(program.to_string_lossy().into_owned());
            words.extend(args.iter().cloned());
            home.program(Path::new("/usr/bin/setpriv"), words)
        }
    }
}

/// Words of a command line.
fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
