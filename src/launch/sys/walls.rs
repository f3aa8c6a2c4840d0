//! Namespaces, mounts and Landlock.

use super::Linux;

/// What building walls asks of the kernel.
pub trait WallSys {}

impl WallSys for Linux {}

#[cfg(test)]
impl WallSys for crate::launch::fake::Fake {}
