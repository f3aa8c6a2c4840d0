//! In which order apps are shown.

use std::cmp::Ordering;

use super::look::Brief;
use crate::control::status::State;

/// What apps are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Name,
    State,
    Cpu,
    Memory,
    Uptime,
    Restarts,
}

impl Sort {
    pub(super) const EVERY: [Self; 6] =
        [Self::Name, Self::State, Self::Cpu, Self::Memory, Self::Uptime, Self::Restarts];

    /// The title of its column.
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::State => "STATUS",
            Self::Cpu => "CPU",
            Self::Memory => "MEMORY",
            Self::Uptime => "UPTIME",
            Self::Restarts => "RESTARTS",
        }
    }

    /// The one after it, and the first after the last.
    pub(super) fn next(self) -> Self {
        let at = Self::EVERY.iter().position(|sort| *sort == self).unwrap_or(0);
        Self::EVERY[(at + 1) % Self::EVERY.len()]
    }

    /// What an operator looks for comes first: trouble, and the greatest.
    pub(super) fn compare(self, a: &Brief, b: &Brief) -> Ordering {
        let by = match self {
            Self::Name => Ordering::Equal,
            Self::State => trouble(a.status.state).cmp(&trouble(b.status.state)),
            Self::Cpu => b.cpu.unwrap_or(-1.0).total_cmp(&a.cpu.unwrap_or(-1.0)),
            Self::Memory => b.memory.cmp(&a.memory),
            Self::Uptime => b.status.uptime.unwrap_or(-1.0).total_cmp(&a.status.uptime.unwrap_or(-1.0)),
            Self::Restarts => b.status.restarts.cmp(&a.status.restarts),
        };
        by.then_with(|| a.status.name.cmp(&b.status.name))
    }
}

/// The order of states by how much they need somebody.
pub(super) fn trouble(state: State) -> usize {
    let order = [
        State::Failed,
        State::Backoff,
        State::Starting,
        State::Stopping,
        State::Running,
        State::Exited,
        State::Stopped,
    ];
    order.iter().position(|one| *one == state).unwrap_or(order.len())
}
