//! Everything that is known of one app: what an operator wants to see in the first minute of an incident. What is not
//! known, or does not matter, is left out.

use std::path::Path;

use anstyle::Style;

use super::super::grid::{beginning_of, paint};
use super::super::screen::{health_style, state, state_style};
use super::super::text;
use super::resources::{limit_text, usage_text};
use super::{Recent, Seen, View, checks, confined, facts, moment, note, processes, since};
use crate::control::status::{AppStatus, LastExit};
use crate::logs::moment::shown;
use crate::logs::read::escape;

/// A heading, facts, the processes if they are known, and what the app wrote last.
pub(in crate::cli) fn block(seen: &Seen, view: &View) -> String {
    let app = &seen.status;
    let mut told = heading(app, view);
    told.push_str(&facts(known(seen, view), view));
    if let Some(tree) = &seen.processes {
        told.push('\n');
        told.push_str(&processes(tree, view));
    }
    if !seen.recent.is_empty() {
        told.push('\n');
        seen.recent.iter().for_each(|line| told.push_str(&recent(line, view)));
    }
    told
}

/// `● web: running, healthy — Shop web`.
fn heading(app: &AppStatus, view: &View) -> String {
    let dot = paint(if app.pid.is_some() { "●" } else { "○" }, state_style(app.state), view.color);
    let name = paint(app.name.as_str(), Style::new().bold(), view.color);
    let health =
        note::health(app).map(|health| format!(", {}", paint(health.as_str(), health_style(health), view.color)));
    let what = app.description.as_ref().map(|what| format!(" — {}", escape(what.as_bytes()).replace('\n', " ")));
    format!(
        "{dot} {name}: {}{}{}\n",
        state(app.state, view.color),
        health.unwrap_or_default(),
        what.unwrap_or_default()
    )
}

fn known(seen: &Seen, view: &View) -> Vec<(&'static str, String)> {
    let app = &seen.status;
    let is_running = app.pid.is_some() && app.uptime.is_some();
    let mut told: Vec<(&'static str, Option<String>)> = vec![
        ("since", began(app).map(|at| since(at, view))),
        ("ready", is_running.then(|| if app.ready { "yes" } else { "not yet" }.to_owned())),
        ("note", note::note(app, view.now)),
    ];
    // One mistake of an app at rest is in the note.
    let mistakes = app.mistakes.iter().filter(|_| app.is_active() || app.mistakes.len() > 1);
    told.extend(mistakes.map(|mistake| ("", Some(escape(mistake.as_bytes())))));
    let files = || app.changed.iter().map(|file| ("", Some(file.clone())));
    told.extend(files());
    told.push(("main", main(seen)));
    if app.check.is_some() {
        told.extend(checks::told(app, view).into_iter().map(|(label, fact)| (label, Some(fact))));
    }
    told.extend(
        limits(seen).into_iter().enumerate().map(|(at, limit)| (if at == 0 { "limits" } else { "" }, Some(limit))),
    );
    told.extend(confined::told(seen).into_iter().map(|(label, fact)| (label, Some(fact))));
    told.extend([
        ("last exit", app.last_exit.as_ref().map(|exit| last_exit(exit, view))),
        ("restarts", (app.restarts > 0).then(|| restarts(app))),
        (
            "retry",
            app.retry_in.map(|left| format!("in {}, at {}", text::seconds(left), moment(view.now + left, &view.zone))),
        ),
        ("version", app.version.clone()),
        ("path", Some(path(app))),
        ("stdout", app.stdout.clone()),
        ("stderr", app.stderr.clone()),
        ("events", app.events.clone()),
        ("supervisor", app.supervisor.map(|pid| supervisor(pid, app.mode.as_deref()))),
    ]);
    told.into_iter().filter_map(|(label, fact)| Some((label, fact?))).collect()
}

/// Since when its state is what it is; of a supervisor that does not tell, what comes near.
fn began(app: &AppStatus) -> Option<f64> {
    let ended = || app.last_exit.as_ref().map(|exit| exit.at);
    let running = app.started_at.filter(|_| app.pid.is_some());
    app.state_since.or(running).or_else(ended)
}

fn main(seen: &Seen) -> Option<String> {
    let command = seen.processes.as_ref().map(|tree| escape(tree.process.command.as_bytes()).replace('\n', " "));
    seen.status.pid.map(|pid| format!("{pid} {}", command.unwrap_or_default()).trim_end().to_owned())
}

/// What is used of each limit, where something runs.
fn limits(seen: &Seen) -> Vec<String> {
    match &seen.resources {
        Some(used) => used.limits.iter().map(usage_text).collect(),
        None => seen.status.limits.iter().map(limit_text).collect(),
    }
}

/// `exit 3 after 3s, 3h04m ago, 2026-01-31 11:59:50 UTC`.
fn last_exit(exit: &LastExit, view: &View) -> String {
    // That it exited by itself needs no word of its own.
    let reason = if exit.reason == "exited" { String::new() } else { format!(" ({})", exit.reason) };
    format!("{}{reason} after {}, at {}", exit.how(), text::seconds(exit.after), since(exit.at, view))
}

/// `2, 1 in a row of at most 3`.
fn restarts(app: &AppStatus) -> String {
    let most = app.attempts_max.map(|max| format!(" of at most {max}")).unwrap_or_default();
    match app.attempts {
        0 => format!("{}, none in a row{most}", app.restarts),
        attempts => format!("{}, {attempts} in a row{most}", app.restarts),
    }
}

/// The app's directory, and where its files really come from.
fn path(app: &AppStatus) -> String {
    let run =
        app.run_dir.as_ref().filter(|run| **run != app.path && Path::new(run) != Path::new(&app.path).join("run"));
    match (run, &app.run_moved_to) {
        (Some(run), Some(moved)) => format!("{} (run was {run} at the start, and is {moved} now)", app.path),
        (Some(run), None) => format!("{} (run → {run})", app.path),
        (None, _) => app.path.clone(),
    }
}

fn supervisor(pid: i32, mode: Option<&str>) -> String {
    mode.map_or_else(|| format!("pid {pid}"), |mode| format!("pid {pid} ({mode})"))
}

/// `12:00:01.250 out | GET /health 200`, as wide as the terminal at most.
pub(in crate::cli) fn recent(line: &Recent, view: &View) -> String {
    let time = line.time.map(|time| shown(time, &view.zone));
    let time = time.as_deref().and_then(|time| time.get(11..23)).unwrap_or("-");
    let text = format!("  {time:<12} {} | {}", line.sign, escape(line.text.as_bytes()));
    match view.width {
        Some(width) => beginning_of(&text, width) + "\n",
        None => text + "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, view};
    use super::*;

    #[test]
    fn a_block_says_everything() {
        let told = samples::blocks().iter().map(|seen| block(seen, &view())).collect::<Vec<_>>();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn a_narrow_terminal_and_colour_change_the_look_and_not_the_words() {
        let web = &samples::blocks()[0];
        insta::assert_snapshot!(block(web, &View { width: Some(60), color: true, ..view() }).replace('\u{1b}', "\\e"));
    }
}
