//! What one app's directory contains.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use daemonctl_actors::value::AppName;
use serde::{Deserialize, Serialize};

use super::{AppError, Root, small};

/// The most that is looked at of a `.version`.
const LONGEST_VERSION: u64 = 4 << 10;

/// The most that is looked at of a `conf.toml`: none is longer.
const LONGEST_CONFIG: u64 = 1 << 20;

/// What runs a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpreter {
    /// The kernel: the file has the execute bit.
    Direct,
    /// `/bin/sh`: the file lacks the execute bit.
    Sh,
    /// `bash`: the file lacks the execute bit, and its name or first line asks for bash.
    Bash,
}

/// A script of an app, and what runs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Its absolute path, links resolved.
    pub path: PathBuf,
    /// What runs it.
    pub interpreter: Interpreter,
}

impl Script {
    /// The command line that runs the script.
    pub fn command(&self) -> Vec<String> {
        let path = self.path.to_string_lossy().into_owned();
        match self.interpreter {
            Interpreter::Direct => vec![path],
            Interpreter::Sh => vec!["/bin/sh".into(), path],
            Interpreter::Bash => vec!["bash".into(), path],
        }
    }
}

/// An app as its directory describes it at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    name: AppName,
    dir: PathBuf,
    run_dir: PathBuf,
    script: Option<Script>,
    config: Option<PathBuf>,
    version: Option<String>,
}

impl App {
    /// Looks at `ROOT/NAME`. A `run` link is followed here, once; everything the result names lies behind it.
    pub fn inspect(root: &Root, name: &AppName) -> Result<Self, AppError> {
        let dir = root.path().join(name.as_str());
        let read = |path: &Path, source| AppError::Read { path: path.to_owned(), source };
        match dir.metadata() {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Err(AppError::Empty(dir)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (name, root_path) = (name.to_string(), root.path().to_owned());
                return Err(AppError::Missing { nearest: root.nearest(&name), name, root: root_path });
            }
            Err(error) => return Err(read(&dir, error)),
        }
        let nested = dir.join("run");
        let run_dir = if nested.is_dir() { nested.canonicalize().map_err(|e| read(&nested, e))? } else { dir.clone() };
        let mut app = Self { name: name.clone(), dir, run_dir, script: None, config: None, version: None };
        // What is there and cannot be read, a link to nowhere say, is a mistake to be told, not a missing file.
        let is_there = |path: &Path| path.symlink_metadata().is_ok();
        app.config = [&app.run_dir, &app.dir].map(|dir| dir.join("conf.toml")).into_iter().find(|path| is_there(path));
        app.script = app.script(&["run", "run.sh"]);
        app.version = app.find(&[".version"]).and_then(|path| version(&path));
        if app.script.is_none() && !app.config.as_deref().is_some_and(has_command) {
            return Err(match nested.read_link() {
                Ok(target) if !nested.exists() => AppError::Dangling { link: nested, target },
                _ => AppError::Empty(app.dir),
            });
        }
        Ok(app)
    }

    /// Its name.
    pub fn name(&self) -> &AppName {
        &self.name
    }

    /// `ROOT/NAME`, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where its files lie: the target of `NAME/run`, or `NAME` itself.
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// The run script.
    pub fn run_script(&self) -> Option<&Script> {
        self.script.as_ref()
    }

    /// Its `conf.toml`.
    pub fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The first line of `.version`; an app that has one is *active*.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The health check script.
    pub fn check(&self) -> Option<Script> {
        self.script(&["check", "check.sh"])
    }

    /// The script run when the app is up.
    pub fn on_start(&self) -> Option<Script> {
        self.script(&["on-start", "on-start.sh"])
    }

    /// The script run when the app has stopped.
    pub fn on_stop(&self) -> Option<Script> {
        self.script(&["on-stop", "on-stop.sh"])
    }

    /// The script that sets the environment.
    pub fn env_script(&self) -> Option<PathBuf> {
        self.find(&["env.sh"])
    }

    /// The first of these names that is a file in `NAME/run/`, else in `NAME/`.
    fn find(&self, names: &[&str]) -> Option<PathBuf> {
        let places = [&self.run_dir, &self.dir];
        places.iter().flat_map(|dir| names.iter().map(|name| dir.join(name))).find(|path| path.is_file())
    }

    fn script(&self, names: &[&str]) -> Option<Script> {
        let path = self.find(names)?;
        let executable = path.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0);
        let interpreter = match executable {
            true => Interpreter::Direct,
            false if wants_bash(&path) => Interpreter::Bash,
            false => Interpreter::Sh,
        };
        Some(Script { path, interpreter })
    }
}

