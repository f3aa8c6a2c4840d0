//! The event log of an app: a line an event, `TIME LEVEL TEXT`, apart from its output so that it cannot be forged.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::open_through_own_links;
use crate::config::values::Level;

/// Appends one event, which happened `at` seconds after the epoch. Events are few: the file is opened anew each time,
/// so that it may be moved or removed at will.
pub fn write(path: &Path, at: f64, level: Level, text: &str) {
    let time = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_secs_f64(at.max(0.0)));
    let lines: String = text.lines().map(|line| format!("{time} {level:<5} {line}\n")).collect();
    let append = || {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o640);
        open_through_own_links(&mut options, 0, path)?.write_all(lines.as_bytes())
    };
    if let Err(error) = append() {
        tracing::warn!(path = %path.display(), %error, "cannot write an event: {text}");
    }
}
