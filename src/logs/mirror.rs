//! Whoever is shown output beside the log file.

/// A place that output goes to as well. It is called on the log thread, so it must never wait.
pub trait Mirror: Send {
    /// Takes the next bytes of a stream.
    fn show(&mut self, bytes: &[u8]);
}
