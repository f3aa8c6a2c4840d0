//! What `run` adds to a supervisor: apps that start at once, a terminal, signals passed on, and an exit code.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::rc::Rc;

use actix::Addr;
use daemonctl_actors::lifecycle::Phase;
use daemonctl_actors::ports::Scope;
use daemonctl_actors::root::{Cells, RootSupervisor, SignalApp, StartApp, Started};
use daemonctl_actors::value::{AppName, Signal};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

use super::host::{Host, Rested};
use super::instance::Asked;
use super::record::Record;
use super::requester;
use super::sink::exit_code;
use crate::config::Ask;
use crate::logs::happening::Happening;

/// What `run` asks of its supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRequest {
    /// The apps root.
    pub root: PathBuf,
    /// Which apps.
    pub apps: Vec<AppName>,
    /// What each of them is called where its output is shown.
    pub labels: Vec<String>,
    /// With which options.
    pub ask: Ask,
    /// In which environment.
    pub environment: BTreeMap<String, String>,
    /// When it ends.
    pub exit_on: ExitOn,
    /// Whether to colour what is shown, where that is a terminal.
    pub color: bool,
    /// Say nothing beside the apps' output.
    pub quiet: bool,
}

/// When `run` ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitOn {
    /// When the last app has ended for good.
    All,
    /// When any has: the others are stopped.
    Any,
    /// When this one has: the others are stopped.
    App(AppName),
}

/// The exit code to leave with, if what has ended ends the run.
pub fn verdict(exit_on: &ExitOn, rested: &Rested) -> Option<u8> {
    let ended = match exit_on {
        ExitOn::All => rested.ended.last().filter(|_| rested.all),
        ExitOn::Any => rested.ended.first(),
        ExitOn::App(app) => rested.ended.iter().find(|(name, _)| name == app),
    };
    ended.map(|(_, code)| *code)
}

/// The apps that a supervisor of `run` has to start: all of them, but for those that it has taken over and those that
/// had come to rest under a predecessor below the same keeper, whose ends are news all the same.
pub fn still_to_start(host: &Rc<Host>, run: &RunRequest, adopted: &[AppName]) -> Vec<AppName> {
    let keeper = host.identity.keeper;
    let mut ended = Vec::new();
    let mut left = Vec::new();
    for name in run.apps.iter().filter(|name| !adopted.contains(name)) {
        let record = Record::read(&host.runtime.record(name));
        let at_rest = |record: &Record| matches!(record.cell.life.phase, Phase::Down(_));
        match record.filter(|record| record.supervisor.keeper == keeper && at_rest(record)) {
            Some(record) => ended.push((name.clone(), exit_code(&record.cell))),
            None => left.push(name.clone()),
        }
    }
    if !ended.is_empty() {
        let all = adopted.is_empty() && left.is_empty();
        host.at_rest.send_modify(|rested| {
            rested.all = all;
            rested.ended.extend(ended);
        });
    }
    left
}

/// Starts the apps that are asked for, all at once, and says what goes wrong.
pub async fn start(host: Rc<Host>, root: Addr<RootSupervisor>, run: RunRequest) {
    let starts: Vec<_> = run
        .apps
        .iter()
        .cloned()
        .map(|name| {
            let asked = Asked { ask: run.ask.clone(), environment: run.environment.clone() };
            // The process that was typed has become the keeper.
            let (uid, keeper) = (nix::unistd::getuid().as_raw(), host.identity.keeper.pid);
            let by = requester::of(uid, Some(keeper), run.environment.get("SUDO_USER").map(String::as_str));
            let request = Happening::Asked { what: "run".to_owned(), by };
            let running = host.with(&name, |held| held.process.is_some());
            if !running {
                host.with(&name, |held| (held.asked, held.request) = (asked, Some(request)));
            }
            let (host, root) = (host.clone(), root.clone());
            async move {
                let started = root.send(StartApp { name: name.clone(), wait: false, timeout: None }).await;
                let Some(terminal) = &host.terminal else { return };
                match started {
                    Ok(Started::Started { warnings, .. }) => {
                        warnings.iter().for_each(|warning| terminal.say(&format!("{name}: warning: {warning}")));
                    }
                    Ok(Started::Failed(failure)) => {
                        // Why it failed has been told as an event; what to do about it has not.
                        failure.hint.iter().for_each(|hint| terminal.complain(&format!("hint: {hint}")));
                    }
                    Ok(Started::Running { .. } | Started::Ended(_) | Started::TimedOut(_)) | Err(_) => {}
                }
            }
        })
        .collect();
    futures_util::future::join_all(starts).await;
}

/// Whether the terminal that `run` was started on has been closed. (A pipe whose reader has gone reports an error, not
/// a hang-up.)
pub fn terminal_is_gone() -> bool {
    let hung_up = |fd: BorrowedFd<'_>| {
        let mut fds = [PollFd::new(fd, PollFlags::empty())];
        let polled = poll(&mut fds, PollTimeout::ZERO).is_ok();
        polled && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
    };
    hung_up(std::io::stdout().as_fd()) || hung_up(std::io::stderr().as_fd())
}

/// Passes a signal that `run` received on to the apps, as each is configured. HUP reaches an app as its reload signal.
pub async fn pass_on(host: Rc<Host>, root: Addr<RootSupervisor>, signal: Signal) {
    for cell in root.send(Cells).await.unwrap_or_default() {
        let forward = host.with(&cell.name, |held| held.instance.as_ref().map(|instance| instance.forward.clone()));
        if let Some(sent) = forward.and_then(|forward| forward.sent_for(signal, cell.policy.reload_signal)) {
            root.do_send(SignalApp { name: cell.name, signal: Some(sent), scope: Scope::Group, wait: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_ends_when_it_was_told_to() {
        let name = |text: &str| text.parse::<AppName>().unwrap();
        let one = Rested { all: false, ended: vec![(name("a"), 3)] };
        let two = Rested { all: true, ended: vec![(name("a"), 3), (name("b"), 4)] };
        assert_eq!(verdict(&ExitOn::All, &one), None);
        assert_eq!(verdict(&ExitOn::All, &two), Some(4));
        assert_eq!(verdict(&ExitOn::Any, &one), Some(3));
        assert_eq!(verdict(&ExitOn::App(name("b")), &one), None);
        assert_eq!(verdict(&ExitOn::App(name("a")), &two), Some(3));
    }
}
