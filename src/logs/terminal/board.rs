//! What the output of apps is shown on: the standard output and standard error of a command.
//!
//! The output of one app is shown as it comes, byte for byte. Of several, each line begins with the label of its app,
//! and lines are whole: what has no end yet waits a moment for it, is then shown as far as it has come, and goes on in
//! its place unless another line has come between. Both outputs may lead to the same terminal; then they share its last
//! line.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use daemonctl_actors::log_collector::Stream;
use rustix::event::{PollFd, PollFlags, poll};

use super::look;

/// A line longer than this is shown in parts, each of which begins like a line if others come between.
const LONGEST: usize = 64 << 10;

/// How long a line without an end waits for it.
const PATIENCE: Duration = Duration::from_millis(100);

/// The most that is written at once, so that progress shows.
const CHUNK: usize = 16 << 10;

/// One of the two outputs.
pub(super) struct Output {
    to: Box<dyn Write + Send>,
    /// Whether what is shown could play with a terminal.
    terminal: bool,
    color: bool,
}

/// One stream of one app.
struct Source {
    stream: Stream,
    /// What its lines begin with, where there are several apps.
    prefix: Option<String>,
    /// What has come and has not been shown: a line without its end.
    line: Vec<u8>,
    /// Whether a part of this line has been shown.
    begun: bool,
    /// When the line is to be shown as far as it has come.
    due: Option<Instant>,
}

/// The two outputs, and what is to be shown on them.
pub struct Board {
    outputs: [Output; 2],
    /// Whether both lead to the same place.
    together: bool,
    sources: Vec<Source>,
    /// For each output, the source of its last line, if that has no end.
    open: [Option<usize>; 2],
    /// What is to be said as soon as the line on standard error has its end.
    said: Vec<String>,
    /// When that is said in any case.
    said_due: Option<Instant>,
    /// Whether no more output comes that a line could be waited for.
    finished: bool,
}

/// The source that is an app's stream; apps are counted in the order in which they were named.
pub fn source(app: usize, stream: Stream) -> usize {
    app * 2 + index(stream)
}

/// The app that a source is a stream of.
pub(super) fn app_of(source: usize) -> usize {
    source / 2
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Out => 0,
        Stream::Err => 1,
    }
}

