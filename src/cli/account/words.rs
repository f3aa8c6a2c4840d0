//! An account in words: the most important first.

use jiff::tz::TimeZone;

use super::super::report::moment;
use super::super::runs::Run;
use super::super::text::count;
use super::{Account, Changes, RUNS};
use crate::logs::read::escape;
use crate::supervise::snapshot::Change;

/// How many lines are told of what one thing said.
const LONGEST: usize = 10;

/// A moment for people.
pub(super) fn seconds(at: u64) -> String {
    moment(at as f64 / 1e6, &TimeZone::UTC)
}

impl Account {
    /// The account in words; `runs` are those it was made of.
    pub(in crate::cli) fn words(&self, runs: &[Run]) -> String {
        let mut page = format!("{}\n", escape(self.capped(&self.summary, "\n  ").as_bytes()));
        self.add_runs(runs, &mut page);
        if !self.lines.is_empty() {
            page.push_str("\nThe last lines of its last run\n");
            for line in &self.lines {
                page.push_str(&format!("  {} | {}\n", line.stream, escape(line.text.as_bytes())));
            }
        }
        if let Some(changes) = &self.changes {
            page.push_str(&changes.words());
        }
        if !self.requests.is_empty() {
            page.push_str("\nWho asked for what\n");
            let line = |(at, text): &(String, String)| format!("  {}  {}\n", short(at), escape(text.as_bytes()));
            self.requests.iter().map(line).for_each(|line| page.push_str(&line));
        }
        page.push_str(&format!("\nWhat happens next\n  {}\n", self.next.text));
        let hint = |hint: &String| format!("  hint: {}\n", escape(hint.replace('\n', "\n    ").as_bytes()));
        self.hints.iter().map(hint).for_each(|hint| page.push_str(&hint));
        page
    }

    /// The first lines of a text, with this between them: a check may say a lot.
    fn capped(&self, text: &str, between: &str) -> String {
        let lines: Vec<&str> = text.lines().collect();
        let (shown, rest) = lines.split_at(lines.len().min(LONGEST));
        let more = match rest.len() {
            0 => String::new(),
            more => format!("{between}… {}: daemonctl why --json {}", count(more, "more line"), self.app),
        };
        shown.join(between) + &more
    }

    /// The last runs; those that ended alike, one after the other, are told once.
    fn add_runs(&self, runs: &[Run], page: &mut String) {
        let alike: Vec<&[Run]> = runs.chunk_by(|a, b| a.kind() == b.kind()).collect();
        if runs.is_empty() {
            return;
        }
        page.push_str("\nHow its last runs ended\n");
        for group in &alike[alike.len().saturating_sub(RUNS)..] {
            let Some(last) = group.last() else { continue };
            let times = match group.len() {
                1 => String::new(),
                many => format!(" (the last of {many} times in a row, the first at {})", seconds(group[0].to)),
            };
            page.push_str(&format!(
                "  {}  {}{times}\n",
                seconds(last.to),
                escape(self.capped(&last.how(), "\n    ").as_bytes())
            ));
            for more in last.check.iter().chain(&last.asked).filter(|_| last.failed()) {
                page.push_str(&format!("    {}\n", escape(self.capped(more, "\n    ").as_bytes())));
            }
        }
    }
}

/// A moment as [`universal`] writes it, shorter.
fn short(at: &str) -> String {
    at.split('.').next().unwrap_or(at).replacen('T', " ", 1) + " UTC"
}

impl Changes {
    fn words(&self) -> String {
        let span = match (&self.from, &self.to) {
            (Some(from), Some(to)) => format!(" ({} to {})", short(from), short(to)),
            (Some(from), None) => format!(" ({})", short(from)),
            (None, _) => String::new(),
        };
        let since = match self.since {
            "good" => format!("Changed since it last ran well{span}"),
            "never" => "Its configuration as it is now".to_owned(),
            "present" => format!("Changed since it was started{span}; a restart makes it count"),
            _ => format!("Changed since its last run{span}; none is known to have gone well"),
        };
        let mut text = format!("\n{since}\n");
        if let Some(refused) = &self.refused {
            text.push_str(&format!(
                "  a start would be refused now: {}\n",
                escape(refused.replace('\n', "\n    ").as_bytes())
            ));
        } else if self.items.is_empty() {
            text.push_str("  nothing\n");
        }
        for Change { what, before, now } in &self.items {
            let change = match (before.as_deref(), now.as_deref()) {
                (Some("there"), Some(now)) => now.to_owned(),
                (None, Some("new")) => "new".to_owned(),
                (Some("there"), None) => "removed".to_owned(),
                (before, now) => format!("{} → {}", before.unwrap_or("(not set)"), now.unwrap_or("(not set)")),
            };
            text.push_str(&format!("  {}: {}\n", escape(what.as_bytes()), escape(change.as_bytes())));
        }
        self.written.iter().for_each(|(file, at)| text.push_str(&format!("  {file} was written {}\n", short(at))));
        text
    }
}
