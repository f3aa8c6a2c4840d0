//! Status for programs. docs/status-json.md is its contract: a test holds the two together, field by field.

use serde::Serialize;

use super::{Seen, note};
use crate::cli::text;
use crate::control::status::AppStatus;
use crate::observe::processes::{Process, Tree};
use crate::observe::resources::Resources;

/// The version of the JSON form. A change that could break a reader gets a new one.
const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Report<T> {
    schema_version: u32,
    apps: Vec<T>,
}

#[derive(Serialize)]
struct Status<'a> {
    #[serde(flatten)]
    status: AppStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<Vec<Row<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<&'a Resources>,
}

#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    status: AppStatus,
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
pub(in crate::cli) fn status_json(apps: &[Seen], now: f64) -> String {
    text::json(&report(statuses(apps, now)))
}

/// The same on one line, where one report follows another.
pub(in crate::cli) fn status_json_line(apps: &[Seen], now: f64) -> String {
    text::json_line(&report(statuses(apps, now)))
}

/// Whatever order they were asked for in: by name, as is documented.
fn statuses(apps: &[Seen], now: f64) -> Vec<Status<'_>> {
    let mut by_name: Vec<&Seen> = apps.iter().collect();
    by_name.sort_by(|a, b| a.status.name.cmp(&b.status.name));
    by_name
        .into_iter()
        .map(|seen| Status {
            status: told(&seen.status, now),
            processes: seen.processes.as_ref().map(|tree| tree.flat().into_iter().map(row).collect()),
            resources: seen.resources.as_ref(),
        })
        .collect()
}

/// `list --json`.
pub(in crate::cli) fn list_json(apps: &[Seen], now: f64) -> String {
    let listed = apps.iter().map(|Seen { status, processes, .. }| Listed {
        status: told(status, now),
        memory_bytes: processes.as_ref().map(Tree::memory),
        cpu_percent: processes.as_ref().map(|tree| tenth(tree.cpu())),
    });
    text::json(&report(listed.collect()))
}

/// What is told of an app: with the note that people get, and without what is only of use to find it.
fn told(app: &AppStatus, now: f64) -> AppStatus {
    AppStatus { note: note::note(app, now), configured_from: Vec::new(), ..app.clone() }
}

fn row(process: &Process) -> Row<'_> {
    let Process { pid, parent, state, memory, cpu, threads, command, .. } = process;
    let (pid, parent, state, threads, memory_bytes) = (*pid, *parent, *state, *threads, *memory);
    Row { pid, parent, state, cpu_percent: tenth(*cpu), memory_bytes, threads, command }
}

fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn report<T>(apps: Vec<T>) -> Report<T> {
    Report { schema_version: SCHEMA_VERSION, apps }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::samples::{self, NOW, app};
    use super::*;
    use crate::control::status::State;
    use crate::observe::processes::Snapshot;

    #[test]
    fn the_json_forms_are_stable() {
        let two = [samples::seen().remove(7), samples::seen().remove(1)];
        insta::assert_snapshot!("status_json", status_json(&two, NOW));
        insta::assert_snapshot!("list_json", list_json(&two, NOW));
    }

    #[test]
    fn apps_are_sorted_by_name_whatever_they_were_asked_for_in() {
        let asked = ["web", "api", "job"].map(|name| Seen::new(app(name, State::Stopped), &Snapshot::default()));
        let told: Value = serde_json::from_str(&status_json(&asked, NOW)).unwrap();
        let names: Vec<_> = told["apps"].as_array().unwrap().iter().map(|app| app["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["api", "job", "web"]);
    }

    /// The fields that the tables below each heading of the documentation name.
    fn documented() -> Vec<(String, BTreeSet<String>)> {
        let page = include_str!("../../../docs/status-json.md");
        let mut sections = vec![(String::new(), BTreeSet::new())];
        for line in page.lines() {
            if let Some(heading) = line.strip_prefix('#') {
                sections.push((heading.trim_matches(['#', ' ']).to_owned(), BTreeSet::new()));
            }
            let Some(fields) = line.strip_prefix("| ").and_then(|row| row.split('|').next()) else { continue };
            let fields = fields.split(',').filter_map(|field| field.trim().strip_prefix('`')?.strip_suffix('`'));
            sections.last_mut().unwrap().1.extend(fields.map(str::to_owned));
        }
        sections.into_iter().filter(|(_, fields)| !fields.is_empty()).collect()
    }

    #[test]
    fn every_field_is_documented_and_every_documented_field_is_there() {
        let all = samples::blocks().remove(0);
        let status: Value = serde_json::from_str(&status_json(std::slice::from_ref(&all), NOW)).unwrap();
        let list: Value = serde_json::from_str(&list_json(std::slice::from_ref(&all), NOW)).unwrap();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let app = &status["apps"][0];
        let either: BTreeSet<String> = keys(app).union(&keys(&list["apps"][0])).cloned().collect();
        let expected = [
            ("`status --json` and `list --json`", keys(&status)),
            ("An app", either),
            ("last_exit", keys(&app["last_exit"])),
            ("limits", keys(&app["limits"][0])),
            ("check", keys(&app["check"])),
            ("check.last", keys(&app["check"]["last"])),
            ("sandbox", keys(&app["sandbox"])),
            ("resources", keys(&app["resources"])),
            ("resources.limits", keys(&app["resources"]["limits"][1])),
            ("processes", keys(&app["processes"][0])),
        ];
        let documented = documented();
        for (section, fields) in &expected {
            let told = documented.iter().find(|(heading, _)| heading == section);
            assert_eq!(told.map(|(_, fields)| fields), Some(fields), "section {section} of docs/status-json.md");
        }
        for (heading, _) in &documented {
            let known = ["state", "health"].contains(&&**heading) || expected.iter().any(|(name, _)| name == heading);
            assert!(known, "section {heading} of docs/status-json.md has no test");
        }
    }
}
