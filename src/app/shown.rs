//! Names as people read them: what a file is called cannot play with a terminal, or begin a line of its own.
//!
//! A name may hold any character but `/` and NUL, and whoever can make a file or a directory chooses it. Every path that
//! stands in a message is written by [`Shown`]. The arguments of programs have paths as they are, and JSON says what they are
//! in its own escapes.

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

/// An error as part of a sentence: a reason of the system's begins in lower case, without the number that std adds.
pub fn reason(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((reason, rest)) => {
            let first: String = reason.chars().take(1).flat_map(char::to_lowercase).collect();
            let after = rest.split_once(')').map_or("", |(_, after)| after);
            format!("{first}{}{after}", reason.chars().skip(1).collect::<String>())
        }
        None => text,
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

/// Whether a terminal would obey a character: a control character, or one that turns the direction of a text.
pub fn is_obeyed(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON that a terminal may show, and that says the same: what JSON lets stand in its texts, and a terminal would obey, is
/// escaped.
pub fn readable_json(json: String) -> String {
    let is_wild = |character: char| character != '\n' && is_obeyed(character); // A line end is none of a text's.
    if !json.chars().any(is_wild) {
        return json;
    }
    let mut tamed = String::with_capacity(json.len());
    for character in json.chars() {
        match is_wild(character) {
            true => tamed.push_str(&format!("\\u{:04x}", u32::from(character))),
            false => tamed.push(character),
        }
    }
    tamed
}

/// Writes a character as it is, or as `\n`, `\x1b`, `\u{202e}`: also what turns the direction of a text has no
/// business in a name.
fn put(to: &mut impl Write, character: char, kept: &str) -> fmt::Result {
    match character {
        _ if kept.contains(character) => to.write_char(character),
        '\n' | '\t' | '\r' => write!(to, "{}", character.escape_default()),
        _ if character.is_control() => write!(to, "\\x{:02x}", u32::from(character)),
        _ if is_obeyed(character) => write!(to, "{}", character.escape_unicode()),
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
    fn json_keeps_from_a_terminal_what_it_would_obey_and_says_the_same() {
        let said = "\u{9b}31m red \u{202e}\u{7f}é\\n\n";
        let json = readable_json(serde_json::to_string_pretty(&[said]).unwrap());
        assert_eq!(json, "[\n  \"\\u009b31m red \\u202e\\u007fé\\\\n\\n\"\n]");
        assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [said]);
    }

    #[test]
    fn a_message_keeps_its_lines() {
        assert_eq!(readable_lines("a\nb\tc\x1b[1m"), "a\nb\tc\\x1b[1m");
    }
}
