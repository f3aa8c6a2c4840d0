//! The runs of an app, as its recorded events tell them.

use daemonctl_actors::value::ExitStatus;

use crate::logs::events;
use crate::logs::happening::{Because, End, Happening};

/// Something that happened, with all its lines.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    /// Microseconds since the epoch.
    pub(super) at: u64,
    pub(super) happening: Happening,
}

/// A run of the app that is over, or a launch that failed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    /// When its program was exec'ed, if that is recorded.
    pub(super) from: Option<u64>,
    pub(super) to: u64,
    /// From when until when its output came, as far as that is bounded. Some of it may come before its start is noted, and
    /// after its end: what was noted between two runs parts them.
    pub(super) output: (Option<u64>, Option<u64>),
    /// How it ended, or why it never began.
    pub(super) end: Result<End, String>,
    /// Who asked for its end, in words.
    pub(super) asked: Option<String>,
    /// That it did not end in time when it was to be stopped, and was killed: on which signal, in words.
    pub(super) overdue: Option<String>,
    /// What its health checks said last when they failed.
    pub(super) check: Option<String>,
}

/// Puts lines of an event log together to events.
pub(super) fn events(lines: &[String]) -> Vec<Event> {
    let mut told: Vec<(u64, String)> = Vec::new();
    for line in lines.iter().filter_map(|line| events::parse(line)) {
        match (told.last_mut(), line.more) {
            (Some((_, text)), true) => *text = format!("{text}\n{}", line.text),
            // Its beginning is out of sight: what is left of it is no event.
            (None, true) => {}
            (_, false) => told.push((line.at, line.text.to_owned())),
        }
    }
    told.into_iter().map(|(at, text)| Event { at, happening: Happening::parse(&text) }).collect()
}

/// The runs that are over, the oldest first.
pub(super) fn runs(events: &[Event]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let (mut from, mut asked, mut check) = (None, None, None);
    let (mut begin, mut sent, mut stopping, mut overdue) = (None, None, None, None);
    for (index, Event { at, happening }) in events.iter().enumerate() {
        let end = match happening {
            Happening::Started { .. } => {
                begin = index.checked_sub(1).map(|before| parting(&events[before]));
                if let Some(last) = runs.last_mut() {
                    last.output.1 = begin;
                }
                (from, asked, check, sent) = (Some(*at), None, None, None);
                (stopping, overdue) = (None, None);
                continue;
            }
            Happening::Stopping(signal) => {
                stopping = Some(format!(" on {signal}"));
                continue;
            }
            Happening::Killed => {
                overdue = Some(format!("did not end in time{}", stopping.clone().unwrap_or_default()));
                continue;
            }
            Happening::Signalled(signal) => {
                sent = Some(*signal);
                continue;
            }
            Happening::Asked { what, .. } if ["stop", "restart", "kill"].contains(&what.as_str()) => {
                (asked, sent) = (Some(happening.to_string()), None);
                continue;
            }
            Happening::AskedBySignal(_) => {
                asked = Some(happening.to_string());
                continue;
            }
            Happening::Unhealthy(output) | Happening::CheckFailed(output) => {
                check = Some(output.clone());
                continue;
            }
            Happening::Healthy => {
                check = None;
                continue;
            }
            Happening::Ended(end) => {
                // A signal that was sent before says nothing about another end.
                if end.because != Some(Because::Asked) && (sent.is_none() || end.status.signal() != sent) {
                    asked = None;
                }
                Ok(end.clone())
            }
            Happening::NotStarted(why) => Err(why.clone()),
            Happening::CalledOff => Err("it was stopped before it was started".to_owned()),
            _ => continue,
        };
        let output = (begin.take(), None);
        let (asked, overdue, check) = (asked.take(), overdue.take(), check.take());
        runs.push(Run { from: from.take(), to: *at, output, end, asked, overdue, check });
    }
    runs
}

/// The moment at which the output of a run may begin, by the event before its start. Events are noted to the millisecond:
/// a pause is longer than that, and what came within it is of the run before.
fn parting(before: &Event) -> u64 {
    match before.happening {
        Happening::Restarting { .. } => before.at + 1000,
        _ => before.at,
    }
}

impl Run {
    /// Whether it ended otherwise than it should.
    pub(super) fn failed(&self) -> bool {
        match &self.end {
            Ok(End { because: Some(Because::Asked), .. }) => false,
            Ok(end) => end.because.is_some() || end.status.code() != Some(0),
            Err(_) => true,
        }
    }

    /// How it ended. That a stop was asked for is said by others where it had to be enforced.
    pub(super) fn how(&self) -> String {
        match (&self.end, &self.overdue) {
            (Ok(end @ End { because: Some(Because::Asked), .. }), Some(overdue)) => {
                format!("{}, as it {overdue}", End { because: None, ..end.clone() })
            }
            (Ok(end), Some(overdue)) => format!("{end} (it {overdue})"),
            (Ok(end), None) => end.to_string(),
            (Err(why), _) => format!("not started: {why}"),
        }
    }

    /// What it has in common with a run that ended in the same way.
    pub(super) fn kind(&self) -> Result<(ExitStatus, Option<Because>, bool, bool), &str> {
        match &self.end {
            Ok(end) => Ok((end.status, end.because, end.memory.is_some(), self.overdue.is_some())),
            Err(why) => Err(why),
        }
    }
}
