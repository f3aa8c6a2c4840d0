//! How a line of a log is shown: as it is, for people with its time and origin before it, or as a JSON object.

use std::io::{self, Write};

use jiff::tz::TimeZone;
use serde::Serialize;

use super::{event, text};

use crate::config::values::Level;
use crate::logs::read::escape;
use crate::logs::{events, moment};

/// What is known of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// The how-manyth origin it is from.
    pub(super) origin: usize,
    /// The line with its end, or a piece of one that is too long.
    pub(super) text: &'a [u8],
    /// Whether it is the beginning of a line.
    pub(super) begins: bool,
    /// Microseconds since the epoch.
    pub(super) time: Option<u64>,
    /// How grave it is.
    pub(super) level: Option<Level>,
}

/// Where lines come from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The app.
    pub(super) app: String,
    /// `stdout`, `stderr` or `events`.
    pub(super) stream: &'static str,
    /// What is before each of its lines.
    pub(super) mark: String,
    /// How much of each of its lines is shown to people.
    pub(super) shown: Shown,
}

/// How much of a line is shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// All of it.
    Whole,
    /// Of an event, all but its time: another one, in the reader's zone, stands before it.
    Untimed,
    /// Of an event, only what happened, not its time and level.
    Happening,
}

/// How lines are shown.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// As they are.
    Raw,
    /// With times, if a zone is given, and marks; safe for a terminal, if one is there.
    Text { times: Option<TimeZone>, escape: bool },
    /// An object a line.
    Json,
    /// An object a line of an event log, with what it says as data.
    Events,
}

/// What lines are written on.
pub(super) struct Page<W: Write> {
    form: Form,
    origins: Vec<Origin>,
    out: W,
    /// The origin of a line that has been begun, and has no end yet.
    open: Option<usize>,
    /// Whether nothing has been written.
    blank: bool,
}

/// The documented form of a line for programs.
#[derive(Serialize)]
struct Object<'a> {
    app: &'a str,
    stream: &'a str,
    time: Option<String>,
    level: Option<&'static str>,
    text: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    escaped: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
}

impl<W: Write> Page<W> {
    pub(super) fn new(form: Form, origins: Vec<Origin>, out: W) -> Self {
        Self { form, origins, out, open: None, blank: true }
    }

    /// Whether nothing has been written.
    pub(super) fn is_blank(&self) -> bool {
        self.blank
    }

    /// Writes a line.
    pub(super) fn write(&mut self, line: Line<'_>) -> io::Result<()> {
        self.blank = false;
        match &self.form {
            Form::Raw => self.out.write_all(line.text),
            Form::Json => {
                let object = object(&self.origins[line.origin], line);
                writeln!(self.out, "{}", text::json_line(&object))
            }
            Form::Events => {
                let app = &self.origins[line.origin].app;
                writeln!(self.out, "{}", text::json_line(&event::object(app, line.text)))
            }
            Form::Text { times, escape: escaped } => {
                let text = match self.origins[line.origin].shown {
                    Shown::Untimed if line.begins => untimed(line.text),
                    Shown::Happening if line.begins => happened(line.text),
                    Shown::Whole | Shown::Untimed | Shown::Happening => line.text,
                };
                // Another's line does not go on with this one's.
                if self.open.is_some_and(|open| open != line.origin || line.begins) {
                    self.out.write_all(b"\n")?;
                    self.open = None;
                }
                if self.open.is_none() {
                    if let Some(zone) = times {
                        match line.time {
                            Some(at) => write!(self.out, "{} ", moment::shown(at, zone))?,
                            None => write!(self.out, "{:<29} ", "-")?,
                        }
                    }
                    self.out.write_all(self.origins[line.origin].mark.as_bytes())?;
                }
                match escaped {
                    true => self.out.write_all(escape(text).as_bytes())?,
                    false => self.out.write_all(text)?,
                }
                self.open = (!line.text.ends_with(b"\n")).then_some(line.origin);
                Ok(())
            }
        }
    }

    /// Ends what has no end.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if self.open.take().is_some() {
            self.out.write_all(b"\n")?;
        }
        self.out.flush()
    }

    /// Shows what has been written.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// An event without its time; what is no event, whole.
