//! What a run of check results means.
//!
//! While an app starts up, checks run every second and only a success counts, so that it is ready as soon as it is
//! healthy. From then on checks run at a fixed interval, and thresholds of successes or failures in a row decide.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::value::Moment;

/// How an app is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthPolicy {
    /// Time from one check to the next.
    pub interval: Duration,
    /// How long the app may take to start; until then a failure means nothing.
    pub startup: Duration,
    /// Failures in a row that make it unhealthy.
    pub failure_threshold: u32,
    /// Successes in a row that make it healthy.
    pub success_threshold: u32,
    /// Whether failures have consequences. If not, checks end with the first success: they only tell readiness.
    pub monitored: bool,
}

/// The state of an app's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Not healthy yet.
    Starting,
    /// Healthy.
    Healthy,
    /// Unhealthy.
    Unhealthy,
}

/// What is known of an app's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vitals {
    /// The verdict.
    pub health: Health,
    /// Failures in a row that count.
    pub failures: u32,
    /// Successes in a row.
    pub successes: u32,
    /// Until when failures do not count.
    pub startup_until: Moment,
}

/// Time between checks while an app starts up.
const STARTUP_INTERVAL: Duration = Duration::from_secs(1);

impl Vitals {
    /// An app that was exec'ed at `executed`; `was_ready` if it has been ready before (it was taken over), so that it
    /// needs no time for starting.
    pub fn new(executed: Moment, was_ready: bool, policy: &HealthPolicy) -> Self {
        let startup = if was_ready { Duration::ZERO } else { policy.startup };
        Self { health: Health::Starting, failures: 0, successes: 0, startup_until: executed + startup }
    }

    /// Takes in one result; returns whether the verdict changed.
    pub fn record(&mut self, now: Moment, success: bool, policy: &HealthPolicy) -> bool {
        let before = self.health;
        if success {
            self.failures = 0;
            self.successes += 1;
            if self.successes >= policy.success_threshold {
                self.health = Health::Healthy;
            }
        } else {
            self.successes = 0;
            if policy.monitored && (self.health != Health::Starting || now >= self.startup_until) {
                self.failures += 1;
            }
            if policy.monitored && self.failures >= policy.failure_threshold {
                self.health = Health::Unhealthy;
            }
        }
        self.health != before
    }

    /// When the next check is due, given that the last one was due at `last`; nothing when no more are needed. A check
    /// that took longer than the interval makes the next ones fall out: there are never two at a time, nor a backlog.
    pub fn next(&self, last: Moment, now: Moment, policy: &HealthPolicy) -> Option<Moment> {
        if !policy.monitored && self.health == Health::Healthy {
            return None;
        }
        let starting = self.health == Health::Starting && (!policy.monitored || now < self.startup_until);
        let interval = if starting { policy.interval.min(STARTUP_INTERVAL) } else { policy.interval };
        let interval = interval.max(Duration::from_millis(1));
        let missed = now.saturating_sub(last).as_nanos() / interval.as_nanos();
        Some(last + interval * (missed as u32 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> HealthPolicy {
        HealthPolicy {
            interval: 30 * SECOND,
            startup: 60 * SECOND,
            failure_threshold: 3,
            success_threshold: 2,
            monitored: true,
        }
    }

    #[test]
    fn failures_while_starting_do_not_count_and_checks_are_quick() {
        let mut vitals = Vitals::new(100 * SECOND, false, &policy());
        for second in 100..160 {
            assert!(!vitals.record(second * SECOND, false, &policy()));
            let now = second * SECOND;
            assert_eq!(vitals.next(now, now, &policy()), Some(now + if second < 160 { SECOND } else { 30 * SECOND }));
        }
        assert!(!vitals.record(160 * SECOND, false, &policy()));
        assert!(!vitals.record(190 * SECOND, false, &policy()));
        assert!(vitals.record(220 * SECOND, false, &policy()));
        assert_eq!(vitals.health, Health::Unhealthy);
    }

    #[test]
    fn thresholds_count_results_in_a_row() {
        let mut vitals = Vitals::new(Duration::ZERO, false, &policy());
        assert!(!vitals.record(SECOND, true, &policy()));
        assert!(!vitals.record(2 * SECOND, false, &policy()));
        assert!(!vitals.record(3 * SECOND, true, &policy()));
        assert!(vitals.record(4 * SECOND, true, &policy()));
        // Healthy once, starting is over: failures count even within the startup period.
        for success in [false, false, true, false, false] {
            assert!(!vitals.record(5 * SECOND, success, &policy()));
        }
        assert!(vitals.record(6 * SECOND, false, &policy()));
        assert_eq!(vitals.health, Health::Unhealthy);
    }

    #[test]
    fn a_slow_check_makes_the_next_ones_fall_out() {
        let vitals = Vitals { health: Health::Healthy, ..Vitals::new(Duration::ZERO, true, &policy()) };
        assert_eq!(vitals.next(30 * SECOND, 31 * SECOND, &policy()), Some(60 * SECOND));
        assert_eq!(vitals.next(30 * SECOND, 125 * SECOND, &policy()), Some(150 * SECOND));
    }

    #[test]
    fn without_monitoring_the_first_success_ends_the_checks() {
        let policy = HealthPolicy { monitored: false, success_threshold: 1, ..policy() };
        let mut vitals = Vitals::new(Duration::ZERO, false, &policy);
        for second in 0..600 {
            assert!(!vitals.record(second * SECOND, false, &policy));
            assert_eq!(vitals.next(second * SECOND, second * SECOND, &policy), Some((second + 1) * SECOND));
        }
        assert!(vitals.record(600 * SECOND, true, &policy));
        assert_eq!(vitals.next(600 * SECOND, 600 * SECOND, &policy), None);
    }
}
