//! What was typed, out of the bytes that a terminal sends.

use std::io;

use termion::event::{Event, Key, parse_event};

/// The keys in some bytes that came together. An escape at their end was the key of that name: a terminal sends what
/// begins with one in one go.
pub(super) fn keys(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = bytes.iter().copied().map(Ok::<u8, io::Error>).peekable();
    while let Some(Ok(first)) = rest.next() {
        if first == 0x1b && rest.peek().is_none() {
            keys.push(Key::Esc);
            break;
        }
        // What is no key, a report of the mouse for example, is nothing here.
        if let Ok(Event::Key(key)) = parse_event(first, &mut rest) {
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_keys() {
        assert_eq!(keys(b"jq"), [Key::Char('j'), Key::Char('q')]);
        assert_eq!(
            keys(b"\x1b[A\x1b[6~\x1b[Z\r\t"),
            [Key::Up, Key::PageDown, Key::BackTab, Key::Char('\n'), Key::Char('\t')]
        );
        assert_eq!(keys(b"\x1b"), [Key::Esc]);
        assert_eq!(keys("\x03\x1aä\x7f".as_bytes()), [Key::Ctrl('c'), Key::Ctrl('z'), Key::Char('ä'), Key::Backspace]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_taken(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
            keys(&bytes);
        }
    }
}
