//! End-to-end tests: stories about the real binaries, with real processes, on a private apps root each.
//!
//! [`support`] is the vocabulary; every other module is a chapter. Run one story with
//! `cargo test --test e2e -- lifecycle::a_day_in_the_life`, after `cargo build --examples` has built the program that
//! the stories supervise. DAEMONCTL_E2E_BIN_DIR takes the binaries from another directory, for example a release
//! build's; DAEMONCTL_E2E_KEEP=1 keeps the files of each story. Stories about root's powers say so when they are
//! run by somebody else, and end.

mod support;

mod attach;
mod capabilities;
mod commands;
mod completions;
mod compression;
mod config;
mod daemonrun;
mod death;
mod doctor;
mod documented;
mod escape;
mod events;
mod examples;
mod exits;
mod firejail;
mod fleet;
mod foreground;
mod health;
mod health_command;
mod hooks_env;
mod idle;
mod init;
mod inside;
mod launch_errors;
mod lifecycle;
mod limits;
mod log_trouble;
mod logs;
mod manual;
mod messages;
mod progress;
mod races;
mod restart_command;
mod restarts;
mod rotation;
mod screens;
mod seccomp;
mod servers;
mod speed;
mod status;
mod syslog;
mod teelog;
mod teelog_external;
mod walls;
mod watch;
mod why;
