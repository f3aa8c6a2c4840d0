//! Status in words and in JSON. Everything here is pure: what is known of apps, the moment and the room on the screen
//! go in, text comes out, so that every form can be held by a test and shown by whoever redraws it.
//!
//! - [`note`]: why an app is as it is, and what comes next, on one line.
//! - [`lines`]: a line an app. [`list`]: the columns of `list`. What does not fit is shortened or left out, and that is
//!   told; where there is no terminal, nothing is.
//! - [`block`]: all that is known of one app, which is put together from [`processes`], [`resources`], [`checks`] and
//!   [`confined`].
//! - [`json`]: the same for programs.

mod block;
mod checks;
mod confined;
mod json;
mod lines;
mod list;
mod note;
#[cfg(test)]
mod page;
mod processes;
mod resources;
#[cfg(test)]
pub(super) mod samples;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::grid::{Cell, Column, Fitted, Give, paint};
use super::text;
use crate::app::readable;
use crate::control::status::AppStatus;
use crate::observe::confinement::Confinement;
use crate::observe::processes::{Snapshot, Tree};
use crate::observe::resources::Resources;

pub(super) use block::{block, recent};
pub(super) use checks::checks;
pub(super) use json::{list_json, status_json, status_json_line};
pub(super) use lines::{line, lines};
pub(super) use list::list;
pub(super) use note::{health, note};
pub(super) use processes::processes;
pub(super) use resources::resources;

/// When and on what a report is looked at.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Seconds since the epoch.
    pub(super) now: f64,
    /// The zone that times are told in.
    pub(super) zone: TimeZone,
    /// The columns of the terminal; nothing where there is none, and any length will do.
    pub(super) width: Option<usize>,
    /// Whether it is coloured.
    pub(super) color: bool,
}

/// An app with what is seen of it from outside, as far as that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) status: AppStatus,
    pub(super) processes: Option<Tree>,
    pub(super) resources: Option<Resources>,
    pub(super) confinement: Option<Confinement>,
    pub(super) recent: Vec<Recent>,
}

/// A line that an app has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recent {
    /// `out` or `err`.
    pub(super) sign: &'static str,
    /// Microseconds since the epoch, if that is known.
    pub(super) time: Option<u64>,
    /// What it says, without its end.
    pub(super) text: String,
}

impl Seen {
    /// Finds the processes of an app in a snapshot.
    pub(super) fn new(status: AppStatus, snapshot: &Snapshot) -> Self {
        let processes = status.pid.and_then(|pid| snapshot.tree(pid));
        Self { status, processes, resources: None, confinement: None, recent: Vec::new() }
    }

    /// Looks at what those processes use.
    pub(super) fn measure(&mut self) {
        self.resources = self.processes.as_ref().map(|tree| Resources::of(tree, &self.status.limits));
    }
}

/// A title over a column.
fn title(text: &'static str) -> Cell {
    Cell::styled(text, AnsiColor::Cyan.on_default())
}

/// How wide the labels before facts are, with the blanks around them.
const LABEL: usize = 14;

/// Facts, one a line, below a name or by themselves. A further line of one fact has no label. Where a terminal is too
/// narrow, a fact is broken between words.
fn facts(facts: impl IntoIterator<Item = (&'static str, String)>, view: &View) -> String {
    let room = view.width.map_or(usize::MAX, |width| width.saturating_sub(LABEL).max(LABEL));
    let mut text = String::new();
    for (label, fact) in facts {
        for (at, line) in text::wrapped(&readable(&fact), room).iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            text += &format!("  {}  {line}\n", paint(&format!("{label:<10}"), Style::new().dimmed(), view.color));
        }
    }
    text
}

/// Columns of which the first holds names. A name that is longer than a third of the width gives its end: one app should
/// not cost all others their columns.
fn with_names(columns: &[Column], names: usize, width: Option<usize>) -> Vec<Column> {
    let mut columns = columns.to_vec();
    if let (Some(first), Some(width)) = (columns.first_mut(), width.filter(|width| names > width / 3)) {
        first.give = Give::End(width / 4);
    }
    columns
}

/// What is said, below a report, of columns that it had no room for.
pub(super) fn left_out(fitted: &Fitted, width: Option<usize>) -> Option<String> {
    let width = width.filter(|_| !fitted.dropped.is_empty())?;
    let columns = fitted.dropped.join(", ");
    Some(format!("no room for {columns} in {width} columns; a pipe, or --json, shows all"))
}

/// The last part of a path.
fn short(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A moment, in the zone of the reader: `2026-01-31 12:00:01 UTC`.
pub(super) fn moment(at: f64, zone: &TimeZone) -> String {
    let at = Timestamp::from_microsecond((at * 1e6) as i64).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// A moment, and how long ago it was.
fn since(at: f64, view: &View) -> String {
    format!("{}, {} ago", moment(at, &view.zone), text::seconds(view.now - at))
}
