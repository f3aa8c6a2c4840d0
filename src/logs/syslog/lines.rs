//! A stream of output, line by line.

use daemonctl_actors::log_collector::Stream;

use super::message::{Severity, prefixed};
use super::{Speaker, Syslog};
use crate::logs::mirror::Mirror;

/// So much of a line is sent before its end is known.
const LONGEST: usize = 64 << 10;

/// One stream of an app: each line a message. What has no end yet waits for it, at the latest until the stream ends.
pub struct Lines {
    syslog: Syslog,
    speaker: Speaker,
    /// Of lines that do not name one.
    severity: Severity,
    partial: Vec<u8>,
}

impl Lines {
    /// Standard output is `info`, standard error `err`, unless a line begins with `<0>` to `<7>`.
    pub fn new(syslog: Syslog, speaker: Speaker, stream: Stream) -> Self {
        let severity = match stream {
            Stream::Out => Severity::INFO,
            Stream::Err => Severity::ERROR,
        };
        Self { syslog, speaker, severity, partial: Vec::new() }
    }

    fn send(&self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (severity, text) = prefixed(line).unwrap_or((self.severity, line));
        self.syslog.send(&self.speaker, severity, text);
    }
}

impl Mirror for Lines {
    fn show(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let whole = part.ends_with(b"\n");
            if whole && self.partial.is_empty() {
                self.send(part);
                continue;
            }
            self.partial.extend_from_slice(part);
            if whole || self.partial.len() >= LONGEST {
                let line = std::mem::take(&mut self.partial);
                self.send(&line);
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.send(&self.partial);
    }
}
