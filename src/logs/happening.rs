//! What an event says, as data and as the text of its line: written and read by this one grammar.
//!
//! The event log is text for people. Whoever wants data reads the same text back: [`Happening::parse`] undoes `Display`
//! for every kind but [`Happening::Note`], which is whatever follows no rule. An app has no part in the first words of an
//! event, and what a check says stands behind them or in lines of their own ([`super::events`]): it forges nothing.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use daemonctl_actors::value::{ExitStatus, Signal};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The program was exec'ed.
    Started {
        /// Its pid.
        pid: i32,
    },
    /// A launch failed, and why.
    NotStarted(String),
    /// A launch was called off.
    CalledOff,
    /// It is ready.
    Ready,
    /// It was sent its stop signal.
    Stopping(Signal),
    /// It did not heed the signal.
    Killed,
    /// The main process ended.
    Ended(End),
    /// It will be started again.
    Restarting {
        /// Restarts in a row.
        attempt: u32,
        /// At most so many; 0 is unlimited.
        of: u32,
        /// After this time, in words.
        after: String,
    },
    /// No further restart.
    GaveUp {
        /// After so many in a row.
        attempts: u32,
    },
    /// It became healthy.
    Healthy,
    /// It became unhealthy: what the check said.
    Unhealthy(String),
    /// A check failed that did not change the verdict: what it said.
    CheckFailed(String),
    /// The actor that looked after it was replaced.
    Rebuilt,
    /// A signal was sent by command.
    Signalled(Signal),
    /// Somebody asked for something.
    Asked {
        /// The command: `start`, `stop`, `restart`, `reload`, `kill`, `run`.
        what: String,
        /// Who.
        by: Requester,
    },
    /// The supervisor was sent a signal that stops its apps.
    AskedBySignal(Signal),
    /// Output that could not be written is missing in a log.
    Dropped(Gap),
    /// Anything else: what a hook said, warnings.
    Note(String),
}

/// What is missing in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// So many bytes.
    pub bytes: u64,
    /// When the first of them came, in milliseconds since the epoch.
    pub from: u64,
    /// When the last of them came.
    pub to: u64,
    /// The log.
    pub path: String,
}

/// How a main process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Its wait status.
    pub status: ExitStatus,
    /// How long it had run, in words.
    pub ran: String,
    /// What the supervisor had to do with it.
    pub because: Option<Because>,
    /// That the kernel killed it for its memory, in words: `out of memory (limit 64M)`.
    pub memory: Option<String>,
}

/// Why a supervisor ended an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// By command.
    Asked,
    /// Its health check failed.
    Unhealthy,
    /// `limits.timeout` was over.
    Timeout,
}

/// Who asked: as the kernel tells of the other end of the control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The user's name; the number where it has none.
    pub user: String,
    /// The user's id.
    pub uid: u32,
    /// The process that asked.
    pub pid: i32,
    /// For whom root asked, as sudo's variables said. This is what the process claims, and nobody vouches for it.
    pub sudo: Option<String>,
}

const KILLED: &str = "did not end in time, killed";
const CALLED_OFF: &str = "stopped before it was started";
const REBUILT: &str = "an internal error was contained; supervision goes on";
const DROPPED: &str = " bytes of output were dropped between ";
const UNWRITTEN: &str = " could not be written";

impl Because {
    const ALL: [Self; 3] = [Self::Asked, Self::Unhealthy, Self::Timeout];

    fn text(self) -> &'static str {
        match self {
            Self::Asked => ", as asked",
            Self::Unhealthy => ", stopped because it was unhealthy",
            Self::Timeout => ", stopped at its time limit",
        }
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { pid } => write!(f, "started, pid {pid}"),
            Self::NotStarted(why) => write!(f, "not started: {why}"),
            Self::CalledOff => f.write_str(CALLED_OFF),
            Self::Ready => f.write_str("ready"),
            Self::Stopping(signal) => write!(f, "stopping with {signal}"),
            Self::Killed => f.write_str(KILLED),
            Self::Ended(end) => end.fmt(f),
            Self::Restarting { attempt, of: 0, after } => write!(f, "restart {attempt} in {after}"),
            Self::Restarting { attempt, of, after } => write!(f, "restart {attempt} of {of} in {after}"),
            Self::GaveUp { attempts: 1 } => f.write_str("given up after 1 restart"),
            Self::GaveUp { attempts } => write!(f, "given up after {attempts} restarts in a row"),
            Self::Healthy => f.write_str("healthy"),
            Self::Unhealthy(output) => write!(f, "unhealthy: {output}"),
            Self::CheckFailed(output) => write!(f, "health check failed: {output}"),
            Self::Rebuilt => f.write_str(REBUILT),
            Self::Signalled(signal) => write!(f, "{signal} sent by command"),
            Self::Asked { what, by } => write!(f, "{what} asked by {by}"),
            Self::AskedBySignal(signal) => write!(f, "stop asked by {signal} to the supervisor"),
            Self::Dropped(gap) => gap.fmt(f),
            Self::Note(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = |at| humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(at));
        let Self { bytes, from, to, path } = self;
        write!(f, "{bytes}{DROPPED}{} and {}: {path}{UNWRITTEN}", moment(*from), moment(*to))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = self.because.map_or("", Because::text);
        write!(f, "{} after {}{because}", self.status, self.ran)?;
        self.memory.as_ref().map_or(Ok(()), |memory| write!(f, ": {memory}"))
    }
}

