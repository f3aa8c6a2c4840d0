//! Writing an app directory, and reading what the app left in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Home, SOON, Status, testapp, wait_until};

/// The directory of one app.
#[derive(Clone, Copy)]
pub(crate) struct AppDir<'home> {
    pub(super) home: &'home Home,
    pub(super) name: &'home str,
}

impl AppDir<'_> {
    /// Where it is.
    pub(crate) fn dir(&self) -> PathBuf {
        self.home.root().join(self.name)
    }

    /// A file in it.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir().join(file)
    }

    /// Writes a file.
    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(name, content.as_ref(), 0o644)
    }

    /// Writes a file that can be executed.
    pub(crate) fn program(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(name, content.as_ref(), 0o755)
    }

    /// Writes `run`, a shell script.
    pub(crate) fn run_script(self, body: &str) -> Self {
        self.script("run", body)
    }

    /// Writes any shell script: a hook, a check.
    pub(crate) fn script(self, name: &str, body: &str) -> Self {
        self.program(name, format!("#!/bin/sh\n{body}\n"))
    }

    /// Makes the app the helper program with these arguments.
    pub(crate) fn behaves(self, arguments: &str) -> Self {
        let program = testapp();
        self.run_script(&format!("exec {} {arguments}", program.display()))
    }

    /// The same with no shell before it: what the program sees is what the launcher gave it.
    pub(crate) fn is_probe(self, conf: &str) -> Self {
        let (program, report) = (testapp(), self.path("probe.json"));
        self.conf(&format!("process.command = {program:?}\nprocess.args = ['probe', {report:?}]\n{conf}"))
    }

    /// Writes `conf.toml`.
    pub(crate) fn conf(self, text: &str) -> Self {
        self.file("conf.toml", text)
    }

    fn write(self, name: &str, content: &[u8], mode: u32) -> Self {
        let path = self.path(name);
        let written = fs::create_dir_all(path.parent().expect("a directory"))
            .and_then(|()| fs::write(&path, content))
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)));
        written.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        self
    }

    /// A file's text; empty while there is none.
    pub(crate) fn read(&self, file: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(file)).unwrap_or_default()).into_owned()
    }

    /// Its standard output so far.
    pub(crate) fn log(&self) -> String {
        self.read(&format!("logs/{}.log", self.name))
    }

    /// Its standard error so far.
    pub(crate) fn err(&self) -> String {
        self.read(&format!("logs/{}.err", self.name))
    }

    /// Its event log so far.
    pub(crate) fn events(&self) -> String {
        self.read(&format!("logs/{}.run", self.name))
    }

    /// Waits until a file, a log for example, contains this text; returns all of it.
    #[track_caller]
    pub(crate) fn wait_for_text(&self, file: &str, text: &str) -> String {
        wait_until(&format!("{}/{file} contains {text:?}", self.name), SOON, || {
            let all = self.read(file);
            if all.contains(text) { Ok(all) } else { Err(tail(&all)) }
        })
    }

    /// Waits until its standard output contains this text.
    #[track_caller]
    pub(crate) fn wait_for_output(&self, text: &str) -> String {
        self.wait_for_text(&format!("logs/{}.log", self.name), text)
    }

    /// The report of the helper program's `probe`.
    #[track_caller]
    pub(crate) fn probe(&self) -> serde_json::Value {
        wait_until(&format!("{} has probed", self.name), SOON, || {
            serde_json::from_str(&self.read("probe.json")).map_err(|error| error.to_string())
        })
    }

    /// Its status now.
    #[track_caller]
    pub(crate) fn status(&self) -> Status {
        self.home.status(self.name)
    }

    /// Waits until its status pleases.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, pleases: impl Fn(&Status) -> bool) -> Status {
        self.wait_within(SOON, what, pleases)
    }

    /// The same with another deadline.
    #[track_caller]
    pub(crate) fn wait_within(&self, within: Duration, what: &str, pleases: impl Fn(&Status) -> bool) -> Status {
        wait_until(&format!("{} is {what}", self.name), within, || {
            let status = self.home.status(self.name);
            if pleases(&status) { Ok(status) } else { Err(format!("{status:#?}")) }
        })
    }

    /// Waits until it is in this state.
    #[track_caller]
    pub(crate) fn wait_for_state(&self, state: &str) -> Status {
        self.wait_for(state, |status| status.state == state)
    }

    /// All its living processes, hooks and checks included.
    pub(crate) fn processes(&self) -> Vec<super::Proc> {
        self.home.processes_of(&self.dir())
    }

    /// Waits until none of its processes is left.
    #[track_caller]
    pub(crate) fn wait_until_gone(&self) {
        wait_until(&format!("nothing of {} is left", self.name), SOON, || match self.processes() {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:#?}")),
        });
    }
}

/// The last lines of a text.
pub(super) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
