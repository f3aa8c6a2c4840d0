//! The duties of a parent, carried out one after the other.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use nix::sys::signal::SigSet;
use nix::unistd::{Pid, getpid, getppid};

use super::super::options::Request;
use super::super::plan::{Action, Plan};
use super::super::report::{NOT_STARTED, REPORTED, Report, StepName};
use super::super::run::become_the_command;
use super::super::spawn::GO;
use super::super::sys::processes;
use super::kin::Kin;
use super::pidfile::Claim;
use super::terminal::Terminal;
use super::voice::{Ear, Line, Log, Voice};
use super::watch::{Held, Watch};
use super::{Duty, Mode, duties};
use crate::app::Shown;

/// Starts the command, and does what is asked for above it. Returns the exit code of whichever process this is: the
/// parent, or the command's if it does not come to run.
pub(in crate::launch) fn run(request: &Request, plan: &Plan, voice: Voice) -> u8 {
    let log = Log::of(&request.options);
    let mut parent =
        Parent { request, plan, voice, log, kin: Kin::default(), held: None, child: None, terminal: None, claim: None };
    for (duty, _) in duties(&request.options, &request.extras) {
        match parent.carry_out(&duty) {
            Ok(None) => {}
            Ok(Some(code)) => return code,
            Err(report) => return parent.give_up(&report),
        }
    }
    0
}

struct Parent<'a> {
    request: &'a Request,
    plan: &'a Plan,
    voice: Voice,
    log: Log,
    kin: Kin,
    held: Option<Held>,
    /// The process that becomes the command, and what it says; it waits for a byte.
    child: Option<(Pid, Ear)>,
    terminal: Option<Terminal>,
    claim: Option<Claim>,
}

impl Parent<'_> {
    /// Does one thing. A code means that this process is done.
    fn carry_out(&mut self, duty: &Duty) -> Result<Option<u8>, Report> {
        let failed = |what: &str, why: std::io::Error| Report::new(StepName::Parent, what, why);
        match duty {
            // Done before there was this process.
            Duty::Detach => {}
            Duty::Adopt => {
                self.kin = Kin::from_now_on();
                nix::sys::prctl::set_child_subreaper(true)
                    .map_err(|errno| failed("adopt what the command leaves behind", errno.into()))?;
            }
            Duty::Log(path) => {
                let what = format!("write events to {}", path.shown());
                self.log.check().map_err(|error| failed(&what, error))?;
            }
            Duty::Fork => {
                let held = Held::hold().map_err(|error| failed("hold signals back", error))?;
                let (mine, theirs) = UnixStream::pair().map_err(|error| failed("make a pair of sockets", error))?;
                let parent = getpid();
                match processes::fork().map_err(|errno| failed("start a process", errno.into()))? {
                    None => {
                        drop(mine);
                        return Ok(Some(self.launch(&held.before, theirs, parent)));
                    }
                    Some(child) => {
                        self.held = Some(held);
                        self.child = Some((child, Ear::new(mine)));
                    }
                }
            }
            Duty::Lend => {
                self.terminal = Terminal::held();
                if let (Some(terminal), Some((child, _))) = (&self.terminal, &self.child) {
                    // The child does the same; whoever comes first, the group is there when it gets the terminal.
                    let _ = nix::unistd::setpgid(*child, *child);
                    terminal.lend(*child);
                }
            }
            Duty::Pidfile(path) => {
                if let Some((child, _)) = &self.child {
                    self.claim = Some(Claim::of(path, child.as_raw())?);
                }
            }
            Duty::Release => return self.release().map(|watch| watch.map(|watch| self.end(watch))),
            // What comes of these is decided by `release`, which is where the command comes to run.
            Duty::Watch | Duty::Leave => {}
        }
        Ok(None)
    }

    /// Lets the child go on. Returns who has to see the command to its end.
    fn release(&mut self) -> Result<Option<Watch>, Report> {
        let failed = |why: std::io::Error| Report::new(StepName::Parent, "let the command go on", why);
        let (Some((child, ear)), Some(held)) = (self.child.take(), self.held.take()) else { return Ok(None) };
        ear.socket().set_nonblocking(true).map_err(failed)?;
        let _ = ear.socket().write_all(&[GO]);
        let kin = std::mem::take(&mut self.kin);
        let mut watch = Watch::over(&self.request.options, child, kin, held, self.terminal.take());
        let launched = watch.until_launched(ear, &mut self.voice, &self.log);
        if launched && !super::stays(&self.request.options, &self.request.extras) {
            return Ok(None);
        }
        if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
            // They are the command's now: when it closes them, whoever is at the other end is to know.
            let _ = nix::unistd::dup2_stdin(&null);
            let _ = nix::unistd::dup2_stdout(&null);
        }
        if self.request.extras.mode == Mode::Daemon {
            // No file system stays in use for a parent's sake.
            let _ = nix::unistd::chdir("/");
        }
        Ok(Some(watch))
    }

    /// Sees the command to its end.
    fn end(&mut self, mut watch: Watch) -> u8 {
        let code = watch.until_gone(&self.voice, &self.log);
        if let Some(claim) = self.claim.take() {
            claim.remove();
        }
        code
    }

    /// Something failed before the command was let go: nothing of it must stay.
    fn give_up(&mut self, report: &Report) -> u8 {
        if let Some((child, ear)) = self.child.take() {
            drop(ear);
            let _ = nix::sys::wait::waitpid(child, None);
        }
        if let Some(terminal) = &self.terminal {
            terminal.take_back();
        }
        if let Some(claim) = self.claim.take() {
            claim.remove();
        }
        self.voice.say(&Line::Failure(report.clone()));
        report.exit_code()
    }

    /// The child: waits until it may go on, and becomes the command. Returns the exit code it ends with otherwise.
    fn launch(&self, before: &SigSet, gate: UnixStream, parent: Pid) -> u8 {
        let _ = before.thread_set_mask();
        let mut go = [0];
        if (&gate).read_exact(&mut go).is_err() {
            return NOT_STARTED;
        }
        let voice = self.voice.to_a_process(gate);
        let orphaned = |action: &Action| {
            if *action == Action::Exec {
                // A parent that ended before its end would have been told by the kernel.
                if self.plan.steps.iter().any(|step| matches!(step.action, Action::EndWithParent(_)))
                    && getppid() != parent
                {
                    leave(NOT_STARTED);
                }
                voice.say(&Line::Started);
            }
        };
        let report = become_the_command(self.request, self.plan, &voice, orphaned);
        voice.say(&Line::Failure(report));
        REPORTED
    }
}

#[expect(clippy::disallowed_methods, reason = "between two steps of a plan there is nobody to return a code to")]
fn leave(code: u8) {
    std::process::exit(code.into());
}