impl Board {
    /// The standard outputs of this process, for apps with these labels. Colour is used on what is a terminal, where it
    /// is wanted. The number of bytes that have been written is counted in `written`.
    pub fn standard(labels: &[String], color: bool, written: &Arc<AtomicU64>) -> io::Result<Self> {
        let (out, err) = (io::stdout(), io::stderr());
        let output = |fd: BorrowedFd<'_>, terminal| {
            let to = Patient { file: File::from(fd.try_clone_to_owned()?), written: written.clone() };
            Ok::<_, io::Error>(Output { to: Box::new(to), terminal, color: color && terminal })
        };
        let together = match (rustix::fs::fstat(&out), rustix::fs::fstat(&err)) {
            (Ok(out), Ok(err)) => (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino),
            _ => false,
        };
        let outputs = [output(out.as_fd(), out.is_terminal())?, output(err.as_fd(), err.is_terminal())?];
        Ok(Self::new(outputs, together, labels))
    }

    fn new(outputs: [Output; 2], together: bool, labels: &[String]) -> Self {
        let width = look::width(labels.iter().map(String::as_str));
        let source = |order, label: &String, stream| {
            let color = outputs[index(stream)].color;
            let prefix = (labels.len() > 1).then(|| look::prefix(label, width, order, stream, color));
            Source { stream, prefix, line: Vec::new(), begun: false, due: None }
        };
        let sources = labels.iter().enumerate();
        let sources = sources.flat_map(|(order, label)| [Stream::Out, Stream::Err].map(|of| source(order, label, of)));
        let sources = sources.collect();
        Self { outputs, together, sources, open: [None; 2], said: Vec::new(), said_due: None, finished: false }
    }

    /// Shows output of a source, or keeps it until its line has an end.
    pub fn take(&mut self, source: usize, bytes: &[u8], now: Instant) -> io::Result<()> {
        let Source { stream, prefix, .. } = &self.sources[source];
        let (stream, slot) = (*stream, self.slot(*stream));
        if prefix.is_none() {
            if slot == self.slot(Stream::Err) && self.open[slot].is_some_and(|open| open != source) {
                self.flush_said()?; // The line does not go on for now.
            }
            let end = memchr::memchr(b'\n', bytes).filter(|_| !self.said.is_empty() && self.open[slot] == Some(source));
            if let Some(end) = end {
                self.outputs[index(stream)].to.write_all(&bytes[..=end])?;
                self.open[slot] = None;
                self.flush_said()?;
                return self.take(source, &bytes[end + 1..], now);
            }
            if let Some(last) = bytes.last() {
                self.open[slot] = (*last != b'\n').then_some(source);
            }
            return self.outputs[index(stream)].to.write_all(bytes);
        }
        let mut shown = Vec::with_capacity(bytes.len() * 2);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut line = std::mem::take(&mut self.sources[source].line);
            line.extend_from_slice(part);
            match (line.ends_with(b"\n"), line.len() >= LONGEST) {
                (true, _) => self.compose(source, &line, &mut shown),
                (false, true) => self.sources[source].line = self.compose_part(source, line, &mut shown),
                (false, false) => self.sources[source].line = line,
            }
        }
        let Source { line, due, .. } = &mut self.sources[source];
        *due = if line.is_empty() { None } else { Some(due.unwrap_or(now + PATIENCE)) };
        self.outputs[index(stream)].to.write_all(&shown)?;
        match self.open[self.slot(Stream::Err)] {
            None => self.flush_said(),
            Some(_) => Ok(()),
        }
    }

    /// When something is to be shown though nothing more has come.
    pub fn due(&self) -> Option<Instant> {
        self.sources.iter().filter_map(|source| source.due).chain(self.said_due).min()
    }

    /// Shows the lines that have waited long enough for their ends.
    pub fn tick(&mut self, now: Instant) -> io::Result<()> {
        let mut done = Ok(());
        if self.said_due.is_some_and(|due| due <= now) {
            done = self.flush_said();
        }
        for at in 0..self.sources.len() {
            if self.sources[at].due.take_if(|due| *due <= now).is_some() {
                let line = std::mem::take(&mut self.sources[at].line);
                let mut shown = Vec::new();
                // What is torn needs its rest, which comes without a reminder.
                self.sources[at].line = self.compose_part(at, line, &mut shown);
                done = done.and(self.outputs[index(self.sources[at].stream)].to.write_all(&shown));
            }
        }
        done
    }

    /// Nothing more comes from a source for now: its last line ends here.
    pub fn end(&mut self, source: usize) -> io::Result<()> {
        let stream = self.sources[source].stream;
        let slot = self.slot(stream);
        self.sources[source].due = None;
        if self.sources[source].prefix.is_none() {
            return Ok(()); // It is shown to the byte.
        }
        let mut line = std::mem::take(&mut self.sources[source].line);
        let mut shown = Vec::new();
        if !line.is_empty() {
            line.push(b'\n');
            self.compose(source, &line, &mut shown);
        } else if self.open[slot] == Some(source) {
            self.open[slot] = None;
            shown.push(b'\n');
        }
        self.sources[source].begun = false;
        self.outputs[index(stream)].to.write_all(&shown)
    }

    /// Ends the lines of all sources, also where one output takes nothing any more.
    pub fn finish(&mut self) -> io::Result<()> {
        let mut done = Ok(());
        for source in 0..self.sources.len() {
            done = done.and(self.end(source));
        }
        self.finished = true;
        done.and(self.flush_said())
    }

    /// Says something about the work, on standard error, in a line of its own. Where a line of output has been shown as
    /// far as it has come, that waits a moment for the line's end: an exit may be told before the last output.
    pub fn say(&mut self, text: &str, now: Instant) -> io::Result<()> {
        let output = &self.outputs[index(Stream::Err)];
        self.said.push(look::said(text, output.terminal, output.color));
        if self.open[self.slot(Stream::Err)].is_none() || self.finished {
            return self.flush_said();
        }
        self.said_due.get_or_insert(now + PATIENCE);
        Ok(())
    }

    /// Says what has waited for the end of a line.
    fn flush_said(&mut self) -> io::Result<()> {
        self.said_due = None;
        if self.said.is_empty() {
            return Ok(());
        }
        let mut text = std::mem::take(&mut self.said).concat();
        let slot = self.slot(Stream::Err);
        if self.open[slot].take().is_some() {
            text.insert(0, '\n');
        }
        self.outputs[index(Stream::Err)].to.write_all(text.as_bytes())
    }

    /// Shows the beginning of a line, or more of it, and hands back what cannot be shown without what follows.
    fn compose_part(&mut self, source: usize, mut line: Vec<u8>, shown: &mut Vec<u8>) -> Vec<u8> {
        let terminal = self.outputs[index(self.sources[source].stream)].terminal;
        let most = if terminal { look::presentable(&line) } else { line.len() };
        let torn = line.split_off(most);
        if !line.is_empty() {
            self.compose(source, &line, shown);
        }
        torn
    }

    /// Puts a line, or a part of one, into the form in which it is shown.
    fn compose(&mut self, source: usize, line: &[u8], shown: &mut Vec<u8>) {
        let slot = self.slot(self.sources[source].stream);
        let Source { stream, prefix, begun, .. } = &mut self.sources[source];
        let output = &self.outputs[index(*stream)];
        let (mut text, ends) = match line.strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (line, false),
        };
        let mut goes_on = *begun && self.open[slot] == Some(source);
        if output.terminal {
            text = text.strip_suffix(b"\r").unwrap_or(text);
            // A line that was written over itself, as progress is: what it would look like in the end.
            if let Some(back) = memchr::memrchr(b'\r', text) {
                (text, goes_on) = (&text[back + 1..], false);
            }
        }
        if !goes_on {
            if self.open[slot].is_some() {
                shown.push(b'\n');
            }
            shown.extend_from_slice(prefix.as_deref().unwrap_or_default().as_bytes());
        }
        match output.terminal {
            true => shown.extend_from_slice(&look::tame(text, output.color)),
            false => shown.extend_from_slice(text),
        }
        if ends {
            shown.push(b'\n');
        }
        *begun = !ends;
        self.open[slot] = (!ends).then_some(source);
    }

    /// Whose last line an output has a part in.
    fn slot(&self, stream: Stream) -> usize {
        if self.together { 0 } else { index(stream) }
    }
}

/// A descriptor that is written to the end, also where somebody else has made it non-blocking.
struct Patient {
    file: File,
    written: Arc<AtomicU64>,
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(&bytes[..bytes.len().min(CHUNK)]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], None) {
                        Ok(_) | Err(rustix::io::Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(bytes) => {
                    self.written.fetch_add(bytes as u64, Ordering::Relaxed);
                    return Ok(bytes);
                }
                failed => return failed,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
