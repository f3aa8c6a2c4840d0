//! Many apps at once.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{Home, SOON, kill, wait_until};

const SIZE: usize = 50;

#[test]
fn fifty_apps_are_killed_at_once_and_all_come_back() {
    let home = Home::new();
    let names: Vec<String> = (0..SIZE).map(|number| format!("app{number:02}")).collect();
    for name in &names {
        let app = home.app(name).run_script("echo $$ >> starts; exec sleep 1000");
        app.conf("process.restart = 'always'\nprocess.restart_delay = '50ms'");
    }
    let started = home.ctl(["start-all", "--parallel"]).ok();
    assert!(started.took < Duration::from_secs(20), "{started}");
    let all = home.statuses();
    assert_eq!(all.len(), SIZE);
    let before: BTreeMap<_, _> = all.iter().map(|status| (status.name.clone(), status.main_pid())).collect();

    for pid in before.values() {
        kill(*pid, Signal::SIGKILL);
    }
    wait_until("all fifty are back", SOON * 2, || {
        let asked = home.ctl(["status", "--json", "--all"]);
        assert!(asked.took < Duration::from_secs(2), "status took {:?} meanwhile", asked.took);
        let all = home.statuses();
        let back = |status: &&crate::support::Status| status.pid.is_some_and(|pid| pid != before[&status.name]);
        let count = all.iter().filter(back).count();
        if count == SIZE { Ok(()) } else { Err(format!("{count} of {SIZE}")) }
    });

    for status in home.statuses() {
        let app = home.app(&status.name);
        let starts = app.read("starts");
        assert_eq!(starts.lines().count(), 2, "{} was started at {starts:?}", status.name);
        assert_eq!(app.processes().len(), 1, "{}", status.name);
        assert_eq!(status.restarts, 1, "{}", status.name);
        assert_eq!(status.last_exit.and_then(|exit| exit.signal).as_deref(), Some("SIGKILL"));
    }
    assert_eq!(home.supervisors().len(), 1);
    let stopped = home.ctl(["stop-all", "--parallel"]).ok();
    assert!(stopped.took < Duration::from_secs(10), "{stopped}");
    for name in &names {
        home.app(name).wait_until_gone();
    }
}
