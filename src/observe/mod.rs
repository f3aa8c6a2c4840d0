//! What can be seen from outside: [`processes`] reads /proc, [`resources`] sums up what an app uses, [`confinement`] is
//! what the kernel holds a process to, and [`tracing`] is how a supervisor speaks of its own work.

pub mod confinement;
pub mod processes;
pub mod resources;
pub mod tracing;
