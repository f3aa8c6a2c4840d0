//! Configuration: every option once, and the layers its value comes from.
//!
//! [`sections`] declares the options; [`table`] is the list of them that everything else loops over; [`values`] are
//! their text forms; [`layers`] lays defaults, files, environment and flags over each other and reports every mistake
//! of a file at once; `rules` is what concerns more than one option; [`problem`] is what a report looks like.
//!
//! [`key`] is what people call an option; [`edit`] changes the text of a file and nothing else in it, and [`replace`] puts
//! the text in the file's place; [`schema`] tells editors the rules.

pub mod edit;
pub mod key;
pub mod layers;
pub mod problem;
pub mod replace;
mod rules;
pub mod schema;
pub mod sections;
pub mod table;
pub mod values;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use key::Key;
pub use layers::{Global, Origin, Resolved, Sources, resolve};
pub use problem::{Problem, Problems};
pub use rules::is_of_a_process;
pub use table::Options;

/// What a command line asked for beyond the files: it is kept with the app, for its restarts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// Values set by flags and `--config-override`, in the order of their precedence.
    #[serde(default)]
    pub settings: Vec<Setting>,
    /// `--no-config`: read no file.
    #[serde(default)]
    pub no_config: bool,
    /// `--config`: the global file in place of `ROOT/conf.toml`; absolute.
    #[serde(default)]
    pub config_file: Option<PathBuf>,
    /// The global `-e`/`--env FILE`: one more environment file; absolute.
    #[serde(default)]
    pub env_file: Option<PathBuf>,
    /// `--force`: failures to enforce an option become warnings.
    #[serde(default)]
    pub force: bool,
}

impl Ask {
    /// This, and then what a later command asks for: where both say something, the later one wins.
    #[must_use]
    pub fn followed_by(&self, later: &Self) -> Self {
        Self {
            settings: self
                .settings
                .iter()
                .filter(|one| !later.settings.contains(one))
                .chain(&later.settings)
                .cloned()
                .collect(),
            no_config: self.no_config || later.no_config,
            config_file: later.config_file.clone().or_else(|| self.config_file.clone()),
            env_file: later.env_file.clone().or_else(|| self.env_file.clone()),
            force: later.force,
        }
    }
}

/// One value given on the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// `section.key`.
    pub key: String,
    /// The value's text.
    pub value: String,
    /// Where it was given, as the person wrote it: `--umask`, `--config-override`.
    pub origin: String,
}
