//! What to look at first when an app is not as it should be, and what to do about it: a sentence each.

use daemonctl_actors::cell::{StartFailure, Trouble};
use daemonctl_actors::restarts::When;
use daemonctl_actors::value::{AppName, ExitStatus, Signal};

use super::super::runs::Run;
use super::{Facts, Said, failing};
use crate::control::status::State;
use crate::logs::happening::{Because, End};

/// What to look at first: by what is wrong now, by how the last run ended, and by what it said.
pub(super) fn hints(facts: &Facts<'_>, last: Option<&Run>) -> Vec<String> {
    let name = &facts.status.name;
    let mut hints = Vec::new();
    if failing(facts.status).is_some() {
        hints.push(format!("daemonctl status --health {name} tells all of its health check"));
    }
    let Some(run) = last else { return hints };
    match &run.end {
        Ok(end) if run.failed() => hints.extend(hint_of_end(end, run.asked.is_some()).map(str::to_owned)),
        Ok(_) => {}
        Err(why) => hints.extend(facts.failure.as_ref().and_then(|failure| hint_of_failure(name, failure, why))),
    }
    if run.overdue.is_some() {
        hints.push(
            "process.stop_timeout is how long it may take to end, signals.stop_signal what asks it to".to_owned(),
        );
    }
    // As it is now, which need not be what the last start used.
    let changed =
        facts.changes.as_ref().and_then(|changes| changes.items.iter().find(|it| it.what == "process.restart"));
    let never = match changed {
        Some(change) => change.now.as_deref().is_none_or(|now| now == "no"),
        None => facts.restart.as_ref().is_some_and(|policy| policy.when == When::No),
    };
    let ended = run.end.as_ref().is_ok_and(|end| end.because != Some(Because::Unhealthy));
    if never && run.failed() && ended && matches!(facts.status.state, State::Exited | State::Failed) {
        hints.push(format!(
            "process.restart is \"no\": with daemonctl config set {name} process.restart=on-failure it is started again"
        ));
    }
    hints.extend(hints_of_lines(&facts.lines));
    hints
}

/// What start said to do about a launch that failed for this reason: the event has only the reason. What would be right in
/// a configuration may be a long list, and is told by whoever checks it.
fn hint_of_failure(app: &AppName, failure: &StartFailure, why: &str) -> Option<String> {
    match failure.trouble {
        _ if failure.message.trim_end() != why.trim_end() => None,
        Trouble::Configuration => Some(format!("daemonctl config check {app} tells what is wrong, and what is right")),
        Trouble::Missing | Trouble::Taken | Trouble::Passing | Trouble::Lasting | Trouble::Interrupted => {
            failure.hint.clone()
        }
    }
}

/// What the words of a run are known to mean.
fn hints_of_lines(lines: &[Said]) -> Vec<String> {
    let said: Vec<String> = lines.iter().map(|line| line.text.to_lowercase()).collect();
    let known = [
        (&["address already in use", "eaddrinuse"][..], "another process has its port: ss -ltnp shows which"),
        (
            &["permission denied", "eacces"],
            "it may not use a file: daemonctl status -l shows the directory it was started from",
        ),
        (&["no space left on device", "enospc"], "a disk is full: df shows which"),
        (&["too many open files", "emfile"], "it has reached its limit of open files: limits.file_limit raises it"),
    ];
    let is_said = |words: &[&str]| said.iter().any(|line| words.iter().any(|word| line.contains(word)));
    known.into_iter().filter(|(words, _)| is_said(words)).map(|(_, hint)| hint.to_owned()).collect()
}

fn hint_of_end(end: &End, asked: bool) -> Option<&'static str> {
    if end.memory.is_some() {
        return Some("it needs less memory, or a greater limits.memory_limit");
    }
    match end.because {
        Some(Because::Unhealthy) => {
            return Some("what its health check said is above");
        }
        Some(Because::Timeout) => return Some("limits.timeout is the longest that it may run"),
        Some(Because::Asked) | None => {}
    }
    match end.status {
        ExitStatus::Code(127) => {
            Some("a shell ends with 127 when a command is not found: see the run script, and PATH")
        }
        ExitStatus::Code(126) => Some("a shell ends with 126 when a command cannot be executed: see its mode"),
        ExitStatus::Signal { signal: Signal::KILL, .. } if !asked => {
            Some("SIGKILL came from outside of daemonctl: the kernel for want of memory (dmesg tells), or somebody")
        }
        ExitStatus::Signal { signal, .. } if matches!(signal.number(), 4 | 6 | 7 | 8 | 11) => {
            Some("it crashed: limits.core_limit = \"unlimited\" lets it leave a core dump")
        }
        ExitStatus::Signal { signal, .. } if signal.number() == 31 => Some("a system call filter refused what it did"),
        _ => None,
    }
}
