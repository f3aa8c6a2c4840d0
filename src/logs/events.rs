//! The event log of an app: a line an event, `TIME LEVEL TEXT`, apart from its output so that it cannot be forged.
//!
//! The further lines of an event are indented by two spaces, so that what a health check prints is never taken for an
//! event of its own. The text is in the words of [`super::happening`].

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::rotate::{self, Rules};
use super::{open_to_append, place};
use crate::app::Shown;
use crate::config::values::Level;

/// Appends one event, which happened `at` seconds after the epoch, to a log that is rotated by these rules. What cannot be
/// done is told to whoever traces the program.
pub fn write(path: &Path, rules: &Rules, at: f64, level: Level, text: &str) {
    let lines = lines(at, level, text);
    match make_room(path, rules, lines.len() as u64) {
        Ok(true) => {
            if let Err(error) = prune(path, rules) {
                tracing::warn!(path = %path.shown(), %error, "cannot remove old archives of the event log");
            }
        }
        Ok(false) => {}
        Err(error) => tracing::warn!(path = %path.shown(), %error, "cannot rotate the event log"),
    }
    if let Err(error) = append_lines(path, &lines) {
        tracing::warn!(path = %path.shown(), %error, "cannot write an event: {text}");
    }
}

/// Removes the archives of an event log that are not to be kept.
pub fn prune(path: &Path, rules: &Rules) -> io::Result<()> {
    if rules.prunes() { rotate::remove(&rotate::excess(&place(path), rules)?.files) } else { Ok(()) }
}

/// Makes sure that events can be written there.
pub fn prepare(path: &Path) -> io::Result<()> {
    open_to_append(path).map(drop)
}

/// Appends one event to a log that is not rotated here.
pub fn append(path: &Path, at: f64, level: Level, text: &str) -> io::Result<()> {
    append_lines(path, &lines(at, level, text))
}

fn lines(at: f64, level: Level, text: &str) -> String {
    let time = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_secs_f64(at.max(0.0)));
    let lines = text.trim_start().lines().enumerate();
    lines.map(|(at, line)| format!("{time} {level:<5} {}{line}\n", if at == 0 { "" } else { MORE })).collect()
}

/// What a further line of an event begins with.
const MORE: &str = "  ";

/// A line of an event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Microseconds since the epoch.
    pub at: u64,
    /// How grave it is.
    pub level: Level,
    /// What it says.
    pub text: &'a str,
    /// Whether it goes on with the line before it.
    pub more: bool,
}

/// Reads a line; nothing for one that is no event.
pub fn parse(line: &str) -> Option<Line<'_>> {
    let line = line.strip_suffix('\n').unwrap_or(line);
    let (time, rest) = line.split_once(' ')?;
    let at = humantime::parse_rfc3339(time).ok()?.duration_since(UNIX_EPOCH).ok()?.as_micros() as u64;
    let level = [Level::Debug, Level::Info, Level::Warn, Level::Error].into_iter().find_map(|level| {
        let rest = rest.strip_prefix(&format!("{level:<5} "))?;
        Some((level, rest))
    });
    let (level, text) = level?;
    let further = text.strip_prefix(MORE);
    Some(Line { at, level, text: further.unwrap_or(text), more: further.is_some() })
}

/// Events are few: the file is opened anew each time, so that it may be moved or removed at will.
fn append_lines(path: &Path, lines: &str) -> io::Result<()> {
    open_to_append(path)?.write_all(lines.as_bytes())
}

/// Rotates the log if so many bytes more would be too many. Whether it has been.
fn make_room(path: &Path, rules: &Rules, more: u64) -> io::Result<bool> {
    let Some(limit) = rules.max_size else { return Ok(false) };
    let real = place(path);
    let size = match real.symlink_metadata() {
        Ok(meta) if meta.is_file() => meta.len(),
        _ => return Ok(false),
    };
    if size == 0 || size.saturating_add(more) <= limit {
        return Ok(false);
    }
    rotate::rotate(&real).map(|()| true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::logs::archives;
    use crate::logs::happening::Happening;

    proptest! {
        #[test]
        fn what_a_check_prints_is_never_an_event(first in "\\PC{0,30}", more in "[ -~]{1,60}") {
            let text = Happening::Unhealthy(format!("{first}\n{more}")).to_string();
            let written = lines(1.5, Level::Error, &text);
            let read: Vec<Line<'_>> = written.lines().map(|line| parse(line).unwrap()).collect();
            prop_assert_eq!(read.iter().map(|line| line.more).collect::<Vec<_>>(), [false, true]);
            prop_assert_eq!(read[1].text, more);
            prop_assert_eq!(read[0].at, 1_500_000);
            prop_assert_eq!(Happening::parse(read[0].text), Happening::Unhealthy(first));
        }
    }

    #[test]
    fn the_event_log_is_rotated_before_it_is_too_long() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("logs/web.run");
        let rules = Rules { max_size: Some(80), max_count: Some(2), ..Rules::default() };
        for number in 0..9 {
            write(&path, &rules, 0.0, Level::Info, &format!("event {number}"));
        }
        let line = |number: usize| format!("1970-01-01T00:00:00.000Z info  event {number}\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), line(8));
        let archived = archives::list(&path).unwrap().all;
        let read: Vec<_> = archived.iter().map(|archive| std::fs::read_to_string(archive.path()).unwrap()).collect();
        assert_eq!(read, [[4, 5], [6, 7]].map(|pair| pair.map(line).concat()));
    }
}
