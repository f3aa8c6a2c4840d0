//! What a client says, understood, and what it is answered, in the protocol's words. Pure.

use std::time::Duration;

use daemonctl_actors::cell::{StartFailure, Trouble};
use daemonctl_actors::root::Started;

use super::view;
use crate::control::protocol::{self, Failure, FailureKind, MAX_LINE, Outcome, Request};

/// Reads a request line. What is not understood is told, not guessed at.
pub(super) fn understand(line: &[u8]) -> Result<Request, String> {
    if line.len() >= MAX_LINE && line.last() != Some(&b'\n') {
        return Err(format!("the request is longer than {MAX_LINE} bytes"));
    }
    let request: Request =
        serde_json::from_slice(line).map_err(|error| format!("cannot understand the request: {error}"))?;
    match request.v {
        protocol::VERSION => Ok(request),
        v => Err(format!("the request is of protocol version {v}, this supervisor speaks {}", protocol::VERSION)),
    }
}

/// Something broke here, and was contained.
pub(super) fn internal() -> Outcome {
    let message = "an internal error was contained; try again".to_owned();
    Outcome::Failed(Failure { kind: FailureKind::Operation, message, hint: None })
}

/// How a start went, and how long it took.
pub(super) fn started_outcome(started: Started, took: Duration) -> Outcome {
    match started {
        Started::Started { pid, ready, warnings } => Outcome::Started { pid, ready, took, warnings },
        Started::Running { pid } => Outcome::Running { pid },
        Started::Ended(cell) => {
            let pid = cell.last.as_ref().and_then(|last| last.pid).unwrap_or_default();
            Outcome::Ended { pid, how: view::how_it_failed(&cell) }
        }
        Started::Failed(failure) => Outcome::Failed(failure_of(failure)),
        Started::TimedOut(cell) => {
            let check = cell.check.as_ref().filter(|check| !check.success).map(|check| format!(": {}", check.output));
            let state = format!("not ready after {}{}", view::seconds(took.as_secs_f64()), check.unwrap_or_default());
            Outcome::TimedOut { state }
        }
    }
}

/// Why an app did not start.
pub(super) fn failure_of(failure: StartFailure) -> Failure {
    let kind = match failure.trouble {
        Trouble::Configuration => FailureKind::Configuration,
        Trouble::Missing => FailureKind::NoSuchApp,
        Trouble::Taken => FailureKind::Taken,
        Trouble::Passing | Trouble::Lasting | Trouble::Interrupted => FailureKind::Operation,
    };
    Failure { kind, message: failure.message, hint: failure.hint }
}

#[cfg(test)]
mod tests {
    use daemonctl_actors::value::AppName;
    use proptest::prelude::*;

    use super::*;
    use crate::control::protocol::Command;

    #[test]
    fn unknown_commands_and_versions_are_refused_and_unknown_fields_ignored() {
        let hello = understand(b"{\"v\":1,\"cmd\":\"hello\",\"new\":true}\n");
        assert_eq!(hello.map(|request| request.command), Ok(Command::Hello));
        assert!(understand(b"{\"v\":1,\"cmd\":\"exec\"}\n").unwrap_err().contains("unknown variant `exec`"));
        assert!(understand(b"{\"v\":2,\"cmd\":\"hello\"}\n").unwrap_err().contains("version 2"));
        for bad in [&b"\n"[..], b"{", b"null\n", b"[]\n", b"\xff\xfe\n", b"{\"cmd\":\"hello\"}\n"] {
            assert!(understand(bad).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes: Vec<u8>) {
            let _ = understand(&bytes);
        }

        #[test]
        fn no_names_are_smuggled_in(name in "\\PC{0,80}") {
            let line = serde_json::json!({"v": 1, "cmd": "status", "apps": [name]}).to_string();
            prop_assert_eq!(understand(line.as_bytes()).is_ok(), name.parse::<AppName>().is_ok());
        }
    }
}
