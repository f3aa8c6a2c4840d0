//! How grave a line is, by the words that common loggers put into it.
//!
//! Three styles are known: JSON (`"level":"warn"`, also as pino's numbers), logfmt (`level=warn`), and text, where the
//! word stands near the beginning of the line: in capitals, in brackets, before a colon, or next to a time in UTC, in
//! colour or not. The beginnings of what uncaught exceptions and panics print are errors. A line without such a word has
//! no level of its own: it belongs to the line before it, as those of a stack trace do.

use std::borrow::Cow;

use crate::config::values::Level;

/// The word is looked for no further into the line than this.
const NEAR: usize = 200;

/// What a field is called that holds the level.
const KEYS: [&str; 7] = ["level", "lvl", "severity", "loglevel", "log_level", "log.level", "levelname"];

/// The level of a line; nothing if it does not say one.
pub fn of(line: &[u8]) -> Option<Level> {
    let near = &line[..line.len().min(NEAR)];
    match near.first()? {
        b'{' => return field(line, &mut Json::default().fields(), json_value),
        b'<' => {
            if let Some(level) = syslog(near) {
                return Some(level);
            }
        }
        b' ' | b'\t' => return None, // A line that goes on with another.
        letter @ (b'I' | b'W' | b'E' | b'F' | b'D') if is_glog(near) => {
            return Some(match letter {
                b'D' => Level::Debug,
                b'I' => Level::Info,
                b'W' => Level::Warn,
                _ => Level::Error,
            });
        }
        _ => {}
    }
    let near = without_colour(near);
    field(&near, &mut |line, begin| is_a_field_of_logfmt(&line[..begin]), logfmt_value)
        .or_else(|| is_uncaught(&near).then_some(Level::Error))
        .or_else(|| spoken(&near))
}

/// The text without the sequences that colour it, `ESC [ … m`.
fn without_colour(text: &[u8]) -> Cow<'_, [u8]> {
    let mut plain = Vec::new();
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, b"\x1b[") {
        let (before, sequence) = rest.split_at(at);
        let numbers = sequence[2..].iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b';' | b':')).count();
        let is_colour = sequence.get(2 + numbers) == Some(&b'm');
        plain.extend_from_slice(before);
        if !is_colour {
            plain.extend_from_slice(&sequence[..2]);
        }
        rest = &sequence[if is_colour { 3 + numbers } else { 2 }..];
    }
    if plain.is_empty() && rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    plain.extend_from_slice(rest);
    Cow::Owned(plain)
}

/// Whether a line begins what a runtime prints when nobody catches an exception: Python's traceback, `TypeError: …` and the
/// like, Java's `Exception in thread`, Rust's panic.
fn is_uncaught(line: &[u8]) -> bool {
    let is_kind = |name: &[u8]| {
        (name.ends_with(b"Error") || name.ends_with(b"Exception"))
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$'))
    };
    line.starts_with(b"Traceback (most recent call last)")
        || line.starts_with(b"Exception in thread ")
        || (line.starts_with(b"thread '") && memchr::memmem::find(line, b" panicked at ").is_some())
        || line.iter().position(|byte| *byte == b':').is_some_and(|colon| is_kind(&line[..colon]))
}

/// Whether a line begins as those of glog and klog do: `E0131 12:00:00.000000`.
fn is_glog(line: &[u8]) -> bool {
    line.len() > 5 && line[1..5].iter().all(u8::is_ascii_digit) && line[5] == b' '
}

/// The level that a word means.
fn word(word: &[u8]) -> Option<Level> {
    let is = |names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()));
    match word.len() {
        3..=11 => {}
        _ => return None,
    }
    if is(&["info", "information", "notice", "inf", "success"]) {
        Some(Level::Info)
    } else if is(&["warn", "warning", "wrn"]) {
        Some(Level::Warn)
    } else if is(&[
        "error",
        "erro",
        "err",
        "fatal",
        "fata",
        "critical",
        "crit",
        "panic",
        "severe",
        "alert",
        "emerg",
        "emergency",
    ]) {
        Some(Level::Error)
    } else if is(&["debug", "debu", "trace", "verbose", "dbg", "trc", "fine", "finer", "finest"]) {
        Some(Level::Debug)
    } else {
        None
    }
}

/// A number as pino and bunyan write it.
fn pino(number: u32) -> Option<Level> {
    match number {
        10..=29 => Some(Level::Debug),
        30..=39 => Some(Level::Info),
        40..=49 => Some(Level::Warn),
        50..=99 => Some(Level::Error),
        _ => None,
    }
}

/// `<3>`, as programs write it for the journal.
fn syslog(line: &[u8]) -> Option<Level> {
    match line.get(1..3)? {
        [b'0'..=b'3', b'>'] => Some(Level::Error),
        [b'4', b'>'] => Some(Level::Warn),
        [b'5' | b'6', b'>'] => Some(Level::Info),
        [b'7', b'>'] => Some(Level::Debug),
        _ => None,
    }
}

