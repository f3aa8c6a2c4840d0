//! One message for a syslog daemon.

use jiff::Zoned;

/// system daemons, as syslog(3) numbers facilities.
const DAEMON: u8 = 3;

/// The longest text of one message, in bytes. Daemons take at least as much (rsyslog: 8 KiB with what stands before it).
const LONGEST: usize = 7 << 10;

/// What begins a piece of a line that is too long for one message, but the first.
const GOES_ON: &[u8] = b"... ";

/// How grave a message is (syslog(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Severity(u8);

impl Severity {
    pub(super) const ERROR: Self = Self(3);
    pub(super) const WARNING: Self = Self(4);
    pub(super) const INFO: Self = Self(6);
    pub(super) const DEBUG: Self = Self(7);
}

/// The severity that a line names itself, as `<4>` at its beginning (sd-daemon(3)), and the rest of it.
pub(super) fn prefixed(line: &[u8]) -> Option<(Severity, &[u8])> {
    match line {
        [b'<', digit @ b'0'..=b'7', b'>', rest @ ..] => Some((Severity(digit - b'0'), rest)),
        _ => None,
    }
}

/// A name as a tag: what would end one is replaced.
pub(super) fn tag(label: &str) -> String {
    let fits = |c: char| if c.is_ascii_graphic() && !"[]:".contains(c) { c } else { '_' };
    label.chars().map(fits).take(48).collect()
}

/// A line in pieces that fit into a message each, without what a daemon or a terminal could take for a command: control
/// characters but the tab are written as `#ooo`, in octal, as rsyslog does.
pub(super) fn pieces(line: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = vec![Vec::new()];
    for byte in line {
        let escaped = (byte.is_ascii_control() && *byte != b'\t').then(|| format!("#{byte:03o}").into_bytes());
        let written = escaped.as_deref().unwrap_or(std::slice::from_ref(byte));
        // A character of several bytes stays in one piece.
        let begins = *byte & 0xc0 != 0x80;
        if pieces.last().is_some_and(|last| last.len() + written.len() + 3 > LONGEST && begins) {
            pieces.push(GOES_ON.to_vec());
        }
        pieces.iter_mut().last().into_iter().for_each(|last| last.extend_from_slice(written));
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// The whole message.
pub(super) fn compose(severity: Severity, at: &Zoned, tag: &str, pid: Option<i32>, text: &[u8]) -> Vec<u8> {
    let pid = pid.map(|pid| format!("[{pid}]")).unwrap_or_default();
    let time = at.strftime("%b %e %H:%M:%S");
    let mut message = format!("<{}>{time} {tag}{pid}: ", DAEMON * 8 + severity.0).into_bytes();
    message.extend_from_slice(text);
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_is_what_the_c_library_would_send() {
        let at: Zoned = "2026-01-03T04:05:06+01:00[Europe/Berlin]".parse().unwrap();
        let composed = compose(Severity::INFO, &at, "web", Some(12), b"hello");
        assert_eq!(String::from_utf8(composed).unwrap(), "<30>Jan  3 04:05:06 web[12]: hello");
        assert_eq!(compose(Severity::ERROR, &at, "web", None, b"x"), b"<27>Jan  3 04:05:06 web: x");
    }

    #[test]
    fn a_line_may_name_its_severity() {
        assert_eq!(prefixed(b"<4>careful"), Some((Severity::WARNING, &b"careful"[..])));
        for line in [&b"<8>x"[..], b"<4", b"4>x", b" <4>x", b"<12>x", b""] {
            assert_eq!(prefixed(line), None);
        }
    }

    #[test]
    fn nothing_in_a_message_ends_it_or_its_tag() {
        assert_eq!(tag("my app[1]: x"), "my_app_1___x");
        assert_eq!(pieces(b"a\tb\x1b[0m\0c"), [b"a\tb#033[0m#000c".to_vec()]);
        assert!(pieces(b"").is_empty());
    }

    #[test]
    fn a_long_line_is_several_messages() {
        let line = "x".repeat(LONGEST + 10);
        let told = pieces(line.as_bytes());
        assert_eq!(told.len(), 2);
        assert!(told[1].starts_with(GOES_ON));
    }

    /// A byte that is sent as it is: all but control characters.
    fn plain(byte: u8) -> u8 {
        if byte.is_ascii_control() { byte | 0x80 } else { byte }
    }

    proptest! {
        // Lines of three pieces are long.
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn pieces_are_the_line(line in proptest::collection::vec(any::<u8>().prop_map(plain), 0..20_000)) {
            let told = pieces(&line);
            let parts = told.iter().enumerate().map(|(at, piece)| if at == 0 { &piece[..] } else { &piece[GOES_ON.len()..] });
            prop_assert_eq!(parts.flatten().copied().collect::<Vec<u8>>(), line);
            // Bytes that are no text may be longer: they have no beginning to be cut at.
            prop_assert!(told.iter().all(|piece| piece.len() <= LONGEST + 20_000));
        }

        #[test]
        fn no_piece_of_a_text_is_too_long_or_cuts_a_character(line in "\\PC{0,4000}") {
            for piece in pieces(line.as_bytes()) {
                prop_assert!(piece.len() <= LONGEST);
                prop_assert!(std::str::from_utf8(&piece).is_ok());
            }
        }
    }
}
