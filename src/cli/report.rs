//! Status in words and in JSON: pure, so that every form can be held by a test.

use std::path::Path;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::grid::{Cell, grid, paint};
use super::screen::{health_style, state, state_style};
use super::text;
use crate::control::status::{AppStatus, Health, LastExit, LimitStatus};
use crate::observe::processes::{Process, Snapshot, Tree};
use crate::observe::resources::{Resources, Usage};

/// The version of the JSON form. A change that could break a reader gets a new one.
const SCHEMA_VERSION: u32 = 1;

/// An app with what /proc tells of it, where that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) status: AppStatus,
    pub(super) processes: Option<Tree>,
    pub(super) resources: Option<Resources>,
}

impl Seen {
    /// Finds the processes of an app in a snapshot.
    pub(super) fn new(status: AppStatus, snapshot: &Snapshot) -> Self {
        let processes = status.pid.and_then(|pid| snapshot.tree(pid));
        Self { status, processes, resources: None }
    }

    /// Looks at what those processes use.
    pub(super) fn measure(&mut self) {
        self.resources = self.processes.as_ref().map(|tree| Resources::of(tree, &self.status.limits));
    }
}

/// One line an app: name, state, and what an operator would ask next.
pub(super) fn lines(apps: &[AppStatus], now: f64, color: bool) -> String {
    let row = |app: &AppStatus| {
        let state = Cell::styled(app.state.as_str(), state_style(app.state));
        vec![app.name.as_str().into(), state, summary(app, now).into()]
    };
    grid(&apps.iter().map(row).collect::<Vec<_>>(), color)
}

/// What there is to say of an app beside its state.
fn summary(app: &AppStatus, now: f64) -> String {
    let mut parts = Vec::new();
    parts.extend(app.pid.map(|pid| format!("pid {pid}")));
    parts.extend(app.uptime.map(|uptime| format!("up {}", text::seconds(uptime))));
    if app.health != Health::Disabled && app.pid.is_some() {
        parts.push(app.health.as_str().to_owned());
    }
    if let (None, Some(exit)) = (app.pid, &app.last_exit) {
        parts.push(ended(exit, now));
    }
    parts.extend(app.retry_in.map(|left| format!("retry in {}", text::seconds(left))));
    if app.restarts > 0 {
        parts.push(text::count(app.restarts as usize, "restart"));
    }
    parts.extend(app.version.as_ref().filter(|_| app.pid.is_some()).map(|version| format!("version {version}")));
    parts.extend(app.note.clone());
    parts.join(", ")
}

/// `exit 3 5m ago`.
fn ended(exit: &LastExit, now: f64) -> String {
    format!("{} {} ago", exit.how(), text::seconds(now - exit.at))
}

/// All that is known of one app, one fact a line.
pub(super) fn block(app: &AppStatus, now: f64, color: bool) -> String {
    let health = match app.health {
        Health::Disabled => String::new(),
        health => format!(", {}", paint(health.as_str(), health_style(health), color)),
    };
    let running = app.pid.is_some();
    let facts = [
        ("what", app.description.clone()),
        ("path", Some(app.path.clone())),
        ("run", app.run_dir.as_ref().filter(|run| **run != app.path).map(|run| run_dir(&app.path, run))),
        ("version", app.version.clone()),
        ("main pid", app.pid.map(|pid| pid.to_string())),
        ("since", app.started_at.filter(|_| running).map(|at| since(at, app.uptime))),
        ("ready", running.then(|| if app.ready { "yes" } else { "not yet" }.to_owned())),
        ("restarts", (app.restarts > 0).then(|| restarts(app))),
        ("retry", app.retry_in.map(|left| format!("in {}", text::seconds(left)))),
        ("last exit", app.last_exit.as_ref().map(|exit| last_exit(exit, now))),
        ("note", app.note.clone()),
        ("limits", (!app.limits.is_empty()).then(|| limits(&app.limits))),
        ("supervisor", app.supervisor.map(|pid| supervisor(pid, app.mode.as_deref()))),
        ("stdout", app.stdout.clone()),
        ("stderr", app.stderr.clone()),
        ("events", app.events.clone()),
    ];
    let name = paint(app.name.as_str(), Style::new().bold(), color);
    let mut told = format!("{name}: {}{health}\n", state(app.state, color));
    for (name, fact) in facts {
        if let Some(fact) = fact {
            told.push_str(&format!("  {name:<10}  {fact}\n"));
        }
    }
    told
}

