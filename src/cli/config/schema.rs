//! `daemonctl config schema`.

use std::process::ExitCode;

use clap::Args;

use super::Verb;
use super::render::{Format, text_of};
use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::config::schema::schema;

#[derive(Args, Debug)]
pub(super) struct Schema {}

impl Verb for Schema {
    const NAME: &'static str = "schema";
    const ABOUT: &'static str = "Print the rules of a configuration file for editors, as a JSON Schema";
    const MORE: &'static str = "\
Editors that know TOML (taplo, Even Better TOML) complete and check a file that begins with
#:schema PATH-OF-THE-SCHEMA.

Example:
  daemonctl config schema > conf.schema.json";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        session.screen.result(&text_of(&schema(), Format::Json))?;
        Ok(ExitCode::SUCCESS)
    }
}
