//! How quantities are written for people, and read from them; and values for programs.

use std::time::Duration;

use serde::Serialize;

use crate::app::readable_json;
use crate::config::values::Span;

/// A duration in at most two units: `40ms`, `12.3s`, `1m05s`, `3h04m`, `2d03h`.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => {
            let tenths = duration.as_millis() / 100;
            if tenths.is_multiple_of(10) {
                format!("{}s", tenths / 10)
            } else {
                format!("{}.{}s", tenths / 10, tenths % 10)
            }
        }
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// The same for a number of seconds, as status reports carry it. Nonsense from a clock that was set back is nothing.
pub(super) fn seconds(seconds: f64) -> String {
    span(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// A number of bytes in three digits or fewer: `812B`, `1.2G`, `81M`.
pub(super) fn bytes(bytes: u64) -> String {
    let mut amount = bytes as f64;
    let mut units = ["B", "K", "M", "G", "T"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if amount < 999.5 {
            break;
        }
        (amount, unit) = (amount / 1024.0, larger);
    }
    if unit != "B" && amount < 9.95 { format!("{amount:.1}{unit}") } else { format!("{amount:.0}{unit}") }
}

/// Percent of one CPU.
pub(super) fn percent(percent: f64) -> String {
    // Not -0.0%, which the sum of nothing is.
    format!("{:.1}%", percent + 0.0)
}

/// `1 process`, `2 processes`.
pub(super) fn processes(number: usize) -> String {
    format!("{number} {}", if number == 1 { "process" } else { "processes" })
}

/// `1 app`, `2 apps`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Reads a duration that an option gives.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<Span>().map(|span| span.0).map_err(|error| error.to_string())
}

/// A text in lines of at most `width` characters, broken between words; a longer word has a line of its own.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always one");
        if !line.is_empty() && line.chars().count().saturating_add(1 + word.chars().count()) > width {
            lines.push(word.to_owned());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines
}

/// The name of an app as it was meant: `web/` is `web`.
pub(super) fn without_slash(name: &str) -> &str {
    name.strip_suffix('/').unwrap_or(name)
}

/// A text whose paragraphs are one line each, for whoever breaks lines where a terminal ends. What is indented keeps its
/// lines.
pub(super) fn flowing(text: &str) -> String {
    let mut flowing = String::new();
    let mut before = "";
    for line in text.lines() {
        let goes_on = ![before, line].iter().any(|line| line.is_empty() || line.starts_with(' '));
        if !flowing.is_empty() {
            flowing.push(if goes_on { ' ' } else { '\n' });
        }
        flowing.push_str(line);
        before = line;
    }
    flowing
}

/// A value as JSON, indented, as a terminal may show it.
pub(super) fn json(value: &impl Serialize) -> String {
    // What is serialized here has only names as keys: nothing can fail.
    readable_json(serde_json::to_string_pretty(value).unwrap_or_default())
}

/// The same in one line.
pub(super) fn json_line(value: &impl Serialize) -> String {
    readable_json(serde_json::to_string(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_at_every_length() {
        let told = [0, 40, 999, 1_000, 1_250, 12_300, 59_999, 60_000, 65_000, 11_051_000, 86_400_000, 184_000_000];
        let told: Vec<_> = told.map(|millis| span(Duration::from_millis(millis))).into();
        let expected =
            ["0ms", "40ms", "999ms", "1s", "1.2s", "12.3s", "59.9s", "1m00s", "1m05s", "3h04m", "1d00h", "2d03h"];
        assert_eq!(told, expected);
        assert_eq!(seconds(-3.0), "0ms");
        assert_eq!(percent([0.0; 0].iter().sum()), "0.0%");
    }

    #[test]
    fn a_paragraph_is_one_line_and_an_example_keeps_its_own() {
        let text = "One\ntwo.\n\nExamples:\n  a\n  b\nThree\nfour";
        assert_eq!(flowing(text), "One two.\n\nExamples:\n  a\n  b\nThree four");
    }

    #[test]
    fn sizes_have_three_digits_at_most() {
        let told: Vec<_> = [0, 812, 1_000, 1_536, 10_240, 84_934_656, 1_048_000, 1_288_490_188].map(bytes).into();
        assert_eq!(told, ["0B", "812B", "1.0K", "1.5K", "10K", "81M", "1.0M", "1.2G"]);
    }
}
