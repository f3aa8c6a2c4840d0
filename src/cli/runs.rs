//! The runs of an app, as its recorded events tell them.

use std::mem::take;

use daemonctl_actors::value::{ExitStatus, Signal};

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

/// What is known of a run, or of a launch, before its end.
#[derive(Default)]
struct Open {
    from: Option<u64>,
    /// From when its output may come.
    begin: Option<u64>,
    asked: Option<String>,
    /// The last signal that was sent by command since the last request.
    sent: Option<Signal>,
    /// On which signal it is to end, in words.
    stopping: String,
    overdue: Option<String>,
    check: Option<String>,
}

/// The runs that are over, the oldest first.
pub(super) fn runs(events: &[Event]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut open = Open::default();
    for (index, Event { at, happening }) in events.iter().enumerate() {
        let end = match happening {
            Happening::Ended(end) => Ok(end.clone()),
            Happening::NotStarted(why) => Err(why.clone()),
            Happening::CalledOff => Err("it was stopped before it was started".to_owned()),
            Happening::Started { .. } => {
                let begin = index.checked_sub(1).map(|before| parting(&events[before]));
                if let Some(last) = runs.last_mut() {
                    last.output.1 = begin;
                }
                open = Open { from: Some(*at), begin, ..Open::default() };
                continue;
            }
            happening => {
                open.take_in(happening);
                continue;
            }
        };
        let Open { from, begin, asked, sent, overdue, check, .. } = take(&mut open);
        // A signal that was sent before says nothing about another end.
        let is_of_another =
            |end: &End| end.because != Some(Because::Asked) && (sent.is_none() || end.status.signal() != sent);
        let asked = asked.filter(|_| !end.as_ref().is_ok_and(is_of_another));
        runs.push(Run { from, to: *at, output: (begin, None), end, asked, overdue, check });
    }
    runs
}

impl Open {
    /// Takes in what happened meanwhile.
    fn take_in(&mut self, happening: &Happening) {
        match happening {
            Happening::Stopping(signal) => self.stopping = format!(" on {signal}"),
            Happening::Killed => self.overdue = Some(format!("did not end in time{}", self.stopping)),
            Happening::Signalled(signal) => self.sent = Some(*signal),
            Happening::Asked { what, .. } if ["stop", "restart", "kill"].contains(&what.as_str()) => {
                (self.asked, self.sent) = (Some(happening.to_string()), None);
            }
            Happening::AskedBySignal(_) => self.asked = Some(happening.to_string()),
            Happening::Unhealthy(output) | Happening::CheckFailed(output) => self.check = Some(output.clone()),
            Happening::Healthy => self.check = None,
            _ => {}
        }
    }
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
