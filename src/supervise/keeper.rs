//! The keeper: the process above a supervisor, so small that it has nothing to fail on.
//!
//! It holds descriptors for the supervisor (log pipes, locks, the control socket), reaps what its apps leave behind,
//! passes on signals, and when the supervisor dies it starts another and hands it everything, together with the exit
//! statuses seen meanwhile. It knows no app, no configuration and no policy; the descriptors have names for the
//! supervisor's sake.
//!
//! It is entered by exec under the name [`NAME`], before any runtime exists: standard input is the supervisor's task
//! (see [`super::supervisor`]), which is the first thing it keeps.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::link::{self, Message};
use super::nofile::Nofile;

/// What `argv[0]` must be for this program to be a keeper.
pub const NAME: &str = "daemonctl-keeper";

/// Exit statuses kept for the next supervisor.
const EXITS: usize = 4096;

/// A supervisor that dies more often than this within [`WINDOW`] is replaced only after [`PAUSE`], so that a crash at
/// start-up does not become a storm.
const DEATHS: usize = 50;
const WINDOW: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);

/// Signals that are the supervisor's to understand.
pub(super) const FORWARDED: [Signal; 9] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGWINCH,
    Signal::SIGPWR,
];

struct Keeper {
    /// `background` or `run`, and the root: shown by ps, told to the supervisor.
    arguments: Vec<OsString>,
    held: Vec<(String, OwnedFd)>,
    exits: VecDeque<(i32, i32)>,
    /// How many of `exits`, from the end, the present supervisor has not been told.
    untold: usize,
    supervisor: Option<(Pid, OwnedFd)>,
    deaths: VecDeque<Instant>,
    /// Signals that came while there was no supervisor.
    signals: Vec<Signal>,
    /// The limit of open files that apps are to have; the keeper's own is higher, for it holds three for each app.
    nofile: Nofile,
    /// The exit code to leave with, once the supervisor has said so and gone.
    finish: Option<u8>,
}

/// Runs the keeper until its supervisor is done.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match serve(arguments.collect()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(io::stderr(), "daemonctl: cannot keep a supervisor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: Vec<OsString>) -> io::Result<u8> {
    if arguments.first().is_some_and(|mode| mode == "background") {
        // The terminal of whoever typed `start` is none of ours. It fails only for who leads a session already.
        let _ = nix::unistd::setsid();
    }
    let _ = nix::sys::prctl::set_name(c"daemonctl-keep");
    // Nothing of what this was typed in: neither its umask nor signals it had ignored.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    super::pidfd::default_action(libc::SIGCHLD);
    nix::sys::prctl::set_child_subreaper(true)?;
    let mut mask = SigSet::from_iter(FORWARDED);
    mask.add(Signal::SIGCHLD);
    mask.thread_block()?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let task = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    let mut keeper = Keeper {
        arguments,
        held: vec![("task".to_owned(), task)],
        exits: VecDeque::new(),
        untold: 0,
        supervisor: None,
        deaths: VecDeque::new(),
        signals: Vec::new(),
        nofile: Nofile::raise(),
        finish: None,
    };
    loop {
        if keeper.supervisor.is_none() {
            if let Some(code) = keeper.finish {
                return Ok(code);
            }
            match keeper.begin_supervisor() {
                // With apps in its hands a keeper does not leave because the machine is short of something just now.
                Err(_) if keeper.held.len() > 1 => keeper.pause(),
                begun => begun?,
            }
        }
        keeper.wait(&signals)?;
    }
}

impl Keeper {
    /// Starts a supervisor and hands over everything that is held.
    fn begin_supervisor(&mut self) -> io::Result<()> {
        let now = Instant::now();
        self.deaths.retain(|at| now.duration_since(*at) < WINDOW);
        if self.deaths.len() > DEATHS {
            self.pause();
        }
        let (ours, theirs) = link::pair()?;
        let child = Command::new("/proc/self/exe")
            .arg0(super::supervisor::NAME)
            .args(&self.arguments)
            .env(Nofile::VARIABLE, self.nofile.to_string())
            .stdin(Stdio::from(theirs))
            .spawn()?;
        let pid = Pid::from_raw(child.id() as i32);
        if self.is_background() {
            // Whoever started us waits for the supervisor's word on this pipe, and must see its end.
            rustix::stdio::dup2_stdout(OpenOptions::new().write(true).open("/dev/null")?)?;
        }
        // A supervisor that dies during the handover is noticed like any other.
        let _ = self.hand_over(ours.as_fd());
        self.untold = 0;
        self.supervisor = Some((pid, ours));
        // It blocks signals until it can take them in.
        for signal in std::mem::take(&mut self.signals) {
            let _ = kill(pid, signal);
        }
        Ok(())
    }

