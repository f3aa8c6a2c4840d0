//! Why an app is as it is, and what comes next: one line, for the last column of `status` and for `note` in JSON.

use daemonctl_actors::value::AppName;

use super::super::text;
use super::short;
use crate::control::status::{AppStatus, CheckStatus, Health, LastExit, LimitStatus, State};
use crate::launch::limits::NOT_ENFORCED;

/// The line. Nothing where the state says it all.
pub(in crate::cli) fn note(app: &AppStatus, now: f64) -> Option<String> {
    let for_ = |since: Option<f64>| since.map(|since| format!(" for {}", text::seconds(now - since)));
    let mut parts: Vec<String> = Vec::new();
    match app.state {
        State::Stopped if is_new(app) => parts.push("never started".to_owned()),
        State::Starting => parts.extend(for_(app.state_since).map(|so_long| format!("starting{so_long}"))),
        State::Running => parts.extend(running(app, now)),
        State::Stopping => {
            parts.extend(for_(app.state_since).map(|so_long| format!("stopping{so_long}")));
            parts.extend(app.kill_in.map(|left| format!("SIGKILL in {}", text::seconds(left))));
        }
        State::Backoff => {
            parts.push(app.note.clone().unwrap_or_else(|| ended(app)));
            parts.push(retry(app));
        }
        State::Stopped | State::Exited => {
            parts.extend(app.last_exit.as_ref().map(|exit| format!("{}, {}", ended(app), ago(exit, now))))
        }
        State::Failed => {
            let why = app.note.as_deref().map_or_else(|| ended(app), first);
            let tried = match app.attempts {
                1 => "gave up after 1 restart".to_owned(),
                more => format!("gave up after {more} restarts"),
            };
            let when = app.last_exit.as_ref().map(|exit| format!(", {}", ago(exit, now))).unwrap_or_default();
            parts.push(if app.gave_up { format!("{tried}: {why}{when}") } else { format!("{why}{when}") });
        }
    }
    // What only the supervisor knows, where it has not been said yet.
    if !matches!(app.state, State::Backoff | State::Failed) {
        parts.extend(app.note.clone());
    }
    // The mistake that a start has named already is not named again.
    let named = app.note.as_deref().filter(|_| app.state == State::Failed).unwrap_or_default();
    let unnamed = !app.is_active() && !app.mistakes.iter().any(|mistake| named == mistake);
    parts.extend(mistakes(app).filter(|_| unnamed));
    parts.extend(drift(app));
    parts.extend(unheld(app));
    let line = parts.join(", ");
    (!line.is_empty()).then(|| on_one_line(&line))
}

/// Whether it has never been started, as far as is known.
fn is_new(app: &AppStatus) -> bool {
    app.last_exit.is_none() && app.run_dir.is_none() && app.supervisor.is_none() && app.note.is_none()
}

/// What is to be said of an app that runs.
fn running(app: &AppStatus, now: f64) -> Vec<String> {
    let failing = failing(app);
    let why = failing.as_ref().map(|(_, said)| format!(": {said}")).unwrap_or_default();
    let mut parts = Vec::new();
    match (app.ready, app.started_at) {
        (false, Some(at)) => parts.push(format!("not ready for {}{why}", text::seconds(now - at))),
        (true, _) => parts.extend(failing.map(|(count, _)| format!("{count}{why}"))),
        (false, None) => {}
    }
    if app.restarts > 0 {
        let last = app.last_exit.as_ref().map(|_| format!(", last: {}", ended(app)));
        parts.push(format!("{}{}", text::count(app.restarts as usize, "restart"), last.unwrap_or_default()));
    }
    parts
}

/// How often the check has failed, of how many times it may, and what it said. Nothing where the last one succeeded.
/// Until it has failed that often, the app is not called unhealthy.
fn failing(app: &AppStatus) -> Option<(String, String)> {
    let check = app.check.as_ref().filter(|check| check.monitored)?;
    let last = check.failure()?;
    let said = last.output.lines().next().unwrap_or("the check failed").to_owned();
    let word = if app.health == Health::Unhealthy { "unhealthy" } else { "check failed" };
    Some((format!("{word} {}/{}", check.failures, check.failure_threshold), said))
}

/// How the last run ended: `exit 3 after 2s`, `out of memory (limit 64M)`, `unhealthy: connection refused`.
fn ended(app: &AppStatus) -> String {
    let Some(exit) = &app.last_exit else { return "ended".to_owned() };
    let after = format!("after {}", text::seconds(exit.after));
    match exit.reason.as_str() {
        "oom-killed" => format!("{} {after}", out_of_memory(&app.limits)),
        "unhealthy" => match app.check.as_ref().and_then(CheckStatus::failure) {
            Some(last) => format!("unhealthy: {}", last.output.lines().next().unwrap_or("the check failed")),
            None => format!("unhealthy {after}"),
        },
        "timeout" => format!("reached its time limit {after}"),
        "failed" => "not started".to_owned(),
        _ => format!("{} {after}", exit.how()),
    }
}

fn out_of_memory(limits: &[LimitStatus]) -> String {
    let limit = limits.iter().find(|limit| limit.limit == "memory");
    format!("out of memory{}", limit.map(|limit| format!(" (limit {})", limit.asked)).unwrap_or_default())
}