/// The value of the first field that is called like one with a level: `is_field` tells whether a name that begins there is
/// one's, asked from left to right, and `value` reads what follows it.
fn field(
    line: &[u8],
    is_field: &mut dyn FnMut(&[u8], usize) -> bool,
    value: fn(&[u8]) -> Option<Level>,
) -> Option<Level> {
    // Each name has a `v`, which is a rare letter.
    for at in memchr::memchr_iter(b'v', line) {
        for key in KEYS {
            let Some(begin) = key.bytes().position(|byte| byte == b'v').and_then(|v| at.checked_sub(v)) else {
                continue;
            };
            let Some(rest) = line[begin..].strip_prefix(key.as_bytes()) else { continue };
            if let Some(level) = value(rest).filter(|_| is_field(line, begin)) {
                return Some(level);
            }
        }
    }
    None
}

/// How far a line of JSON has been read.
#[derive(Default)]
struct Json {
    at: usize,
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Json {
    /// What tells whether a name is one of the outermost object, and neither of one within it nor a part of a text.
    fn fields(mut self) -> impl FnMut(&[u8], usize) -> bool {
        move |line, begin| begin > 0 && line[begin - 1] == b'"' && self.reads_a_name_at(line, begin)
    }

    fn reads_a_name_at(&mut self, line: &[u8], begin: usize) -> bool {
        for byte in &line[self.at.min(begin)..begin] {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                b'{' | b'[' if !self.in_text => self.depth += 1,
                b'}' | b']' if !self.in_text => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.at = begin;
        self.depth == 1 && self.in_text
    }
}

/// Whether a name behind this begins a field, and stands neither in a quoted text nor in an address.
fn is_a_field_of_logfmt(before: &[u8]) -> bool {
    let free =
        before.last().is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b'[' | b'(' | b',' | b';' | b'|'));
    free && before.iter().filter(|byte| **byte == b'"').count() % 2 == 0
}

/// What follows the name in JSON: `": "warn"`.
fn json_value(rest: &[u8]) -> Option<Level> {
    let rest = rest.strip_prefix(b"\"")?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    match rest.strip_prefix(b"\"") {
        Some(text) => word(text.split(|byte| *byte == b'"').next()?),
        None => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            pino(std::str::from_utf8(&rest[..digits.min(3)]).ok()?.parse().ok()?)
        }
    }
}

/// What follows the name in logfmt: `=warn` or `="warn"`.
fn logfmt_value(rest: &[u8]) -> Option<Level> {
    let rest = rest.strip_prefix(b"=")?;
    let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
    let end = rest.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(rest.len());
    word(&rest[..end])
}

/// A word in the text: all in capitals, or in brackets, or first in the line and before a colon, or alone behind a time.
fn spoken(line: &[u8]) -> Option<Level> {
    let mut at = 0;
    while at < line.len() {
        if !line[at].is_ascii_alphabetic() {
            at += 1;
            continue;
        }
        let end = at + line[at..].iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(line.len() - at);
        let (before, after) = (at.checked_sub(1).map(|at| line[at]), line.get(end).copied());
        let part_of_more = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit() || matches!(byte, b'_'));
        let text = &line[at..end];
        let capital = text.iter().all(u8::is_ascii_uppercase);
        let bracketed = match before {
            Some(b'[') => after.is_some_and(|byte| matches!(byte, b']' | b' ' | b':')),
            Some(b':') => after == Some(b']'), // Apache's `[core:error]`.
            _ => false,
        };
        let leads = after == Some(b':') && is_preamble(&line[..at]);
        let stamped = matches!(after, Some(b' ' | b'\t')) && is_stamp(&line[..at]);
        // PostgreSQL's word for what is no trouble, behind its time.
        if text == b"LOG" && after == Some(b':') && !part_of_more(before) && (at == 0 || line[0].is_ascii_digit()) {
            return Some(Level::Info);
        }
        if (capital || bracketed || leads || stamped)
            && !part_of_more(before)
            && !part_of_more(after)
            && let Some(level) = word(text)
        {
            return Some(level);
        }
        at = end;
    }
    None
}

/// Whether nothing but a time stamp or punctuation stands before a word.
fn is_preamble(text: &[u8]) -> bool {
    text.iter().all(|byte| !byte.is_ascii_alphabetic() || matches!(byte, b'T' | b'Z'))
}

