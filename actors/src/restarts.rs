//! Whether an app that has ended is started again, and when: restart policy, backoff and giving up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lifecycle::{Cause, Ending, Rest};
use crate::value::ExitStatus;

/// When an app that has ended by itself is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Not at all.
    #[default]
    No,
    /// After a failure.
    OnFailure,
    /// Always.
    Always,
}

/// How an app is restarted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// After which endings.
    pub when: When,
    /// The first pause.
    pub delay: Duration,
    /// The longest pause.
    pub delay_max: Duration,
    /// Restarts in a row before it is given up; 0 is unlimited.
    pub max_attempts: u32,
    /// Ready this long, it has all its attempts again.
    pub reset_after: Duration,
    /// Exit codes that are no failure.
    pub success: Vec<u8>,
}

/// What is remembered of an app's restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Restarts in a row.
    pub attempts: u32,
    /// Restarts since the last start by command.
    pub restarts: u32,
    /// Whether the last launch was a restart by the supervisor: a program that cannot be exec'ed any more is tried
    /// again (a deployment may be under way), one that never could be is not.
    pub was_up: bool,
    /// Whether it was given up because its attempts were used up.
    pub gave_up: bool,
}

/// What follows an ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is started again.
    Again {
        /// After this pause.
        after: Duration,
    },
    /// It is left as it is.
    Leave(Rest),
}

/// What a launch that failed before its exec was like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchFault {
    /// The supervisor died in between: the app is started as if nothing had been.
    Interrupted,
    /// It may go better next time (out of memory, text file busy).
    Passing,
    /// It will not go better by itself (no such file).
    Lasting,
}

/// Decides what follows `ending`, and takes note of it in `history`.
///
/// `fault` says more about an ending without exec; `chance`, from 0 to 1, spreads the pause by ±10 %.
pub fn judge(
    history: &mut History,
    ending: &Ending,
    fault: Option<LaunchFault>,
    policy: &RestartPolicy,
    chance: f64,
) -> Verdict {
    if fault == Some(LaunchFault::Interrupted) {
        return Verdict::Again { after: Duration::ZERO };
    }
    if ending.status.is_some() {
        history.was_up = true;
    }
    if ending.status.is_some() && ending.stable >= policy.reset_after {
        history.attempts = 0;
    }
    let failed = is_failure(ending, policy);
    let rest = match ending.status {
        Some(_) if ending.cause.is_none() => Rest::Exited,
        _ => Rest::Failed,
    };
    let wanted = match ending.cause {
        Some(Cause::Unhealthy) => true,
        Some(Cause::Asked | Cause::Timeout) | None => match policy.when {
            When::No => false,
            When::OnFailure => failed,
            When::Always => true,
        },
    };
    let hopeless = ending.status.is_none() && fault == Some(LaunchFault::Lasting) && !history.was_up;
    if !wanted || hopeless {
        return Verdict::Leave(rest);
    }
    if policy.max_attempts != 0 && history.attempts >= policy.max_attempts {
        history.gave_up = true;
        return Verdict::Leave(Rest::Failed);
    }
    history.attempts += 1;
    history.restarts += 1;
    Verdict::Again { after: pause(history.attempts, policy, chance) }
}

/// Whether an ending is a failure as far as the policy goes.
fn is_failure(ending: &Ending, policy: &RestartPolicy) -> bool {
    match (ending.cause, ending.status) {
        // Whatever code a shell makes of the death of its child.
        _ if ending.out_of_memory => true,
        (Some(Cause::Unhealthy | Cause::Timeout), _) => true,
        (_, Some(ExitStatus::Code(code))) => !policy.success.contains(&code),
        (_, Some(ExitStatus::Signal { .. } | ExitStatus::Unknown) | None) => true,
    }
}

