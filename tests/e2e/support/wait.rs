//! Waiting for something, never for a time.

use std::time::{Duration, Instant};

/// Enough for anything that should happen soon, on a machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// Calls `probe` until it is content, and returns what it found. Its error says what it saw instead, and is printed
/// when the deadline passes.
#[track_caller]
pub(crate) fn wait_until<T>(what: &str, within: Duration, probe: impl FnMut() -> Result<T, String>) -> T {
    let found = poll(within, probe);
    found.unwrap_or_else(|seen| panic!("waited {within:?} until {what}, but saw:\n{seen}"))
}

/// The same for those that must not fail: the error is what was seen last.
pub(crate) fn poll<T>(within: Duration, mut probe: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let begun = Instant::now();
    let mut nap = Duration::from_millis(1);
    loop {
        match probe() {
            Err(_) if begun.elapsed() < within => poll_pause(nap),
            result => return result,
        }
        nap = (nap * 2).min(Duration::from_millis(25));
    }
}

/// Calls `probe` for the whole time, and fails with what it saw as soon as it is not content.
#[track_caller]
pub(crate) fn always(what: &str, throughout: Duration, mut probe: impl FnMut() -> Result<(), String>) {
    let begun = Instant::now();
    while begun.elapsed() < throughout {
        if let Err(seen) = probe() {
            panic!("not {what} for {throughout:?}: after {:?} saw:\n{seen}", begun.elapsed());
        }
        poll_pause(Duration::from_millis(20));
    }
}

#[allow(clippy::disallowed_methods, reason = "the one pause between two looks at the world")]
fn poll_pause(time: Duration) {
    std::thread::sleep(time);
}
