//! A command that stays: `run`, `logs -f`, `start --attach`.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::home::in_words;
use super::{Output, SOON, kill, wait_until};

/// A command in the foreground of a shell of its own: it leads a process group, as a shell's jobs do.
pub(crate) struct Foreground {
    line: String,
    child: Child,
    begun: Instant,
    stdout: Stream,
    stderr: Stream,
}

impl Foreground {
    /// Starts it.
    #[track_caller]
    pub(super) fn begin(mut command: Command) -> Self {
        let line = in_words(&command);
        let mut child = command
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {line}: {error}"));
        let (stdout, stderr) = (Stream::read(child.stdout.take()), Stream::read(child.stderr.take()));
        Self { line, child, begun: Instant::now(), stdout, stderr }
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    /// Presses Ctrl-C: the terminal sends SIGINT to each process of the foreground group.
    pub(crate) fn ctrl_c(&self) {
        let _ = nix::sys::signal::killpg(Pid::from_raw(self.pid()), Signal::SIGINT);
    }

    /// Its standard output so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Its standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until its standard output contains this text.
    #[track_caller]
    pub(crate) fn wait_for_output(&self, text: &str) -> String {
        wait_until(&format!("{} shows {text:?}", self.line), SOON, || {
            let (stdout, stderr) = (self.stdout.text(), self.stderr.text());
            if stdout.contains(text) { Ok(stdout) } else { Err(format!("stdout:\n{stdout}\nstderr:\n{stderr}")) }
        })
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(self) -> Output {
        self.wait_within(SOON)
    }

    /// Waits for its end, and for that of its output.
    #[track_caller]
    pub(crate) fn wait_within(mut self, within: Duration) -> Output {
        let what = format!("{} ends", self.line);
        let status = wait_until(&what, within, || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            _ => Err(format!("stdout:\n{}\nstderr:\n{}", self.stdout.text(), self.stderr.text())),
        });
        let took = self.begun.elapsed();
        wait_until("nobody holds its output", SOON, || {
            if self.stdout.ended() && self.stderr.ended() { Ok(()) } else { Err("it is still open".to_owned()) }
        });
        let (stdout, stderr) = (self.stdout.text(), self.stderr.text());
        Output { line: self.line.clone(), status, stdout, stderr, took }
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// What has come out of a pipe so far.
#[derive(Clone)]
pub(super) struct Stream(Arc<Mutex<(Vec<u8>, bool)>>);

impl Stream {
    pub(super) fn read(pipe: Option<impl Read + Send + 'static>) -> Self {
        let stream = Self(Arc::default());
        let ours = stream.clone();
        std::thread::spawn(move || {
            let mut block = [0; 8192];
            let mut pipe = pipe;
            while let Some(Ok(read @ 1..)) = pipe.as_mut().map(|pipe| pipe.read(&mut block)) {
                ours.lock().0.extend_from_slice(&block[..read]);
            }
            ours.lock().1 = true;
        });
        stream
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Vec<u8>, bool)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().0).into_owned()
    }

    pub(super) fn ended(&self) -> bool {
        self.lock().1
    }
}
