//! What a supervisor does while nothing happens: nothing.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Home, SOON, always, is_root, kill, wait_until};

#[test]
fn an_idle_supervisor_makes_no_system_call() {
    if !is_root("tracing") {
        return;
    }
    let home = Home::new();
    for number in 0..50 {
        home.app(&format!("app{number:02}")).behaves("sleep");
    }
    home.ctl(["start-all", "--parallel"]).ok();
    let (supervisor, keeper) = home.pair("app00");

    let trace = home.base().join("trace");
    let pids = [supervisor.pid, keeper.pid].map(|pid| pid.to_string());
    let mut strace = Command::new("strace")
        .args(["-f", "-o", &*trace.to_string_lossy(), "-p", &pids[0], "-p", &pids[1]])
        .stdout(Stdio::null())
        .stderr(fs::File::create(home.base().join("strace.err")).unwrap())
        .spawn()
        .expect("strace(1) is installed");
    wait_until("strace is attached to both", SOON, || {
        let said = fs::read_to_string(home.base().join("strace.err")).unwrap_or_default();
        if said.matches("attached").count() >= 2 { Ok(()) } else { Err(said) }
    });
    // To be attached to interrupts a wait; what follows from that is not counted.
    let read = || fs::read_to_string(&trace).unwrap_or_default();
    let (mut before, mut since) = (read(), Instant::now());
    wait_until("that is over", SOON, || {
        let now = read();
        if now != before {
            (before, since) = (now, Instant::now());
        }
        if since.elapsed() > Duration::from_secs(2) { Ok(()) } else { Err(before.clone()) }
    });
    let quiet = || if read() == before { Ok(()) } else { Err(read()[before.len()..].to_owned()) };
    always("without a system call", Duration::from_secs(10), quiet);
    kill(strace.id() as i32, Signal::SIGINT);
    strace.wait().expect("strace to end");

    // Had the trace been blind, it would have been as quiet.
    assert!(fs::metadata(&trace).unwrap().len() > 0, "strace saw nothing at all");
    assert_eq!(home.status("app00").supervisor, Some(supervisor.pid));
}
