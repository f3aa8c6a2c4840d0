//! An event as data: the documented form of `events --json` and of the events in `why --json`.

use daemonctl_actors::value::ExitStatus;
use serde::Serialize;

use crate::config::values::Level;
use crate::logs::events;
use crate::logs::happening::{Happening, Requester};
use crate::logs::moment;

/// The documented form of an event for programs.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Object {
    pub(super) app: String,
    pub(super) time: Option<String>,
    pub(super) level: Option<&'static str>,
    /// The kind, or `more` for a further line of the event before.
    pub(super) kind: &'static str,
    pub(super) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) claimed_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<u64>,
}

/// The form of one line of an app's event log.
pub(super) fn object(app: &str, line: &[u8]) -> Object {
    let text = String::from_utf8_lossy(line);
    let app = app.to_owned();
    match events::parse(&text) {
        Some(line) => {
            let head = Object {
                app,
                time: Some(moment::universal(line.at)),
                level: Some(Level::as_str(line.level)),
                text: line.text.to_owned(),
                kind: "more",
                ..Object::default()
            };
            if line.more { head } else { with_data(head, &Happening::parse(line.text)) }
        }
        None => Object { app, kind: "note", text: text.trim_end_matches('\n').to_owned(), ..Object::default() },
    }
}

fn with_data(mut object: Object, happening: &Happening) -> Object {
    object.kind = happening.kind();
    match happening {
        Happening::Started { pid } => object.pid = Some(*pid),
        Happening::Stopping(signal) | Happening::Signalled(signal) => object.signal = Some(signal.to_string()),
        Happening::AskedBySignal(signal) => {
            (object.command, object.signal) = (Some("stop".to_owned()), Some(signal.to_string()));
        }
        Happening::Asked { what, by: Requester { user, uid, pid, sudo } } => {
            (object.user, object.uid, object.pid) = (Some(user.clone()), Some(*uid), Some(*pid));
            (object.command, object.claimed_user) = (Some(what.clone()), sudo.clone());
        }
        Happening::Ended(end) => {
            object.code = end.status.code();
            object.signal = ExitStatus::signal(end.status).map(|signal| signal.to_string());
        }
        Happening::Dropped(gap) => object.bytes = Some(gap.bytes),
        Happening::NotStarted(_)
        | Happening::CalledOff
        | Happening::Ready
        | Happening::Killed
        | Happening::Restarting { .. }
        | Happening::GaveUp { .. }
        | Happening::Healthy
        | Happening::Unhealthy(_)
        | Happening::CheckFailed(_)
        | Happening::Rebuilt
        | Happening::Note(_) => {}
    }
    object
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;

    #[test]
    fn each_kind_has_its_data() {
        let log = "\
info  start asked by alice (uid 1000, pid 7)
info  stop asked by root (uid 0, pid 9), claimed by sudo to be for bob
info  stop asked by SIGTERM to the supervisor
info  started, pid 8
error not started: cannot run /apps/web/run: its interpreter is missing
info  ready
info  healthy
warn  health check failed: exited 1: no database
error unhealthy: exited 1: no database
error   at db:5432
info  stopping with SIGTERM
warn  did not end in time, killed
info  killed by SIGKILL after 3s, as asked
warn  exited 3 after 2s
info  restart 1 of 3 in 5s
error given up after 3 restarts in a row
error an internal error was contained; supervision goes on
info  stopped before it was started
info  SIGUSR1 sent by command
warn  73 bytes of output were dropped between 2026-11-23T11:59:59.000Z and 2026-11-23T12:00:00.000Z: /apps/web/logs/web.log could not be written
warn  on-stop: no such directory";
        let mut told: Vec<_> =
            log.lines().map(|line| object("web", format!("2026-11-23T12:00:00.000Z {line}\n").as_bytes())).collect();
        told.push(object("web", b"written by somebody else\n"));
        insta::assert_snapshot!(told.iter().map(text::json_line).collect::<Vec<_>>().join("\n"));
    }
}
