//! What README and docs show is what happens.
//!
//! Every block marked `console` is played in a shell, in the order of its document: what follows `$ ` is typed, what
//! follows that is what must come back. Pids, times and what is measured may be others (`page` says which), every other
//! number is meant, and a lone `…` stands for any lines. A pid that was shown may be typed again: it is the one that was seen then. A block below a comment
//! `<!-- not played: WHY -->` is left out, and one below `<!-- as root -->` is, unless root plays; what a comment
//! `<!-- first: COMMAND -->` says is done before.

mod page;
mod shell;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Home, binary, is_root};
use page::{Block, Terms};
use shell::Shell;

/// The documents, by their names below the repository.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let below = |dir: &str| {
        let entries = fs::read_dir(root.join(dir)).unwrap_or_else(|error| panic!("{dir}: {error}"));
        let paths =
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "md"));
        paths.collect::<Vec<_>>()
    };
    let mut all = [below(""), below("docs"), below("examples")].concat();
    all.sort();
    all
}

fn blocks(path: &Path) -> Vec<Block> {
    page::blocks(&fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Plays one document.
fn play(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let mut shell = Shell::new();
    let mut blocks = blocks(&path);
    blocks.retain(|block| block.terms != Terms::NotPlayed);
    assert!(!blocks.is_empty(), "nothing of {name} is played");
    for block in blocks {
        if block.terms == Terms::AsRoot && !is_root(&format!("{name}:{}", block.line)) {
            continue;
        }
        block.first.iter().for_each(|line| shell.prepare(line));
        for step in &block.steps {
            shell.play(step, name);
        }
    }
}

/// One story for each document, so that they are told side by side, and a list of them.
macro_rules! played {
    ($($story:ident: $name:literal,)*) => {
        const PLAYED: &[&str] = &[$($name),*];
        $(
            #[test]
            fn $story() {
                play($name);
            }
        )*
    };
}

played! {
    readme: "README.md",
    architecture: "docs/architecture.md",
    configuration: "docs/configuration.md",
    exit_codes: "docs/exit-codes.md",
    getting_started: "docs/getting-started.md",
    limits: "docs/limits.md",
    sandboxing: "docs/sandboxing.md",
    troubleshooting: "docs/troubleshooting.md",
}

/// Every block marked `toml` is a whole configuration of an app.
#[test]
fn every_configuration_that_is_shown_is_valid() {
    let home = Home::new();
    let mut shown = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for block in text.split("\n```toml\n").skip(1) {
            home.app("app").run_script("exec sleep 60").file("conf.toml", block.split("\n```").next().unwrap());
            let output = home.ctl(["--dry-run", "start", "app"]);
            assert_eq!(output.code(), 0, "{}:\n{block}\n{output}", path.display());
            shown += 1;
        }
    }
    assert!(shown > 0);
}

/// A unit and the configuration that is said to be its translation have the same names, paths and numbers.
#[test]
fn the_translation_of_a_unit_says_what_the_unit_says() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/migrating.md")).unwrap();
    let section = text.split("\n## From systemd units\n").nth(1).unwrap();
    let block = |kind: &str| section.split(&format!("\n```{kind}\n")).nth(1).unwrap().split("\n```").next().unwrap();
    let (unit, config) = (block("ini"), block("toml").parse::<toml::Table>().unwrap());
    let same = [
        ("User", "security", "user"),
        ("WorkingDirectory", "daemon", "working_directory"),
        ("EnvironmentFile", "process", "environment_file"),
        ("Restart", "process", "restart"),
        ("MemoryMax", "limits", "memory_limit"),
        ("TasksMax", "limits", "process_limit"),
        ("LimitNOFILE", "limits", "file_limit"),
    ];
    for (name, section, key) in same {
        let said = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).expect(name);
        let value = &config[section][key];
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(value, said, "{name} and {section}.{key}");
    }
}

/// Docker takes any exit code but 0 and 1 for a mistake of the check's own.
#[test]
fn a_container_is_asked_for_its_health() {
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| line.contains("HEALTHCHECK ") && line.contains("CMD")) {
            assert!(line.contains(r#""health""#), "{}: {line}", path.display());
        }
    }
}

/// systemd finds nothing to complain of in any whole unit.
#[test]
fn every_unit_that_is_shown_is_one() {
    let home = Home::new();
    let mut shown = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        let blocks = text.split("\n```ini\n").skip(1).map(|block| block.split("\n```").next().unwrap());
        for unit in blocks.filter(|block| block.contains("\n[Unit]\n")) {
            let here = unit.replace("/usr/local/bin/daemonctl", &binary("daemonctl").to_string_lossy());
            let file = home.base().join("apps.service");
            fs::write(&file, here).unwrap();
            let mut verify = Command::new("systemd-analyze");
            let Ok(said) = verify.args(["verify", "--man=no"]).arg(&file).output() else {
                eprintln!("SKIPPED: systemd-analyze is not installed");
                return;
            };
            let complaints = String::from_utf8_lossy(&said.stderr);
            let complains = !said.status.success() || complaints.contains("apps.service");
            assert!(!complains, "{}:\n{unit}\n{complaints}", path.display());
            shown += 1;
        }
    }
    assert!(shown > 0);
}

#[test]
fn no_document_is_left_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in documents() {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let has_something_to_play = blocks(&path).iter().any(|block| block.terms != Terms::NotPlayed);
        assert_eq!(PLAYED.contains(&name.as_str()), has_something_to_play, "{name}");
    }
}
