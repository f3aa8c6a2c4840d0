//! Values that are numbers with a unit or a base.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{ValueError, serde_as_text};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// The units of a size, greatest first, each with its power of two.
const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

const SIZES: &str = "use bytes, or K, M, G, T (powers of 1024), such as 512M";

impl FromStr for Size {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError::not(text, "a size", SIZES);
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        if number.is_empty() {
            return Err(wrong());
        }
        let unit = unit.trim_start().to_ascii_uppercase();
        let power = match unit.strip_suffix("IB").or(unit.strip_suffix('B')).unwrap_or(&unit) {
            "" if unit == "IB" => return Err(wrong()),
            "" => 0,
            letter => UNITS.iter().find(|(name, _)| letter.chars().eq([*name])).ok_or_else(wrong)?.1,
        };
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << power));
        bytes.map(Self).ok_or_else(|| ValueError::not(text, "a size that fits 64 bits", SIZES))
    }
}

impl fmt::Display for Size {
    /// In the greatest unit that leaves a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, power)| self.0 != 0 && self.0.trailing_zeros() >= *power) {
            Some((name, power)) => f.pad(&format!("{}{name}", self.0 >> power)),
            None => f.pad(&self.0.to_string()),
        }
    }
}

/// A size, or no limit at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CoreLimit {
    /// No limit.
    #[default]
    Unlimited,
    /// At most this many bytes.
    Bytes(u64),
}

impl FromStr for CoreLimit {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "unlimited" | "infinity" => Ok(Self::Unlimited),
            _ => match text.parse() {
                Ok(Size(bytes)) => Ok(Self::Bytes(bytes)),
                Err(_) => Err(ValueError::not(text, "a size", "use unlimited, bytes, or K, M, G, T, such as 64M")),
            },
        }
    }
}

impl fmt::Display for CoreLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.pad("unlimited"),
            Self::Bytes(bytes) => Size(*bytes).fmt(f),
        }
    }
}

/// A length of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

impl Span {
    /// The longest one, about a century: added to any moment, it cannot overflow.
    pub const MAX: Self = Self(Duration::from_secs(36_500 * 24 * 60 * 60));
}

const SPANS: &str = "use whole seconds, or 500ms, 30s, 5m, 1h30m, 7d";

impl FromStr for Span {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let trimmed = text.trim();
        if trimmed.starts_with('-') {
            return Err(ValueError::not(text, "a duration", "it cannot be negative"));
        }
        if has_calendar_unit(trimmed) {
            let why = "months and years differ in length; use d for days, or m for minutes";
            return Err(ValueError::not(text, "a duration", why));
        }
        let bare = !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit());
        let read = match bare {
            true => trimmed.parse().ok().map(Duration::from_secs),
            false => humantime::parse_duration(trimmed).ok(),
        };
        match read.map(Self) {
            Some(span) if span <= Self::MAX => Ok(span),
            Some(_) => Err(ValueError::not(text, "a duration", "the longest is 36500d")),
            None if bare => Err(ValueError::not(text, "a duration", "the longest is 36500d")),
            None => Err(ValueError::not(text, "a duration", SPANS)),
        }
    }
}

/// Whether a text names months or years. humantime reads `1M` as a month, where people mean a minute as often.
fn has_calendar_unit(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_alphabetic());
    words.into_iter().any(|word| matches!(word, "M" | "month" | "months" | "Y" | "y" | "yr" | "yrs" | "year" | "years"))
}

impl fmt::Display for Span {
    /// Compact: `1h30m`, `500ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.as_secs(), u64::from(self.0.subsec_nanos()));
        let parts = [
            (seconds / 86_400, "d"),
            (seconds / 3_600 % 24, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
            (nanos / 1_000_000, "ms"),
            (nanos / 1_000 % 1_000, "us"),
            (nanos % 1_000, "ns"),
        ];
        let text: String =
            parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}")).collect();
        f.pad(if text.is_empty() { "0s" } else { &text })
    }
}

