//! Supervisors: how one comes to be, what it holds, and how the next one takes over.
//!
//! ```text
//! keeper       one poll loop, no policy: holds descriptors, reaps orphans, replaces a supervisor that dies
//!   └─ supervisor   the actor tree, its hands (spawner, checker, sink), the control socket
//!        └─ apps
//! ```
//!
//! - [`runtime`]: the runtime directory and the names in it. [`lock`]: one supervisor an app, one background one a root.
//! - [`keeper`] and [`link`]: the process that outlives a supervisor, and the words the two exchange.
//! - [`record`]: what is written of an app, so that it can be taken over; [`adopt`] does so. [`snapshot`]: how
//!   the last good run of an app was configured.
//! - [`pidfd`] and [`family`]: processes without the danger of mistaking one for another.
//! - `endings`: how a process ended, and waiting for that. `pidfile`: the file with the pid of an app.
//! - [`pipes`]: pipes that are opened again through the processes that have them.
//! - [`groups`]: the control groups of a run: who is in them, what they counted, their beginning and end.
//! - [`nofile`]: the limit of open files, which is raised for ourselves and not for apps.
//! - [`host`]: what a supervisor holds; [`spawner`], [`checker`] and [`sink`] are the tree's ports into it.
//! - [`server`]: the supervisor's end of the control socket; `answer`: what is said there.
//! - [`instance`]: one run of an app as it was configured; `policy`: how the tree treats it.
//! - [`supervisor`]: builds the tree and serves, around what `prepare` got; [`mod@foreground`] is what `run` adds.
//! - [`fleet`]: all of this as the command line sees it; [`view`] is how an app is told, `confinement` in which words its
//!   sandbox.

pub mod adopt;
mod answer;
pub mod checker;
mod confinement;
mod endings;
pub mod external;
pub mod family;
pub mod fleet;
pub mod foreground;
pub mod groups;
pub mod holder;
pub mod host;
pub mod instance;
pub mod keeper;
pub mod link;
pub mod lock;
pub mod nofile;
mod output;
mod peers;
#[allow(unsafe_code)]
pub mod pidfd;
mod pidfile;
pub mod pipes;
mod policy;
mod prepare;
pub mod record;
mod requester;
pub mod runtime;
pub mod server;
pub mod sink;
pub mod snapshot;
pub mod spawner;
pub mod supervisor;
pub mod view;

pub use fleet::{Fleet, FleetError, dry_run, foreground, rehearse};
pub use foreground::{ExitOn, RunRequest};

/// What a process with this `argv[0]` is to do, if that is the name of a part of a supervisor.
pub fn entered(name: &str) -> Option<fn(std::env::ArgsOs) -> std::process::ExitCode> {
    match name {
        keeper::NAME => Some(keeper::main),
        supervisor::NAME => Some(supervisor::main),
        _ => None,
    }
}
