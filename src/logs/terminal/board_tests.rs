use std::sync::{Mutex, PoisonError};

use proptest::prelude::*;

use super::*;

/// What has been written, whichever output it was written to.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A board whose outputs are one terminal without colour.
fn terminal(labels: &[&str]) -> (Board, Paper) {
    let paper = Paper::default();
    let output = || Output { to: Box::new(paper.clone()), terminal: true, color: false };
    let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
    (Board::new([output(), output()], true, &labels), paper)
}

/// A board whose outputs are two pipes.
fn pipes(labels: &[&str]) -> (Board, [Paper; 2]) {
    let papers = [Paper::default(), Paper::default()];
    let outputs = papers.clone().map(|paper| Output { to: Box::new(paper), terminal: false, color: false });
    let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
    (Board::new(outputs, false, &labels), papers)
}

const WEB: usize = 0;
const WEB_ERR: usize = 1;
const DB: usize = 2;

#[test]
fn one_app_is_shown_to_the_byte_and_what_is_said_has_a_line_of_its_own() {
    let now = Instant::now();
    let (mut board, paper) = terminal(&["web"]);
    board.take(WEB, b"\x1b[2Jprompt> ", now).unwrap();
    assert_eq!(board.due(), None);
    board.say("web: exit 0", now).unwrap();
    board.take(WEB_ERR, b"\xff\n", now).unwrap();
    board.finish().unwrap();
    assert_eq!(paper.text(), "\x1b[2Jprompt> \ndaemonctl: web: exit 0\n\u{fffd}\n");

    let (mut board, [out, err]) = pipes(&["web"]);
    board.take(WEB, b"no end", now).unwrap();
    board.say("web: exit 0", now).unwrap();
    board.finish().unwrap();
    assert_eq!((out.text(), err.text()), ("no end".into(), "daemonctl: web: exit 0\n".into()));
}

#[test]
fn what_is_said_waits_a_moment_for_the_end_of_a_line() {
    let now = Instant::now();
    let (mut board, paper) = terminal(&["web"]);
    board.take(WEB, b"one\ntw", now).unwrap();
    board.say("web: exited 1", now).unwrap();
    board.say("web: started", now).unwrap();
    board.take(WEB, b"o", now).unwrap();
    board.take(WEB, b"\nthree\nfo", now).unwrap();
    assert_eq!(paper.text(), "one\ntwo\ndaemonctl: web: exited 1\ndaemonctl: web: started\nthree\nfo");
    // Not for ever.
    board.say("web: exited 0", now).unwrap();
    assert_eq!(board.due(), Some(now + PATIENCE));
    board.tick(now + PATIENCE).unwrap();
    assert!(paper.text().ends_with("three\nfo\ndaemonctl: web: exited 0\n"), "{}", paper.text());
    assert_eq!(board.due(), None);
}

#[test]
fn lines_of_several_apps_are_whole() {
    let now = Instant::now();
    let (mut board, paper) = terminal(&["web", "cache"]);
    board.take(WEB, b"one\ntw", now).unwrap();
    board.take(DB, b"ready\r\n", now).unwrap();
    board.take(WEB_ERR, b"problem\n", now).unwrap();
    board.take(WEB, b"o\n", now).unwrap();
    assert_eq!(paper.text(), "web   | one\ncache | ready\nweb   ! problem\nweb   | two\n");
}

#[test]
fn a_line_without_an_end_is_shown_after_a_while_and_goes_on_in_its_place() {
    let now = Instant::now();
    let (mut board, paper) = terminal(&["web", "db"]);
    board.take(WEB, b"password", now).unwrap();
    board.take(WEB, b": ", now + PATIENCE / 2).unwrap();
    assert_eq!(board.due(), Some(now + PATIENCE));
    board.tick(now + PATIENCE / 2).unwrap();
    assert_eq!(paper.text(), "");
    board.tick(now + PATIENCE).unwrap();
    assert_eq!((paper.text().as_str(), board.due()), ("web | password: ", None));
    board.take(WEB, b"ok\n", now + PATIENCE).unwrap();
    assert_eq!(paper.text(), "web | password: ok\n");
    // Another line comes between.
    board.take(WEB, b"first ", now).unwrap();
    board.tick(now + PATIENCE).unwrap();
    board.take(DB, b"between\n", now).unwrap();
    board.take(WEB, b"rest", now).unwrap();
    board.end(WEB).unwrap();
    assert_eq!(paper.text(), "web | password: ok\nweb | first \ndb  | between\nweb | rest\n");
    // And one that was shown ends with its app.
    board.take(DB, b"$ ", now).unwrap();
    board.tick(now + PATIENCE).unwrap();
    board.end(DB).unwrap();
    board.take(DB, b"again\n", now).unwrap();
    assert!(paper.text().ends_with("db  | $ \ndb  | again\n"), "{}", paper.text());
}

#[test]
fn progress_is_shown_as_it_ends_and_long_lines_in_parts() {
    let now = Instant::now();
    let (mut board, paper) = terminal(&["web", "db"]);
    board.take(WEB, b"10%\r20%\r30%\n", now).unwrap();
    assert_eq!(paper.text(), "web | 30%\n");
    board.take(WEB, &vec![b'x'; LONGEST + 7], now).unwrap();
    board.take(DB, b"between\n", now).unwrap();
    board.take(WEB, b"end\n", now).unwrap();
    let lines: Vec<String> = paper.text().lines().map(str::to_owned).collect();
    assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [9, 6 + LONGEST + 7, 13, 9]);
}

#[test]
fn two_pipes_have_lines_of_their_own() {
    let now = Instant::now();
    let (mut board, [out, err]) = pipes(&["web", "db"]);
    board.take(WEB, b"begun", now).unwrap();
    board.tick(now + PATIENCE).unwrap();
    board.take(WEB_ERR, b"problem\x1b\n", now).unwrap();
    board.take(WEB, b", ended\r\n", now).unwrap();
    assert_eq!((out.text(), err.text()), ("web | begun, ended\r\n".into(), "web ! problem\x1b\n".into()));
}

proptest! {
    /// However output is cut into pieces and mixed with others', each app's lines come out as they went in.
    #[test]
    fn no_cut_mixes_or_loses_lines(pieces in proptest::collection::vec((0usize..2, "[a-z\n]{0,6}", any::<bool>()), 0..40)) {
        let (mut board, [out, _]) = pipes(&["a", "b"]);
        let mut now = Instant::now();
        let mut written = [String::new(), String::new()];
        for (app, text, wait) in &pieces {
            board.take(source(*app, Stream::Out), text.as_bytes(), now).unwrap();
            written[*app].push_str(text);
            if *wait {
                now += PATIENCE;
                board.tick(now).unwrap();
            }
        }
        board.finish().unwrap();
        let shown = out.text();
        prop_assert!(shown.is_empty() || shown.ends_with('\n'));
        for (app, written) in ["a", "b"].iter().zip(&written) {
            let own: String = shown.lines().filter_map(|line| line.strip_prefix(&format!("{app} | "))).collect();
            prop_assert_eq!(own, written.replace('\n', ""));
        }
    }
}
