//! What the launcher adds to the start of a process: from the decision to start a program that does nothing to its end,
//! bare and through the launcher, plain and with everything on. The ways take turns, so that whatever else the machine
//! does meets each of them alike; what is printed are medians, and what each adds to the bare start.
//!
//! `cargo bench --bench launch`. As a supervisor does, this program starts itself as the launcher, and waits at the gate.
#![allow(missing_docs)] // a program, not a library.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use daemonctl::launch::{self, LaunchSpec};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

const ROUNDS: usize = 300;

/// Walls, filter and powers: what makes a plan long.
const WALLS: &[&str] = &[
    "--private-tmp",
    "--private-dev",
    "--no-network",
    "--readonly-paths=/etc:/usr",
    "--seccomp",
    "--caps-drop=all",
    "--nice=1",
    "--umask=027",
    "--file-limit=512",
    "--core-limit=0",
    "--clear-env",
];

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments.next().is_some_and(|name| name == "daemonrun") {
        return launch::main(arguments);
    }
    let program = no_op();
    let ways: [(&str, &dyn Fn() -> Duration); 5] = [
        ("bare posix_spawn", &|| timed(&mut Command::new(&program))),
        ("supervised, plain", &|| gated(&[], &program)),
        ("supervised, everything on", &|| gated(WALLS, &program)),
        ("daemonrun, plain", &|| timed(daemonrun(&[]).arg(&program))),
        ("daemonrun, everything on", &|| timed(daemonrun(WALLS).arg(&program))),
    ];
    let mut times = ways.map(|_| Vec::with_capacity(ROUNDS));
    for round in 0..ROUNDS + 10 {
        for ((_, start), times) in ways.iter().zip(&mut times) {
            let took = start();
            // The first rounds fill caches.
            if round >= 10 {
                times.push(took);
            }
        }
    }
    let medians = times.map(|mut times| {
        times.sort_unstable();
        times[ROUNDS / 2].as_secs_f64() * 1e3
    });
    println!("{:<28}{:>10}{:>12}{:>9}", "", "median", "adds", "ratio");
    for ((name, _), median) in ways.iter().zip(medians) {
        println!("{name:<28}{median:>7.2} ms{:>9.2} ms{:>8.1}x", median - medians[0], median / medians[0]);
    }
    ExitCode::SUCCESS
}

/// A program that does nothing, without a loader or a library: in a directory that a private /tmp does not cover.
fn no_op() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-op");
    fs::write(&path, elf()).expect("the program is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be executed");
    path
}

/// An executable whose whole text is `exit(0)`: header, one program header, code.
#[cfg(target_arch = "x86_64")]
fn elf() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const CODE: &[u8] = b"\x31\xff\xb8\x3c\x00\x00\x00\x0f\x05"; // xor edi, edi; mov eax, 60; syscall
    const HEADERS: u64 = 64 + 56;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2u16, 62] {
        file.extend(half.to_le_bytes()); // an executable, for this machine
    }
    file.extend(1u32.to_le_bytes());
    for word in [BASE + HEADERS, 64, 0] {
        file.extend(word.to_le_bytes()); // entry, program headers, no sections
    }
    file.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let length = HEADERS + CODE.len() as u64;
    for word in [1u32, 5] {
        file.extend(word.to_le_bytes()); // to be loaded, to be read and executed
    }
    for word in [0, BASE, BASE, length, length, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(CODE);
    file
}

#[cfg(not(target_arch = "x86_64"))]
fn elf() -> Vec<u8> {
    fs::read("/bin/true").expect("a program that does nothing")
}

fn daemonrun(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daemonrun"));
    command.args(flags).arg("--").env_clear();
    command
}

/// Starts a command and waits for its end.
fn timed(command: &mut Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = command.status().expect("it starts");
    let took = begun.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    took
}

/// The same as a supervisor does it: through a gate.
fn gated(flags: &[&str], program: &Path) -> Duration {
    let output = || -> io::Result<OwnedFd> { Ok(fs::OpenOptions::new().write(true).open("/dev/null")?.into()) };
    let spec = LaunchSpec {
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        command: vec![program.to_string_lossy().into_owned()],
        environment: BTreeMap::new(),
        join: None,
    };
    let (stdout, stderr) = (output().expect("an output"), output().expect("an output"));
    let begun = Instant::now();
    let gate = launch::spawn(&spec, stdout, stderr).expect("a launcher");
    let pid = Pid::from_raw(gate.pid());
    let mut words = gate.open().expect("a gate");
    let mut said = String::new();
    // Until the exec closes the other end.
    loop {
        let _ = poll(&mut [PollFd::new(words.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
        match words.read_to_string(&mut said) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => break,
        }
    }
    let ended = waitpid(pid, None);
    let took = begun.elapsed();
    assert_eq!(ended, Ok(WaitStatus::Exited(pid, 0)), "{said}");
    took
}