/// Whether nothing but a time in UTC stands before a word, as in our own events.
fn is_stamp(text: &[u8]) -> bool {
    let stamp = text.trim_ascii_end();
    stamp.len() < text.len()
        && stamp.len() >= "2026-01-31T12:00:00Z".len()
        && stamp.ends_with(b"Z")
        && is_preamble(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_styles_are_understood() {
        let table = [
            ("2026-01-31T12:00:00Z  INFO web: up", Some(Level::Info)),
            ("2026-01-31 12:00:00,123 - root - WARNING - disk is full", Some(Level::Warn)),
            ("WARNING:root:disk is full", Some(Level::Warn)),
            ("12:00:00.000 [main] ERROR c.e.Main - no", Some(Level::Error)),
            ("2026/01/31 12:00:00 [error] 12#0: *1 open() failed", Some(Level::Error)),
            ("[Sat Jan 31 12:00:00 2026] [core:notice] [pid 1] up", Some(Level::Info)),
            ("[Sat Jan 31 12:00:00 2026] [core:error] [pid 1] no", Some(Level::Error)),
            ("\x1b[31mERROR\x1b[0m no", Some(Level::Error)),
            ("\x1b[1;31merror\x1b[0m: could not compile", Some(Level::Error)),
            ("2026-01-31T12:00:00Z \x1b[33m WARN\x1b[0m web: low", Some(Level::Warn)),
            ("ERRO[0000] no", Some(Level::Error)),
            ("FATA[0000] no", Some(Level::Error)),
            ("DEBU[0000] x", Some(Level::Debug)),
            ("thread 'main' panicked at src/main.rs:2:5:", Some(Level::Error)),
            ("Traceback (most recent call last):", Some(Level::Error)),
            ("ValueError: no", Some(Level::Error)),
            ("java.lang.NullPointerException: no", Some(Level::Error)),
            ("Exception in thread \"main\" java.io.IOException", Some(Level::Error)),
            ("no Error: here", None),
            ("error: cannot open", Some(Level::Error)),
            ("warning: unused", Some(Level::Warn)),
            ("2026-01-31T12:00:00Z error: no", Some(Level::Error)),
            ("2026-01-31T12:00:00.123Z warn  exited 3 after 1s", Some(Level::Warn)),
            ("2026-01-31T12:00:00.123Z\tdebug\tmain.go:1\tup", Some(Level::Debug)),
            ("2026-01-31T12:00:00Z no error at all", None),
            ("12:00:00 error handling is better now", None),
            ("E0131 12:00:00.000000 1 main.go:1] no", Some(Level::Error)),
            ("I0131 12:00:00.000000 1 main.go:1] up", Some(Level::Info)),
            ("<3>no", Some(Level::Error)),
            ("<6>up", Some(Level::Info)),
            ("<p>ERROR</p>", Some(Level::Error)),
            ("ts=1 level=warn msg=\"an error\"", Some(Level::Warn)),
            ("level=\"error\" msg=x", Some(Level::Error)),
            ("time=x lvl=dbug", None),
            ("{\"level\":\"debug\",\"msg\":\"ERROR\"}", Some(Level::Debug)),
            ("{\"msg\":\"x\", \"severity\" : \"CRITICAL\"}", Some(Level::Error)),
            ("{\"level\":30,\"msg\":\"up\"}", Some(Level::Info)),
            ("{\"level\":50}", Some(Level::Error)),
            ("{\"log.level\":\"warn\"}", Some(Level::Warn)),
            ("{\"msg\":\"ERROR\"}", None),
            ("{\"a\":{\"level\":\"error\"},\"level\":\"debug\"}", Some(Level::Debug)),
            ("{\"msg\":\"\\\"level\\\":\\\"error\\\"\",\"level\":\"info\"}", Some(Level::Info)),
            ("{\"list\":[{\"level\":\"error\"}]}", None),
            ("msg=\"set level=error now\" level=debug", Some(Level::Debug)),
            ("10.0.0.1 GET /?level=error 200", None),
            ("10.0.0.1 GET /?a=b&level=error 200", None),
            ("2026-01-31 12:00:00.123 UTC [1] LOG:  checkpoint starting", Some(Level::Info)),
            ("ERROR_LOG: x", None),
            ("tail LOG: ERROR cannot open", Some(Level::Error)),
            ("TRACE x", Some(Level::Debug)),
            ("FATAL: role does not exist", Some(Level::Error)),
            ("an error occurred", None),
            ("no problem: info follows", None),
            ("ERROR_CODE is 3", None),
            ("ERR42 is not a level", None),
            ("    at com.example.ERROR(Main.java:1)", None),
            ("\tFile INFO", None),
            ("", None),
            ("\n", None),
        ];
        for (line, level) in table {
            assert_eq!(of(line.as_bytes()), level, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_breaks_it(line in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = of(&line);
        }

        #[test]
        fn nor_what_nearly_is_one(line in "[{<IE ]?(lvl|level|severity)[\"=: ]{0,3}[A-Za-z0-9\"]{0,12}") {
            let _ = of(line.as_bytes());
        }
    }
}
