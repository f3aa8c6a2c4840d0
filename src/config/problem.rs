//! What is wrong with a configuration, and where: one line a mistake, all mistakes at once.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::app::Shown;

/// A place in a file, both numbers counted from one; a column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// Where the byte at `offset` stands in `text`.
    pub fn of(text: &str, offset: usize) -> Self {
        let boundary = (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        let before = &text[..boundary.unwrap_or(0)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self { line: 1 + before.matches('\n').count(), column: 1 + before[line_start..].chars().count() }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One mistake: `FILE:LINE:COLUMN: SUBJECT: what is wrong and what would be right`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file it is in, if it is in one.
    pub file: Option<PathBuf>,
    /// Where in the file, if one place can be named.
    pub position: Option<Position>,
    /// What it is about, as the person wrote it: `limits.timeout`, `--umask`, `DAEMONCTL_WEB_USER`.
    pub subject: Option<String>,
    /// What is wrong, and what would be right.
    pub message: String,
    /// What would be right where that is a list: whoever has one line for the mistake does without.
    pub hint: Option<String>,
}

impl Problem {
    /// A mistake that is about nothing in particular.
    pub fn new(message: impl Into<String>) -> Self {
        Self { file: None, position: None, subject: None, message: message.into(), hint: None }
    }

    /// The same, about an option, a flag or a variable.
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The same, with a list of what would be right.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, in a file.
    pub fn in_file(mut self, file: &Path, position: Option<Position>) -> Self {
        (self.file, self.position) = (Some(file.to_owned()), position);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.shown())?;
            if let Some(position) = self.position {
                write!(f, "{position}:")?;
            }
            f.write_str(" ")?;
        }
        if let Some(subject) = &self.subject {
            write!(f, "{subject}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// All mistakes of a configuration; never empty when it is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// `value`, unless there is a problem.
    pub fn unless_any<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl Problems {
    /// What would be right, a line for each list.
    pub fn hint(&self) -> Option<String> {
        let mut hints: Vec<&str> = self.0.iter().filter_map(|problem| problem.hint.as_deref()).collect();
        hints.sort_unstable();
        hints.dedup();
        (!hints.is_empty()).then(|| hints.join("\n"))
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            write!(f, "{end}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The known name nearest to a mistyped one, if it is near enough to be what was meant.
pub(super) fn nearest<'a>(mistyped: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mistyped = mistyped.to_ascii_lowercase().replace('-', "_");
    let far = 1 + mistyped.chars().count() / 4;
    let distance = |name: &str| strsim::damerau_levenshtein(&name.to_ascii_lowercase().replace('-', "_"), &mistyped);
    let near = known.into_iter().map(|name| (distance(name), name)).filter(|(distance, _)| *distance <= far);
    near.min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_characters() {
        let text = "a\nöé = 1\n";
        let at = |offset| Position::of(text, offset).to_string();
        assert_eq!([at(0), at(2), at(4), at(6), at(99)], ["1:1", "2:1", "2:2", "2:3", "3:1"]);
        assert_eq!(at(3), "2:1", "an offset inside a character is that character");
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["restart", "restart_delay", "user"];
        assert_eq!(nearest("restrat", known), Some("restart"));
        assert_eq!(nearest("Restart-Delay", known), Some("restart_delay"));
        assert_eq!(nearest("usr", known), Some("user"));
        assert_eq!(nearest("colour", known), None);
    }
}
