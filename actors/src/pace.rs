//! How long a stream rests between two looks.
//!
//! Each look costs about the same, however much it finds, so the collector tries to find much: after a look that did not
//! find a lot, the stream rests. It begins with a millisecond, so that a burst after silence is taken up at once, and
//! rests longer as long as little comes. The longest rest is what a person who follows the log does not notice, and it
//! ends before an app that keeps its rate could fill its pipe: a rest that found half a pipe full was too long.

use std::time::Duration;

use crate::ports::Pumped;

/// The first rest.
const SHORTEST: Duration = Duration::from_millis(1);

/// The longest rest.
const LONGEST: Duration = Duration::from_millis(64);

/// The pace of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    rest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rest: SHORTEST }
    }
}

impl Pace {
    /// How long to rest after this; nothing where there is more to do at once, or nothing until something comes.
    pub fn after(&mut self, pumped: Pumped) -> Option<Duration> {
        let rest = self.rest;
        match pumped {
            Pumped::Little => {
                self.rest = (rest * 2).min(LONGEST);
                Some(rest)
            }
            Pumped::Some => Some(rest),
            Pumped::Full | Pumped::Empty | Pumped::End => {
                self.rest = SHORTEST;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rests(of: &[Pumped]) -> Vec<Option<u64>> {
        let mut pace = Pace::default();
        of.iter().map(|pumped| pace.after(*pumped).map(|rest| rest.as_millis() as u64)).collect()
    }

    #[test]
    fn little_output_is_looked_for_less_and_less_often() {
        let found = [Pumped::Little; 9];
        assert_eq!(rests(&found), [1, 2, 4, 8, 16, 32, 64, 64, 64].map(Some));
    }

    #[test]
    fn a_steady_rate_keeps_its_rest_and_a_burst_ends_it() {
        use Pumped::{Empty, Full, Little, Some as Middling};
        let found = [Little, Little, Middling, Middling, Full, Little, Little, Empty, Little];
        let expected = [Some(1), Some(2), Some(4), Some(4), None, Some(1), Some(2), None, Some(1)];
        assert_eq!(rests(&found), expected);
    }
}
