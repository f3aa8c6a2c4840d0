//! Apps in every state, for the tests of each form of report.

use super::{Recent, Seen, View};
use crate::control::status::{AppStatus, CheckStatus, Health, LastCheck, LastExit, LimitStatus, SandboxStatus, State};
use crate::launch::limits::NOT_ENFORCED;
use crate::observe::confinement::Confinement;
use crate::observe::processes::{Process, Snapshot, Tree};
use crate::observe::resources::{Resources, Usage};

pub(in crate::cli) const NOW: f64 = 1_769_871_852.0;

/// A pipe: no width, no colour.
pub(in crate::cli) fn view() -> View {
    View { now: NOW, zone: jiff::tz::TimeZone::UTC, width: None, color: false }
}

pub(in crate::cli) fn app(name: &str, state: State) -> AppStatus {
    AppStatus { state, ..AppStatus::unknown(name.parse().unwrap(), format!("/srv/apps/{name}")) }
}

fn exit(code: Option<u8>, reason: &str) -> LastExit {
    let signal = code.is_none().then(|| "SIGTERM".to_owned());
    LastExit { code, signal, core: false, reason: reason.into(), at: NOW - 40.0, after: 3.0 }
}

/// A check that has just failed for the second time of three.
pub(super) fn check() -> CheckStatus {
    let output = "exited 7: connection refused\nis the server listening?\n".into();
    CheckStatus {
        monitored: true,
        interval: 30.0,
        failures: 2,
        failure_threshold: 3,
        successes: 0,
        success_threshold: 1,
        last: Some(LastCheck { success: false, output, took: 0.041, at: Some(NOW - 4.0) }),
        next_in: Some(26.0),
    }
}

fn limits() -> [LimitStatus; 3] {
    let limit = |limit: &str, asked: &str, held_by: &str, group: Option<&str>| LimitStatus {
        limit: limit.into(),
        asked: asked.into(),
        held_by: held_by.into(),
        group: group.map(str::to_owned),
    };
    [
        limit("memory", "64M", "cgroup v1", Some("/sys/fs/cgroup/memory/daemonctl-1-2/app-web")),
        limit("cpu", "20%", "cgroup v2", None),
        limit("processes", "20", "rlimit (stand-in)", None),
    ]
}

/// An app that runs well.
fn web() -> AppStatus {
    AppStatus {
        health: Health::Healthy,
        ready: true,
        pid: Some(2231),
        state_since: Some(NOW - 11_050.75),
        started_at: Some(NOW - 11_050.75),
        uptime: Some(11_050.75),
        restarts: 2,
        attempts_max: Some(3),
        last_exit: Some(LastExit { at: NOW - 11_060.0, ..exit(Some(3), "exited") }),
        version: Some("1.4.2".into()),
        run_dir: Some("/srv/apps/web/dist/1.4.2".into()),
        stdout: Some("/srv/apps/web/logs/web.log".into()),
        stderr: Some("/srv/apps/web/logs/web.err".into()),
        events: Some("/srv/apps/web/logs/web.run".into()),
        supervisor: Some(991),
        mode: Some("background".into()),
        ..app("web", State::Running)
    }
}

fn crash() -> AppStatus {
    AppStatus {
        state_since: Some(NOW - 1.0),
        restarts: 2,
        attempts: 2,
        attempts_max: Some(3),
        retry_in: Some(4.0),
        last_exit: Some(exit(Some(3), "exited")),
        run_dir: Some("/srv/apps/crash".into()),
        supervisor: Some(991),
        ..app("crash", State::Backoff)
    }
}

fn running(name: &str) -> AppStatus {
    let (pid, started_at, uptime) = (Some(77), Some(NOW - 5.0), Some(5.0));
    AppStatus { ready: true, pid, started_at, uptime, ..app(name, State::Running) }
}

fn down(name: &str, state: State, exit: LastExit) -> AppStatus {
    let run_dir = Some(format!("/srv/apps/{name}"));
    AppStatus { last_exit: Some(exit), run_dir, ..app(name, state) }
}

