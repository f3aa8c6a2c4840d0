//! The limit of open files (RLIMIT_NOFILE, getrlimit(2)): keeper and supervisor hold a few descriptors for each app and
//! raise their own soft limit as far as they may; apps get the limits of whoever started them.

use std::fmt;
use std::str::FromStr;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// A soft and a hard limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nofile {
    /// What holds.
    pub soft: u64,
    /// What it may be raised to.
    pub hard: u64,
}

impl Nofile {
    /// The variable in which a keeper tells its supervisor what the limits were before it raised its own.
    pub const VARIABLE: &str = "DAEMONCTL_NOFILE";

    /// Raises the soft limit of this process to the hard one; returns what both were.
    pub fn raise() -> Self {
        let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Self { soft: 1024, hard: 4096 } };
        if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            tracing::warn!(%error, "cannot raise the limit of open files");
        }
        Self { soft, hard }
    }

    /// What the limits were before anybody raised them: told by the keeper, or this process's own.
    pub fn inherited() -> Self {
        let own = Self::raise();
        let told = std::env::var(Self::VARIABLE).ok();
        told.and_then(|text| text.parse().ok()).unwrap_or(own)
    }
}

impl fmt::Display for Nofile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.soft, self.hard)
    }
}

impl FromStr for Nofile {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (soft, hard) = text.split_once(':').unwrap_or((text, text));
        Ok(Self { soft: soft.parse()?, hard: hard.parse()? })
    }
}
