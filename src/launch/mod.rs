//! The launcher: how a process of an app comes to be.
//!
//! The supervisor makes a [`plan`] and starts itself again under the name `daemonrun` (a plain posix_spawn), with the
//! app's environment and the launch options as flags. That process is told the plan through a socket, waits there for a
//! go byte, carries the plan out step by step, and turns into the app with execve(2): same pid, nothing left in between.
//! What fails is written as a [`report`] to the same socket, which closes on exec: end of file means that the app runs.
//! Used alone, `daemonrun` reads its flags, makes the plan itself, and says on standard error what failed.
//!
//! The map, in the order a launch passes through it:
//!
//! - [`mod@spawn`]: the supervisor's side: what is to be launched, and the gate the new process waits at.
//! - [`through`]: the same where another program starts the launcher.
//! - [`options`]: the command line of `daemonrun`.
//! - [`facts`]: what a plan depends on beside the options: who launches, and what this host can do.
//! - [`plan`]: from options to steps. Pure, and the same for `--explain` as for the real thing. Its parts are
//!   [`limits`], [`walls`], [`capabilities`], [`mod@filter`] and [`firejail`].
//! - [`run`]: the launcher's `main`: gate or command line, plan, and what becomes of a failure.
//! - [`apply`]: the steps, carried out; with [`identity`] for the most dangerous one and [`script`] for env.sh.
//! - [`alone`]: the parent that stays, or that sees a command off into the background, where no supervisor does.
//! - [`mod@forward`]: which signals a parent passes on.
//! - [`environment`]: the app's variables: what is inherited, what files add, what wins.
//! - [`diagnose`]: why execve(2) failed, in words.
//! - [`report`]: a step that failed, for people and across the gate.
//! - [`sys`]: the door to the kernel, and the only unsafe code.

pub mod alone;
pub mod apply;
pub mod capabilities;
pub mod diagnose;
pub mod environment;
pub mod facts;
#[cfg(test)]
mod fake;
pub mod filter;
pub mod firejail;
pub mod forward;
pub mod identity;
pub mod limits;
pub mod options;
pub mod plan;
pub mod report;
pub mod run;
pub mod script;
pub mod spawn;
#[allow(unsafe_code)]
pub mod sys;
#[cfg(test)]
mod tests;
pub mod through;
pub mod walls;

pub use forward::Forward;
pub use report::Report;
pub use run::main;
pub use spawn::{Gate, LaunchSpec, NotSpawned, Rehearsal, quoted, spawn, typed};
pub use through::{Through, spawn_through};
