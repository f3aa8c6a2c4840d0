//! Which lines are wanted: those that match a pattern, those that are grave enough.
//!
//! A pattern is looked for in blocks of many lines at once, where the regular expression engine can jump from one rare
//! byte to the next, and only what it finds is looked at as a line. The engine takes linear time whatever the pattern.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

use crate::config::values::Level;

/// What a pattern may grow to when it is compiled.
const LARGEST: usize = 10 << 20;

/// Which lines are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those that match.
    pub pattern: Option<Pattern>,
    /// Those of this level and above. A line without one has that of the line before it, or else `info`.
    pub level: Option<Level>,
}

/// A regular expression that is matched against single lines.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// It asks where the text begins or ends, and so must see each line by itself.
    by_line: bool,
}

impl Pattern {
    /// Reads a regular expression.
    pub fn parse(text: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(text).multi_line(true).size_limit(LARGEST).dfa_size_limit(LARGEST).build();
        let by_line = text.contains(r"\A") || text.contains(r"\z") || text.contains("(?");
        built.map(|regex| Self { regex, by_line }).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => format!("{text:?} is too large a pattern"),
            error => {
                let error = error.to_string();
                let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                format!("{text:?} is not a regular expression: {why}; a backslash makes a character mean itself")
            }
        })
    }

    /// The first line of a block of lines, from the line at `from` on, that matches.
    pub fn next(&self, block: &[u8], from: usize) -> Option<Range<usize>> {
        let mut from = from;
        while from < block.len() {
            let at = match self.by_line {
                true => from,
                false => self.regex.find_at(block, from)?.start(),
            };
            let begin = memchr::memrchr(b'\n', &block[from..at]).map_or(from, |newline| from + newline + 1);
            let end = memchr::memchr(b'\n', &block[at..]).map_or(block.len(), |newline| at + newline + 1);
            if begin >= block.len() {
                return None;
            }
            // What was found may go on into the next line: then it does not count.
            if self.matches(&block[begin..end]) {
                return Some(begin..end);
            }
            from = end;
        }
        None
    }

    /// Whether a line matches; its end is not part of it.
    pub fn matches(&self, line: &[u8]) -> bool {
        self.regex.is_match(line.strip_suffix(b"\n").unwrap_or(line))
    }
}

impl Filter {
    /// Whether every line is wanted.
    pub fn is_open(&self) -> bool {
        self.pattern.is_none() && self.level.is_none()
    }

    /// Whether a line of this level is.
    pub fn wants(&self, level: Option<Level>) -> bool {
        self.level.is_none_or(|least| level.unwrap_or(Level::Info) >= least)
    }
}

/// The line of a block that begins at `from`.
pub fn line_at(block: &[u8], from: usize) -> Range<usize> {
    from..memchr::memchr(b'\n', &block[from..]).map_or(block.len(), |newline| from + newline + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching<'a>(pattern: &str, text: &'a str) -> Vec<&'a str> {
        let pattern = Pattern::parse(pattern).unwrap();
        let (mut found, mut from) = (Vec::new(), 0);
        while let Some(line) = pattern.next(text.as_bytes(), from) {
            from = line.end;
            found.push(text[line].trim_end_matches('\n'));
        }
        found
    }

    #[test]
    fn a_pattern_is_about_single_lines() {
        let text = "one\ntwo three\n\nthree\n  four";
        assert_eq!(matching("three", text), ["two three", "three"]);
        assert_eq!(matching("^three$", text), ["three"]);
        assert_eq!(matching(r"\Athree\z", text), ["three"]);
        assert_eq!(matching("(?i)THREE", text), ["two three", "three"]);
        assert_eq!(matching(r"one\s+two", text), [""; 0], "not across lines");
        assert_eq!(matching(r"e\s*t|^\s*four", text), ["  four"]);
        assert_eq!(matching("^$", text), [""]);
        assert_eq!(matching("", text), ["one", "two three", "", "three", "  four"]);
        assert_eq!(matching("x*", text).len(), 5);
        assert_eq!(matching("five", text), [""; 0]);
        assert_eq!(matching("[^a]three", "x\nthree"), [""; 0], "a newline is not a character of the line");
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["(", "[a", "*", r"\q", "a{1000}{1000}{1000}"] {
            assert!(Pattern::parse(text).unwrap_err().starts_with(&format!("{text:?} is ")));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_block_is_searched_as_its_lines_would_be(text in "[ab\n]{0,40}", pattern in "[ab^$.*]{1,5}") {
            if let Ok(compiled) = Pattern::parse(&pattern) {
                let single = Regex::new(&pattern).unwrap();
                let lines = text.split_inclusive('\n').map(|line| line.trim_end_matches('\n'));
                let expected: Vec<_> = lines.filter(|line| single.is_match(line.as_bytes())).collect();
                proptest::prop_assert_eq!(matching(&pattern, &text), expected, "{:?}", compiled);
            }
        }
    }
}