/// The pause before restart number `attempt` in a row, counted from 1: doubled each time, capped, spread by ±10 %.
pub fn pause(attempt: u32, policy: &RestartPolicy, chance: f64) -> Duration {
    let doubled = 2u32.checked_pow(attempt.saturating_sub(1)).and_then(|factor| policy.delay.checked_mul(factor));
    let pause = doubled.unwrap_or(Duration::MAX).min(policy.delay_max);
    pause.mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0)).min(policy.delay_max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::Signal;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy(when: When) -> RestartPolicy {
        RestartPolicy {
            when,
            delay: 5 * SECOND,
            delay_max: 300 * SECOND,
            max_attempts: 3,
            reset_after: 60 * SECOND,
            success: vec![0],
        }
    }

    fn exit(status: ExitStatus) -> Ending {
        Ending { status: Some(status), cause: None, ran: SECOND, stable: SECOND, out_of_memory: false }
    }

    #[test]
    fn the_policy_table() {
        let kill = ExitStatus::Signal { signal: Signal::KILL, core: false };
        let again = Verdict::Again { after: 5 * SECOND };
        let exited = Verdict::Leave(Rest::Exited);
        for (when, status, expected) in [
            (When::No, ExitStatus::Code(0), exited),
            (When::No, ExitStatus::Code(1), exited),
            (When::No, kill, exited),
            (When::OnFailure, ExitStatus::Code(0), exited),
            (When::OnFailure, ExitStatus::Code(1), again),
            (When::OnFailure, kill, again),
            (When::OnFailure, ExitStatus::Unknown, again),
            (When::Always, ExitStatus::Code(0), again),
            (When::Always, ExitStatus::Code(1), again),
        ] {
            let verdict = judge(&mut History::default(), &exit(status), None, &policy(when), 0.5);
            assert_eq!(verdict, expected, "{when:?} {status:?}");
        }
    }

    #[test]
    fn the_unhealthy_restart_whatever_the_policy_and_a_timeout_is_a_failure() {
        let unhealthy = Ending { cause: Some(Cause::Unhealthy), ..exit(ExitStatus::Code(0)) };
        let verdict = judge(&mut History::default(), &unhealthy, None, &policy(When::No), 0.5);
        assert_eq!(verdict, Verdict::Again { after: 5 * SECOND });
        let timeout = Ending { cause: Some(Cause::Timeout), ..exit(ExitStatus::Code(0)) };
        assert_eq!(
            judge(&mut History::default(), &timeout, None, &policy(When::No), 0.5),
            Verdict::Leave(Rest::Failed)
        );
        let verdict = judge(&mut History::default(), &timeout, None, &policy(When::OnFailure), 0.5);
        assert_eq!(verdict, Verdict::Again { after: 5 * SECOND });
    }

    #[test]
    fn after_the_last_attempt_it_is_given_up_and_a_long_run_forgives() {
        let (mut history, policy) = (History::default(), policy(When::Always));
        for seconds in [5, 10, 20] {
            let verdict = judge(&mut history, &exit(ExitStatus::Code(1)), None, &policy, 0.5);
            assert_eq!(verdict, Verdict::Again { after: seconds * SECOND });
        }
        let long = Ending { stable: 60 * SECOND, ..exit(ExitStatus::Code(1)) };
        assert_eq!(judge(&mut history.clone(), &long, None, &policy, 0.5), Verdict::Again { after: 5 * SECOND });
        assert_eq!(judge(&mut history, &exit(ExitStatus::Code(1)), None, &policy, 0.5), Verdict::Leave(Rest::Failed));
        assert!(history.gave_up);
    }

    #[test]
    fn what_never_could_be_executed_is_not_tried_again_but_what_could_is() {
        let never =
            Ending { status: None, cause: None, ran: Duration::ZERO, stable: Duration::ZERO, out_of_memory: false };
        let (mut history, policy) = (History::default(), policy(When::Always));
        let verdict = judge(&mut history, &never, Some(LaunchFault::Lasting), &policy, 0.5);
        assert_eq!(verdict, Verdict::Leave(Rest::Failed));
        judge(&mut history, &exit(ExitStatus::Code(1)), None, &policy, 0.5);
        let verdict = judge(&mut history, &never, Some(LaunchFault::Lasting), &policy, 0.5);
        assert_eq!(verdict, Verdict::Again { after: 10 * SECOND });
        let verdict = judge(&mut History::default(), &never, Some(LaunchFault::Passing), &policy, 0.5);
        assert_eq!(verdict, Verdict::Again { after: 5 * SECOND });
    }

    proptest! {
        #[test]
        fn pauses_grow_and_stay_within_bounds(attempt in 1u32..200, chance in 0.0f64..=1.0, delay in 0u32..1000) {
            let policy = RestartPolicy { delay: delay * SECOND, ..policy(When::Always) };
            let pause = super::pause(attempt, &policy, chance);
            prop_assert!(pause <= policy.delay_max);
            prop_assert!(pause >= policy.delay.min(policy.delay_max).mul_f64(0.899));
        }
    }
}