    fn pause(&self) {
        let _ = poll(&mut [], PollTimeout::try_from(PAUSE).unwrap_or(PollTimeout::ZERO));
    }

    fn is_background(&self) -> bool {
        self.arguments.first().is_some_and(|mode| mode == "background")
    }

    fn hand_over(&self, to: BorrowedFd<'_>) -> io::Result<()> {
        for (key, fd) in &self.held {
            link::put(to, key, fd.as_fd())?;
        }
        for (pid, status) in &self.exits {
            loop {
                match link::tell(to, &Message::Exit { pid: *pid, status: *status }) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        poll(&mut [PollFd::new(to, PollFlags::POLLOUT)], PollTimeout::NONE)?;
                    }
                    told => break told?,
                }
            }
        }
        link::tell(to, &Message::Ready)
    }

    /// Sleeps until something happens, and deals with it.
    fn wait(&mut self, signals: &SignalFd) -> io::Result<()> {
        let (mut signalled, mut said) = (false, false);
        if let Some((_, link)) = &self.supervisor {
            let interest = if self.untold > 0 { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
            let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(link.as_fd(), interest)];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            signalled = fds[0].any().unwrap_or(false);
            said = fds[1].any().unwrap_or(false);
        }
        if said {
            self.listen();
            self.tell_exits();
        }
        if signalled {
            while let Some(info) = signals.read_signal()? {
                match info.ssi_signo as i32 {
                    libc::SIGCHLD => self.reap(),
                    signal => self.forward(signal),
                }
            }
        }
        Ok(())
    }

    /// Takes in what the supervisor says.
    fn listen(&mut self) {
        loop {
            let Some((_, link)) = &self.supervisor else { return };
            match link::receive(link.as_fd(), true) {
                Ok(Some(message)) => self.take_in(message),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Its end of the link is closed: it is dying, and will be reaped in a moment. Until then there would
                // be nothing but the same news, so wait for that.
                Ok(None) | Err(_) => return self.reap_supervisor(),
            }
        }
    }

    fn take_in(&mut self, message: Message) {
        match message {
            Message::Put(key, fd) => {
                self.held.retain(|(held, _)| *held != key);
                self.held.push((key, fd));
            }
            Message::Drop(key) => self.held.retain(|(held, _)| *held != key),
            Message::Finish(code) => self.finish = Some(code),
            Message::Exit { .. } | Message::Ready => {}
        }
    }

    /// Tells the supervisor what has been reaped and could not be told at once.
    fn tell_exits(&mut self) {
        while self.untold > 0 {
            let Some((_, link)) = &self.supervisor else { return };
            let Some((pid, status)) = self.exits.get(self.exits.len() - self.untold).copied() else { return };
            if link::tell(link.as_fd(), &Message::Exit { pid, status }).is_err() {
                return;
            }
            self.untold -= 1;
        }
    }

    /// Waits for the supervisor, whose link is closed, to be gone.
    fn reap_supervisor(&mut self) {
        if let Some((pid, _)) = self.supervisor
            && waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).is_ok()
        {
            self.reap();
        }
    }

    /// Reaps every child that has ended: orphans, apps whose supervisor died, and the supervisor itself.
    fn reap(&mut self) {
        while let Some((pid, status)) = super::pidfd::reap_any() {
            if self.supervisor.as_ref().is_some_and(|(supervisor, _)| supervisor.as_raw() == pid) {
                self.deaths.push_back(Instant::now());
                // Its last words may still be in the socket: what it asked us to keep, or that it is done.
                let link = self.supervisor.take().map(|(_, link)| link);
                self.last_words(link);
                continue;
            }
            if self.exits.len() == EXITS {
                self.exits.pop_front();
                self.untold = self.untold.min(self.exits.len());
            }
            self.exits.push_back((pid, status));
            self.untold += 1;
        }
        self.tell_exits();
    }

    fn last_words(&mut self, link: Option<OwnedFd>) {
        let Some(link) = link else { return };
        while let Ok(Some(message)) = link::receive(link.as_fd(), true) {
            self.take_in(message);
        }
    }

    /// Passes a signal on to the supervisor, or keeps it for the next one.
    fn forward(&mut self, signal: i32) {
        match (&self.supervisor, Signal::try_from(signal)) {
            (Some((pid, _)), Ok(signal)) => drop(kill(*pid, signal)),
            (None, Ok(signal)) => self.signals.push(signal),
            (_, Err(_)) => {}
        }
    }
}
