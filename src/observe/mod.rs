//! What can be seen from outside: [`processes`] reads /proc, and [`tracing`] is how a supervisor speaks of its own
//! work.

pub mod processes;
pub mod tracing;
