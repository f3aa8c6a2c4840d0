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
