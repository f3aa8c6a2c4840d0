//! The end of a file, without reading the rest of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::app::readable_lines;

/// How much is looked at in one step backwards.
const BLOCK: u64 = 64 << 10;

/// Where the last `lines` lines of the first `end` bytes of a file begin. A last line without its newline counts.
pub fn tail_offset(file: &File, end: u64, lines: usize) -> io::Result<u64> {
    if lines == 0 {
        return Ok(end);
    }
    let mut block = vec![0; BLOCK as usize];
    let mut wanted = lines;
    // The newline that ends the last line begins no further one.
    let mut stop = end.saturating_sub(1);
    while stop > 0 {
        let start = stop.saturating_sub(BLOCK);
        let piece = &mut block[..(stop - start) as usize];
        file.read_exact_at(piece, start)?;
        for at in memchr::memrchr_iter(b'\n', piece) {
            wanted -= 1;
            if wanted == 0 {
                return Ok(start + at as u64 + 1);
            }
        }
        stop = start;
    }
    Ok(0)
}

/// Puts what a log says on a screen that it cannot play with: control characters but tab and newline are shown as
/// `\x1b`, and so is what is not UTF-8.
pub fn escape(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        shown.push_str(&readable_lines(chunk.valid()));
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn tail(text: &[u8], lines: usize) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        let from = tail_offset(&file, text.len() as u64, lines).unwrap() as usize;
        text[from..].to_vec()
    }

    #[test]
    fn the_last_lines_are_found_with_and_without_a_final_newline() {
        assert_eq!(tail(b"", 3), b"");
        assert_eq!(tail(b"\n", 3), b"\n");
        assert_eq!(tail(b"a\nb\nc\n", 2), b"b\nc\n");
        assert_eq!(tail(b"a\nb\nc", 2), b"b\nc");
        assert_eq!(tail(b"a\nb\nc\n", 9), b"a\nb\nc\n");
        assert_eq!(tail(b"a\n\n\n", 2), b"\n\n");
        assert_eq!(tail(b"a\nb\n", 0), b"");
    }

    #[test]
    fn lines_may_be_longer_than_a_block_and_cross_its_edges() {
        let long = vec![b'x'; BLOCK as usize * 2 + 17];
        for padding in 0..3 {
            let mut text = vec![b'y'; padding];
            text.push(b'\n');
            text.extend_from_slice(&long);
            text.extend_from_slice(b"\nend\n");
            assert_eq!(tail(&text, 2).len(), long.len() + 5);
            assert_eq!(tail(&text, 1), b"end\n");
        }
        let edge: Vec<u8> = [vec![b'z'; 10], vec![b'\n'], vec![b'w'; BLOCK as usize - 1], vec![b'\n']].concat();
        assert_eq!(tail(&edge, 1).len(), BLOCK as usize);
    }

    #[test]
    fn a_terminal_is_not_played_with() {
        assert_eq!(escape(b"ok\tfine\n"), "ok\tfine\n");
        assert_eq!(escape(b"\x1b[2J\x07\r"), "\\x1b[2J\\x07\\r");
        assert_eq!(escape("grüße\u{9b}2J\u{202e}".as_bytes()), "grüße\\x9b2J\\u{202e}");
        assert_eq!(escape(b"\xff\xc3\n"), "\\xff\\xc3\n");
    }
}
