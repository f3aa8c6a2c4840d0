//! How a program ended is told right: to `status`, to the hook, and by `run`'s own exit code.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Home, LastExit, SOON, wait_until};

/// A way to end: an exit code, or the signal with this number and name.
#[derive(Clone, Copy, Debug)]
enum End {
    Exit(u8),
    Signal(u8, &'static str),
}

/// Those of signals 1 to 31 that end a process which does not handle them. The others stop it or do nothing.
const FATAL: [(u8, &str); 23] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (10, "SIGUSR1"),
    (11, "SIGSEGV"),
    (12, "SIGUSR2"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
    (16, "SIGSTKFLT"),
    (24, "SIGXCPU"),
    (25, "SIGXFSZ"),
    (26, "SIGVTALRM"),
    (27, "SIGPROF"),
    (29, "SIGIO"),
    (30, "SIGPWR"),
    (31, "SIGSYS"),
];

const HARMLESS: [u8; 8] = [17, 18, 19, 20, 21, 22, 23, 28];

impl End {
    fn all() -> Vec<Self> {
        let signals = FATAL.into_iter().map(|(number, name)| Self::Signal(number, name));
        (0..=255).map(Self::Exit).chain(signals).collect()
    }

    fn app(self) -> String {
        match self {
            Self::Exit(code) => format!("exit-{code}"),
            Self::Signal(number, _) => format!("signal-{number}"),
        }
    }

    fn behaviour(self) -> String {
        self.app().replace('-', " ")
    }

    fn shell_code(self) -> i32 {
        match self {
            Self::Exit(code) => code.into(),
            Self::Signal(number, _) => 128 + i32::from(number),
        }
    }

    fn is_told_by(self, exit: &LastExit) -> bool {
        let (code, signal) = match self {
            Self::Exit(code) => (Some(i32::from(code)), None),
            Self::Signal(_, name) => (None, Some(name)),
        };
        (exit.code, exit.signal.as_deref(), exit.reason.as_str()) == (code, signal, "exited")
    }

    fn told_to_hook(self) -> String {
        match self {
            Self::Exit(code) => format!("stop exited code={code} signal=\n"),
            Self::Signal(_, name) => format!("stop exited code= signal={name}\n"),
        }
    }
}

const HOOK: &str = r#"echo "$DAEMONCTL_EVENT $DAEMONCTL_REASON code=$DAEMONCTL_EXIT_CODE signal=$DAEMONCTL_EXIT_SIGNAL" > "$APPDEPLOY_APP_PATH/told.part"
mv "$APPDEPLOY_APP_PATH/told.part" "$APPDEPLOY_APP_PATH/told""#;

#[test]
fn every_exit_code_and_signal_in_status_and_hook() {
    let home = Home::new();
    for end in End::all() {
        let name = end.app();
        home.app(&name).behaves(&end.behaviour()).script("on-stop", HOOK).conf("limits.core_limit = 0");
    }
    home.ctl(["start-all", "--parallel"]).ok();
    let all = wait_until("all apps have ended", SOON * 4, || {
        let all = home.statuses();
        let left: Vec<_> = all.iter().filter(|status| status.state != "exited").map(|one| &one.name).collect();
        if left.is_empty() { Ok(all.clone()) } else { Err(format!("{left:?} of {}", all.len())) }
    });
    assert_eq!(all.len(), End::all().len());
    let mut wrong = Vec::new();
    for end in End::all() {
        let status = all.iter().find(|status| status.name == end.app()).expect("each app");
        if !status.last_exit.as_ref().is_some_and(|exit| end.is_told_by(exit)) {
            wrong.push(format!("{end:?}: {:?}", status.last_exit));
        }
    }
    assert!(wrong.is_empty(), "{} are told wrong in status:\n{}", wrong.len(), wrong.join("\n"));
    wait_until("every hook was told right", SOON * 2, || {
        let told = |end: End| (home.app(&end.app()).read("told"), end.told_to_hook());
        let wrong: Vec<_> = End::all().into_iter().map(told).filter(|(seen, right)| seen != right).collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:?}")) }
    });
}

#[test]
fn every_exit_code_and_signal_is_the_exit_code_of_run() {
    let home = Home::new();
    let ends = End::all();
    for end in &ends {
        home.app(&end.app()).behaves(&end.behaviour()).conf("limits.core_limit = 0");
    }
    // Two at a time: no more can run at once on the smallest machine that runs this.
    let next = AtomicUsize::new(0);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let work = || {
            let mut wrong = Vec::new();
            while let Some(end) = ends.get(next.fetch_add(1, Ordering::Relaxed)) {
                let output = home.ctl(["run", &end.app()]);
                if output.code() != end.shell_code() {
                    wrong.push(format!("{end:?}:\n{output}"));
                }
            }
            wrong
        };
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), ends.len(), wrong.join("\n"));
}

#[test]
fn signals_that_end_nothing_are_no_end() {
    let home = Home::new();
    let names: Vec<String> = HARMLESS.iter().map(|number| format!("signal-{number}")).collect();
    for name in &names {
        home.app(name).behaves(&name.replace('-', " "));
    }
    let known: BTreeSet<u8> = HARMLESS.into_iter().chain(FATAL.map(|(number, _)| number)).collect();
    assert!(known.into_iter().eq(1..=31), "every signal is one or the other");
    home.ctl(["start-all", "--parallel"]).ok();
    wait_until("SIGSTOP has stopped its process", SOON, || {
        let seen = crate::support::process(home.status("signal-19").main_pid());
        if seen.as_ref().is_some_and(|process| process.state == 'T') { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    for status in home.statuses() {
        assert_eq!((status.state.as_str(), &status.last_exit), ("running", &None), "{status:#?}");
    }
    home.ctl(["stop-all", "--parallel", "--timeout", "5"]).ok();
    for status in home.statuses() {
        assert_eq!((status.state.as_str(), status.pid), ("stopped", None), "{status:#?}");
    }
}

#[test]
fn the_last_exit_is_known_after_the_supervisor_has_gone() {
    let home = Home::new();
    let app = home.app("web").behaves("exit 42");
    home.ctl(["start", "web"]).ok();
    home.wait_until_unsupervised();
    let status = app.status();
    assert_eq!((status.state.as_str(), status.supervisor), ("exited", None));
    let exit = status.last_exit.expect("a last exit");
    assert!(exit.code == Some(42) && exit.after < 10.0, "{exit:?}");
    home.ctl(["status", "web"]).exits(3).says("42");
}

#[test]
fn an_app_that_ends_at_once_is_never_missed() {
    let home = Home::new();
    let app = home.app("web").program("run", "#!/bin/false\n");
    for _ in 0..100 {
        home.ctl(["start", "web"]).ok();
        let status = app.wait_for_state("exited");
        assert_eq!(status.last_exit.unwrap().code, Some(1));
    }
}