/// Where the app was started from, and whether its link has moved since.
fn run_dir(path: &str, run: &str) -> String {
    match Path::new(path).join("run").canonicalize() {
        Ok(now) if now.is_dir() && now != Path::new(run) => {
            format!("{run} (the link has moved since, to {})", now.display())
        }
        _ => run.to_owned(),
    }
}

fn since(at: f64, uptime: Option<f64>) -> String {
    let up = uptime.map(|uptime| format!(" ({})", text::seconds(uptime))).unwrap_or_default();
    format!("{}{up}", text::moment(at))
}

fn supervisor(pid: i32, mode: Option<&str>) -> String {
    mode.map_or_else(|| format!("pid {pid}"), |mode| format!("pid {pid} ({mode})"))
}

/// `memory 64M: cgroup v1, cpu 20%: cgroup v1`.
fn limits(limits: &[LimitStatus]) -> String {
    let text = |limit: &LimitStatus| format!("{} {}: {}", limit.limit, limit.asked, limit.held_by);
    limits.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// What an app uses, one kind a line.
pub(super) fn resources(used: &Resources) -> String {
    let optional = |value: Option<u64>| value.map_or("unknown".to_owned(), text::bytes);
    let files = match (used.open_files, used.open_files_most) {
        (Some(all), Some(most)) => {
            let of = used.open_files_limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
            format!("{all}, {most}{of} in one process")
        }
        _ => "unknown".to_owned(),
    };
    let mut facts = vec![
        (
            "memory",
            format!(
                "{} resident, {} proportional, {} virtual",
                text::bytes(used.memory_bytes),
                optional(used.memory_proportional_bytes),
                text::bytes(used.memory_virtual_bytes)
            ),
        ),
        ("cpu", format!("{} since start, {} in all", text::percent(used.cpu_percent), text::seconds(used.cpu_seconds))),
        ("threads", format!("{} in {}", used.threads, text::processes(used.processes as usize))),
        ("open files", files),
        ("storage", format!("{} read, {} written", optional(used.read_bytes), optional(used.written_bytes))),
    ];
    facts.extend(used.limits.iter().map(|usage| ("limit", usage_text(usage))));
    facts.iter().map(|(name, fact)| format!("  {name:<10}  {fact}\n")).collect()
}

/// `memory 12M of 64M: cgroup v1`.
fn usage_text(usage: &Usage) -> String {
    let LimitStatus { limit, asked, held_by, .. } = &usage.limit;
    let used = usage.used.map_or("unknown".to_owned(), |used| match limit.as_str() {
        "memory" => text::bytes(used as u64),
        "cpu" => text::percent(used),
        _ => format!("{used}"),
    });
    let waited = usage.throttled_seconds.map(|waited| format!(", held back for {}", text::seconds(waited)));
    format!("{limit} {used} of {asked}: {held_by}{}", waited.unwrap_or_default())
}

fn restarts(app: &AppStatus) -> String {
    match app.attempts {
        0 => app.restarts.to_string(),
        attempts => format!("{}, {attempts} in a row", app.restarts),
    }
}

fn last_exit(exit: &LastExit, now: f64) -> String {
    let after = text::seconds(exit.after);
    // That it exited by itself needs no word of its own.
    let reason = if exit.reason == "exited" { String::new() } else { format!(" ({})", exit.reason) };
    format!("{}{reason} {} ago, after {after}", exit.how(), text::seconds(now - exit.at))
}

/// The processes of an app, children below their parents.
pub(super) fn processes(tree: &Tree, color: bool) -> String {
    let titles = ["  PID", "STATE", "CPU", "MEMORY", "THREADS", "COMMAND"];
    let mut rows = vec![titles.map(|title| Cell::styled(title, Style::new().dimmed())).into()];
    branch(tree, "", "", &mut rows);
    grid(&rows, color)
}

fn branch(tree: &Tree, stem: &str, below: &str, rows: &mut Vec<Vec<Cell>>) {
    let Process { pid, state, cpu, memory, threads, command, .. } = &tree.process;
    rows.push(vec![
        format!("  {pid}").into(),
        state.to_string().into(),
        text::percent(*cpu).into(),
        text::bytes(*memory).into(),
        threads.to_string().into(),
        format!("{stem}{}", crate::logs::read::escape(command.as_bytes()).replace('\n', " ")).into(),
    ]);
    for (at, child) in tree.children.iter().enumerate() {
        let last = at + 1 == tree.children.len();
        let (stem, next) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        branch(child, &format!("{below}{stem}"), &format!("{below}{next}"), rows);
    }
}

/// The list: a header and one line an app.
pub(super) fn list(apps: &[Seen], long: bool, color: bool) -> String {
    let mut titles = vec!["# NAME", "STATUS", "PID", "MEMORY", "CPU"];
    titles.extend(["UPTIME", "RESTARTS", "HEALTH", "VERSION"].iter().filter(|_| long));
    titles.extend(["PATH", "STDOUT", "STDERR"]);
    let mut rows = vec![titles.into_iter().map(|title| Cell::styled(title, AnsiColor::Cyan.on_default())).collect()];
    rows.extend(apps.iter().map(|app| listed(app, long)));
    grid(&rows, color)
}

fn listed(Seen { status: app, processes, .. }: &Seen, long: bool) -> Vec<Cell> {
    let mut row: Vec<Cell> = vec![
        app.name.as_str().into(),
        Cell::styled(app.state.as_str(), state_style(app.state)),
        Cell::optional(app.pid.map(|pid| pid.to_string())),
        Cell::optional(processes.as_ref().map(|tree| text::bytes(tree.memory()))),
        Cell::optional(processes.as_ref().map(|tree| text::percent(tree.cpu()))),
    ];
    if long {
        row.push(Cell::optional(app.uptime.map(text::seconds)));
        row.push(app.restarts.to_string().into());
        row.push(match app.health {
            Health::Disabled => Cell::optional(None),
            health => Cell::styled(health.as_str(), health_style(health)),
        });
        row.push(Cell::optional(app.version.clone()));
    }
    row.extend([Some(app.path.clone()), app.stdout.clone(), app.stderr.clone()].map(Cell::optional));
    row
}

#[derive(Serialize)]
struct Report<T> {
    schema_version: u32,
    apps: Vec<T>,
}

#[derive(Serialize)]
struct Status<'a> {
    #[serde(flatten)]
    status: &'a AppStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<Vec<Row<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<&'a Resources>,
}

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    status: &'a AppStatus,
    memory_bytes: Option<u64>,
    cpu_percent: Option<f64>,
}

