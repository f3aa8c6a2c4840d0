//! Having the output of apps collected, and hearing what becomes of it.
//!
//! The collector lives on a thread of its own and tells what people should know by a channel: that output is being
//! dropped is an event and shows in the app's status, that it was is another event. The log itself holds nothing but
//! what the app wrote.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix::Addr;
use daemonctl_actors::log_collector::{Attach, LogCollector, Stream};
use daemonctl_actors::value::AppName;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::host::{Host, LogTrouble};
use super::instance::Instance;
use crate::app::{Shown, reason};
use crate::config::values::Level;
use crate::logs::happening::{Gap, Happening};
use crate::logs::mirror::Mirror;
use crate::logs::syslog::{self, Speaker, Syslog};
use crate::logs::tap::relay::{self, Seen};
use crate::logs::tap::{self, News, Target};
use crate::logs::{events, place};

/// The collector of output, and the channel that it tells its news by.
pub struct Output {
    collector: RefCell<Option<Addr<LogCollector>>>,
    news: UnboundedSender<Word>,
    told: RefCell<UnboundedReceiver<Word>>,
    /// The way to the system log.
    pub syslog: Syslog,
    /// Why that cannot be reached.
    out_of_reach: RefCell<Option<String>>,
}

/// What is told by the threads that move output.
enum Word {
    /// News of one stream of an app, and of the log that it goes to, which is called this without links.
    Log { app: AppName, stream: Stream, log: PathBuf, news: News },
    /// News of the system log.
    Syslog(syslog::News),
}

impl Default for Output {
    fn default() -> Self {
        let (news, told) = unbounded_channel();
        let of_syslog = news.clone();
        // Nobody listens any more at the very end.
        let tell = Box::new(move |news| drop(of_syslog.send(Word::Syslog(news))));
        let syslog = Syslog::new(syslog::SOCKET.into(), tell);
        let (collector, told) = (RefCell::new(None), RefCell::new(told));
        Self { collector, news, told, syslog, out_of_reach: RefCell::new(None) }
    }
}

impl Host {
    /// The collector of output, from now on.
    pub fn set_collector(&self, collector: Addr<LogCollector>) {
        *self.output.collector.borrow_mut() = Some(collector);
    }

    /// The collector of output.
    pub fn collector(&self) -> Option<Addr<LogCollector>> {
        self.output.collector.borrow().clone()
    }

    /// Takes in the news of all streams, for ever.
    pub async fn hear_of_output(self: Rc<Self>) {
        while let Some(word) = poll_fn(|context| self.output.told.borrow_mut().poll_recv(context)).await {
            self.take_in(word);
        }
    }

    fn take_in(&self, word: Word) {
        match word {
            Word::Log { app, stream, log, news } => self.heard(&app, stream, log, news),
            Word::Syslog(news) => self.heard_of_syslog(&news),
        }
    }

    fn heard_of_syslog(&self, news: &syslog::News) {
        let (level, text) = match news {
            syslog::News::Waiting { why } => {
                (Level::Warn, format!("syslog cannot be reached at {}, messages wait: {why}", syslog::SOCKET))
            }
            syslog::News::Dropping => (Level::Error, "messages for syslog are being dropped: too many wait".to_owned()),
            syslog::News::Reached { dropped: 0 } => (Level::Info, "syslog is reached again".to_owned()),
            syslog::News::Reached { dropped } => {
                (Level::Error, format!("syslog is reached again; {dropped} messages for it were dropped"))
            }
        };
        let well = matches!(news, syslog::News::Reached { .. });
        // Whose messages were lost is to know, also where it has ended meanwhile.
        let lost = matches!(news, syslog::News::Reached { dropped: 1.. });
        self.output.out_of_reach.replace((!well).then(|| text.clone()));
        let speaks = |name: &AppName| self.with(name, |held| (lost || held.lock.is_some()) && held.speaker.is_some());
        for app in self.names().iter().filter(|name| speaks(name)) {
            self.note_event(app, level, &text);
        }
    }

    /// Takes in what has been told so far, at once: an app whose pipes have been let go may be the last, and the
    /// supervisor leaves with it.
    pub fn hear_the_rest(&self) {
        let next = || self.output.told.borrow_mut().try_recv();
        while let Ok(word) = next() {
            self.take_in(word);
        }
    }

    fn heard(&self, app: &AppName, stream: Stream, log: PathBuf, news: News) {
        let path = self.with(app, |held| held.instance.as_ref().map(|instance| file(instance, stream).to_owned()));
        let path = path.map_or_else(|| "its log".to_owned(), |path| path.shown().to_string());
        let begins = |trouble, text: String| {
            self.with(app, |held| held.troubles.insert(trouble, text.clone()));
            (Level::Error, text)
        };
        let ends = |trouble| self.with(app, |held| held.troubles.remove(&trouble)).is_some();
        let (level, text) = match news {
            News::Dropping { why } => {
                begins(LogTrouble::Dropping(stream), format!("output is being dropped: cannot write {path}: {why}"))
            }
            News::Dropped { bytes, from, to } => {
                ends(LogTrouble::Dropping(stream));
                let since = |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
                let gap = Gap { bytes, from: since(from), to: since(to), path };
                (Level::Error, Happening::Dropped(gap).to_string())
            }
            News::NotRotated { why } => {
                let text = format!("cannot rotate {path}, it grows beyond its limit: {why}");
                begins(LogTrouble::Growing(log), text)
            }
            // Who has not been told of the beginning is not told of the end.
            News::Rotated if !ends(LogTrouble::Growing(log.clone())) => return,
            News::Pruned if !ends(LogTrouble::Hoarding(log.clone())) => return,
            News::Rotated => (Level::Info, format!("{path} is rotated again")),
            News::Pruned => (Level::Info, format!("old archives of {path} are removed again")),
            News::NotPruned { why } => {
                let text = format!("cannot remove old archives of {path}: {why}");
                begins(LogTrouble::Hoarding(log), text)
            }
            News::Removed(removed) => (Level::Warn, format!("no room for {path}: removed {removed}")),
        };
        self.note_event(app, level, &text);
    }

