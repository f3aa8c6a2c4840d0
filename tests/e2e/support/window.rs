//! A terminal emulator, for what draws on all of its screen.

use std::process::{Command, Stdio};

use super::home::{Home, binary};
use super::{SOON, wait_until};

/// A shell in a window of tmux, in the home's root.
pub(crate) struct Window<'home> {
    home: &'home Home,
    socket: String,
}

impl<'home> Window<'home> {
    pub(crate) fn open(home: &'home Home, columns: u16, rows: u16) -> Self {
        let socket = home.base().join("tmux").to_string_lossy().into_owned();
        let window = Self { home, socket };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        window.tmux(&["new-session", "-d", "-x", &columns, "-y", &rows, "env PS1='shell> ' sh"]);
        window.tmux(&["set", "-g", "status", "off"]);
        window.wait_for("shell>");
        window
    }

    #[track_caller]
    pub(crate) fn tmux(&self, args: &[&str]) -> String {
        let mut command = self.home.program("tmux".as_ref(), ["-S", &self.socket, "-f", "/dev/null"]);
        let output = command.args(args).env("TERM", "xterm-256color").env("SHELL", "/bin/sh").output().expect("tmux");
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types a line in the shell.
    pub(crate) fn line(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.press("Enter");
    }

    /// `daemonctl` with the binary of this build.
    pub(crate) fn ctl(&self, args: &str) {
        self.line(&format!("{} {args}", binary("daemonctl").display()));
    }

    /// Presses a key, by the name it has in tmux.
    pub(crate) fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// What has been printed since the screen was last cleared, with what has left it at the top. What the window has
    /// wrapped is one line again, and with `escapes` colours are there as they were printed.
    pub(crate) fn printed(&self, escapes: bool) -> String {
        let escapes: &[&str] = if escapes { &["-e"] } else { &[] };
        self.tmux(&[&["capture-pane", "-p", "-J", "-S", "-"], escapes].concat())
    }

    /// Clears the screen, and what has left it.
    #[track_caller]
    pub(crate) fn clear(&self) {
        self.line("clear");
        self.wait_until("a clean screen", |screen| screen.trim() == "shell>");
        self.tmux(&["clear-history"]);
    }

    /// Whether the shell waits for a line.
    pub(crate) fn is_at_prompt(screen: &str) -> bool {
        screen.trim_end().ends_with("shell>")
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        wait_until(&format!("the screen shows {what:?}"), SOON, || {
            let screen = self.screen();
            if is_so(&screen) { Ok(screen) } else { Err(screen) }
        })
    }

    /// The settings of the terminal.
    #[track_caller]
    pub(crate) fn settings(&self, file: &str) -> String {
        self.line(&format!("stty -a > {file}.part; mv {file}.part {file}"));
        let path = self.home.root().join(file);
        wait_until("the settings are written", SOON, || {
            std::fs::read_to_string(&path).map_err(|error| error.to_string())
        })
    }

    pub(crate) fn watcher(&self) -> i32 {
        self.home.running("status").first().map(|process| process.pid).expect("a watcher")
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        let _ = command.args(["-S", &self.socket, "kill-server"]).stderr(Stdio::null()).status();
    }
}
