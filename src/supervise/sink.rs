//! The tree's port to records and event logs.

use daemonctl_actors::cell::{Cell, Trouble};
use daemonctl_actors::lifecycle::{Cause, Ending, Phase};
use daemonctl_actors::ports::{Notice, Sink};
use daemonctl_actors::value::AppName;

use super::host::{Hands, Host, wall};
use super::instance::Instance;
use super::record::Record;
use super::view::{in_a_row, out_of_memory, seconds};
use crate::config::values::Level;
use crate::logs::rotate::Rules;
use crate::logs::{Files, events};

impl Sink for Hands {
    fn save(&self, cell: &Cell) -> bool {
        let host = &self.0;
        // Without its lock an app is somebody else's, and so is its record.
        if host.with(&cell.name, |held| held.lock.is_none()) {
            return true;
        }
        let (instance, asked) = host.with(&cell.name, |held| (held.instance.clone(), held.asked.clone()));
        let record = Record::new(host.boot_id.clone(), cell.clone(), instance, asked, host.identity);
        let written = record.write(&host.runtime.record(&cell.name));
        if let Err(error) = &written {
            tracing::error!(app = %cell.name, %error, "cannot write the record: the app could not be taken over");
        }
        written.is_ok()
    }

    fn note(&self, app: &AppName, notice: Notice) {
        let (level, mut text) = words(&notice);
        if let Notice::Ended { ending: Ending { out_of_memory: true, .. }, .. } = notice {
            let limit = self.0.with(app, |held| held.instance.as_ref().and_then(Instance::memory_limit));
            text = format!("{text}: {}", out_of_memory(limit));
        }
        self.0.note_event(app, level, &text);
    }

    fn at_rest(&self, cell: &Cell, all: bool) {
        self.0.release(&cell.name);
        self.0.at_rest.send_modify(|rested| {
            rested.all = all;
            rested.ended.push((cell.name.clone(), exit_code(cell)));
        });
    }
}

impl Host {
    /// Writes an event of an app to its log, and shows it on the terminal of `run`.
    pub fn note_event(&self, app: &AppName, level: Level, text: &str) {
        let told = self.with(app, |held| {
            let instance = held.instance.as_ref()?;
            let speaker = held.speaker.clone().filter(|_| instance.syslog && level >= instance.level);
            speaker.iter().for_each(|speaker| self.output.syslog.event(speaker, level, text));
            Some((instance.events.clone(), instance.rotation, instance.level, instance.label.clone()))
        });
        // Without a configuration that could be read, the events go where they go by default.
        let dir = self.root.path().join(app.as_str());
        let place = || (Files::standard(&dir, app).events, Rules::default(), Level::Info, app.to_string());
        let told = told.or_else(|| dir.is_dir().then(place));
        if let Some(terminal) = self.terminal.as_ref().filter(|_| level >= Level::Info) {
            let label = told.as_ref().map_or(app.as_str(), |(.., label)| label);
            terminal.say(&format!("{label}: {text}"));
        }
        if let Some((path, rules, ..)) = told.filter(|(_, _, least, _)| level >= *least) {
            events::write(&path, &rules, wall(), level, text);
        }
    }
}

/// The exit code that stands for how an app ended: its own, or 1 when it was given up or never ran.
pub(super) fn exit_code(cell: &Cell) -> u8 {
    match cell.failure.as_ref().map(|failure| failure.trouble) {
        Some(Trouble::Configuration) => return 2,
        Some(Trouble::Missing) => return 4,
        Some(Trouble::Taken | Trouble::Passing | Trouble::Lasting | Trouble::Interrupted) => return 1,
        None => {}
    }
    let status = cell.last.as_ref().and_then(|last| last.ending.status);
    match (cell.history.gave_up && matches!(cell.life.phase, Phase::Down(_)), status) {
        (false, Some(status)) => status.shell_code(),
        (true, _) | (false, None) => 1,
    }
}

/// How a notice is told, and how grave it is.
fn words(notice: &Notice) -> (Level, String) {
    match notice {
        Notice::Started { pid } => (Level::Info, format!("started, pid {pid}")),
        Notice::NotStarted(failure) => (Level::Error, format!("not started: {}", failure.message)),
        Notice::Ready => (Level::Debug, "ready".to_owned()),
        Notice::Stopping { signal } => (Level::Info, format!("stopping with {signal}")),
        Notice::Killed => (Level::Warn, "did not end in time, killed".to_owned()),
        Notice::Ended { ending, .. } => ended(ending),
        Notice::Restarting { after, attempt, of } => {
            let limit = if *of == 0 { String::new() } else { format!(" of {of}") };
            (Level::Info, format!("restart {attempt}{limit} in {}", seconds(*after)))
        }
        Notice::GaveUp { attempts } => (Level::Error, format!("given up after {}", in_a_row(*attempts))),
        Notice::Health { healthy: true, .. } => (Level::Info, "healthy".to_owned()),
        Notice::Health { healthy: false, output } => (Level::Error, format!("unhealthy: {output}")),
        Notice::CheckFailed { output, starting } => {
            let level = if *starting { Level::Debug } else { Level::Warn };
            (level, format!("health check failed: {output}"))
        }
        Notice::Rebuilt => (Level::Error, "an internal error was contained; supervision goes on".to_owned()),
        Notice::Signalled { signal } => (Level::Info, format!("{signal} sent by command")),
    }
}

fn ended(ending: &Ending) -> (Level, String) {
    let Some(status) = ending.status else { return (Level::Warn, "stopped before it was started".to_owned()) };
    let ran = seconds(ending.ran.as_secs_f64());
    let (level, why) = match ending.cause {
        Some(Cause::Asked) => (Level::Info, ", as asked"),
        Some(Cause::Unhealthy) => (Level::Warn, ", stopped because it was unhealthy"),
        Some(Cause::Timeout) => (Level::Warn, ", stopped at its time limit"),
        None if status.code() == Some(0) => (Level::Info, ""),
        None => (Level::Warn, ""),
    };
    (level, format!("{status} after {ran}{why}"))
}
