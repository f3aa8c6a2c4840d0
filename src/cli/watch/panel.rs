//! What is told of the selected app, in as many lines as there is room for.

use super::super::report::{self, Seen, View};
use super::super::text;
use super::chart::chart;
use super::model::{Model, Part};

/// What is told of the selected app, in so many lines at most.
pub(super) fn told(model: &Model, seen: &Seen, view: &View, room: usize) -> Vec<String> {
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let all = match model.part {
        Part::Processes => return overview(model, seen, view, room),
        Part::Resources => lines(
            seen.resources.as_ref().map_or_else(|| "  nothing runs".to_owned(), |used| report::resources(used, view)),
        ),
        Part::Health => lines(report::checks(&seen.status, view)),
        Part::All => lines(report::block(seen, view)),
    };
    cut(all, model.scrolled, room, "line")
}

/// How much it uses, its processes, and what it wrote last.
fn overview(model: &Model, seen: &Seen, view: &View, room: usize) -> Vec<String> {
    let mut told = vec![charts(model, seen, view)];
    told.extend(report::note(&seen.status, view.now).map(|note| format!("  {note}")));
    let tree = seen.processes.as_ref().map(|tree| report::processes(tree, view)).unwrap_or_default();
    let tree: Vec<String> = tree.lines().map(str::to_owned).collect();
    let left = room.saturating_sub(told.len());
    let for_tree = tree.len().min(left.saturating_sub(seen.recent.len() + 1).max(left.div_ceil(2)));
    // Its titles are the first to go: they are no process.
    let tree = tree.into_iter().skip(usize::from(for_tree == 1)).collect();
    told.extend(cut(tree, model.scrolled, for_tree, "process"));
    let left = room.saturating_sub(told.len() + 1);
    let recent = &seen.recent[seen.recent.len().saturating_sub(left)..];
    if !recent.is_empty() {
        told.push(String::new());
        told.extend(recent.iter().map(|line| report::recent(line, view).trim_end().to_owned()));
    }
    told
}

/// Its share of a CPU and its memory since the screen came up.
fn charts(model: &Model, seen: &Seen, view: &View) -> String {
    let app = model.apps.iter().find(|app| app.status.name == seen.status.name);
    let (Some(app), Some(history)) = (app, model.history.get(&seen.status.name)) else { return String::new() };
    let figure = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let (cpu, memory) = (figure(app.cpu.map(text::percent)), figure(app.memory.map(text::bytes)));
    let room = (view.width.unwrap_or(80).saturating_sub(32) / 2).min(60);
    let cpu_bars = chart(history.cpu.iter().copied(), room, 10.0);
    let memory_bars = chart(history.memory.iter().copied(), room, 0.0);
    format!("  CPU {cpu:<7} {cpu_bars:>room$}  memory {memory:<5} {memory_bars:>room$}").trim_end().to_owned()
}

/// So many lines from one on; the last of them says how many more there are.
fn cut(lines: Vec<String>, from: usize, room: usize, noun: &str) -> Vec<String> {
    let from = from.min(lines.len().saturating_sub(room));
    let more = lines.len() - from;
    if more <= room {
        return lines.into_iter().skip(from).collect();
    }
    let shown = room.saturating_sub(1);
    let rest = more - shown;
    let noun = match (noun, rest) {
        (noun, 1) => noun.to_owned(),
        ("process", _) => "processes".to_owned(),
        (noun, _) => format!("{noun}s"),
    };
    let mut lines: Vec<String> = lines.into_iter().skip(from).take(shown).collect();
    if room > 0 {
        lines.push(format!("  … {rest} more {noun}: J, Enter"));
    }
    lines
}