/// The first line of a `.version`.
fn version(path: &Path) -> Option<String> {
    let text = small::head(path, LONGEST_VERSION).ok()?;
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Some(std::str::from_utf8(first).ok()?.trim().to_owned())
}

/// Whether a script's name or first line asks for bash.
fn wants_bash(path: &Path) -> bool {
    if path.extension().is_some_and(|extension| extension == "bash") {
        return true;
    }
    let head = small::head(path, 128).unwrap_or_default();
    let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    first.starts_with(b"#!") && String::from_utf8_lossy(first).contains("bash")
}

/// Whether a configuration names a program, so that no run script is needed. A file that cannot be parsed counts when
/// the key stands in it: the start will then name its mistake, which "not an app" would hide.
fn has_command(config: &Path) -> bool {
    if config.metadata().is_ok_and(|meta| !meta.is_file()) {
        return true; // No file that could be read, a named pipe say: the start says so.
    }
    let Ok(text) = small::head(config, LONGEST_CONFIG) else { return false };
    let text = String::from_utf8_lossy(&text);
    match text.parse::<toml::Table>() {
        Ok(table) => table.get("process").and_then(|section| section.get("command")).is_some(),
        Err(_) => text.contains("command"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn of_a_file_as_much_is_read_as_it_may_have() {
        let home = tempfile::tempdir().unwrap();
        let (version_file, config) = (home.path().join(".version"), home.path().join("conf.toml"));
        fs::write(&version_file, [b"1.0 \r\n".as_slice(), b"\xff\n".repeat(9999).as_slice()].concat()).unwrap();
        assert_eq!(version(&version_file).as_deref(), Some("1.0"));
        assert_eq!(version(Path::new("/dev/zero")), None);
        // The start says what is wrong with it.
        fs::write(&config, b"[process]\ncommand = '\xff'\n").unwrap();
        assert!(
            has_command(&config)
                && has_command(Path::new("/dev/zero"))
                && !has_command(home.path().join("no").as_ref())
        );
    }

    #[test]
    fn both_layouts_are_found_and_the_run_link_is_resolved_once() {
        let home = tempfile::tempdir().unwrap();
        let at = home.path().canonicalize().unwrap();
        write(&at.join("simple/run"), "#!/bin/sh\n", 0o755);
        write(&at.join("versioned/dist/1/run.sh"), "echo", 0o644);
        write(&at.join("versioned/dist/1/.version"), "1.0\n", 0o644);
        write(&at.join("versioned/check"), "#!/usr/bin/env bash\n", 0o644);
        std::os::unix::fs::symlink("dist/1", at.join("versioned/run")).unwrap();
        write(&at.join("command/conf.toml"), "[process]\ncommand = 'true'\n", 0o644);
        fs::create_dir(at.join("empty")).unwrap();
        std::os::unix::fs::symlink("simple", at.join("linked")).unwrap();
        fs::create_dir(at.join("loop")).unwrap();
        fs::create_dir_all(at.join("dirrun/run/run")).unwrap();
        for refused in ["my app/run", "-x/conf.toml", ".git/run"] {
            write(&at.join(refused), "", 0o755);
        }
        fs::create_dir(at.join("lost+found")).unwrap();

        let root = Root::open(&at).unwrap();
        let names: Vec<_> = root.apps().unwrap().iter().map(|app| app.name().to_string()).collect();
        assert_eq!(names, ["command", "linked", "simple", "versioned"]);

        let refused = root.refused().unwrap();
        let refused: Vec<_> =
            refused.iter().map(|(path, _)| path.strip_prefix(&at).unwrap().to_str().unwrap()).collect();
        assert_eq!(refused, ["-x", "my app"], "neither what is hidden nor what has nothing to run");

        let versioned = root.app("versioned").unwrap();
        assert_eq!(versioned.run_dir(), at.join("versioned/dist/1"));
        assert_eq!(versioned.version(), Some("1.0"));
        assert_eq!(versioned.run_script().unwrap().interpreter, Interpreter::Sh);
        assert_eq!(versioned.check().unwrap().interpreter, Interpreter::Bash);
        assert_eq!(root.app("simple").unwrap().run_script().unwrap().interpreter, Interpreter::Direct);
        assert!(matches!(root.app("dirrun"), Err(AppError::Empty(_))));
        assert!(matches!(root.app("../etc"), Err(AppError::Name(_))));
        let missing = root.app("simpel").unwrap_err().to_string();
        assert!(missing.contains("did you mean \"simple\"?"), "{missing}");
    }
}
