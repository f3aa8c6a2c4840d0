//! What a person would notice as slow.
//!
//! What is measured exactly by `cargo bench` has bounds here that hold in a debug build on a busy machine: what takes ten
//! times as long is not busy, but broken.

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
    // A busy machine adds to most of them, and never takes from one.
    let best = (0..60).map(|_| once()).min().expect("sixty");
    assert!(best < Duration::from_millis(20), "the best of sixty took {best:?}");
}

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