impl fmt::Display for Requester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (uid {}, pid {})", self.user, self.uid, self.pid)?;
        self.sudo.as_ref().map_or(Ok(()), |user| write!(f, ", claimed by sudo to be for {user}"))
    }
}

impl Happening {
    /// What a text says.
    pub fn parse(text: &str) -> Self {
        let fixed = [
            (CALLED_OFF, Self::CalledOff),
            ("ready", Self::Ready),
            (KILLED, Self::Killed),
            ("healthy", Self::Healthy),
            (REBUILT, Self::Rebuilt),
            ("given up after 1 restart", Self::GaveUp { attempts: 1 }),
        ];
        let known = fixed.into_iter().find(|(words, _)| *words == text).map(|(_, happening)| happening);
        known.or_else(|| parse_with_data(text)).unwrap_or_else(|| Self::Note(text.to_owned()))
    }

    /// The word for its kind in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::NotStarted(_) => "not-started",
            Self::CalledOff => "called-off",
            Self::Ready => "ready",
            Self::Stopping(_) => "stopping",
            Self::Killed => "killed",
            Self::Ended(_) => "ended",
            Self::Restarting { .. } => "restarting",
            Self::GaveUp { .. } => "gave-up",
            Self::Healthy => "healthy",
            Self::Unhealthy(_) => "unhealthy",
            Self::CheckFailed(_) => "check-failed",
            Self::Rebuilt => "rebuilt",
            Self::Signalled(_) => "signalled",
            Self::Asked { .. } | Self::AskedBySignal(_) => "asked",
            Self::Dropped(_) => "dropped",
            Self::Note(_) => "note",
        }
    }
}

fn parse_with_data(text: &str) -> Option<Happening> {
    let after = |prefix| text.strip_prefix(prefix);
    if let Some(why) = after("not started: ") {
        return Some(Happening::NotStarted(why.to_owned()));
    }
    if let Some(output) = after("unhealthy: ") {
        return Some(Happening::Unhealthy(output.to_owned()));
    }
    if let Some(output) = after("health check failed: ") {
        return Some(Happening::CheckFailed(output.to_owned()));
    }
    if let Some(pid) = after("started, pid ") {
        return Some(Happening::Started { pid: pid.parse().ok()? });
    }
    if let Some(signal) = after("stopping with ") {
        return Some(Happening::Stopping(signal.parse().ok()?));
    }
    if let Some(rest) = after("given up after ") {
        return Some(Happening::GaveUp { attempts: rest.strip_suffix(" restarts in a row")?.parse().ok()? });
    }
    if let Some((count, time)) = after("restart ").and_then(|rest| rest.split_once(" in ")) {
        let (attempt, of) = count.split_once(" of ").unwrap_or((count, "0"));
        let (attempt, of) = (attempt.parse().ok()?, of.parse().ok()?);
        return Some(Happening::Restarting { attempt, of, after: time.to_owned() });
    }
    if let Some(signal) = text.strip_suffix(" sent by command") {
        return Some(Happening::Signalled(signal.parse().ok()?));
    }
    if let Some((what, by)) = text.split_once(" asked by ").filter(|(what, _)| !what.contains([' ', ':'])) {
        if let Some(signal) = by.strip_suffix(" to the supervisor") {
            return Some(Happening::AskedBySignal(signal.parse().ok()?));
        }
        return Some(Happening::Asked { what: what.to_owned(), by: parse_requester(by)? });
    }
    if let Some((bytes, rest)) = text.split_once(DROPPED) {
        return Some(Happening::Dropped(parse_gap(bytes, rest)?));
    }
    parse_end(text).map(Happening::Ended)
}

fn parse_requester(text: &str) -> Option<Requester> {
    let (user, rest) = text.split_once(" (uid ")?;
    let (uid, rest) = rest.split_once(", pid ")?;
    let (pid, rest) = rest.split_once(')')?;
    let sudo = match rest {
        "" => None,
        rest => Some(rest.strip_prefix(", claimed by sudo to be for ")?.to_owned()),
    };
    Some(Requester { user: user.to_owned(), uid: uid.parse().ok()?, pid: pid.parse().ok()?, sudo })
}

