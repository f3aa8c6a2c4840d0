//! `daemonctl man`: the manual pages, made from the grammar and the option table when they are asked for.
//!
//! docs/man/ has the same pages for those who look at the repository or package it; the test at the end writes them with
//! UPDATE=1, and otherwise compares.

mod page;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use clap::Args;

use super::error::CliError;
use super::session::Session;
use super::{COMMANDS, Verb};
use crate::app::Shown;

#[derive(Args, Debug)]
pub(super) struct Man {
    /// A command, or daemonctl, daemonctl-conf, daemonrun, teelog
    #[arg(value_name = "PAGE", default_value = "daemonctl", num_args = 1.., conflicts_with = "dir")]
    page: Vec<String>,
    /// Write every page below this directory, as DIR/man1/daemonctl.1
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Verb for Man {
    const NAME: &'static str = "man";
    const ABOUT: &'static str = "Show the manual pages, or write them to files";
    const MORE: &'static str = "\
On a terminal the page is shown by man; otherwise it is written as it is, for man to read.

Examples:
  daemonctl man start
  daemonctl man config set
  daemonctl man conf                    every key of conf.toml
  daemonctl man --dir /usr/local/share/man";

    fn run(self, session: &mut Session) -> Result<ExitCode, CliError> {
        let pages = pages();
        if let Some(dir) = &self.dir {
            for page in &pages {
                let path = dir.join(format!("man{}", page.section)).join(page.file());
                let io = |source| CliError::Io { doing: format!("write {}", path.shown()), source };
                fs::create_dir_all(path.parent().unwrap_or(dir)).map_err(io)?;
                fs::write(&path, &page.text).map_err(io)?;
            }
            session.screen.done(&format!("wrote {} pages below {}", pages.len(), dir.shown()))?;
            return Ok(ExitCode::SUCCESS);
        }
        let name = self.page.join("-");
        let wanted = |page: &&Page| page.name == name || page.name == format!("daemonctl-{name}");
        let Some(page) = pages.iter().find(wanted) else {
            let (message, hint) =
                (format!("there is no page {:?}", self.page.join(" ")), format!("there are {}", names().join(", ")));
            return Err(CliError::Usage { message, hint: Some(hint) });
        };
        if session.screen.terminal && io::stdin().is_terminal() && is_shown(&page.text) {
            return Ok(ExitCode::SUCCESS);
        }
        session.screen.result(&page.text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A manual page.
struct Page {
    name: String,
    section: &'static str,
    text: String,
}

impl Page {
    fn file(&self) -> String {
        format!("{}.{}", self.name, self.section)
    }
}

/// What the pages are called by whoever asks for one.
pub(super) fn names() -> Vec<String> {
    pages().iter().map(|page| page.name.trim_start_matches("daemonctl-").to_owned()).collect()
}

/// Every page.
fn pages() -> Vec<Page> {
    let command = |name: String, text| Page { name, section: "1", text };
    let mut pages = vec![command("daemonctl".to_owned(), page::program())];
    let commands = COMMANDS.iter().filter(|entry| entry.run.is_some());
    pages.extend(commands.flat_map(page::command).map(|(name, text)| command(name, text)));
    pages.push(Page { name: "daemonctl-conf".to_owned(), section: "5", text: page::configuration() });
    pages.push(command("daemonrun".to_owned(), crate::launch::alone::manual::page()));
    pages.push(command("teelog".to_owned(), crate::teelog::manual::page()));
    pages
}

/// Has man(1) show a page. `false` if there is no such program.
fn is_shown(text: &str) -> bool {
    let Ok(mut man) = Command::new("man").args(["-l", "-"]).stdin(Stdio::piped()).spawn() else { return false };
    // Whoever quits before the end has seen enough.
    let _ = man.stdin.take().map(|mut input| input.write_all(text.as_bytes()));
    man.wait().is_ok_and(|status| status.success())
}

#[test]
fn a_command_below_another_has_a_page_with_its_options() {
    let pages = pages();
    let page = |name: &str| pages.iter().find(|page| page.name == name).unwrap_or_else(|| panic!("no page {name}"));
    assert!(page("daemonctl-config-show").text.contains("\\-\\-resolved"));
    for action in ["show", "set", "unset", "check", "schema"] {
        let name = format!("daemonctl-config-{action}");
        assert!(page(&name).text.contains(&format!("daemonctl config {action}")));
        assert!(page("daemonctl-config").text.contains(&format!("{name}(1)").replace('-', "\\-")), "{name}");
    }
}

#[test]
fn the_pages_in_the_repository_are_up_to_date() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/man");
    let update = std::env::var_os("UPDATE").is_some();
    for page in pages() {
        let path = dir.join(page.file());
        if update {
            fs::create_dir_all(&dir).unwrap();
            fs::write(&path, &page.text).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(written == page.text, "{} is out of date: run this test with UPDATE=1", path.display());
    }
}
