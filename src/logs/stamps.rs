//! The time that a line itself says, for logs without an index.
//!
//! Known are ISO 8601 and its relatives (`2026-01-31 12:00:00,123`, `2026/01/31 12:00:00`), syslog's `Jan 31 12:00:00`,
//! the common log format's `[31/Jan/2026:12:00:00 +0000]`, and seconds or milliseconds since the epoch; at the beginning
//! of the line, after `time=` or `ts=`, or in a JSON field. What names neither offset nor UTC is local time; what names no year is
//! the latest such day that is not in the future.

use jiff::civil::{Date, DateTime, Time};
use jiff::{Timestamp, ToSpan, Zoned};

use super::moment::{local, micros};

/// A time further into the line than this is not its own.
const NEAR: usize = 256;

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Reads the times of lines.
#[derive(Clone, Debug)]
pub struct Stamps {
    now: Zoned,
}

impl Stamps {
    /// Reads them as somebody would at this moment, in its zone.
    pub fn at(now: Zoned) -> Self {
        Self { now }
    }

    /// Microseconds since the epoch that a line says.
    pub fn of(&self, line: &[u8]) -> Option<u64> {
        let near = &line[..line.len().min(NEAR)];
        let first = *near.first()?;
        let time = match first {
            b'{' => self.after_key(near, &[b"\"time\"", b"\"ts\"", b"\"timestamp\"", b"\"@timestamp\"", b"\"t\""]),
            b'[' => self.moment(&near[1..]),
            b' ' | b'\t' => None,
            _ => self.moment(near),
        };
        let time = time.or_else(|| self.after_key(near, &[b"time=", b"ts=", b"timestamp="]));
        time.or_else(|| self.common_log(near)).map(micros)
    }

    /// The moment that a text begins with.
    fn moment(&self, text: &[u8]) -> Option<Timestamp> {
        match text.first()? {
            b'0'..=b'9' if matches!(text.get(4), Some(b'-' | b'/')) => self.iso(text),
            b'0'..=b'9' => epoch(text),
            b'A'..=b'S' => self.syslog(text),
            _ => None,
        }
    }

    fn after_key(&self, text: &[u8], keys: &[&[u8]]) -> Option<Timestamp> {
        keys.iter().find_map(|key| {
            let begin = memchr::memmem::find(text, key)?;
            if begin > 0 && text[begin - 1].is_ascii_alphanumeric() {
                return None;
            }
            let mut value = &text[begin + key.len()..];
            while let [b' ' | b':' | b'"', rest @ ..] = value {
                value = rest;
            }
            self.moment(value)
        })
    }

    /// `2026-01-31T12:00:00.123+01:00`, `2026-01-31 12:00:00,123`, `2026/01/31 12:00:00`.
    fn iso(&self, text: &[u8]) -> Option<Timestamp> {
        let (year, month, day) = (digits(text.get(..4)?)?, digits(text.get(5..7)?)?, digits(text.get(8..10)?)?);
        if text.get(4) != text.get(7) || !matches!(text.get(10), Some(b'T' | b't' | b' ')) {
            return None;
        }
        let date = date(year, month, day)?;
        let (time, rest) = clock(text.get(11..)?)?;
        self.zoned(date.to_datetime(time), rest)
    }

    /// A civil time, with the offset that follows it, if one does. Of the zones that are named, only the universal one
    /// (PostgreSQL's ` UTC`) means the same everywhere.
    fn zoned(&self, at: DateTime, rest: &[u8]) -> Option<Timestamp> {
        let rest =
            rest.strip_prefix(b" ").filter(|rest| matches!(rest, [b'+' | b'-', b'0'..=b'9', ..])).unwrap_or(rest);
        let utc = || at.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp());
        match rest {
            [b'Z' | b'z', ..] => utc(),
            [b' ', b'U', b'T', b'C', end @ ..] | [b' ', b'G', b'M', b'T', end @ ..]
                if !end.first().is_some_and(|byte| matches!(byte, b'+' | b'-') || byte.is_ascii_alphanumeric()) =>
            {
                utc()
            }
            [sign @ (b'+' | b'-'), h1, h2, minutes @ ..] => {
                let minutes = minutes.strip_prefix(b":").unwrap_or(minutes);
                let hours = digits(&[*h1, *h2])?;
                let minutes = minutes.get(..2).and_then(digits).unwrap_or(0);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let ahead = (hours * 60 + minutes) * if *sign == b'+' { 1 } else { -1 };
                utc()?.checked_sub(ahead.minutes()).ok()
            }
            _ => local(at, self.now.time_zone()),
        }
    }

    /// `Jan 31 12:00:00`.
    fn syslog(&self, text: &[u8]) -> Option<Timestamp> {
        let month = month(text.get(..3)?)?;
        let [b' ', tens, ones, b' ', rest @ ..] = text.get(3..)? else { return None };
        let tens = if *tens == b' ' { b'0' } else { *tens };
        let (day, (time, _)) = (digits(&[tens, *ones])?, clock(rest)?);
        let tomorrow = self.now.timestamp().checked_add(24.hours()).ok()?;
        let this = i64::from(self.now.year());
        // February 29 is not in every year.
        [this + 1, this, this - 1, this - 2, this - 3, this - 4]
            .into_iter()
            .filter_map(|year| local(date(year, month, day)?.to_datetime(time), self.now.time_zone()))
            .find(|at| *at <= tomorrow)
    }

    /// `… [31/Jan/2026:12:00:00 +0000] …`
    fn common_log(&self, text: &[u8]) -> Option<Timestamp> {
        let begin = memchr::memchr(b'[', text)?;
        let text = text.get(begin + 1..)?;
        if (text.get(2), text.get(6), text.get(11)) != (Some(&b'/'), Some(&b'/'), Some(&b':')) {
            return None;
        }
        let date = date(digits(&text[7..11])?, month(&text[3..6])?, digits(&text[..2])?)?;
        let (time, rest) = clock(&text[12..])?;
        self.zoned(date.to_datetime(time), rest)
    }
}

