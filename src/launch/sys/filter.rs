//! seccomp(2).

use super::Linux;

/// What filtering system calls asks of the kernel.
pub trait FilterSys {}

impl FilterSys for Linux {}

#[cfg(test)]
impl FilterSys for crate::launch::fake::Fake {}
