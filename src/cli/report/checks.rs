//! The health of an app: what its checks say, when the next one is, and how much is left until there are consequences.

use super::super::text;
use super::{View, facts};
use crate::control::status::{AppStatus, CheckStatus, LastCheck};
use crate::logs::read::escape;

/// How much of a check's output is shown.
const LINES: usize = 10;

/// One fact a line.
pub(in crate::cli) fn checks(app: &AppStatus, view: &View) -> String {
    facts(told(app, view), view)
}

/// The same, to be put among other facts.
pub(super) fn told(app: &AppStatus, view: &View) -> Vec<(&'static str, String)> {
    let Some(check) = &app.check else {
        let why = match app.run_dir {
            Some(_) => "not checked: there is no check script and no monitoring.check_command",
            None => "not checked yet: it was never started",
        };
        return vec![("health", why.to_owned())];
    };
    let mut told = vec![("health", verdict(app, check))];
    if let Some(last) = &check.last {
        told.push(("last check", last_check(last, view)));
        let output = escape(last.output.trim_end().as_bytes());
        let lines: Vec<&str> = output.lines().collect();
        told.extend(lines[lines.len().saturating_sub(LINES)..].iter().map(|line| ("", (*line).to_owned())));
    }
    if app.pid.is_some() && (check.monitored || check.next_in.is_some()) {
        let next = check.next_in.map(|left| match left {
            0.0 => "now, ".to_owned(),
            left => format!("in {}, ", text::seconds(left)),
        });
        let every = format!("every {}", text::seconds(check.interval));
        told.push(("next check", format!("{}{every}", next.unwrap_or_default())));
    }
    told
}

/// `healthy, 0 of 3 failures`, or why there is no verdict.
fn verdict(app: &AppStatus, check: &CheckStatus) -> String {
    if !check.monitored {
        return format!("not monitored; daemonctl health {} checks once", app.name);
    }
    if app.pid.is_none() {
        return "not checked while it is not running".to_owned();
    }
    let mut text = format!("{}, {}/{} failures in a row", app.health.as_str(), check.failures, check.failure_threshold);
    if check.success_threshold > 1 && check.successes < check.success_threshold {
        text += &format!(", {}/{} successes", check.successes, check.success_threshold);
    }
    text
}

/// `ok 4s ago, took 41ms`.
fn last_check(last: &LastCheck, view: &View) -> String {
    let word = if last.success { "ok" } else { "failed" };
    let ago = last.at.map(|at| format!(" {} ago", text::seconds(view.now - at))).unwrap_or_default();
    format!("{word}{ago}, took {}", text::seconds(last.took))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, NOW, app, view};
    use super::*;
    use crate::control::status::{Health, State};

    #[test]
    fn health_is_told_in_every_case() {
        let running = |health, check: Option<CheckStatus>| AppStatus {
            pid: Some(7),
            health,
            check,
            run_dir: Some("/srv/apps/web".into()),
            ..app("web", State::Running)
        };
        let last = |success, output: &str| {
            Some(LastCheck { success, output: output.into(), took: 0.041, at: Some(NOW - 4.0) })
        };
        let healthy = CheckStatus { last: last(true, "ok\n"), failures: 0, ..samples::check() };
        let starting = CheckStatus { successes: 1, success_threshold: 2, next_in: Some(0.0), ..healthy.clone() };
        let unmonitored = CheckStatus { monitored: false, last: None, next_in: None, ..samples::check() };
        let told = [
            running(Health::Healthy, Some(healthy)),
            running(Health::Healthy, Some(samples::check())),
            running(Health::Starting, Some(starting)),
            running(Health::Disabled, Some(unmonitored)),
            running(Health::Disabled, None),
            app("web", State::Stopped),
            AppStatus { pid: None, ..running(Health::Disabled, Some(samples::check())) },
        ];
        insta::assert_snapshot!(told.map(|app| checks(&app, &view())).join("\n"));
    }
}
