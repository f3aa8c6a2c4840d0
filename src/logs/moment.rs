//! Moments as people name them and as they are shown: `2h`, `yesterday`, `2026-01-31 12:00`.
//!
//! People think in the time zone of where they sit, so what has no offset of its own is local time (`TZ`, else
//! `/etc/localtime`). Everything inside is microseconds since the epoch.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use crate::config::values::Span;

/// What a moment may look like.
const FORMS: &str = "use 2h or 5m (so long ago), +5m (from now), 12:00, today, yesterday, tomorrow, 2026-01-31, \"2026-01-31 12:00\", \
     \"2026-01-31 12:00 UTC\", RFC 3339, or @SECONDS";

/// Microseconds since the epoch of a moment that a person named. What lies before the epoch is the epoch.
pub fn parse(text: &str, now: &Zoned) -> Result<u64, String> {
    let text = text.trim();
    // First what says its own offset: it contains a date that would otherwise be taken for a local one.
    let at = with_offset(text).or_else(|| match text.strip_suffix(" UTC") {
        Some(universal) => read(universal, &now.with_time_zone(TimeZone::UTC)),
        None => read(text, now),
    });
    at.map(micros).ok_or_else(|| format!("{text:?} is not a moment: {FORMS}"))
}

/// Microseconds since the epoch.
pub fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.as_microsecond()).unwrap_or(0)
}

fn read(text: &str, now: &Zoned) -> Option<Timestamp> {
    let zone = now.time_zone();
    if let Some(epoch) = text.strip_prefix('@') {
        return epoch_seconds(epoch);
    }
    if text == "now" {
        return Some(now.timestamp());
    }
    let (day, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    if let Some(day) = named_day(day, now).or_else(|| plain_date(day)) {
        let time = time.trim();
        let time = if time.is_empty() { Time::midnight() } else { plain_time(time)? };
        return local(day.to_datetime(time), zone);
    }
    if let Some(time) = plain_time(text) {
        return local(now.date().to_datetime(time), zone);
    }
    match text.strip_prefix('+') {
        Some(span) => now.timestamp().checked_add(span_of(span)?).ok(),
        None => ago(text, now),
    }
}

/// So long ago. A bare number would be anything: seconds, minutes, lines.
fn ago(text: &str, now: &Zoned) -> Option<Timestamp> {
    let span = span_of(text.strip_suffix("ago").unwrap_or(text).trim())?;
    Some(now.timestamp().checked_sub(span).unwrap_or(Timestamp::UNIX_EPOCH))
}

fn span_of(text: &str) -> Option<Duration> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse::<Span>().ok().map(|span| span.0)
}

fn epoch_seconds(text: &str) -> Option<Timestamp> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 9 {
        return None;
    }
    let nanos: i32 = format!("{part:0<9}").parse().ok()?;
    Timestamp::new(whole.parse().ok()?, nanos).ok()
}

fn named_day(text: &str, now: &Zoned) -> Option<Date> {
    match text {
        "today" => Some(now.date()),
        "yesterday" => now.date().checked_sub(1.day()).ok(),
        "tomorrow" => now.date().checked_add(1.day()).ok(),
        _ => None,
    }
}

fn plain_date(text: &str) -> Option<Date> {
    let shaped = text.len() == 10 && text.bytes().enumerate().all(|(at, byte)| (byte == b'-') == (at == 4 || at == 7));
    if shaped { text.parse().ok() } else { None }
}

/// `12:00`, `12:00:05`, `12:00:05.123`.
fn plain_time(text: &str) -> Option<Time> {
    let colon = text.get(2..3) == Some(":");
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    if colon && plain { text.parse().ok() } else { None }
}

/// A civil time in a zone. One that comes twice, or never, because clocks were changed is the earlier, or the one that
/// was meant before the change.
pub fn local(at: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(at).compatible().ok()
}

/// RFC 3339, which says its own offset.
fn with_offset(text: &str) -> Option<Timestamp> {
    if text.len() > 10 { text.replacen(' ', "T", 1).parse().ok() } else { None }
}

/// `2026-01-31T12:00:00.123456Z`: for programs.
pub fn universal(at: u64) -> String {
    format!("{:.6}", timestamp(at))
}