/// The permission bits that new files do not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Umask(pub u32);

impl FromStr for Umask {
    type Err = ValueError;

    /// Always octal, as in a shell: `022`, `22` and `0o22` are the same.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let trimmed = text.trim();
        let digits = trimmed.strip_prefix("0o").unwrap_or(trimmed);
        let octal = !digits.is_empty() && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let bits = octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten().filter(|bits| *bits <= 0o777);
        bits.map(Self).ok_or_else(|| {
            ValueError::not(text, "a permission mask", "use octal digits, from 000 to 777, such as 022 or 077")
        })
    }
}

impl fmt::Display for Umask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:03o}", self.0))
    }
}

serde_as_text!(Size, CoreLimit, Span, Umask);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        let table = [
            ("0", 0),
            ("1000", 1000),
            ("512M", 512 << 20),
            ("512m", 512 << 20),
            ("1Gb", 1 << 30),
            ("1GB", 1 << 30),
            ("1GiB", 1 << 30),
            ("64 k", 64 << 10),
            (" 2T ", 2 << 40),
            ("512b", 512),
            ("512B", 512),
        ];
        for (text, bytes) in table {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for bad in [
            "",
            "M",
            "1.5G",
            "-1",
            "+1",
            "12X",
            "1KM",
            "1iB",
            "1e9",
            "1_000",
            "0x10",
            "18446744073709551616",
            "16777216T",
        ] {
            assert!(bad.parse::<Size>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn durations_read_as_people_write_them() {
        let ms = Duration::from_millis;
        let table = [
            ("0", ms(0)),
            ("30", ms(30_000)),
            ("500ms", ms(500)),
            ("1.5s", ms(1_500)),
            ("5m", ms(300_000)),
            ("1h30m", ms(5_400_000)),
            ("1h 30m", ms(5_400_000)),
            ("7d", ms(604_800_000)),
            (" 2min ", ms(120_000)),
        ];
        for (text, duration) in table {
            assert_eq!(text.parse(), Ok(Span(duration)), "{text}");
        }
        for bad in
            ["", "1M", "2months", "1y", "-5s", "-5", "s", "5 bananas", "1.5", "99999999999999999999", "40000d", "NaN"]
        {
            assert!(bad.parse::<Span>().is_err(), "{bad:?}");
        }
        let shown = [("90s", "1m30s"), ("60", "1m"), ("0", "0s"), ("36h", "1d12h"), ("1500ms", "1s500ms")];
        for (text, compact) in shown {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), compact);
        }
    }

    #[test]
    fn a_umask_is_octal_whatever_it_looks_like() {
        for (text, bits) in [("022", 0o22), ("22", 0o22), ("0o077", 0o77), ("0", 0), ("0777", 0o777)] {
            assert_eq!(text.parse(), Ok(Umask(bits)), "{text}");
        }
        for bad in ["", "999", "1000", "-1", "+7", "0x1f", "rwx"] {
            assert!(bad.parse::<Umask>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_size_survives_its_text(bytes in any::<u64>(), power in 0..45u32) {
            for size in [Size(bytes), Size((bytes >> power) << power)] {
                prop_assert_eq!(size.to_string().parse(), Ok(size));
            }
        }

        #[test]
        fn every_duration_survives_its_text(seconds in 0..Span::MAX.0.as_secs(), nanos in 0..1_000_000_000u32) {
            for span in [Span(Duration::new(seconds, nanos)), Span(Duration::from_secs(seconds))] {
                prop_assert_eq!(span.to_string().parse(), Ok(span));
            }
        }

        #[test]
        fn every_umask_survives_its_text(bits in 0..=0o777u32) {
            prop_assert_eq!(Umask(bits).to_string().parse(), Ok(Umask(bits)));
        }

        #[test]
        fn no_text_is_too_strange(text in any::<String>()) {
            let _ = (text.parse::<Size>(), text.parse::<Span>(), text.parse::<Umask>(), text.parse::<CoreLimit>());
        }
    }
}
