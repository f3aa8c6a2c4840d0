//! The shell that a document is played in.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::page::{Step, agree, pids};
use crate::support::{Home, binary, poll};

/// How long an answer may take, and how long it may take to become what is shown.
const PATIENCE: Duration = Duration::from_secs(40);

/// What only asks, and may be asked again until the answer is what is shown: what it tells of takes its time.
const QUESTIONS: [&str; 8] = ["status", "list", "logs", "events", "why", "health", "doctor", "config"];

pub(super) struct Shell {
    process: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    /// Pids that were shown, and those that came in their place.
    pids: BTreeMap<String, String>,
    home: Home,
}

impl Shell {
    pub(super) fn new() -> Self {
        let home = Home::new();
        let (read, write) = std::io::pipe().expect("a pipe");
        let mut command = home.program(Path::new("bash"), ["--noprofile", "--norc"]);
        let path = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value).expect("a PATH");
        let mut ours = binary("daemonctl").parent().expect("its directory").as_os_str().to_owned();
        ours.push(":");
        ours.push(path);
        command.env("PATH", ours).env("USER", "root").env_remove("DAEMONCTL_PATH");
        command.stdin(Stdio::piped()).stdout(write.try_clone().expect("the pipe")).stderr(write);
        let mut process = command.spawn().expect("a shell");
        drop(command); // It holds the pipe open.
        let (line, output) = channel();
        std::thread::spawn(move || {
            for text in BufReader::new(read).lines().map_while(Result::ok) {
                if line.send(text).is_err() {
                    break;
                }
            }
        });
        let input = process.stdin.take();
        Self { process, input, output, pids: BTreeMap::new(), home }
    }

    /// Does something that the document does not show.
    pub(super) fn prepare(&mut self, typed: &str) {
        let typed = self.here(typed);
        let answer = self.answer(&typed);
        assert!(answer.is_empty(), "{typed}\n{}", answer.join("\n"));
    }

    /// Types a command, and compares.
    pub(super) fn play(&mut self, step: &Step, document: &str) {
        let typed = self.here(&step.typed);
        let asks = typed.split_whitespace().find(|word| !word.starts_with('-') && *word != "daemonctl");
        let changes = typed.contains("config set") || typed.contains("config unset");
        let asks = typed.starts_with("daemonctl") && !changes && asks.is_some_and(|word| QUESTIONS.contains(&word));
        let shown: Vec<String> = step.answer.iter().map(|line| self.here(line)).collect();
        let patience = if asks { PATIENCE } else { Duration::ZERO };
        let compared = poll(patience, || {
            let came = self.answer(&typed);
            if agree(&shown, &came) { Ok(came) } else { Err(came.join("\n")) }
        });
        let came = compared.unwrap_or_else(|came| {
            let shown = shown.join("\n");
            panic!("{document}:{}: {typed}\n---- is shown\n{shown}\n---- came\n{came}\n----", step.line)
        });
        for (shown, came) in step.answer.iter().zip(&came) {
            self.pids.extend(pids(shown, came));
        }
    }

    /// A text of the document as it has to be here: directories of this world, and pids that were seen.
    fn here(&self, text: &str) -> String {
        let known = |word: &str| self.pids.get(word).map_or_else(|| word.to_owned(), String::clone);
        let parts = text.split_inclusive(|c: char| !c.is_ascii_digit()).map(|part| {
            let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
            format!("{}{}", known(digits), &part[digits.len()..])
        });
        let mut text: String = parts.collect();
        for (there, here) in [("/tmp/tour", "tour"), ("/tmp/first", "first"), ("/srv/apps", "apps")] {
            text = text.replace(there, &self.home.base().join(here).to_string_lossy());
        }
        text
    }

    fn answer(&mut self, typed: &str) -> Vec<String> {
        const END: &str = "---- the end of an answer ----";
        let input = self.input.as_mut().expect("its input");
        writeln!(input, "{typed}\nprintf '\\n%s\\n' '{END}'").and_then(|()| input.flush()).expect("a living shell");
        let mut answer = Vec::new();
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(line) if line == END => break,
                Ok(line) => answer.push(line),
                Err(_) => panic!("{typed}\nno end after {PATIENCE:?}:\n{}", answer.join("\n")),
            }
        }
        // The line before the mark is its own beginning, or the rest of an answer without a newline.
        if answer.last().is_some_and(String::is_empty) {
            answer.pop();
        }
        answer
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
