//! Over a command: signals passed on, a time limit kept, orphans reaped, until nothing of it is left.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use daemonctl_actors::value::{ExitStatus, Signal};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getpgid};
use rustix::process::{Signal as Named, WaitOptions, wait};

use super::super::forward::Forward;
use super::super::report::{Report, StepName};
use super::super::sys::processes;
use super::TIMED_OUT;
use super::kin::{Kin, Kinsman};
use super::terminal::{Terminal, stop_here};
use super::voice::{Ear, Line, Log, Voice};
use crate::config::Options;
use crate::config::values::{Level, Span};

/// What a process does to itself by mistake is not held back, nor what cannot be; 32 and 33 are libc's own.
const NOT_HELD: [i32; 12] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGSYS,
    libc::SIGPIPE,
    32,
    33,
];

/// The longest pause between two looks at what is left.
const PAUSE: Duration = Duration::from_millis(50);

/// Signals held back, to be read from a descriptor.
#[derive(Debug)]
pub(super) struct Held {
    signals: SignalFd,
    /// What was held back before, for the child.
    pub(super) before: SigSet,
}

impl Held {
    /// Holds back all that can be passed on. What the caller has ignored (as nohup(1) does) stays ignored: a signal that
    /// is blocked would arrive all the same.
    pub(super) fn hold() -> io::Result<Self> {
        processes::default_action(libc::SIGCHLD)?;
        let ignored = ignored();
        let held = (1..=64).filter(|number| !NOT_HELD.contains(number) && ignored >> (number - 1) & 1 == 0);
        let mask = processes::signal_set(held.chain([libc::SIGTTOU]));
        let before = mask.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { signals, before })
    }
}

/// The signals that this process ignores, a bit each (proc_pid_status(5)).
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nobody has asked for it.
    Running,
    /// Asked; whatever is left is killed then.
    Stopping { until: Instant },
    /// Being killed.
    Killing,
}

/// One command under watch.
#[derive(Debug)]
pub(super) struct Watch {
    child: Pid,
    kin: Kin,
    held: Held,
    terminal: Option<Terminal>,
    forward: Forward,
    stop: Signal,
    reload: Signal,
    grace: Span,
    limit: Option<Span>,
    deadline: Option<Instant>,
    stage: Stage,
    timed_out: bool,
    status: Option<ExitStatus>,
    failure: Option<Report>,
    /// Those that have been asked to end; some programs take a second request for an order to drop everything.
    asked: HashSet<Kinsman>,
    gone: bool,
    pause: Duration,
}

impl Watch {
    pub(super) fn over(options: &Options, child: Pid, kin: Kin, held: Held, terminal: Option<Terminal>) -> Self {
        let signals = &options.signals;
        Self {
            child,
            kin,
            held,
            terminal,
            forward: Forward::of(options),
            stop: signals.stop_signal,
            reload: signals.reload_signal,
            grace: signals.kill_timeout,
            limit: options.limits.timeout,
            deadline: None,
            stage: Stage::Running,
            timed_out: false,
            status: None,
            failure: None,
            asked: HashSet::new(),
            gone: false,
            pause: Duration::from_millis(1),
        }
    }

    /// Waits until the command has been exec'ed, and passes on what is said before that. Returns whether it has been.
    pub(super) fn until_launched(&mut self, mut ear: Ear, voice: &mut Voice, log: &Log) -> bool {
        let mut begun = false;
        loop {
            self.turn(Some(&ear), voice, log);
            let Some(lines) = ear.listen() else { break };
            for line in lines {
                match &line {
                    Line::Started => begun = true,
                    Line::Failure(report) => self.failure = Some(report.clone()),
                    Line::Step(_) => {}
                    Line::Warning(text) => log.note(Level::Warn, text),
                }
                if line != Line::Started {
                    voice.say(&line);
                }
            }
        }
        if let Some(report) = &self.failure {
            log.note(Level::Error, &report.message());
            return false;
        }
        if !begun {
            if self.stage == Stage::Running {
                let report = Report::new(StepName::Parent, "start the command", "its process ended before that");
                voice.say(&Line::Failure(report.clone()));
                log.note(Level::Error, &report.message());
                self.failure = Some(report);
            }
            return false;
        }
        log.note(Level::Info, &format!("started, pid {}", self.child));
        voice.say(&Line::Started);
        voice.fall_silent();
        self.deadline = self.limit.map(|limit| Instant::now() + limit.0);
        true
    }

    /// Waits until nothing of the command is left, and returns the code to end with.
    pub(super) fn until_gone(&mut self, voice: &Voice, log: &Log) -> u8 {
        while !self.gone {
            self.turn(None, voice, log);
        }
        if let Some(terminal) = &self.terminal {
            terminal.take_back();
        }
        match &self.failure {
            Some(report) => report.exit_code(),
            None if self.timed_out => TIMED_OUT,
            None => self.status.map_or(1, ExitStatus::shell_code),
        }
    }

    /// Waits for one thing to happen, and sees to it.
    fn turn(&mut self, ear: Option<&Ear>, voice: &Voice, log: &Log) {
        let signals = PollFd::new(self.held.signals.as_fd(), PollFlags::POLLIN);
        let mut fds: Vec<_> =
            std::iter::once(signals).chain(ear.map(|ear| PollFd::new(ear.as_fd(), PollFlags::POLLIN))).collect();
        let _ = poll(&mut fds, self.patience());
        while let Ok(Some(info)) = self.held.signals.read_signal() {
            if let Some(signal) = Signal::from_number(info.ssi_signo as i32) {
                self.received(signal, voice, log);
            }
        }
        self.reap(log);
        match self.status {
            None => self.while_it_runs(voice, log),
            Some(_) => self.after_its_end(voice, log),
        }
    }

