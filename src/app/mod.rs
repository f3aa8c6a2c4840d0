//! The apps root and what an app's directory contains.
//!
//! A directory `ROOT/NAME` is an app when it has a `run` script, or a `process.command` in its configuration. Its files
//! lie in `NAME/run/`, which may be a symlink to a version, or directly in `NAME/`; each is looked for in that order.
//! The `run` link is resolved once for a start, so that script, configuration, directory and version agree. Whether the
//! files that it was configured from have changed since, their fingerprints tell.

mod files;
mod fingerprint;
mod root;
mod shown;
pub mod small;

pub use files::{App, Interpreter, Script};
pub use fingerprint::Fingerprint;
pub use root::{AppError, Root, RootError};
pub use shown::{Shown, is_obeyed, readable, readable_json, readable_lines, reason};
