//! How the tree treats an app: what its options say about time, restarts and health.

use daemonctl_actors::cell::Policy;
use daemonctl_actors::health::HealthPolicy;
use daemonctl_actors::lifecycle::Timing;
use daemonctl_actors::restarts::{RestartPolicy, When};

use crate::app::App;
use crate::config::Options;
use crate::config::values::Restart;

/// How the tree treats an app with these options.
pub(super) fn policy(app: &App, options: &Options, awaited: bool) -> Policy {
    // Not monitored, a check still tells readiness to those who wait for it.
    let checked = has_check(app, options) && (options.monitoring.enabled || awaited);
    let process = &options.process;
    Policy {
        timing: Timing {
            start_timeout: process.start_timeout.0,
            stop_grace: process.stop_timeout.unwrap_or(options.signals.kill_timeout).0,
            run_timeout: options.limits.timeout.map(|limit| limit.0),
            ready_when_healthy: checked,
        },
        restart: RestartPolicy {
            when: match process.restart {
                Restart::No => When::No,
                Restart::OnFailure => When::OnFailure,
                Restart::Always => When::Always,
            },
            delay: process.restart_delay.0,
            delay_max: process.restart_delay_max.0,
            max_attempts: process.restart_max_attempts,
            reset_after: process.restart_reset_after.0,
            success: process.success_exit_codes.0.clone(),
        },
        health: checked.then(|| health_policy(options)),
        stop_signal: options.signals.stop_signal,
        reload_signal: options.signals.reload_signal,
    }
}

/// Whether it has a health check.
pub(super) fn has_check(app: &App, options: &Options) -> bool {
    options.monitoring.check_command.is_some() || app.check().is_some()
}

/// By what it is healthy.
pub(super) fn health_policy(options: &Options) -> HealthPolicy {
    let monitoring = &options.monitoring;
    HealthPolicy {
        interval: monitoring.check_interval.0,
        startup: monitoring.startup_delay.0,
        failure_threshold: monitoring.failure_threshold,
        success_threshold: monitoring.success_threshold,
        monitored: monitoring.enabled,
    }
}
