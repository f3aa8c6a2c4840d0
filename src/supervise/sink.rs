//! The tree's port to records and event logs.

use daemonctl_actors::cell::{Cell, Trouble};
use daemonctl_actors::lifecycle::{Cause, Ending, Phase};
use daemonctl_actors::ports::{Notice, Sink};
use daemonctl_actors::value::AppName;

use super::host::{Hands, Host, wall};
use super::instance::Instance;
use super::record::Record;
use super::snapshot;
use super::view::{out_of_memory, seconds};
use crate::config::values::Level;
use crate::logs::happening::{Because, End, Happening};
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
        let memory = match notice {
            Notice::Ended { ending: Ending { out_of_memory: true, .. }, .. } => {
                let limit = self.0.with(app, |held| held.instance.as_ref().and_then(Instance::memory_limit));
                Some(out_of_memory(limit))
            }
            _ => None,
        };
        self.0.remember_what_ran_well(app, &notice);
        // A beginning counts from when the program was let go, not from when that came to be known: it may have written
        // something by then.
        let begun =
            matches!(notice, Notice::Started { .. }).then(|| self.0.with(app, |held| held.begun.take())).flatten();
        let (level, happening) = told(notice, memory);
        self.0.note_event_of(app, begun.unwrap_or_else(wall), level, &happening.to_string());
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
    /// Tells who asked for the launch that has just been made, if somebody did. Not before: only then it is known where
    /// the app's events go.
    pub(super) fn tell_request(&self, app: &AppName) {
        if let Some(request) = self.with(app, |held| held.request.take()) {
            self.record_event(app, Level::Info, &request.to_string());
        }
    }

    /// Keeps how an app was configured for a run that went well, for whoever asks later what has changed since.
    fn remember_what_ran_well(&self, app: &AppName, notice: &Notice) {
        self.with(app, |held| {
            let Some(instance) = held.instance.as_mut() else { return };
            match notice {
                Notice::Started { .. } => instance.snapshot.begin(wall()),
                Notice::Ready => instance.snapshot.ready = true,
                Notice::Ended { ending, .. } if instance.snapshot.went_well(ending) => {
                    let path = snapshot::path(&instance.events, app);
                    if let Err(error) = instance.snapshot.keep(&path, wall()) {
                        tracing::warn!(%app, %error, "cannot keep the configuration of a run that went well");
                    }
                }
                _ => {}
            }
        });
    }

    /// Writes an event of an app to its log, and shows it on the terminal of `run`.
    pub fn note_event(&self, app: &AppName, level: Level, text: &str) {
        self.note_event_of(app, wall(), level, text);
    }

    /// The same for one that happened `at` seconds after the epoch.
    fn note_event_of(&self, app: &AppName, at: f64, level: Level, text: &str) {
        if let Some(terminal) = self.terminal.as_ref().filter(|_| level >= Level::Info) {
            let label = self.with(app, |held| held.instance.as_ref().map(|instance| instance.label.clone()));
            terminal.say(&format!("{}: {text}", label.as_deref().unwrap_or(app.as_str())));
        }
        self.record_event_of(app, at, level, text);
    }

    /// Writes an event of an app to its log only: who sits at the terminal of `run` knows what was typed there.
    pub fn record_event(&self, app: &AppName, level: Level, text: &str) {
        self.record_event_of(app, wall(), level, text);
    }

    fn record_event_of(&self, app: &AppName, at: f64, level: Level, text: &str) {
        let told = self.with(app, |held| {
            let instance = held.instance.as_ref()?;
            let speaker = held.speaker.clone().filter(|_| instance.syslog && level >= instance.level);
            speaker.iter().for_each(|speaker| self.output.syslog.event(speaker, level, text));
            Some((instance.events.clone(), instance.rotation, instance.level))
        });
        // Without a configuration that could be read, the events go where they go by default.
        let dir = self.root.path().join(app.as_str());
        let place = || (Files::standard(&dir, app).events, Rules::default(), Level::Info);
        let (path, rules, least) = told.unwrap_or_else(place);
        // An app that somebody has removed, or moved away, gets no directory in its place.
        let gone = path.starts_with(&dir) && !dir.is_dir();
        if level >= least && !gone {
            events::write(&path, &rules, at, level, text);
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

/// What a notice says, and how grave it is.
fn told(notice: Notice, memory: Option<String>) -> (Level, Happening) {
    match notice {
        Notice::Started { pid } => (Level::Info, Happening::Started { pid }),
        Notice::NotStarted(failure) => (Level::Error, Happening::NotStarted(failure.message)),
        Notice::Ready => (Level::Debug, Happening::Ready),
        Notice::Stopping { signal } => (Level::Info, Happening::Stopping(signal)),
        Notice::Killed => (Level::Warn, Happening::Killed),
        Notice::Ended { ending, .. } => ended(&ending, memory),
        Notice::Restarting { after, attempt, of } => {
            (Level::Info, Happening::Restarting { attempt, of, after: seconds(after) })
        }
        Notice::GaveUp { attempts } => (Level::Error, Happening::GaveUp { attempts }),
        Notice::Health { healthy: true, .. } => (Level::Info, Happening::Healthy),
        Notice::Health { healthy: false, output } => (Level::Error, Happening::Unhealthy(output)),
        Notice::CheckFailed { output, starting } => {
            (if starting { Level::Debug } else { Level::Warn }, Happening::CheckFailed(output))
        }
        Notice::Rebuilt => (Level::Error, Happening::Rebuilt),
        Notice::Signalled { signal } => (Level::Info, Happening::Signalled(signal)),
    }
}

fn ended(ending: &Ending, memory: Option<String>) -> (Level, Happening) {
    let Some(status) = ending.status else { return (Level::Warn, Happening::CalledOff) };
    let (level, because) = match ending.cause {
        Some(Cause::Asked) => (Level::Info, Some(Because::Asked)),
        Some(Cause::Unhealthy) => (Level::Warn, Some(Because::Unhealthy)),
        Some(Cause::Timeout) => (Level::Warn, Some(Because::Timeout)),
        None if status.code() == Some(0) => (Level::Info, None),
        None => (Level::Warn, None),
    };
    let ran = seconds(ending.ran.as_secs_f64());
    (level, Happening::Ended(End { status, ran, because, memory }))
}