fn parse_gap(bytes: &str, rest: &str) -> Option<Gap> {
    let (from, rest) = rest.split_once(" and ")?;
    let (to, path) = rest.strip_suffix(UNWRITTEN)?.split_once(": ")?;
    let moment = |text| humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok();
    let [from, to] = [moment(from)?, moment(to)?].map(|since| since.as_millis() as u64);
    Some(Gap { bytes: bytes.parse().ok()?, from, to, path: path.to_owned() })
}

fn parse_end(text: &str) -> Option<End> {
    let (status, rest) = text.split_once(" after ")?;
    let status = parse_status(status)?;
    let (rest, memory) = match rest.split_once(": ") {
        Some((rest, memory)) => (rest, Some(memory.to_owned())),
        None => (rest, None),
    };
    let because = Because::ALL.into_iter().find(|because| rest.ends_with(because.text()));
    let ran = because.map_or(Some(rest), |because| rest.strip_suffix(because.text()))?;
    Some(End { status, ran: ran.to_owned(), because, memory })
}

fn parse_status(text: &str) -> Option<ExitStatus> {
    if let Some(code) = text.strip_prefix("exited ") {
        return code.parse().ok().map(ExitStatus::Code);
    }
    if let Some(signal) = text.strip_prefix("killed by ") {
        let (signal, core) = match signal.strip_suffix(", core dumped") {
            Some(signal) => (signal, true),
            None => (signal, false),
        };
        return signal.parse().ok().map(|signal| ExitStatus::Signal { signal, core });
    }
    (text == ExitStatus::Unknown.to_string()).then_some(ExitStatus::Unknown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signal() -> impl Strategy<Value = Signal> {
        (1..=64).prop_map(|number| Signal::from_number(number).unwrap())
    }

    fn end() -> impl Strategy<Value = End> {
        let status = prop_oneof![
            any::<u8>().prop_map(ExitStatus::Code),
            (signal(), any::<bool>()).prop_map(|(signal, core)| ExitStatus::Signal { signal, core }),
            Just(ExitStatus::Unknown),
        ];
        let because = proptest::option::of(proptest::sample::select(Because::ALL.to_vec()));
        let memory = proptest::option::of("out of memory( \\(limit [0-9]{1,3}M\\))?");
        (status, "[0-9.]{1,4}(ms|s|m)", because, memory).prop_map(|(status, ran, because, memory)| End {
            status,
            ran,
            because,
            memory,
        })
    }

    fn requester() -> impl Strategy<Value = Requester> {
        ("[a-z_][a-z0-9_-]{0,8}", any::<u32>(), 1..i32::MAX, proptest::option::of("[a-z]{1,8}"))
            .prop_map(|(user, uid, pid, sudo)| Requester { user, uid, pid, sudo })
    }

    fn gap() -> impl Strategy<Value = Gap> {
        let moment = 0..4_000_000_000_000u64;
        (any::<u64>(), moment.clone(), moment, "/\\PC{0,20}").prop_map(|(bytes, from, to, path)| Gap {
            bytes,
            from,
            to,
            path,
        })
    }

    pub(crate) fn happening() -> impl Strategy<Value = Happening> {
        prop_oneof![
            (1..i32::MAX).prop_map(|pid| Happening::Started { pid }),
            "\\PC{0,40}".prop_map(Happening::NotStarted),
            signal().prop_map(Happening::Stopping),
            signal().prop_map(Happening::Signalled),
            signal().prop_map(Happening::AskedBySignal),
            end().prop_map(Happening::Ended),
            (any::<u32>(), any::<u32>(), "[0-9]{1,3}s").prop_map(|(attempt, of, after)| Happening::Restarting {
                attempt,
                of,
                after
            }),
            any::<u32>().prop_map(|attempts| Happening::GaveUp { attempts }),
            "\\PC{0,40}".prop_map(Happening::Unhealthy),
            "\\PC{0,40}".prop_map(Happening::CheckFailed),
            gap().prop_map(Happening::Dropped),
            ("start|stop|restart|reload|kill|run", requester()).prop_map(|(what, by)| Happening::Asked { what, by }),
            proptest::sample::select(vec![
                Happening::CalledOff,
                Happening::Ready,
                Happening::Killed,
                Happening::Healthy,
                Happening::Rebuilt,
            ]),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(happening in happening()) {
            prop_assert_eq!(Happening::parse(&happening.to_string()), happening);
        }

        #[test]
        fn any_text_is_read_as_what_would_be_written_so(text in "\\PC{0,80}") {
            let _ = Happening::parse(&text);
        }
    }

    #[test]
    fn what_a_hook_says_is_no_more_than_that() {
        for text in ["on-stop: stop asked by root (uid 0, pid 1)", "on-start: healthy", "1 process was killed", ""] {
            assert_eq!(Happening::parse(text), Happening::Note(text.to_owned()));
        }
    }
}
