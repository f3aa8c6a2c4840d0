//! How output is cut into files: by size, and at the ends of lines.
//!
//! A file never grows beyond the limit, and a line never begins in one file and ends in the next. Both can be had as long
//! as a line is shorter than the limit, and as long as its end is known when its beginning is written; an app that
//! writes a line in parts leaves the second open. So lines are written in parts only while there is *margin* for the
//! rest of them, and where there is less, a file is closed early. What is left is a line longer than the margin that
//! came in parts: it is finished in the file where it began, and only by it is that file too long.
//!
//! Most of the time the limit is far, and output is moved without being looked at: that costs nothing.

/// The margin at the end of a file, unless the limit is small.
const MARGIN: u64 = 64 << 10;

/// The limit of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    size: u64,
    margin: u64,
}

/// What to do with what has been seen of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Move so many bytes of it to the file.
    Move(usize),
    /// Begin a new file first.
    Rotate,
}

impl Limit {
    /// Files of at most `size` bytes.
    pub fn new(size: u64) -> Self {
        Self { size, margin: MARGIN.min(size / 4).max(1) }
    }

    /// Whether a piece of up to so many bytes can be moved to a file of this size without a look at it.
    pub fn is_far(self, size: u64, piece: usize) -> bool {
        size.saturating_add(piece as u64).saturating_add(self.margin) <= self.size
    }

    /// Where to cut, near the limit. `whole` says that the file ends with a line, or is empty; `ahead` is the beginning
    /// of the output that waits, and not empty.
    pub fn cut(self, size: u64, whole: bool, ahead: &[u8]) -> Cut {
        let room = usize::try_from(self.size.saturating_sub(size)).unwrap_or(usize::MAX);
        let fits = ahead.len().min(room);
        if let Some(end) = ahead[..fits].iter().rposition(|byte| *byte == b'\n') {
            return Cut::Move(end + 1);
        }
        // No line ends where it would still fit.
        let margin = usize::try_from(self.margin).unwrap_or(usize::MAX);
        if whole && size > 0 && fits + margin > room {
            return Cut::Rotate;
        }
        Cut::Move(ahead[fits..].iter().position(|byte| *byte == b'\n').map_or(ahead.len(), |end| fits + end + 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Moves `chunks` to files as a collector would, which sees up to `piece` bytes of what has been written and not
    /// been moved.
    fn files(limit: Limit, chunks: &[Vec<u8>], piece: usize) -> Vec<Vec<u8>> {
        let mut files = vec![Vec::new()];
        let mut pipe: Vec<u8> = Vec::new();
        for chunk in chunks {
            pipe.extend_from_slice(chunk);
            while !pipe.is_empty() {
                let file = files.last_mut().unwrap();
                let ahead = &pipe[..pipe.len().min(piece)];
                let whole = file.last().is_none_or(|byte| *byte == b'\n');
                let cut = match limit.is_far(file.len() as u64, piece) {
                    true => Cut::Move(ahead.len()),
                    false => limit.cut(file.len() as u64, whole, ahead),
                };
                match cut {
                    Cut::Move(count) => {
                        assert!((1..=ahead.len()).contains(&count), "it goes on");
                        file.extend(pipe.drain(..count));
                    }
                    Cut::Rotate => {
                        assert!(whole && !file.is_empty(), "no empty file, no line cut");
                        files.push(Vec::new());
                    }
                }
            }
        }
        files
    }

    fn text(files: &[Vec<u8>]) -> Vec<&str> {
        files.iter().map(|file| std::str::from_utf8(file).unwrap()).collect()
    }

    #[test]
    fn whole_lines_fill_a_file_to_its_limit() {
        let chunks = [b"1234\n1234\n1234\n1234\n".to_vec()];
        assert_eq!(text(&files(Limit::new(10), &chunks, 64)), ["1234\n1234\n", "1234\n1234\n"]);
        assert_eq!(text(&files(Limit::new(14), &chunks, 64)), ["1234\n1234\n", "1234\n1234\n"]);
        assert_eq!(text(&files(Limit::new(1), &chunks, 64)), ["1234\n"; 4]);
    }

    #[test]
    fn a_line_longer_than_the_limit_has_a_file_of_its_own() {
        let chunks = [b"12\n".to_vec(), b"0123456789abcdef\n3\n".to_vec()];
        assert_eq!(text(&files(Limit::new(8), &chunks, 64)), ["12\n", "0123456789abcdef\n", "3\n"]);
        let parts: Vec<Vec<u8>> = b"12\n0123456789abcdef\n3\n".iter().map(|byte| vec![*byte]).collect();
        for file in text(&files(Limit::new(8), &parts, 64)) {
            assert!(file.ends_with('\n'), "{file:?}");
        }
    }

    #[test]
    fn a_line_that_comes_in_parts_begins_where_it_can_end() {
        let chunks = [b"123456789\n123456789\n123456789\n1234".to_vec(), b"56789\n".to_vec()];
        let expected = ["123456789\n123456789\n123456789\n", "123456789\n"];
        assert_eq!(text(&files(Limit::new(36), &chunks, 64)), expected);
    }

    proptest! {
        #[test]
        fn files_are_the_output_cut_at_ends_of_lines_and_within_the_limit(
            lines in prop::collection::vec(0usize..60, 1..60),
            cuts in prop::collection::vec(1usize..90, 1..30),
            size in 1u64..300,
            piece in 1usize..200,
        ) {
            let mut output = Vec::new();
            for (number, length) in lines.iter().enumerate() {
                output.extend(std::iter::repeat_n(b'a' + (number % 26) as u8, *length));
                output.push(b'\n');
            }
            let mut chunks = Vec::new();
            let mut rest = &output[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, more) = rest.split_at((*cut).min(rest.len()));
                chunks.push(chunk.to_vec());
                rest = more;
            }
            let limit = Limit::new(size);
            let files = files(limit, &chunks, piece);
            prop_assert_eq!(files.concat(), output);
            for file in &files[..files.len() - 1] {
                prop_assert_eq!(file.last(), Some(&b'\n'));
            }
            // A file is longer than the limit only by a line that could not be seen whole.
            for file in files.iter().filter(|file| file.len() as u64 > size) {
                let mut inside = file.split_inclusive(|byte| *byte == b'\n');
                let last = inside.next_back().map_or(0, <[u8]>::len);
                let before = file.len() - last;
                prop_assert!(before as u64 <= size, "{} bytes, the last line has {last}", file.len());
                prop_assert!(before == 0 || last as u64 > limit.margin, "{} bytes, the last line has {last}", file.len());
            }
        }
    }
}
