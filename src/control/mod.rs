//! The control socket: how the command line talks to a supervisor. The supervisor's end is [`crate::supervise::server`].

pub mod client;
pub mod protocol;
pub mod status;