fn untimed(line: &[u8]) -> &[u8] {
    let is_event = std::str::from_utf8(line).ok().and_then(events::parse).is_some();
    let word = line.iter().position(|byte| *byte == b' ').filter(|_| is_event);
    word.map_or(line, |word| &line[word + 1..])
}

/// An event without its time and level.
fn happened(event: &[u8]) -> &[u8] {
    let mut rest = event;
    for _ in 0..2 {
        let word = rest.iter().position(|byte| *byte == b' ').unwrap_or(0);
        rest = rest[word..].trim_ascii_start();
    }
    rest
}

fn object<'a>(origin: &'a Origin, line: Line<'_>) -> Object<'a> {
    let (text, partial) = match line.text.strip_suffix(b"\n") {
        Some(text) => (text, false),
        None => (line.text, true),
    };
    // The time and level of an event have fields of their own.
    let text = if origin.stream == "events" && line.begins { happened(text) } else { text };
    let valid = std::str::from_utf8(text).ok();
    Object {
        app: &origin.app,
        stream: origin.stream,
        time: line.time.map(moment::universal),
        level: line.level.map(Level::as_str),
        text: valid.map_or_else(|| reversible(text), str::to_owned),
        escaped: valid.is_none(),
        partial,
    }
}

/// What is not UTF-8 as `\xNN`, and so that this can be undone, each backslash as two.
fn reversible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', r"\\"));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_event_its_own_time_can_be_left_out_and_of_anything_else_nothing() {
        let text = |line: &str| String::from_utf8(untimed(line.as_bytes()).to_vec()).unwrap();
        assert_eq!(text("2026-01-31T12:00:00.000Z warn  exited 1 after 3s\n"), "warn  exited 1 after 3s\n");
        assert_eq!(text("2026-01-31T12:00:00.000Z error   at db:5432\n"), "error   at db:5432\n");
        assert_eq!(text("not an event\n"), "not an event\n");
    }

    fn shown(form: Form, lines: &[(usize, &[u8], bool)]) -> String {
        let origin =
            |app: &str, stream, mark: &str| Origin { app: app.into(), stream, mark: mark.into(), shown: Shown::Whole };
        let origins = vec![origin("web", "stdout", "web out | "), origin("db", "stderr", "db  err | ")];
        let mut out = Vec::new();
        let mut page = Page::new(form, origins, &mut out);
        for (at, (origin, text, begins)) in lines.iter().enumerate() {
            let time = (at != 1).then_some(1_769_860_805_123_456 + at as u64);
            let level = (at == 0).then_some(Level::Warn);
            page.write(Line { origin: *origin, text, begins: *begins, time, level }).unwrap();
        }
        page.finish().unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }

    const LINES: &[(usize, &[u8], bool)] = &[
        (0, b"WARN first\n", true),
        (1, b"bell\x07 and \xff\\\n", true),
        (0, b"a long ", true),
        (0, b"line, ", false),
        (1, b"between\n", true),
        (0, b"its end\n", false),
        (1, b"no end", true),
    ];

    #[test]
    fn each_form_of_output() {
        let text = |times, escape| Form::Text { times, escape };
        let forms = [text(Some(TimeZone::UTC), true), text(None, false), Form::Json, Form::Raw];
        insta::assert_snapshot!(forms.map(|form| shown(form, LINES)).join("\n=====\n"));
    }

    proptest::proptest! {
        #[test]
        fn escaped_text_can_be_restored(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
            let text = reversible(&bytes);
            let mut restored = Vec::new();
            let mut rest = text.as_bytes();
            while let [first, after @ ..] = rest {
                rest = match (first, after) {
                    (b'\\', [b'\\', more @ ..]) => {
                        restored.push(b'\\');
                        more
                    }
                    (b'\\', [b'x', high, low, more @ ..]) => {
                        let hex = [*high, *low];
                        restored.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
                        more
                    }
                    _ => {
                        restored.push(*first);
                        after
                    }
                };
            }
            proptest::prop_assert_eq!(restored, bytes);
        }
    }
}
