//! The screen of a model: a line about all, the apps, the selected one, and a line of keys. Pure: what is drawn depends
//! on nothing but the model, the room there is, and whether there is colour.

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Modifier, Style as Look};

use super::super::grid::{Arranged, Cell, Column, Give, arranged, beginning_of, end_of};
use super::super::report::{self, View, moment};
use super::super::screen::{health_style, state_style};
use super::super::text;
use super::look::Brief;
use super::model::{Mode, Model, Panel, Part};
use super::panel::told;
use super::sort::trouble;

/// What the screen is drawn with.
#[derive(Clone, Debug)]
pub(super) struct Paint {
    pub(super) color: bool,
    /// The reader's zone.
    pub(super) zone: TimeZone,
}

/// The least room that can be used.
const LEAST: (u16, u16) = (30, 6);

/// Lines of an answer that are shown at most.
const ANSWER: usize = 4;

const COLUMNS: [Column; 9] = [
    Column { title: "NAME", give: Give::End(8), rank: 0 },
    Column { title: "STATUS", give: Give::Nothing, rank: 0 },
    Column { title: "PID", give: Give::Nothing, rank: 5 },
    Column { title: "CPU", give: Give::Nothing, rank: 1 },
    Column { title: "MEMORY", give: Give::Nothing, rank: 1 },
    Column { title: "UPTIME", give: Give::Nothing, rank: 3 },
    Column { title: "HEALTH", give: Give::Nothing, rank: 4 },
    Column { title: "RESTARTS", give: Give::Nothing, rank: 6 },
    Column { title: "NOTE", give: Give::End(20), rank: 2 },
];

/// Keys and what they do, the most needed first.
const KEYS: [(&str, &str); 11] = [
    ("?", "help"),
    ("q", "quit"),
    ("↑↓", "select"),
    ("s", "start"),
    ("x", "stop"),
    ("r", "restart"),
    ("l", "logs"),
    ("/", "filter"),
    ("o", "order"),
    ("Tab", "view"),
    ("Enter", "panel"),
];

const HELP: &[(&str, &str)] = &[
    ("↑ ↓ j k", "select an app; PgUp PgDn Home End g G go further"),
    ("s", "start it"),
    ("x", "stop it, once y is answered"),
    ("r", "restart it, once y is answered"),
    ("l", "show its log as it comes, until Ctrl-C"),
    ("Tab", "show its processes, resources, health, or all of it; Shift-Tab goes back"),
    ("J K", "scroll what is shown of it"),
    ("Enter", "show it on half of the screen, on all of it, or not at all"),
    ("/", "show apps with a text in name, state or note; Esc shows all again"),
    ("o", "order by name, state, CPU, memory, uptime or restarts; O turns it round"),
    ("a", "show every app below the root, or only those that have been started"),
    ("Ctrl-Z", "leave the screen for a while; fg comes back"),
    ("q", "leave; Ctrl-C as well. Apps go on"),
];

/// How many apps the table shows on a screen of so many lines.
pub(super) fn page(model: &Model, height: usize) -> usize {
    let [table, _, _] = heights(model, height);
    table.saturating_sub(1)
}

/// Lines of the table with its titles, of the panel with its title, and of the footer.
fn heights(model: &Model, height: usize) -> [usize; 3] {
    let footer = model.said.as_ref().map_or(1, |said| said.said.len().clamp(1, ANSWER));
    let room = height.saturating_sub(1 + footer);
    let wanted = model.shown().len().max(1) + 1;
    let table = match model.panel {
        Panel::None => room,
        Panel::Whole => 0,
        Panel::Half => wanted.min((room / 2).max(3)).min(room),
    };
    [table, room - table, footer]
}

/// Draws the screen.
pub(super) fn draw(model: &Model, paint: &Paint, area: Rect, buffer: &mut Buffer) {
    let mut canvas = Canvas { area, buffer, color: paint.color };
    if area.width < LEAST.0 || area.height < LEAST.1 {
        canvas.text(0, 0, "too small", Style::new());
        return;
    }
    canvas.header(model, paint);
    if model.mode == Mode::Help {
        canvas.help();
        return;
    }
    let [table, panel, footer] = heights(model, usize::from(area.height));
    canvas.table(model, 1, table);
    if panel > 0 {
        canvas.panel(model, paint, 1 + table, panel);
    }
    canvas.footer(model, 1 + table + panel, footer);
}

/// Where to draw, in lines and columns of the screen.
struct Canvas<'a> {
    area: Rect,
    buffer: &'a mut Buffer,
    color: bool,
}