    /// How long nothing can be due.
    fn patience(&self) -> PollTimeout {
        let due = match self.stage {
            _ if self.status.is_some() => return short(self.pause),
            Stage::Running => self.deadline,
            Stage::Stopping { until } => Some(until),
            Stage::Killing => return short(PAUSE),
        };
        due.map_or(PollTimeout::NONE, |due| {
            short(due.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
        })
    }

    fn received(&mut self, signal: Signal, voice: &Voice, log: &Log) {
        match signal.number() {
            libc::SIGTERM | libc::SIGINT if self.stage == Stage::Running => {
                log.note(Level::Info, &format!("stopping: {signal} was received"));
                self.stop();
            }
            libc::SIGTERM | libc::SIGINT => self.kill("asked twice", voice, log),
            libc::SIGCHLD | libc::SIGTTIN | libc::SIGTTOU => {}
            libc::SIGTSTP => {
                // A stop from the terminal does nothing to a session without one: it has to be one that cannot be refused.
                let passed_on = self.forward.sent_for(signal, self.reload).is_some();
                if passed_on {
                    self.send(libc::SIGSTOP);
                }
                stop_here();
                if passed_on {
                    self.send(libc::SIGCONT);
                }
            }
            _ => {
                if let Some(sent) = self.forward.sent_for(signal, self.reload) {
                    log.note(Level::Debug, &format!("{sent} is passed on"));
                    self.send(sent.number());
                }
            }
        }
    }

    /// Signals the command's process group; before there is one, the process that will lead it.
    fn send(&self, signal: i32) {
        // Once it has been reaped, its number may be another's.
        if self.status.is_none() && processes::kill(-self.child.as_raw(), signal) == Err(Errno::ESRCH) {
            let _ = processes::kill(self.child.as_raw(), signal);
        }
    }

    /// Asks the command to end.
    fn stop(&mut self) {
        let group = |one: &Kinsman| getpgid(Some(Pid::from_raw(one.pid))) == Ok(self.child);
        self.asked.extend(self.kin.living().into_iter().filter(group));
        self.send(self.stop.number());
        self.stage = Stage::Stopping { until: Instant::now() + self.grace.0 };
    }

    /// Ends everything at once.
    fn kill(&mut self, why: &str, voice: &Voice, log: &Log) {
        if self.stage != Stage::Killing {
            let left = self.kin.living().len();
            let processes = if left == 1 { "process" } else { "processes" };
            let text = format!("{why}: {left} {processes} killed");
            log.note(Level::Warn, &text);
            voice.say(&Line::Warning(text));
        }
        self.stage = Stage::Killing;
        self.send(libc::SIGKILL);
        self.kin.living().into_iter().for_each(|one| one.send(Named::KILL));
    }

    fn reap(&mut self, log: &Log) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
            if pid.as_raw_nonzero().get() != self.child.as_raw() {
                continue;
            }
            if status.stopped() {
                self.suspended();
            } else {
                let status = ExitStatus::from_wait(status.as_raw());
                self.status = Some(status);
                log.note(Level::Info, &status.to_string());
            }
        }
    }

    /// The command was stopped. If it is the terminal's job, so are we, and the shell goes on.
    fn suspended(&self) {
        if let Some(terminal) = &self.terminal {
            terminal.take_back();
            stop_here();
            terminal.lend(self.child);
            self.send(libc::SIGCONT);
        }
    }

    fn while_it_runs(&mut self, voice: &Voice, log: &Log) {
        let now = Instant::now();
        match self.stage {
            Stage::Running if self.deadline.is_some_and(|due| due <= now) => {
                let text = self.limit.map(|limit| format!("stopping: it has run for {limit}")).unwrap_or_default();
                log.note(Level::Warn, &text);
                voice.say(&Line::Warning(text));
                self.timed_out = true;
                self.stop();
            }
            Stage::Stopping { until } if until <= now => {
                self.kill(&format!("still running after {}", self.grace), voice, log);
            }
            Stage::Killing => self.kill("", voice, log),
            Stage::Running | Stage::Stopping { .. } => {}
        }
    }

    /// What is left of a command that has ended by itself is asked to end too, and killed when it does not.
    fn after_its_end(&mut self, voice: &Voice, log: &Log) {
        let (left, now) = (self.kin.living(), Instant::now());
        self.gone = left.is_empty();
        if self.gone {
            return;
        }
        if self.stage == Stage::Running {
            self.stage = Stage::Stopping { until: now + self.grace.0 };
        }
        match self.stage {
            Stage::Stopping { until } if now < until => {
                left.into_iter().filter(|one| self.asked.insert(*one)).for_each(|one| one.send(Named::TERM));
            }
            Stage::Running | Stage::Stopping { .. } | Stage::Killing => self.kill("left behind", voice, log),
        }
        self.pause = (self.pause * 2).min(PAUSE);
    }
}

/// A time for poll(2), which takes milliseconds.
fn short(time: Duration) -> PollTimeout {
    let longest = Duration::from_secs(3600);
    PollTimeout::try_from(time.min(longest).max(Duration::from_millis(1))).unwrap_or(PollTimeout::MAX)
}
