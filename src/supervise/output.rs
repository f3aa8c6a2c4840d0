//! Having the output of apps collected, and hearing what becomes of it.
//!
//! The collector lives on a thread of its own and tells what people should know by a channel: that output is being
//! dropped is an event and shows in the app's status, that it was is another event. The log itself holds nothing but
//! what the app wrote.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::SystemTime;

use actix::Addr;
use daemonctl_actors::log_collector::{Attach, LogCollector, Stream};
use daemonctl_actors::value::AppName;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::host::Host;
use super::instance::Instance;
use crate::config::values::Level;
use crate::logs::tap::{self, News, Target};

/// The collector of output, and the channel that it tells its news by.
pub struct Output {
    collector: RefCell<Option<Addr<LogCollector>>>,
    news: UnboundedSender<Word>,
    told: RefCell<Option<UnboundedReceiver<Word>>>,
}

/// News of one stream of an app.
struct Word {
    app: AppName,
    stream: Stream,
    news: News,
}

impl Default for Output {
    fn default() -> Self {
        let (news, told) = unbounded_channel();
        Self { collector: RefCell::new(None), news, told: RefCell::new(Some(told)) }
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
        let told = self.output.told.borrow_mut().take();
        let Some(mut told) = told else { return };
        while let Some(Word { app, stream, news }) = told.recv().await {
            self.heard(&app, stream, news);
        }
    }

    fn heard(&self, app: &AppName, stream: Stream, news: News) {
        let path = self.with(app, |held| held.instance.as_ref().map(|instance| file(instance, stream).to_owned()));
        let path = path.map_or_else(|| "its log".to_owned(), |path| path.display().to_string());
        let text = match news {
            News::Dropping { why } => {
                let text = format!("output is being dropped: cannot write {path}: {why}");
                self.with(app, |held| held.dropping.insert(stream, text.clone()));
                text
            }
            News::Dropped { bytes, from, to } => {
                self.with(app, |held| held.dropping.remove(&stream));
                let moment = |at: SystemTime| humantime::format_rfc3339_millis(at);
                let (from, to) = (moment(from), moment(to));
                format!("{bytes} bytes of output were dropped between {from} and {to}: {path} could not be written")
            }
            News::NotRotated { why } => format!("cannot rotate {path}, it grows beyond its limit: {why}"),
        };
        self.note_event(app, Level::Error, &text);
    }

    /// Has the app's pipes collected. Returns what a person should know about its log files.
    pub fn attach(&self, app: &AppName) -> Vec<String> {
        let mut warnings = Vec::new();
        let Some(collector) = self.collector() else { return warnings };
        let (pipes, instance) = self.with(app, |held| {
            held.dropping.clear();
            let pipes = held.pipes.as_ref().map(|(out, err)| (out.try_clone(), err.try_clone()));
            (pipes, held.instance.clone())
        });
        let (Some((out, err)), Some(instance)) = (pipes, instance) else { return warnings };
        for (stream, pipe) in [(Stream::Out, out), (Stream::Err, err)] {
            let pipe = match pipe {
                Ok(pipe) => pipe,
                Err(error) => {
                    warnings.push(format!("cannot collect output: {error}"));
                    continue;
                }
            };
            let path = file(&instance, stream);
            if let Err(error) = tap::prepare(path) {
                warnings.push(lost(path, &error));
            }
            let (news, name) = (self.output.news.clone(), app.clone());
            let target = Target {
                path: path.to_owned(),
                rules: instance.rotation,
                mirror: self.terminal.as_ref().map(|terminal| terminal.mirror(&instance.label, stream)),
                tell: Box::new(move |told| {
                    // Nobody listens any more at the very end.
                    let _ = news.send(Word { app: name.clone(), stream, news: told });
                }),
            };
            collector.do_send(Attach { app: app.clone(), stream, make: Box::new(move || tap::open(pipe, target)) });
        }
        warnings
    }

    /// What a person who asks for an app's status should know of its output.
    pub fn output_note(&self, app: &AppName) -> Option<String> {
        self.with(app, |held| held.dropping.values().min().cloned())
    }
}

fn file(instance: &Instance, stream: Stream) -> &Path {
    match stream {
        Stream::Out => &instance.stdout,
        Stream::Err => &instance.stderr,
    }
}

fn lost(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}, output is lost until that is possible: {error}", path.display())
}