#[derive(Serialize)]
struct Row<'a> {
    pid: i32,
    parent: i32,
    state: char,
    cpu_percent: f64,
    memory_bytes: u64,
    threads: u64,
    command: &'a str,
}

/// `status --json`; with `-p`, the processes of each app as well.
pub(super) fn status_json(apps: &[Seen]) -> String {
    let rows = |tree| {
        let mut rows = Vec::new();
        flatten(tree, &mut rows);
        rows
    };
    let told = apps.iter().map(|Seen { status, processes, resources }| Status {
        status,
        processes: processes.as_ref().map(rows),
        resources: resources.as_ref(),
    });
    json(told.collect())
}

/// `list --json`.
pub(super) fn list_json(apps: &[Seen]) -> String {
    let listed = apps.iter().map(|Seen { status, processes, .. }| Listed {
        status,
        memory_bytes: processes.as_ref().map(Tree::memory),
        cpu_percent: processes.as_ref().map(|tree| tenth(tree.cpu())),
    });
    json(listed.collect())
}

fn flatten<'a>(tree: &'a Tree, rows: &mut Vec<Row<'a>>) {
    let Process { pid, parent, state, memory, cpu, threads, command } = &tree.process;
    let (pid, parent, state, threads, memory_bytes) = (*pid, *parent, *state, *threads, *memory);
    rows.push(Row { pid, parent, state, cpu_percent: tenth(*cpu), memory_bytes, threads, command });
    tree.children.iter().for_each(|child| flatten(child, rows));
}

fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn json<T: Serialize>(apps: Vec<T>) -> String {
    serde_json::to_string_pretty(&Report { schema_version: SCHEMA_VERSION, apps }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::status::State;

    const NOW: f64 = 1_769_871_852.0;

    fn app(name: &str, state: State) -> AppStatus {
        AppStatus { state, ..AppStatus::unknown(name.parse().unwrap(), format!("/srv/apps/{name}")) }
    }

    fn web() -> AppStatus {
        AppStatus {
            health: Health::Healthy,
            ready: true,
            pid: Some(2231),
            started_at: Some(1_769_860_801.25),
            uptime: Some(11_050.75),
            restarts: 2,
            last_exit: Some(exit(Some(3), "exited")),
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
            restarts: 2,
            attempts: 2,
            retry_in: Some(4.2),
            last_exit: Some(exit(Some(3), "exited")),
            supervisor: Some(991),
            ..app("crash", State::Backoff)
        }
    }

    fn exit(code: Option<u8>, reason: &str) -> LastExit {
        let signal = code.is_none().then(|| "SIGTERM".to_owned());
        LastExit { code, signal, core: false, reason: reason.into(), at: 1_769_860_790.0, after: 3.0 }
    }

    fn every() -> Vec<AppStatus> {
        let gave_up = Some("gave up after 3 restarts in a row".into());
        vec![
            AppStatus {
                health: Health::Unhealthy,
                pid: Some(77),
                uptime: Some(0.04),
                restarts: 1,
                ..app("api", State::Running)
            },
            crash(),
            AppStatus { last_exit: Some(exit(Some(0), "exited")), ..app("job", State::Exited) },
            app("never", State::Stopped),
            AppStatus { last_exit: Some(exit(None, "stopped")), ..app("old", State::Stopped) },
            AppStatus { last_exit: Some(exit(Some(1), "exited")), note: gave_up, ..app("sick", State::Failed) },
            AppStatus { health: Health::Starting, pid: Some(78), uptime: Some(1.5), ..app("slow", State::Starting) },
            web(),
        ]
    }

    fn tree() -> Tree {
        let process = |pid, parent, command: &str| Process {
            pid,
            parent,
            state: 'S',
            memory: 12 << 20,
            cpu: 0.44,
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

    fn seen() -> Vec<Seen> {
        let tree = |app: &AppStatus| (app.pid == Some(2231)).then(tree);
        every().into_iter().map(|status| Seen { processes: tree(&status), resources: None, status }).collect()
    }

    #[test]
    fn a_line_says_what_an_operator_would_ask_next() {
        insta::assert_snapshot!(lines(&every(), NOW, false));
    }

    #[test]
    fn a_block_says_everything() {
        insta::assert_snapshot!(format!("{}\n{}", block(&web(), NOW, false), block(&crash(), NOW, false)));
    }

    #[test]
    fn what_is_used_is_told_against_what_is_allowed() {
        let limit = |limit: &str, asked: &str, held_by: &str| LimitStatus {
            limit: limit.into(),
            asked: asked.into(),
            held_by: held_by.into(),
            group: None,
        };
        let usage = |limit, used, throttled_seconds| Usage { limit, used, throttled_seconds };
        let limits = [
            limit("memory", "64M", "cgroup v1"),
            limit("cpu", "20%", "cgroup v2"),
            limit("processes", "20", "rlimit (stand-in)"),
        ];
        let app = AppStatus { limits: limits.to_vec(), ..web() };
        let [memory, cpu, processes] = limits;
        let used = Resources {
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
        };
        let nobody = Resources { open_files: None, limits: Vec::new(), ..used.clone() };
        let seen = Seen { status: app, processes: None, resources: Some(used.clone()) };
        let told = [resources(&used), resources(&nobody), block(&seen.status, NOW, false), status_json(&[seen])];
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn processes_are_a_tree() {
        insta::assert_snapshot!(processes(&tree(), false));
    }

    #[test]
    fn the_list_has_a_line_for_every_app() {
        insta::assert_snapshot!(format!("{}\n{}", list(&seen(), false, false), list(&seen(), true, false)));
    }

    #[test]
    fn colour_changes_no_column() {
        let bare = |text: String| {
            text.split('\u{1b}').map(|part| part.split_once('m').map_or(part, |(_, rest)| rest)).collect::<String>()
        };
        let uncoloured = list(&seen(), true, false);
        let coloured = list(&seen(), true, true);
        assert_ne!(coloured, uncoloured);
        assert_eq!(coloured.replace('\u{1b}', "").matches("[32m").count(), 3, "running twice and healthy once");
        assert_eq!(bare(coloured).len(), uncoloured.len());
    }

    #[test]
    fn the_json_forms_are_stable() {
        let two = [seen().remove(7), seen().remove(1)];
        insta::assert_snapshot!("status_json", status_json(&two));
        insta::assert_snapshot!("list_json", list_json(&two));
    }
}