/// `2026-01-31T13:00:00.123+01:00`: for people.
pub fn shown(at: u64, zone: &TimeZone) -> String {
    timestamp(at).to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string()
}

fn timestamp(at: u64) -> Timestamp {
    i64::try_from(at).ok().and_then(|at| Timestamp::from_microsecond(at).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        // A day after clocks went back in Berlin.
        "2025-10-27T12:30:00+01:00[Europe/Berlin]".parse().expect("the zone database of this machine")
    }

    #[test]
    fn moments_are_read_as_they_are_named() {
        let table = [
            ("now", "2025-10-27T11:30:00.000000Z"),
            ("2h", "2025-10-27T09:30:00.000000Z"),
            ("1h30m ago", "2025-10-27T10:00:00.000000Z"),
            ("90s", "2025-10-27T11:28:30.000000Z"),
            ("3d", "2025-10-24T11:30:00.000000Z"),
            ("+10s", "2025-10-27T11:30:10.000000Z"),
            ("tomorrow 01:00", "2025-10-28T00:00:00.000000Z"),
            ("2025-10-25 12:00:01 UTC", "2025-10-25T12:00:01.000000Z"),
            ("12:00 UTC", "2025-10-27T12:00:00.000000Z"),
            ("today", "2025-10-26T23:00:00.000000Z"),
            ("yesterday", "2025-10-25T22:00:00.000000Z"),
            ("yesterday 12:00", "2025-10-26T11:00:00.000000Z"),
            ("12:00", "2025-10-27T11:00:00.000000Z"),
            ("12:00:05.25", "2025-10-27T11:00:05.250000Z"),
            ("2025-10-25", "2025-10-24T22:00:00.000000Z"),
            ("2025-10-25 12:00", "2025-10-25T10:00:00.000000Z"),
            ("2025-10-25T12:00:01", "2025-10-25T10:00:01.000000Z"),
            ("2025-10-26 02:30", "2025-10-26T00:30:00.000000Z"), // It came twice.
            ("2025-03-30 02:30", "2025-03-30T01:30:00.000000Z"), // It never came.
            ("2025-10-25T12:00:00Z", "2025-10-25T12:00:00.000000Z"),
            ("2025-10-25 12:00:00.5-03:00", "2025-10-25T15:00:00.500000Z"),
            ("@1769860805", "2026-01-31T12:00:05.000000Z"),
            ("@1769860805.123456", "2026-01-31T12:00:05.123456Z"),
            ("@0", "1970-01-01T00:00:00.000000Z"),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text, &now()).map(universal).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused_with_what_would_be() {
        let bad = [
            "",
            "5",
            "-5m",
            "5x",
            "1M",
            "2026",
            "2026-02-30",
            "2026-01-31x",
            "2026-01-31 25:00",
            "25:00",
            "12",
            "12:60",
            "someday",
            "@",
            "@-1",
            "@1.",
            "@x",
            "31.01.2026",
            "today x",
            "12:00 today",
            "@99999999999999999999",
        ];
        for text in bad {
            let said = parse(text, &now()).expect_err(text);
            assert!(said.contains(&format!("{text:?} is not a moment")) && said.contains("yesterday"), "{said}");
        }
    }

    #[test]
    fn moments_are_shown_where_people_sit() {
        let at = parse("2025-10-26T00:30:00.1234Z", &now()).unwrap();
        assert_eq!(shown(at, now().time_zone()), "2025-10-26T02:30:00.123+02:00");
        assert_eq!(shown(at, &TimeZone::UTC), "2025-10-26T00:30:00.123+00:00");
        assert!(universal(u64::MAX).starts_with("9999"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_is_typed_breaks_it(text in "\\PC{0,24}") {
            let _ = parse(&text, &now());
        }

        #[test]
        fn what_is_shown_can_be_read_again(at in 0u64..4_000_000_000_000_000) {
            proptest::prop_assert_eq!(parse(&universal(at), &now()), Ok(at));
            proptest::prop_assert_eq!(parse(&shown(at, now().time_zone()), &now()), Ok(at / 1000 * 1000));
        }
    }
}