/// `12:00:00`, with a fraction or without; and what follows.
fn clock(text: &[u8]) -> Option<(Time, &[u8])> {
    let [h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = text else { return None };
    let (hour, minute, second) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?, digits(&[*s1, *s2])?);
    let (nanos, rest) = match rest {
        [b'.' | b',', fraction @ ..] => {
            let count = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (nanos(&fraction[..count]), &fraction[count..])
        }
        _ => (0, rest),
    };
    let second = second.min(59); // A leap second.
    let time = Time::new(hour.try_into().ok()?, minute.try_into().ok()?, second.try_into().ok()?, nanos).ok()?;
    Some((time, rest))
}

/// Billionths that the digits behind a point mean.
fn nanos(digits: &[u8]) -> i32 {
    (0..9).fold(0, |sum, at| sum * 10 + digits.get(at).map_or(0, |digit| i32::from(digit - b'0')))
}

/// Seconds, milliseconds, microseconds or nanoseconds since the epoch, by the number of digits.
fn epoch(text: &[u8]) -> Option<Timestamp> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = digits(text.get(..count)?)?;
    match (count, text.get(count)) {
        (10, Some(b'.')) => {
            let fraction = &text[11..];
            let count = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            Timestamp::new(number, nanos(&fraction[..count])).ok()
        }
        (_, Some(byte)) if byte.is_ascii_alphanumeric() => None,
        (10, _) => Timestamp::from_second(number).ok(),
        (13, _) => Timestamp::from_millisecond(number).ok(),
        (16, _) => Timestamp::from_microsecond(number).ok(),
        (19, _) => Timestamp::from_nanosecond(number.into()).ok(),
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    let valid = !text.is_empty() && text.len() <= 19 && text.iter().all(u8::is_ascii_digit);
    if valid { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

fn month(text: &[u8]) -> Option<i64> {
    MONTHS.iter().position(|name| *name == text).map(|at| at as i64 + 1)
}

fn date(year: i64, month: i64, day: i64) -> Option<Date> {
    Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::moment::universal;

    fn stamps() -> Stamps {
        Stamps::at("2026-02-01T12:00:00+01:00[Europe/Berlin]".parse().expect("the zone database of this machine"))
    }

    #[test]
    fn the_common_forms_are_read() {
        let noon = Some("2026-01-31T12:00:00.000000Z");
        let fraction = Some("2026-01-31T12:00:00.123000Z");
        let table = [
            ("2026-01-31T12:00:00Z x", noon),
            ("2026-01-31T12:00:00.123Z INFO x", fraction),
            ("2026-01-31T12:00:00.123456789Z", Some("2026-01-31T12:00:00.123456Z")),
            ("2026-01-31T13:00:00+01:00 x", noon),
            ("2026-01-31T13:00:00+0100 x", noon),
            ("2026-01-31 13:00:00 +0100 x", noon),
            ("2026-01-31 13:00:00,123 - root", fraction),
            ("2026-01-31 13:00:00 x", noon),
            ("2026-01-31 12:00:00.123 UTC [42] LOG:  x", fraction),
            ("2026-01-31 12:00:00 GMT", noon),
            ("2026-01-31 13:00:00 UTC-reader starts", noon),
            ("2026-01-31 13:00:00 CET [42] LOG:  x", noon),
            ("[2026-01-31 13:00:00] x", noon),
            ("2026/01/31 13:00:00 [error]", noon),
            ("Jan 31 13:00:00 host x", noon),
            ("Jan  1 13:00:00 host x", Some("2026-01-01T12:00:00.000000Z")),
            ("Feb  2 11:00:00 clock of another", Some("2026-02-02T10:00:00.000000Z")),
            ("Mar  1 13:00:00 host x", Some("2025-03-01T12:00:00.000000Z")),
            ("Feb 29 13:00:00 host x", Some("2024-02-29T12:00:00.000000Z")),
            ("127.0.0.1 - - [31/Jan/2026:12:00:00 +0000] \"GET /\"", noon),
            ("1769860800 x", noon),
            ("1769860800.123 x", fraction),
            ("1769860800123 x", fraction),
            ("time=2026-01-31T12:00:00Z level=info", noon),
            ("level=info ts=1769860800.123 msg=x", fraction),
            ("{\"level\":30,\"time\":1769860800123}", fraction),
            ("{\"ts\":\"2026-01-31T12:00:00Z\"}", noon),
            ("{\"@timestamp\": \"2026-01-31T12:00:00.123Z\"}", fraction),
            ("12345678901 x", None),
            ("1769860800x", None),
            ("uptime=1769860800", None),
            ("2026-13-31T12:00:00Z", None),
            ("2026-01-31", None),
            ("    at 2026-01-31T12:00:00Z", None),
            ("Januar 31", None),
            ("", None),
        ];
        for (line, expected) in table {
            assert_eq!(stamps().of(line.as_bytes()).map(universal).as_deref(), expected, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_breaks_it(line in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = stamps().of(&line);
        }

        #[test]
        fn nor_what_nearly_is_a_time(line in "\\[?[0-9]{2,4}[-/][0-9J]{2}[-/][0-9]{2}[T ][0-9:.,+Z-]{0,30}") {
            let _ = stamps().of(line.as_bytes());
        }
    }
}
