//! The event log of an app: a line an event, `TIME LEVEL TEXT`, apart from its output so that it cannot be forged.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::open_to_append;
use crate::config::values::Level;

/// Appends one event, which happened `at` seconds after the epoch. That it cannot be written is told to whoever traces
/// the program.
pub fn write(path: &Path, at: f64, level: Level, text: &str) {
    if let Err(error) = append(path, at, level, text) {
        tracing::warn!(path = %path.display(), %error, "cannot write an event: {text}");
    }
}

/// Appends one event. Events are few: the file is opened anew each time, so that it may be moved or removed at will.
pub fn append(path: &Path, at: f64, level: Level, text: &str) -> io::Result<()> {
    let time = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_secs_f64(at.max(0.0)));
    let lines: String = text.lines().map(|line| format!("{time} {level:<5} {line}\n")).collect();
    open_to_append(path)?.write_all(lines.as_bytes())
}
