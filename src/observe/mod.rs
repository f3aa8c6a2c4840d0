//! What can be seen from outside: [`processes`] reads /proc, [`resources`] sums up what an app uses, and [`tracing`] is how a supervisor speaks of its own
//! work.

pub mod processes;
pub mod resources;
pub mod tracing;
