//! What a person would notice as slow.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::Home;

#[test]
fn status_of_one_app_takes_no_time() {
    let home = Home::alone();
    for number in 0..10 {
        home.app(&format!("app{number}")).behaves("sleep");
    }
    home.ctl(["start-all", "--parallel"]).ok();
    let once = || {
        let mut command = home.command(["status", "app3"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        assert!(command.status().expect("daemonctl").success());
        begun.elapsed()
    };
    let median = || {
        let mut times: Vec<Duration> = (0..20).map(|_| once()).collect();
        times.sort_unstable();
        times[10]
    };
    // The machine may be busy with something else for a moment; three series of twenty are not.
    let medians = [median(), median(), median()];
    let best = medians.iter().min().expect("three");
    assert!(*best < Duration::from_millis(5), "the medians of three series were {medians:?}");
}

/// What is measured exactly by `cargo bench --bench launch`, here with bounds that hold in a debug build on a busy
/// machine: what takes ten times as long is not busy, but broken.
#[test]
fn the_launcher_is_not_in_the_way() {
    let home = Home::alone();
    let launcher = crate::support::binary("daemonrun");
    let once = |flags: &[&str]| {
        let mut command = match flags {
            [] => home.program("/bin/true".as_ref(), [""; 0]),
            flags => home.program(&launcher, flags.iter().chain(&["--", "/bin/true"])),
        };
        let begun = Instant::now();
        assert!(command.status().expect("a command").success());
        begun.elapsed()
    };
    let best = |flags: &[&str]| (0..20).map(|_| once(flags)).min().expect("twenty");
    let bare = best(&[]);
    let plain = best(&["--umask=022"]).saturating_sub(bare);
    let all =
        ["--umask=022", "--private-tmp", "--private-dev", "--no-network", "--readonly-paths=/etc:/usr", "--seccomp"];
    let walled = best(&[&all[..], &["--caps-drop=all"]].concat()).saturating_sub(bare);
    assert!(plain < Duration::from_millis(20), "{plain:?} more than {bare:?}");
    assert!(walled < Duration::from_millis(50), "{walled:?} more than {bare:?}");
}
