//! Names as people read them: what a file is called cannot play with a terminal, or begin a line of its own.
//!
//! A name may hold any character but `/` and NUL, and whoever can make a file or a directory chooses it. Every path that
//! stands in a message is written by [`Shown`]. Data, such as JSON and the arguments of programs, has paths as they are.

use std::ffi::OsStr;
use std::fmt::{self, Write};

/// A path, or a part of one, for messages.
pub trait Shown {
    /// The path with its control characters escaped.
    fn shown(&self) -> Readable<'_>;
}

impl<T: AsRef<OsStr> + ?Sized> Shown for T {
    fn shown(&self) -> Readable<'_> {
        Readable(self.as_ref())
    }
}

/// What [`Shown::shown`] returns.
#[derive(Clone, Copy, Debug)]
pub struct Readable<'a>(&'a OsStr);

impl fmt::Display for Readable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_string_lossy().chars().try_for_each(|character| put(f, character, ""))
    }
}

/// One line of text with all its control characters escaped.
pub fn readable(text: &str) -> String {
    escaped(text, "")
}

/// The same of a message, which may have lines and columns.
pub fn readable_lines(text: &str) -> String {
    escaped(text, "\n\t")
}

fn escaped(text: &str, kept: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    // A String takes whatever is written.
    let _ = text.chars().try_for_each(|character| put(&mut shown, character, kept));
    shown
}

/// Writes a character as it is, or as `\n`, `\x1b`, `\u{202e}`: also what turns the direction of a text has no
/// business in a name.
fn put(to: &mut impl Write, character: char, kept: &str) -> fmt::Result {
    match character {
        _ if kept.contains(character) => to.write_char(character),
        '\n' | '\t' | '\r' => write!(to, "{}", character.escape_default()),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => write!(to, "{}", character.escape_unicode()),
        _ if character.is_control() => write!(to, "\\x{:02x}", u32::from(character)),
        _ => to.write_char(character),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn no_name_plays_with_a_terminal() {
        let path = Path::new("/srv/a\x1b[2J\x07b\nc\td\u{9b}e\u{202e}f ö");
        assert_eq!(path.shown().to_string(), r"/srv/a\x1b[2J\x07b\nc\td\x9be\u{202e}f ö");
        assert_eq!(readable("a\nb\r"), r"a\nb\r");
    }

    #[test]
    fn a_message_keeps_its_lines() {
        assert_eq!(readable_lines("a\nb\tc\x1b[1m"), "a\nb\tc\\x1b[1m");
    }
}