impl Canvas<'_> {
    fn width(&self) -> usize {
        usize::from(self.area.width)
    }

    /// Writes a text, as far as there is room. Returns the column after it.
    fn text(&mut self, x: usize, y: usize, text: &str, style: Style) -> usize {
        let (Ok(x), Ok(y)) = (u16::try_from(x), u16::try_from(y)) else { return x };
        if x >= self.area.width || y >= self.area.height {
            return usize::from(x);
        }
        let room = usize::from(self.area.width - x);
        let look = self.look(style);
        let (end, _) = self.buffer.set_stringn(self.area.x + x, self.area.y + y, text, room, look);
        usize::from(end - self.area.x)
    }

    /// Without colour, what is bold, dimmed or turned round still is.
    fn look(&self, style: Style) -> Look {
        match self.color {
            true => style.into(),
            false => Style::new().effects(style.get_effects()).into(),
        }
    }

    fn turn_round(&mut self, y: usize) {
        let Ok(y) = u16::try_from(y) else { return };
        let line = Rect { y: self.area.y + y, height: 1, ..self.area };
        self.buffer.set_style(line, Look::new().add_modifier(Modifier::REVERSED));
    }

    fn header(&mut self, model: &Model, paint: &Paint) {
        let time = model.at.map(|at| moment(at, &paint.zone)).unwrap_or_default();
        let time = time.get(11..19).unwrap_or_default().to_owned();
        let all = summary(model);
        let room = self.width().saturating_sub(all.chars().count() + time.len() + 4);
        let root = if room >= 12 { end_of(&model.root, room) } else { String::new() };
        let after = self.text(0, 0, &root, Style::new().bold());
        let x = if root.is_empty() { 0 } else { after + 2 };
        let fits = self.width().saturating_sub(x + time.len() + 2);
        self.text(x, 0, &beginning_of(&all, fits), Style::new());
        let x = self.width().saturating_sub(time.len());
        self.text(x, 0, &time, Style::new().dimmed());
    }

    fn table(&mut self, model: &Model, top: usize, height: usize) {
        if height == 0 {
            return;
        }
        let shown = model.shown();
        if shown.is_empty() {
            self.text(0, top + 1, &nothing(model), Style::new());
            return;
        }
        let now = model.at.unwrap_or(0.0);
        let mut rows = vec![titles(model)];
        rows.extend(shown.iter().map(|app| row(app, now)));
        let Arranged { rows, widths, .. } = arranged(&COLUMNS, &rows, self.width());
        let at = shown.iter().position(|app| Some(&app.status.name) == model.selected.as_ref()).unwrap_or(0);
        let (from, to) = window(shown.len(), at, height - 1);
        self.row(&rows[0], &widths, top);
        for (line, at_row) in (from..to).enumerate() {
            self.row(&rows[at_row + 1], &widths, top + 1 + line);
            if at_row == at {
                self.turn_round(top + 1 + line);
            }
        }
    }

    fn row(&mut self, cells: &[Cell], widths: &[usize], y: usize) {
        let mut x = 0;
        for (cell, width) in cells.iter().zip(widths) {
            self.text(x, y, cell.text(), cell.style());
            x += width + 2;
        }
    }

    fn panel(&mut self, model: &Model, paint: &Paint, top: usize, height: usize) {
        let Some(name) = &model.selected else { return };
        self.text(0, top, &"─".repeat(self.width()), Style::new().dimmed());
        let mut x = self.text(2, top, &format!(" {name} "), Style::new().bold());
        for part in Part::EVERY {
            let style = if part == model.part { Style::new().bold().underline() } else { Style::new().dimmed() };
            x = self.text(x + 1, top, " ", Style::new());
            x = self.text(x, top, part.title(), style);
            x = self.text(x, top, " ", Style::new());
        }
        // What is seen may still be of the app that was selected before.
        let Some(seen) = model.close.as_ref().filter(|seen| seen.status.name == *name) else { return };
        let room = height.saturating_sub(1);
        let view =
            View { now: model.at.unwrap_or(0.0), zone: paint.zone.clone(), width: Some(self.width()), color: false };
        for (line, text) in told(model, seen, &view, room).iter().enumerate() {
            self.text(0, top + 1 + line, text, Style::new());
        }
    }

    fn footer(&mut self, model: &Model, top: usize, height: usize) {
        let bad = AnsiColor::Red.on_default();
        let selected = model.selected.as_ref().map(ToString::to_string).unwrap_or_default();
        match model.mode {
            Mode::Filter => {
                let x = self.text(0, top, &format!("filter: {}", model.filter), Style::new().bold());
                let x = self.text(x, top, "▏", Style::new());
                self.text(x + 2, top, "Enter keeps it, Esc shows all", Style::new().dimmed());
                return;
            }
            Mode::Ask(deed) => {
                self.text(0, top, &format!("{} {selected}? y/n", deed.verb()), Style::new().bold());
                self.turn_round(top);
                return;
            }
            Mode::Look | Mode::Help => {}
        }
        if let Some(why) = &model.blind {
            self.text(0, top, &why.replace('\n', " "), bad);
        } else if let Some(outcome) = &model.said {
            let style = if outcome.good { AnsiColor::Green.on_default() } else { bad };
            for (line, text) in outcome.said.iter().take(height).enumerate() {
                self.text(0, top + line, text, style);
            }
        } else if let Some((deed, app)) = model.doing.last() {
            self.text(0, top, &format!("{} {app} …", deed.verb()), AnsiColor::Yellow.on_default());
        } else {
            self.text(0, top, &keys(self.width()), Style::new().dimmed());
        }
    }

    fn help(&mut self) {
        let mut y = 2;
        for (key, what) in HELP {
            self.text(2, y, key, Style::new().bold());
            for line in text::wrapped(what, self.width().saturating_sub(11)) {
                self.text(11, y, &line, Style::new());
                y += 1;
            }
        }
        let last = usize::from(self.area.height) - 1;
        self.text(0, last, "any key goes back", Style::new().dimmed());
    }
}

