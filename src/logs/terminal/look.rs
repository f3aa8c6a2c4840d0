//! How the lines of several apps are told apart, and what of them reaches a terminal.

use daemonctl_actors::log_collector::Stream;

use crate::logs::read::escape;

/// Labels are padded to the widest of them, but not beyond this: one long name must not take the room of all lines.
/// A label that is longer sticks out.
const WIDEST: usize = 24;

/// Colours of labels, by number in the palette of 256. Each is to be read on black as well as on white, and none is red,
/// which marks standard error.
const PALETTE: [u8; 12] = [31, 28, 133, 130, 63, 100, 30, 163, 33, 64, 98, 29];

/// The red of standard error.
const RED: u8 = 160;

/// Ends all colours.
const RESET: &[u8] = b"\x1b[0m";

/// How wide labels are to be, so that what stands behind them lines up.
pub(super) fn width<'a>(labels: impl Iterator<Item = &'a str>) -> usize {
    labels.map(|label| label.chars().count()).max().unwrap_or(0).min(WIDEST)
}

/// What stands before the lines of the how-manyth app: `web | `, and `web ! ` where they are from standard error.
pub(super) fn prefix(label: &str, width: usize, order: usize, stream: Stream, color: bool) -> String {
    let own = PALETTE[order % PALETTE.len()];
    let (sign, hue) = match stream {
        Stream::Out => ('|', own),
        Stream::Err => ('!', RED),
    };
    match color {
        true => format!("\x1b[38;5;{own}m{label:<width$} \x1b[38;5;{hue}m{sign}\x1b[0m "),
        false => format!("{label:<width$} {sign} "),
    }
}

/// Text of daemonctl's own, set apart from that of apps. It may quote an app, which must not play with a terminal.
pub(super) fn said(text: &str, terminal: bool, color: bool) -> String {
    let text = if terminal { escape(text.as_bytes()) } else { text.to_owned() };
    let text = text.trim_end().replace('\n', "\n  ");
    match color {
        true => format!("\x1b[2mdaemonctl: {text}\x1b[0m\n"),
        false => format!("daemonctl: {text}\n"),
    }
}

/// Makes text safe beside that of others on a terminal: control characters show as `\x1b`. Colours are kept, and end
/// with the text; where there is to be no colour, they are left out.
pub(super) fn tame(text: &[u8], color: bool) -> Vec<u8> {
    let mut shown = Vec::with_capacity(text.len());
    let (mut rest, mut painted) = (text, false);
    while let Some((at, length)) = next_color(rest) {
        shown.extend_from_slice(escape(&rest[..at]).as_bytes());
        if color {
            shown.extend_from_slice(&rest[at..at + length]);
            painted = !matches!(&rest[at..at + length], b"\x1b[m" | b"\x1b[0m");
        }
        rest = &rest[at + length..];
    }
    shown.extend_from_slice(escape(rest).as_bytes());
    if painted {
        shown.extend_from_slice(RESET);
    }
    shown
}

/// Where the next sequence is that does nothing but set colours (ECMA-48, SGR), and how long it is.
fn next_color(text: &[u8]) -> Option<(usize, usize)> {
    memchr::memmem::find_iter(text, b"\x1b[").find_map(|at| {
        let inside = text[at + 2..].iter().take_while(|byte| matches!(byte, b'0'..=b';')).count();
        (text.get(at + 2 + inside) == Some(&b'm')).then_some((at, inside + 3))
    })
}

