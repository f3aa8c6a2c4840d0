//! Rules that concern more than one option, which no value can break alone.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Options, Problem};

/// Options that ask for walls, which a sandbox must build.
const WALLS: [&str; 6] = [
    "sandbox.private_tmp",
    "sandbox.private_dev",
    "sandbox.no_network",
    "sandbox.readonly_paths",
    "sandbox.seccomp",
    "sandbox.seccomp_profile",
];

/// An option that asks for a wall implies `unshare` where no sandbox type is set, and contradicts `none`. Returns the
/// option that implied it.
pub(super) fn imply_sandbox(values: &mut BTreeMap<&'static str, Value>) -> Result<Option<&'static str>, Problem> {
    let asks = |value: &Value| match value {
        Value::Bool(on) => *on,
        Value::Array(list) => !list.is_empty(),
        _ => true,
    };
    let Some(wall) = WALLS.into_iter().find(|name| values.get(name).is_some_and(asks)) else { return Ok(None) };
    match values.get("sandbox.type") {
        None => {
            values.insert("sandbox.type", "unshare".into());
            Ok(Some(wall))
        }
        Some(kind) if kind == "none" => {
            let message =
                "it needs a sandbox, but sandbox.type is none: set that to unshare or firejail, or leave it out";
            Err(Problem::new(message).about(wall))
        }
        Some(_) => Ok(None),
    }
}

/// What is allowed and does not do what it seems to.
pub(super) fn doubtful(options: &Options) -> Option<Problem> {
    let (first, most) = (options.process.restart_delay, options.process.restart_delay_max);
    let message = format!("{first} is longer than process.restart_delay_max, so every restart waits {most}");
    (first > most).then(|| Problem::new(message).about("process.restart_delay"))
}