/// `12 apps: 9 running, 1 backoff  CPU 12.3%  1.2G`; before it, what is filtered for and how many have it:
/// `2 with "shop" of 12 apps`.
fn summary(model: &Model) -> String {
    let mut states: Vec<_> = model.apps.iter().map(|app| app.status.state).collect();
    states.sort_by_key(|state| trouble(*state));
    let mut counts: Vec<(usize, &str)> = Vec::new();
    for state in states {
        match counts.last_mut() {
            Some((count, word)) if *word == state.as_str() => *count += 1,
            _ => counts.push((1, state.as_str())),
        }
    }
    let counts: Vec<String> = counts.iter().map(|(count, word)| format!("{count} {word}")).collect();
    let cpu: f64 = model.apps.iter().filter_map(|app| app.cpu).sum();
    let memory: u64 = model.apps.iter().filter_map(|app| app.memory).sum();
    let filter = match model.filter.is_empty() {
        true => String::new(),
        false => format!("{} with {:?} of ", model.shown().len(), model.filter),
    };
    let uses = if model.apps.is_empty() {
        String::new()
    } else {
        format!("  CPU {}  {}", text::percent(cpu), text::bytes(memory))
    };
    let counts = if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) };
    format!("{filter}{}{counts}{uses}", text::count(model.apps.len(), "app"))
}

/// What stands in the place of the table where it would be empty.
fn nothing(model: &Model) -> String {
    match (model.at, model.apps.is_empty()) {
        (None, _) => "looking …".to_owned(),
        (Some(_), false) => format!("no app has {:?} in its name, state or note; Esc shows all", model.filter),
        (Some(_), true) if model.shows_all() => {
            format!("no app below {}: daemonctl init NAME makes one", model.root)
        }
        (Some(_), true) => "no app has been started; a shows those there are".to_owned(),
    }
}

/// The titles of the columns, with a mark at the one that apps are ordered by.
fn titles(model: &Model) -> Vec<Cell> {
    let mark = if model.reversed { '▲' } else { '▼' };
    let title = |column: &Column| match column.title == model.sort.column() {
        true => Cell::styled(format!("{}{mark}", column.title), AnsiColor::Cyan.on_default().bold()),
        false => Cell::styled(column.title, AnsiColor::Cyan.on_default()),
    };
    COLUMNS.iter().map(title).collect()
}

fn row(Brief { status: app, cpu, memory }: &Brief, now: f64) -> Vec<Cell> {
    let health = report::health(app).map(|health| Cell::styled(health.as_str(), health_style(health)));
    vec![
        app.name.as_str().into(),
        Cell::styled(app.state.as_str(), state_style(app.state)),
        Cell::optional(app.pid.map(|pid| pid.to_string())),
        Cell::optional(cpu.map(text::percent)),
        Cell::optional(memory.map(text::bytes)),
        Cell::optional(app.uptime.map(text::seconds)),
        health.unwrap_or_else(|| Cell::optional(None)),
        app.restarts.to_string().into(),
        report::note(app, now).unwrap_or_default().into(),
    ]
}

/// Which of so many lines are shown where there is room for some: those around one of them.
fn window(lines: usize, around: usize, room: usize) -> (usize, usize) {
    let from = (around + 1 + room / 3).min(lines).saturating_sub(room).min(around);
    (from, (from + room).min(lines))
}

/// The line of keys: those there is room for, help and quit always.
fn keys(width: usize) -> String {
    let words: Vec<String> = KEYS.iter().map(|(key, what)| format!("{key} {what}")).collect();
    let length = |words: &[String]| words.iter().map(|word| word.chars().count() + 2).sum::<usize>();
    let shown = (2..=words.len()).rev().find(|shown| length(&words[..*shown]) <= width + 2).unwrap_or(2);
    [&words[2..shown], &words[..2]].concat().join("  ")
}
