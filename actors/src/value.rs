//! Values that every layer speaks: an app's name, a signal, the way a process ended.
//!
//! Each has one text form, used by flags, files, records and messages alike.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: the reading of `CLOCK_MONOTONIC`, which all processes of one boot share.
///
/// It is a plain duration so that the pure modules can calculate with it and a record can carry it from one
/// supervisor to the next; it means nothing after a reboot, which a record's boot id reveals.
pub type Moment = Duration;

/// The name of an app: the name of its directory below the apps root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(String);

/// Why a text is not an app's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("an app name cannot be empty")]
    Empty,
    /// More than [`AppName::MAX`] characters.
    #[error("an app name has at most {max} characters, this one has {0}", max = AppName::MAX)]
    Long(usize),
    /// A character outside `[A-Za-z0-9._-]`, or a first one outside `[A-Za-z0-9]`.
    #[error(
        "{name:?} is not an app name: {bad:?} is not allowed {place}; names are letters, digits, '.', '_' and '-', beginning with a letter or digit"
    )]
    Character {
        /// The refused text.
        name: String,
        /// The first character at fault.
        bad: char,
        /// Where it stands, in words.
        place: &'static str,
    },
}

impl AppName {
    /// The greatest length of a name, in characters.
    pub const MAX: usize = 64;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = |bad, place| NameError::Character { name: text.to_owned(), bad, place };
        let first = text.chars().next().ok_or(NameError::Empty)?;
        if !first.is_ascii_alphanumeric() {
            return Err(wrong(first, "at the beginning"));
        }
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-".contains(*c)) {
            return Err(wrong(bad, "in a name"));
        }
        if text.len() > Self::MAX {
            return Err(NameError::Long(text.len()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for AppName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<AppName> for String {
    fn from(name: AppName) -> Self {
        name.0
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A signal, by its number on Linux (signal(7)): 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signal(i32);

/// The names of signals 1 to 31 on x86 and Arm, in order of their numbers (signal(7)).
const SIGNAL_NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

/// Other names in use for the same numbers.
const SIGNAL_ALIASES: [(&str, i32); 4] = [("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31)];

/// A text that names no signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a signal: use a name such as TERM or SIGTERM, or a number from 1 to 64")]
pub struct SignalError(pub String);

impl Signal {
    /// Hang-up: by convention, read the configuration again.
    pub const HUP: Self = Self(1);
    /// Interrupt from the keyboard.
    pub const INT: Self = Self(2);
    /// The end that cannot be refused.
    pub const KILL: Self = Self(9);
    /// The polite request to end.
    pub const TERM: Self = Self(15);
    /// A child has ended.
    pub const CHLD: Self = Self(17);
    /// The size of the terminal has changed.
    pub const WINCH: Self = Self(28);
    /// Continue, if stopped.
    pub const CONT: Self = Self(18);

    /// The signal with this number, if there is one.
    pub fn from_number(number: i32) -> Option<Self> {
        (1..=64).contains(&number).then_some(Self(number))
    }

    /// The number that kill(2) takes.
    pub fn number(self) -> i32 {
        self.0
    }

    /// The names of all signals that have one, without `SIG`.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SIGNAL_NAMES.into_iter()
    }
}

impl FromStr for Signal {
    type Err = SignalError;

    fn from_str(text: &str) -> Result<Self, SignalError> {
        let upper = text.trim().to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let number = SIGNAL_NAMES
            .iter()
            .position(|known| *known == name)
            .map(|at| at as i32 + 1)
            .or_else(|| SIGNAL_ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, number)| *number))
            .or_else(|| {
                let (base, sign, rest) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
                    (Some(rest), _) => (34, 1, rest.strip_prefix('+').or(rest.is_empty().then_some("0"))?),
                    (_, Some(rest)) => (64, -1, rest.strip_prefix('-').or(rest.is_empty().then_some("0"))?),
                    _ => (0, 1, name),
                };
                rest.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
                let offset: i32 = rest.parse().ok()?;
                (base == 0 || offset <= 30).then_some(base + sign * offset)
            });
        number.and_then(Self::from_number).ok_or_else(|| SignalError(text.to_owned()))
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            number @ 1..=31 => f.pad(&format!("SIG{}", SIGNAL_NAMES[number as usize - 1])),
            34 => f.pad("SIGRTMIN"),
            number @ 35..=64 => f.pad(&format!("SIGRTMIN+{}", number - 34)),
            number => f.pad(&number.to_string()),
        }
    }
}

impl TryFrom<String> for Signal {
    type Error = SignalError;

    fn try_from(text: String) -> Result<Self, SignalError> {
        text.parse()
    }
}

impl From<Signal> for String {
    fn from(signal: Signal) -> Self {
        signal.to_string()
    }
}

/// How a process ended (wait(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// It called exit with this code, 0 to 255.
    Code(u8),
    /// A signal ended it.
    Signal {
        /// Which.
        signal: Signal,
        /// Whether the kernel wrote a core dump.
        core: bool,
    },
    /// It is gone, and nobody who could be asked saw how.
    Unknown,
}

impl ExitStatus {
    /// Reads the status word of wait(2).
    pub fn from_wait(raw: i32) -> Self {
        match raw & 0x7f {
            0 => Self::Code((raw >> 8) as u8),
            number => match Signal::from_number(number) {
                Some(signal) => Self::Signal { signal, core: raw & 0x80 != 0 },
                None => Self::Unknown,
            },
        }
    }

    /// What an exit code stands for that a shell has made of a status: 128 plus a signal's number is that signal.
    pub fn from_shell(code: u8) -> Self {
        match code.checked_sub(128).and_then(|number| Signal::from_number(number.into())) {
            Some(signal) => Self::Signal { signal, core: false },
            None => Self::Code(code),
        }
    }

    /// The exit code a shell would show for it: the code, or 128 plus the signal's number; 1 where it is unknown.
    pub fn shell_code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal { signal, .. } => 128 + signal.number() as u8,
            Self::Unknown => 1,
        }
    }

    /// The exit code, if it exited.
    pub fn code(self) -> Option<u8> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal { .. } | Self::Unknown => None,
        }
    }

    /// The signal that ended it, if one did.
    pub fn signal(self) -> Option<Signal> {
        match self {
            Self::Signal { signal, .. } => Some(signal),
            Self::Code(_) | Self::Unknown => None,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited {code}"),
            Self::Signal { signal, core: false } => write!(f, "killed by {signal}"),
            Self::Signal { signal, core: true } => write!(f, "killed by {signal}, core dumped"),
            Self::Unknown => f.write_str("ended, exit status unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_bounded() {
        for good in ["web", "a", "0day", "my-app_2.0", &"x".repeat(64)] {
            assert_eq!(good.parse::<AppName>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "../x", "/etc", "-x", "_x", "a b", "a/b", "a\n", "ä", "web*", &"x".repeat(65)] {
            assert!(bad.parse::<AppName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_signal_survives_its_text() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(signal.to_string().parse(), Ok(signal));
            assert_eq!(number.to_string().parse(), Ok(signal));
        }
        for (text, number) in
            [("term", 15), ("SigUsr1", 10), ("9", 9), ("rtmin+3", 37), ("RTMAX", 64), ("SIGRTMAX-1", 63), ("IOT", 6)]
        {
            assert_eq!(text.parse::<Signal>().unwrap().number(), number, "{text}");
        }
        for bad in ["", "0", "65", "-9", "FOO", "SIG", "RTMIN+31", "RTMAX-40", "TERM1", "+5"] {
            assert!(bad.parse::<Signal>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn wait_words_are_read_as_wait_2_writes_them() {
        for code in 0..=255u8 {
            assert_eq!(ExitStatus::from_wait(i32::from(code) << 8), ExitStatus::Code(code));
        }
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(ExitStatus::from_wait(number), ExitStatus::Signal { signal, core: false });
            assert_eq!(ExitStatus::from_wait(number | 0x80), ExitStatus::Signal { signal, core: true });
            assert_eq!(ExitStatus::from_wait(number).shell_code(), 128 + number as u8);
        }
    }
}
