//! Which of the signals that a parent receives reach the process it stands for, and as what. `daemonctl run` and
//! `daemonrun --foreground` go by the same rule.

use daemonctl_actors::value::Signal;
use serde::{Deserialize, Serialize};

use crate::config::Options;

/// Which signals are passed on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forward {
    /// All, except for `never`.
    pub all: bool,
    /// These, in place of all.
    pub only: Vec<Signal>,
    /// Never these.
    pub never: Vec<Signal>,
}

impl Forward {
    /// What the options say.
    pub fn of(options: &Options) -> Self {
        let signals = &options.signals;
        Self {
            all: signals.forward_all,
            only: signals.forward_list.0.clone(),
            never: signals.preserve_signals.0.clone(),
        }
    }

    /// What is sent on when this signal is received, if anything. A hang-up is a request to reload.
    pub fn sent_for(&self, received: Signal, reload: Signal) -> Option<Signal> {
        let sent = if received == Signal::HUP { reload } else { received };
        self.passes(received).then_some(sent)
    }

    /// Whether a signal is passed on.
    fn passes(&self, signal: Signal) -> bool {
        let listed = if self.only.is_empty() { self.all } else { self.only.contains(&signal) };
        // The window size is that of our terminal, not of the app's; some servers take the signal as an order to leave.
        let meant = signal != Signal::WINCH || self.only.contains(&signal);
        listed && meant && !self.never.contains(&signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_passed_on_unless_something_speaks_against_it() {
        let usr1: Signal = "USR1".parse().unwrap();
        let forward =
            |all, only: &[Signal], never: &[Signal]| Forward { all, only: only.to_vec(), never: never.to_vec() };
        for (forward, signal, sent) in [
            (forward(true, &[], &[]), usr1, Some(usr1)),
            (forward(true, &[], &[]), Signal::HUP, Some(Signal::INT)),
            (forward(true, &[], &[]), Signal::WINCH, None),
            (forward(true, &[Signal::WINCH], &[]), Signal::WINCH, Some(Signal::WINCH)),
            (forward(true, &[], &[usr1]), usr1, None),
            (forward(false, &[], &[]), usr1, None),
            (forward(false, &[usr1], &[]), usr1, Some(usr1)),
            (forward(true, &[usr1], &[]), Signal::HUP, None),
        ] {
            assert_eq!(forward.sent_for(signal, Signal::INT), sent, "{forward:?} {signal}");
        }
    }
}