/// One of each kind. The app at 1 waits for its restart, that at 7 runs well.
pub(in crate::cli) fn every() -> Vec<AppStatus> {
    let killed = LastExit { signal: Some("SIGKILL".into()), ..exit(None, "oom-killed") };
    let sick = down("sick", State::Failed, exit(Some(1), "exited"));
    let moved = |version: &str| Some(format!("/srv/apps/moved/dist/{version}"));
    let files = ["/srv/apps/drift/conf.toml", "/srv/apps/drift/env.sh"];
    let failure = "cannot set user www-data: no such user";
    let mistake = "/srv/apps/typo/conf.toml:3:1: process.restrat: no such option";
    let dropping = "output is being dropped: cannot write full.log: no space left on device";
    let unhealthy = Some(exit(Some(0), "unhealthy"));
    let [_, cpu, _] = limits();
    let unheld = LimitStatus { held_by: NOT_ENFORCED.into(), ..cpu };
    vec![
        AppStatus { health: Health::Healthy, check: Some(check()), ..running("api") },
        crash(),
        AppStatus { limits: limits().to_vec(), ..down("hog", State::Exited, killed) },
        down("job", State::Exited, exit(Some(0), "exited")),
        app("never", State::Stopped),
        down("old", State::Stopped, exit(None, "stopped")),
        AppStatus { gave_up: true, attempts: 3, attempts_max: Some(3), ..sick },
        AppStatus { restarts: 0, ..web() },
        AppStatus { state_since: Some(NOW - 5.0), pid: Some(78), ..app("slow", State::Starting) },
        AppStatus { ready: false, health: Health::Starting, check: Some(check()), ..running("waits") },
        AppStatus {
            state: State::Stopping,
            state_since: Some(NOW - 12.0),
            kill_in: Some(18.0),
            ready: false,
            ..running("ends")
        },
        AppStatus { changed: files.map(str::to_owned).to_vec(), ..running("drift") },
        AppStatus { changed: vec![files[0].into()], mistakes: vec![mistake.into()], ..running("torn") },
        AppStatus { run_dir: moved("v1"), run_moved_to: moved("v2"), ..running("moved") },
        AppStatus { note: Some(failure.into()), ..down("wrong", State::Failed, exit(None, "failed")) },
        AppStatus { mistakes: vec![mistake.into()], ..app("typo", State::Stopped) },
        AppStatus { mistakes: vec!["one".into(), "two".into()], ..app("typos", State::Stopped) },
        AppStatus {
            name: "ill".parse().unwrap(),
            check: Some(check()),
            attempts: 1,
            attempts_max: None,
            last_exit: unhealthy,
            ..crash()
        },
        AppStatus { note: Some(dropping.into()), ..running("full") },
        AppStatus { restarts: 1, last_exit: Some(exit(None, "timeout")), ..running("tired") },
        AppStatus { limits: vec![unheld], ..running("loose") },
    ]
}

pub(in crate::cli) fn tree() -> Tree {
    let process = |pid, parent, command: &str| Process {
        pid,
        parent,
        state: 'S',
        memory: 12 << 20,
        cpu: 0.44,
        used: 1.5,
        threads: 2,
        command: command.into(),
    };
    let all = [
        process(2231, 1, "python3 app.py"),
        process(2240, 2231, "worker --queue \u{1b}[2J"),
        process(2241, 2240, "sh -c 'convert a b'"),
        process(2250, 2231, "[defunct]"),
    ];
    all.into_iter().collect::<Snapshot>().tree(2231).unwrap()
}

pub(in crate::cli) fn used() -> Resources {
    let usage = |limit, used, throttled_seconds| Usage { limit, used, throttled_seconds };
    let [memory, cpu, processes] = limits();
    Resources {
        processes: 2,
        memory_bytes: 12 << 20,
        memory_proportional_bytes: Some(9 << 20),
        memory_virtual_bytes: 3 << 30,
        cpu_percent: 12.34,
        cpu_seconds: 75.5,
        threads: 5,
        open_files: Some(20),
        open_files_most: Some(16),
        open_files_limit: Some(1024),
        read_bytes: Some(4096),
        written_bytes: None,
        limits: vec![
            usage(memory, Some(f64::from(13 << 20)), None),
            usage(cpu, Some(12.34), Some(3.25)),
            usage(processes, None, None),
        ],
    }
}

fn bare(status: AppStatus) -> Seen {
    Seen::new(status, &Snapshot::default())
}

/// All of [`every`], one of them with its processes.
pub(super) fn seen() -> Vec<Seen> {
    let tree = |app: &AppStatus| (app.pid == Some(2231)).then(tree);
    every().into_iter().map(|status| Seen { processes: tree(&status), ..bare(status) }).collect()
}

/// An app of which everything is known, and others of which little is.
pub(in crate::cli) fn blocks() -> Vec<Seen> {
    let asked = ["private /tmp", "no network", "user nobody"].map(str::to_owned).to_vec();
    let without = vec!["memory is not limited by a control group: there is none; address space is counted".to_owned()];
    let status = AppStatus {
        description: Some("Shop web".into()),
        limits: limits().to_vec(),
        check: Some(check()),
        sandbox: Some(SandboxStatus { kind: "unshare".into(), asked, without }),
        changed: vec!["/srv/apps/web/dist/1.4.2/conf.toml".into()],
        run_moved_to: Some("/srv/apps/web/dist/1.4.3".into()),
        ..web()
    };
    let holds = Confinement {
        uid: 0,
        gid: 0,
        capabilities: Vec::new(),
        no_new_privs: true,
        filtered: true,
        namespaces: vec!["mnt", "net"],
    };
    let said = |sign, at: u64, text: &str| Recent { sign, time: Some(NOW as u64 * 1_000_000 + at), text: text.into() };
    let slow = "slow query \u{1b}[31m412 ms, and it took a while longer than anybody would have thought";
    let recent = vec![
        said("out", 1_250_000, "GET /health 200"),
        said("err", 2_000_000, slow),
        Recent { sign: "out", time: None, text: "when, nobody knows".into() },
    ];
    let (processes, resources, confinement) = (Some(tree()), Some(used()), Some(holds));
    let all = Seen { processes, resources, confinement, recent, ..bare(status) };
    let mistakes = vec!["conf.toml:1:1: a: no".into(), "conf.toml:2:1: b: no".into()];
    let typos = AppStatus { mistakes, ..app("typos", State::Stopped) };
    vec![all, bare(crash()), bare(app("never", State::Stopped)), bare(typos)]
}
