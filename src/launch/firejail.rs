//! The same walls, built by firejail(1).

use super::facts::Facts;
use super::options::Extras;
use super::plan::Plan;
use super::report::Report;
use crate::config::Options;

/// The step that puts firejail before the command.
pub(super) fn steps(_: &mut Plan, _: &Options, _: &Extras, _: &Facts) -> Result<(), Report> {
    Ok(())
}