/// `3h04m ago`.
fn ago(exit: &LastExit, now: f64) -> String {
    format!("{} ago", text::seconds(now - exit.at))
}

/// `retry 2/3 in 4s`.
fn retry(app: &AppStatus) -> String {
    let of = app.attempts_max.map(|max| format!("/{max}")).unwrap_or_default();
    let left = app.retry_in.map(|left| format!(" in {}", text::seconds(left))).unwrap_or_default();
    format!("retry {}{of}{left}", app.attempts)
}

/// The first of several reasons, a line each, and how many more there are.
fn first(reasons: &str) -> String {
    match reasons.trim_end().split_once('\n') {
        Some((first, more)) => format!("{first} (+{} more)", more.lines().count()),
        None => reasons.to_owned(),
    }
}

/// What keeps it from being started: the mistake, or where all of them are told.
fn mistakes(app: &AppStatus) -> Option<String> {
    match app.mistakes.as_slice() {
        [] => None,
        [one] => Some(one.strip_prefix(&format!("{}/", app.path)).unwrap_or(one).to_owned()),
        more => Some(format!("config: {} mistakes, {}", more.len(), see(&app.name))),
    }
}

fn see(app: &AppName) -> String {
    format!("see daemonctl config check {app}")
}

/// What is not any more as it was at the start.
fn drift(app: &AppStatus) -> Vec<String> {
    let moved = app.run_moved_to.as_ref().map(|now| {
        let then = app.run_dir.as_deref().unwrap_or_default();
        let (then, now) = if short(then) == short(now) { (then, &**now) } else { (short(then), short(now)) };
        format!("run link moved since start ({then} → {now})")
    });
    let is_config = |file: &&String| file.ends_with(".toml");
    let config = app.changed.iter().any(|file| is_config(&file)).then(|| match app.mistakes.is_empty() {
        true => "config changed since start".to_owned(),
        // Nothing has come of it yet; the next start would be refused.
        false => format!("config is broken now, {}", see(&app.name)),
    });
    let others = app.changed.iter().filter(|file| !is_config(file));
    let others = others.map(|file| format!("{} changed since start", short(file)));
    moved.into_iter().chain(config).chain(others).collect()
}

/// The limits that an app runs without, as --force has it.
fn unheld(app: &AppStatus) -> Option<String> {
    let unheld = app.limits.iter().filter(|limit| app.is_active() && limit.held_by == NOT_ENFORCED);
    let unheld: Vec<String> = unheld.map(|limit| format!("{} {}", limit.limit, limit.asked)).collect();
    (!unheld.is_empty()).then(|| format!("not held to {}", unheld.join(", ")))
}

/// What checks and programs say may have several lines, and may hold what moves a cursor.
fn on_one_line(text: &str) -> String {
    crate::logs::read::escape(text.trim_end().replace('\n', " ").as_bytes()).replace('\t', " ")
}

/// The word for health, where there is any.
pub(in crate::cli) fn health(app: &AppStatus) -> Option<Health> {
    (app.health != Health::Disabled && app.pid.is_some()).then_some(app.health)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, NOW, app};
    use super::*;
    use crate::control::status::LastCheck;

    #[test]
    fn every_state_says_why_and_what_next() {
        let told: Vec<String> = samples::every()
            .iter()
            .map(|app| format!("{:<9} {}", app.state.as_str(), note(app, NOW).unwrap_or_else(|| "-".into())))
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn what_a_check_says_is_put_on_one_line_and_cannot_move_the_cursor() {
        let last = LastCheck { success: false, output: "\u{1b}[2Jno\nyes".into(), took: 0.1, at: Some(NOW) };
        let check = CheckStatus { last: Some(last), failures: 1, ..samples::check() };
        let web = AppStatus { check: Some(check), ready: true, ..app("web", State::Running) };
        assert_eq!(note(&web, NOW).unwrap(), "check failed 1/3: \\x1b[2Jno");
        let ill = AppStatus { health: Health::Unhealthy, ..web };
        assert_eq!(note(&ill, NOW).unwrap(), "unhealthy 1/3: \\x1b[2Jno");
    }

    #[test]
    fn of_several_mistakes_the_first_is_told_and_each_once() {
        let failed = |note: &str, mistakes: &[&str]| AppStatus {
            note: Some(note.to_owned()),
            mistakes: mistakes.iter().map(|mistake| (*mistake).to_owned()).collect(),
            ..app("web", State::Failed)
        };
        assert_eq!(note(&failed("a: no", &["a: no"]), NOW).unwrap(), "a: no");
        assert_eq!(note(&failed("a: no\nb: no\nc: no", &[]), NOW).unwrap(), "a: no (+2 more)");
        let both = note(&failed("a: no\nb: no", &["a: no", "b: no"]), NOW).unwrap();
        assert_eq!(both, "a: no (+1 more), config: 2 mistakes, see daemonctl config check web");
    }

    #[test]
    fn a_check_that_is_not_monitored_makes_nothing_unhealthy() {
        let check = CheckStatus { monitored: false, ..samples::check() };
        let web = AppStatus { check: Some(check), ready: true, ..app("web", State::Running) };
        assert_eq!(note(&web, NOW), None);
    }
}
