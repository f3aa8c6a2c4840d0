//! `daemonctl config show`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use serde_json::Value;

use super::render::{self, Format, Row};
use super::{Verb, global_file};
use crate::app::App;
use crate::cli::error::{self, CliError};
use crate::cli::options::{AppOptions, environment};
use crate::cli::session::Session;
use crate::config::{self, Ask, Key, Problem, Problems, Sources, layers, table};

#[derive(Args, Debug)]
pub(super) struct Show {
    /// App whose configuration is shown [default: the global file]
    #[arg(value_name = "APP", conflicts_with_all = ["all", "global"])]
    app: Option<String>,
    /// Every app below the root
    #[arg(short, long, conflicts_with = "global")]
    all: bool,
    /// Only the global file (the default without APP)
    #[arg(short, long)]
    global: bool,
    /// Every option, with its value and where that was set
    #[arg(long)]
    resolved: bool,
    /// Form of the output
    #[arg(long, value_enum, value_name = "FORM", default_value = "toml")]
    format: Format,
    /// Only the value of this option: SECTION.KEY; exit code 1 if it is not set
    #[arg(long, value_name = "KEY")]
    path: Option<String>,
    /// Show the values of environment variables, which may be secrets
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    supposed: Supposed,
}

impl Show {
    /// A --path that is no option. One that looks like a directory was meant to be the apps root.
    fn misread(&self, problem: Problem) -> CliError {
        match self.path.as_deref().filter(|path| path.contains('/') || [".", ".."].contains(path)) {
            Some(dir) => {
                let message = format!("--path names an option here, and {dir:?} is none");
                let hint = format!("the apps root stands before the command: daemonctl -p {dir} config show …");
                CliError::Usage { message, hint: Some(hint) }
            }
            None => Problems::from(problem).into(),
        }
    }
}

impl Verb for Show {
    const NAME: &'static str = "show";
    const ABOUT: &'static str = "Show what is set, or every option and where its value comes from";
    const MORE: &'static str = "\
What is shown is what a start from here would use: defaults, global file, the app's file, variables,
and flags. The long flags of `start` are taken, too, to see what they would change.

Examples:
  daemonctl config show web
  daemonctl config show --resolved web
  daemonctl config show --resolved web --memory-limit 1G
  daemonctl config show --path limits.memory_limit web
  daemonctl config show --all --format json";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let key = self.path.as_deref().map(|path| Key::read(path, self.is_global())).transpose();
        let key = key.map_err(|problem| self.misread(problem))?;
        let is_global = self.is_global();
        let ask = self.supposed.0.ask(&session.globals)?;
        let mut parts = Vec::new();
        let mut broken = false;
        if is_global {
            if !ask.settings.is_empty() || ask.no_config {
                let message = "flags of an app say nothing about the global file: name an app, or give --all".into();
                return Err(CliError::Usage { message, hint: None });
            }
            let (file, by_name) = global_file(session)?;
            parts.push((None, render::global_rows(&layers::global(&file, by_name)?)));
        }
        let apps = match &self.app {
            Some(name) => session.apps(std::slice::from_ref(name))?,
            None if self.all => session.all_apps()?,
            None => Vec::new(),
        };
        for app in apps {
            match resolved(session, &app, &ask)? {
                Ok(rows) => parts.push((self.all.then(|| app.name().to_string()), rows)),
                Err(problems) if self.all => {
                    session.screen.error(&problems.into());
                    broken = true;
                }
                Err(problems) => return Err(problems.into()),
            }
        }
        if !self.resolved {
            parts.iter_mut().for_each(|(_, rows)| *rows = render::explicit(std::mem::take(rows)));
        }
        let mut hidden = false;
        if !self.reveal {
            parts.iter_mut().for_each(|(_, rows)| hidden |= render::mask(rows));
        }
        if hidden && key.as_ref().is_none_or(Key::is_secret) {
            session.screen.note("the values of variables are hidden, as they may be secrets; --reveal shows them");
        }
        match key {
            Some(key) => print_value(session, &parts, &key, (self.format, broken)),
            None => {
                session.screen.stored(&render::whole(&parts, self.format, self.resolved))?;
                Ok(ExitCode::from(if broken { error::USAGE } else { 0 }))
            }
        }
    }
}

impl Show {
    fn is_global(&self) -> bool {
        self.app.is_none() && !self.all
    }
}

/// Prints one value, as the text that sets it; nothing if it is not set.
fn print_value(
    session: &Session,
    parts: &[(Option<String>, Vec<Row>)],
    key: &Key,
    (format, broken): (Format, bool),
) -> Result<ExitCode, CliError> {
    let value =
        |rows: &[Row]| part(rows.iter().find(|row| row.opt.name == key.opt.name)?.value.as_ref()?, key).cloned();
    let values: Vec<(&Option<String>, Value)> =
        parts.iter().filter_map(|(app, rows)| Some((app, value(rows)?))).collect();
    let found = !values.is_empty();
    if format == Format::Toml {
        for (app, value) in &values {
            let text = match value {
                Value::String(text) if key.variable.is_some() => text.clone(),
                value => key.opt.text(value).unwrap_or_default(),
            };
            session.screen.stored(&app.as_ref().map_or(text.clone(), |app| format!("{app}: {text}")))?;
        }
    } else if let [(None, _)] = parts {
        values.iter().try_for_each(|(_, value)| session.screen.stored(&render::text_of(value, format)))?;
    } else {
        let named = values.into_iter().map(|(app, value)| (app.clone().unwrap_or_default(), value)).collect();
        session.screen.stored(&render::text_of(&Value::Object(named), format))?;
    }
    Ok(ExitCode::from(match (broken, found) {
        (true, _) => error::USAGE,
        (false, true) => 0,
        (false, false) => error::FAILED,
    }))
}

/// The value that a key means: the option's, or that of one variable in it.
fn part<'a>(value: &'a Value, key: &Key) -> Option<&'a Value> {
    match &key.variable {
        None => Some(value),
        Some(name) => value.get(name),
    }
}

/// What a start of the app from here would use, or what is wrong with it.
fn resolved(session: &mut Session, app: &App, ask: &Ask) -> Result<Result<Vec<Row>, Problems>, CliError> {
    let environment: BTreeMap<String, String> = environment();
    let root = session.root()?.path().to_owned();
    let sources = Sources { root: &root, app: app.name(), app_config: app.config(), ask, environment: &environment };
    Ok(config::resolve(&sources).map(|resolved| {
        resolved.warnings.iter().for_each(|warning| session.screen.note(&format!("warning: {warning}")));
        render::rows(&resolved)
    }))
}

/// The long flags of `start`: their letters mean other things here.
#[derive(Debug)]
struct Supposed(AppOptions);

impl Args for Supposed {
    fn augment_args(command: Command) -> Command {
        let flags = table::start_args(Command::new(""));
        // Those two choose what a command does, and are not kept.
        let modes = ["foreground", "daemon"];
        let flags = flags.get_arguments().filter(|flag| !modes.contains(&flag.get_id().as_str()));
        command.args(flags.map(|flag| flag.clone().short(None).hide(true)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Supposed {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        AppOptions::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
