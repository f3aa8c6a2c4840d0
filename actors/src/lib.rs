//! The supervision tree of `daemonctl`, which knows no file format, flag or socket.
//!
//! # Theory of operation
//!
//! Decisions are pure functions over plain data: [`lifecycle`] decides what an app does next, [`restarts`] whether it is
//! started again and when, [`health`] what a run of check results means, [`rotation`] where output is cut into files,
//! [`pace`] how often it is looked for. None of them reads a clock, rolls dice or
//! performs anything: time and chance are arguments, and what is to be done is returned as effects.
//!
//! The actors carry those effects out through the [`ports`], traits that the supervisor process implements with real
//! processes and files, and a test with scripted ones:
//!
//! - [`root::RootSupervisor`] holds a [`cell::Cell`] for every app, takes commands, judges endings, and starts a new
//!   actor around the same cell and the same living child when an actor is lost to a panic;
//! - [`app::App`] runs one app's lifecycle;
//! - [`health_checker::HealthChecker`] runs one app's checks, never two at a time, and reports to its app;
//! - [`log_collector::LogCollector`] moves output from pipes to files, on a thread of its own.
//!
//! An app's whole state is in its cell. An actor can be lost at any moment, and so can the process: a cell is written
//! to a record before anything irreversible is done, and a successor resumes from it ([`lifecycle::Lifecycle::resume`]).

#![forbid(unsafe_code)]

pub mod app;
pub mod cell;
pub mod health;
pub mod health_checker;
pub mod lifecycle;
pub mod log_collector;
pub mod pace;
pub mod ports;
pub mod restarts;
pub mod root;
pub mod rotation;
pub mod value;

#[cfg(test)]
mod tests;
