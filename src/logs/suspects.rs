//! Lines that may be grave, found faster than every line can be asked for its level.
//!
//! While a log is at a level that is not wanted, only a line that says a wanted one changes that, and it is rare. So
//! the text is folded to small letters and searched for whatever such a line must contain: a word of that level, the
//! beginning of a line of glog or for the journal, or a number in JSON. What is found is only suspected: many lines
//! contain `err` and are no errors. [`level::of`](super::level::of) is asked then; what it can say decides what must be
//! looked for here, and a test holds the two together.

use std::sync::LazyLock;

use regex::bytes::Regex;

use crate::config::values::Level;

/// What lines of a level or above contain, in small letters.
#[derive(Debug)]
struct Marks {
    /// Words, and what a line begins with.
    words: Regex,
    /// A key that holds a level, and a number as pino and bunyan write it.
    numbers: Regex,
}

impl Marks {
    fn new(words: &str, numbers: &str) -> Self {
        let key = r#"(?-u)(?:el|vl|ty|me)"[ \t\r\x0c]*:[ \t\r\x0c]*0?"#;
        let regex = |text: String| Regex::new(&text).expect("a regular expression");
        Self { words: regex(format!("(?-u){words}")), numbers: regex(format!("{key}{numbers}")) }
    }

    fn of(least: Level) -> Option<&'static Self> {
        static ERROR: LazyLock<Marks> = LazyLock::new(|| {
            Marks::new(r"err|fata|crit|panic|severe|alert|emerg|exception|traceback|\n[ef][0-9]|\n<[0-3]", "[5-9][0-9]")
        });
        static WARN: LazyLock<Marks> = LazyLock::new(|| {
            Marks::new(
                r"err|fata|crit|panic|severe|alert|emerg|exception|traceback|warn|wrn|\n[wef][0-9]|\n<[0-4]",
                "[4-9][0-9]",
            )
        });
        match least {
            Level::Error => Some(&ERROR),
            Level::Warn => Some(&WARN),
            // Lines that say nothing are wanted as well.
            Level::Info | Level::Debug => None,
        }
    }
}

/// The suspicious lines of one block after the other.
#[derive(Debug)]
pub struct Suspects {
    marks: &'static Marks,
    folded: Vec<u8>,
    /// Where the next mark of each kind ends; nothing if there is none. Only right behind where was last asked.
    word: Option<usize>,
    number: Option<usize>,
}

impl Suspects {
    /// For lines of this level and above; nothing for levels that lines have which say none.
    pub fn of(least: Level) -> Option<Self> {
        Marks::of(least).map(|marks| Self { marks, folded: Vec::new(), word: Some(0), number: Some(0) })
    }

    /// Begins with a block of lines.
    pub fn begin(&mut self, block: &[u8]) {
        self.folded.clear();
        self.folded.extend_from_slice(block);
        self.folded.make_ascii_lowercase();
        (self.word, self.number) = (Some(0), Some(0));
    }

    /// Where the first suspicious line begins, of the line at `from` and those behind it; the end of the block, if none
    /// is. Not to be asked about lines before `from` any more.
    pub fn next(&mut self, from: usize) -> usize {
        // What a line begins with is only known by the end of the line before it.
        let Some(before) = from.checked_sub(1) else { return 0 };
        let Self { marks, folded, word, number } = self;
        let find = |known: &mut Option<usize>, marks: &Regex| {
            if known.is_some_and(|end| end <= from) {
                *known = marks.find_at(folded, before).map(|mark| mark.end());
            }
            *known
        };
        let (word, number) = (find(word, &marks.words), find(number, &marks.numbers));
        let Some(end) = word.into_iter().chain(number).min() else { return folded.len() };
        // No mark ends with the end of a line.
        memchr::memrchr(b'\n', &folded[from..end]).map_or(from, |newline| from + newline + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::filter::line_at;
    use crate::logs::level;

    /// Lines that say nearly everything that a line can say of its level, in any case.
    const LINE: &str = "(ERROR |\x1b\\[31mERROR\x1b\\[0m |\x1b\\[1mwarn\x1b\\[0m: |(ERRO|FATA|WARN)\\[0001\\] |\\[core:(error|crit)\\] |\
        (Traceback \\(most recent call last\\)|TypeError|x\\.YException|Exception in thread |thread 'x' panicked at ):|warn: |\\[[eE][rR][rR]\\] |Fatal: |INFO |  |[EWFID][0-9]{4} |<[0-9]>|\
        \\{\"(level|lvl|severity|loglevel|log_level|log\\.level|levelname)\"[ \t]{0,2}:[ \t]{0,2}\
        (\"(eRRor|warning|CRIT|emergency|panic|severe|alert|wrn|info)\"|0?[1-9]0|5|500)\\}|\
        lvl=(crit|WARN|\"alert\"|dbg) |\\{\"x\":\"|v|)[a-z \"]{0,4}";

    fn suspected(least: Level, text: &str) -> Vec<usize> {
        let mut suspects = Suspects::of(least).unwrap();
        suspects.begin(text.as_bytes());
        let (mut found, mut from) = (Vec::new(), 0);
        while from < text.len() {
            let at = suspects.next(from);
            if at >= text.len() {
                break;
            }
            found.push(at);
            from = line_at(text.as_bytes(), at).end;
        }
        found
    }

    #[test]
    fn few_lines_are_suspected() {
        let text = "x\nINFO up\nan Err\nI0131 12:00:00 x\nF0131 12:00:00 x\n{\"level\" : 40}\n{\"level\":50}\nend";
        assert_eq!(suspected(Level::Error, text), [0, 10, 34, 66], "the first, and what looks like one");
        assert_eq!(suspected(Level::Warn, text).len(), 5);
        assert!(Suspects::of(Level::Info).is_none() && Suspects::of(Level::Debug).is_none());
    }

    proptest::proptest! {
        #[test]
        fn every_line_that_says_it_is_suspected(lines in proptest::collection::vec(LINE, 0..30)) {
            let text = lines.join("\n");
            for least in [Level::Warn, Level::Error] {
                let found = suspected(least, &text);
                let mut at = 0;
                for line in text.split_inclusive('\n') {
                    if level::of(line.as_bytes()).is_some_and(|level| level >= least) {
                        proptest::prop_assert!(found.contains(&at), "{:?} at {} of {:?}", line, at, text);
                    }
                    at += line.len();
                }
            }
        }
    }
}