    /// Waits for what can still be sent, but not for ever. What cannot is an event.
    pub async fn finish_output(&self) {
        let lost = self.output.syslog.finish().await;
        self.hear_the_rest();
        let text = format!("{lost} messages for syslog were not sent before the supervisor left");
        for app in self.names().iter().filter(|name| lost > 0 && self.with(name, |held| held.speaker.is_some())) {
            self.note_event(app, Level::Error, &text);
        }
    }

    /// Has the app's pipes collected. Returns what a person should know about its log files.
    pub fn attach(&self, app: &AppName) -> Vec<String> {
        let mut warnings = Vec::new();
        let Some(collector) = self.collector() else { return warnings };
        let (pipes, instance, speaker) = self.with(app, |held| {
            held.troubles.clear();
            held.speaker = held.instance.as_ref().filter(|one| one.syslog).map(|one| Speaker::new(&one.label));
            let process = held.process.as_ref().map(|process| process.child.pid);
            held.speaker.iter().zip(process).for_each(|(speaker, pid)| speaker.set_pid(pid));
            let pipes = held.pipes.as_ref().map(|(out, err)| (out.try_clone(), err.try_clone()));
            (pipes, held.instance.clone(), held.speaker.clone())
        });
        let (Some((out, err)), Some(instance)) = (pipes, instance) else { return warnings };
        let home = self.root.path().join(app.as_str());
        if let Err(error) = prepare(&home, &instance.events, events::prepare) {
            warnings.push(lost("what happens to the app", &instance.events, &error));
        }
        if let Err(error) = events::prune(&instance.events, &instance.rotation) {
            warnings.push(format!("cannot remove old archives of {}: {}", instance.events.shown(), reason(&error)));
        }
        for (stream, pipe) in [(Stream::Out, out), (Stream::Err, err)] {
            let pipe = match pipe {
                Ok(pipe) => pipe,
                Err(error) => {
                    warnings.push(format!("cannot collect output: {}", reason(&error)));
                    continue;
                }
            };
            let path = file(&instance, stream);
            let mut mirrors: Vec<Box<dyn Mirror>> = Vec::new();
            if let Some(terminal) = &self.terminal {
                mirrors.push(Box::new(terminal.mirror(app, stream)));
            }
            if let Some(speaker) = &speaker {
                mirrors.push(Box::new(syslog::Lines::new(self.output.syslog.clone(), speaker.clone(), stream)));
            }
            if instance.teelog.is_some() {
                let ear = self.with(app, |held| held.ears[usize::from(stream == Stream::Err)].clone());
                let log = Seen::now(path);
                let make = Box::new(move || relay::open(pipe, stream, log, mirrors, ear));
                collector.do_send(Attach { app: app.clone(), stream, make });
                continue;
            }
            if let Err(error) = prepare(&home, path, tap::prepare) {
                warnings.push(lost("output", path, &error));
            }
            // By its name now, whatever links lead to it later: an end must be that of its beginning.
            let (news, name, log) = (self.output.news.clone(), app.clone(), place(path));
            let target = Target {
                path: path.to_owned(),
                home: home.clone(),
                rules: instance.rotation,
                mirrors,
                tell: Box::new(move |told| {
                    // Nobody listens any more at the very end.
                    let _ = news.send(Word::Log { app: name.clone(), stream, log: log.clone(), news: told });
                }),
            };
            collector.do_send(Attach { app: app.clone(), stream, make: Box::new(move || tap::open(pipe, target)) });
        }
        warnings
    }

    /// What a person who asks for an app's status should know of its output.
    pub fn output_note(&self, app: &AppName) -> Option<String> {
        let (of_logs, speaks) = self.with(app, |held| (held.troubles.values().next().cloned(), held.speaker.is_some()));
        of_logs.or_else(|| self.output.out_of_reach.borrow().clone().filter(|_| speaks))
    }
}

fn file(instance: &Instance, stream: Stream) -> &Path {
    match stream {
        Stream::Out => &instance.stdout,
        Stream::Err => &instance.stderr,
    }
}

/// Makes sure that a log can be written. An app that somebody has removed, or moved away, gets no directory in its place.
fn prepare(home: &Path, path: &Path, make: fn(&Path) -> io::Result<()>) -> io::Result<()> {
    if path.starts_with(home) && !home.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the app's directory is gone"));
    }
    make(path)
}

fn lost(what: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot write {}, {what} is lost until that is possible: {}", path.shown(), reason(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_where_an_app_was() {
        let root = tempfile::tempdir().unwrap();
        let [web, log, elsewhere] = ["web", "web/logs/web.log", "logs/web.log"].map(|name| root.path().join(name));
        for make in [events::prepare, tap::prepare] {
            let error = prepare(&web, &log, make).unwrap_err();
            assert_eq!(error.to_string(), "the app's directory is gone");
            assert!(!web.exists());
            prepare(&web, &elsewhere, make).unwrap();
        }
        std::fs::create_dir(&web).unwrap();
        prepare(&web, &log, tap::prepare).unwrap();
        assert!(log.is_file() && elsewhere.is_file());
    }
}
