//! A process supervisor for plain directories.
//!
//! The map. Imports go one way: `cli → supervise, doctor → control, logs, observe, launch → config, app → daemonctl_actors`,
//! and `cli → teelog → logs, launch, config`.
//!
//! - [`app`]: the apps root, names, and what an app's directory contains.
//! - [`config`]: the options of an app, each declared once, and the layers their values come from.
//! - [`launch`]: from a resolved configuration to an exec'ed process. No actix, no tokio: it becomes another process.
//! - [`supervise`]: keeper, runtime directory, locks, records and adoption; it builds the actor tree and gives it hands.
//! - [`control`]: what command line and supervisor say to each other, and the command line's end of the socket.
//! - [`logs`]: where output and events go, and reading them back.
//! - [`observe`]: what /proc tells, and tracing.
//! - [`cgroup`]: control groups: where they can be made, what is written into them, what they tell.
//! - [`doctor`]: what this host can enforce, found out by trying.
//! - [`teelog`]: the log writer as a program of its own: a stream, or a command's output, to rotated logs.
//! - [`cli`]: one file a command; the only place that prints or chooses an exit code.
//!
//! The supervision tree itself, which knows no file, flag or socket, is the crate `daemonctl-actors`.

pub mod app;
pub mod cgroup;
pub mod cli;
pub mod config;
pub mod control;
pub mod doctor;
pub mod launch;
pub mod logs;
pub mod observe;
pub mod supervise;
pub mod teelog;
