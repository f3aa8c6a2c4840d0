//! `status --watch`: apps as they are now, and again, and again.
//!
//! On a terminal it is a screen that is drawn over, in which an operator can look around and act:
//!
//! - [`model`]: what is shown and what a key does, without a terminal and without apps; [`sort`]: in which order.
//! - [`draw`]: the screen of a model, cell by cell; [`panel`]: the lines about the selected app; [`chart`]: a line of bars.
//! - [`look`]: a thread that looks at apps, so that a supervisor that is slow to answer does not stop the keys.
//! - [`deed`]: other runs of this program, that start and stop apps or show their logs.
//! - [`stage`]: the terminal, which is given back as it was, however this ends.
//! - [`keys`]: what was typed.
//!
//! Nothing happens between events: the loop in [`live`] waits for keys, for looks and for signals at once. Elsewhere
//! than on a terminal, `status` prints one report after another by itself; [`pause`] is what lies between them.

mod chart;
mod deed;
mod draw;
mod keys;
mod live;
mod look;
mod model;
mod panel;
mod sort;
mod stage;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub(super) use live::{Watch, watch};
pub(super) use model::Part;

/// Waits for so long. Says whether it makes sense to go on: there is no sense in it when the reader of standard output
/// has left.
pub(super) fn pause(time: Duration) -> bool {
    let stdout = io::stdout();
    let mut polled = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    // A signal that does not end this is no reason to hurry.
    !matches!(poll(&mut polled, time), Ok(ready) if ready > 0)
}