/// How much of the beginning of a line can be shown before its rest has come: no character and no sequence is torn.
pub(super) fn presentable(text: &[u8]) -> usize {
    // Longer than any sequence that is worth waiting for.
    let near = text.len().saturating_sub(32);
    let torn = memchr::memrchr(b'\x1b', &text[near..]).map(|at| near + at).filter(|at| {
        let sequence = &text[*at..];
        sequence.get(1).is_none_or(|byte| *byte == b'[')
            && sequence.iter().skip(2).all(|byte| matches!(byte, b'0'..=b';'))
    });
    if let Some(at) = torn {
        return at;
    }
    let tail = text.len().saturating_sub(3);
    let begins = (tail..text.len()).rev().find(|at| text[*at] >= 0xc0);
    match begins.map(|at| (at, std::str::from_utf8(&text[at..]))) {
        // A character that breaks off, and not one that is wrong.
        Some((at, Err(error))) if error.valid_up_to() == 0 && error.error_len().is_none() => at,
        _ => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The relative luminance of a colour of the cube, as WCAG 2 defines it.
    fn luminance(number: u8) -> f64 {
        let level = |step: u8| [0u8, 95, 135, 175, 215, 255][usize::from(step)];
        let at = number - 16;
        let linear = |step: u8| {
            let part = f64::from(level(step)) / 255.0;
            if part <= 0.03928 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(at / 36) + 0.7152 * linear(at / 6 % 6) + 0.0722 * linear(at % 6)
    }

    #[test]
    fn every_colour_can_be_read_on_black_and_on_white() {
        for color in PALETTE.into_iter().chain([RED]) {
            let light = luminance(color) + 0.05;
            let (on_black, on_white) = (light / 0.05, 1.05 / light);
            assert!(on_black >= 3.5 && on_white >= 3.5, "{color}: {on_black:.1} on black, {on_white:.1} on white");
        }
        let mut all = PALETTE.to_vec();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), PALETTE.len());
    }

    #[test]
    fn labels_line_up_and_a_long_one_sticks_out() {
        let width = width(["web", "a-name-that-is-far-too-long-for-this", "grün"].into_iter());
        assert_eq!(width, WIDEST);
        assert_eq!(prefix("web", 5, 0, Stream::Out, false), "web   | ");
        assert_eq!(prefix("grün", 5, 1, Stream::Err, false), "grün  ! ");
        assert_eq!(prefix("longer", 5, 1, Stream::Out, false), "longer | ");
        assert_eq!(prefix("web", 3, 12, Stream::Out, true), "\x1b[38;5;31mweb \x1b[38;5;31m|\x1b[0m ");
        assert_eq!(prefix("web", 3, 1, Stream::Err, true), "\x1b[38;5;28mweb \x1b[38;5;160m!\x1b[0m ");
    }

    #[test]
    fn colours_are_kept_and_nothing_else_reaches_the_terminal() {
        let shown = |text: &[u8], color| String::from_utf8(tame(text, color)).unwrap();
        assert_eq!(shown(b"plain \xff", true), "plain \\xff");
        assert_eq!(shown(b"\x1b[1;31mred\x1b[m, \x1b[2Jgone\x07", true), "\x1b[1;31mred\x1b[m, \\x1b[2Jgone\\x07");
        assert_eq!(shown(b"\x1b[1;31mred", true), "\x1b[1;31mred\x1b[0m");
        assert_eq!(shown(b"\x1b[38:5:1mred\x1b[0m", true), "\x1b[38:5:1mred\x1b[0m");
        assert_eq!(shown(b"\x1b[1;31mred\x1b[m \x1b[", false), "red \\x1b[");
    }

    #[test]
    fn no_character_and_no_sequence_is_torn() {
        for (text, most) in [
            (&b"abc"[..], 3),
            ("grü".as_bytes(), 4),
            (b"gr\xc3", 2),
            (b"\xf0\x9f\x98", 0),
            (b"a\xff", 2),
            (b"a\x1b", 1),
            (b"a\x1b[31", 1),
            (b"a\x1b[31m", 6),
            (b"a\x1b]0;", 5),
            (b"", 0),
        ] {
            assert_eq!(presentable(text), most, "{text:?}");
        }
    }

    #[test]
    fn what_is_said_is_set_apart_and_cannot_be_forged() {
        assert_eq!(said("web: unhealthy: a\nb\x1b[2J\n", true, false), "daemonctl: web: unhealthy: a\n  b\\x1b[2J\n");
        assert_eq!(said("web: started", true, true), "\x1b[2mdaemonctl: web: started\x1b[0m\n");
    }
}
