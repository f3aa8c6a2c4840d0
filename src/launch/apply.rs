//! The steps of a plan, carried out one after the other, up to the one that fails or the exec.
//!
//! There is nothing to choose here: what is done, and in which order, is the plan's affair.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::diagnose::{Attempt, diagnose, not_found};
use super::environment::{self, Vars};
use super::firejail;
use super::identity::Target;
use super::options::Variable;
use super::plan::{Action, Resource, limit_text};
use super::report::{Report, StepName};
use super::sys::{Sys, c_string};
use crate::app::Shown;

/// How often, and how long after each time, something is tried again that fails for a moment only: a program that is
/// just being written, or the kernel's limit on how often a session's nice value may change. About a second in all.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// The smallest stack a program gets: the kernel reserves this much for arguments and environment (ARG_MAX).
const LEAST_STACK: u64 = 128 << 10;

/// Where programs are looked for when PATH is not set.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// How a plan is carried out where the host falls short.
pub struct Manner<'a> {
    /// Whether a wall or limit that cannot be had is done without.
    pub force: bool,
    /// Who is told what is done without.
    pub warn: &'a mut dyn FnMut(String),
}

/// Carries out a plan. `start` is the environment this process was started with. It only returns when a step failed.
pub fn carry_out<'p>(
    sys: &mut impl Sys,
    plan: impl IntoIterator<Item = &'p Action>,
    command: &[OsString],
    start: Vars,
    manner: Manner<'_>,
) -> Report {
    let mut launch = Launch {
        sys,
        command: command.to_vec(),
        start,
        vars: Vars::new(),
        from_files: Vec::new(),
        target: None,
        enclosed: false,
    };
    for action in plan {
        match launch.carry_out(action) {
            Ok(()) => {}
            Err(report) if manner.force && action.is_dispensable() => {
                (manner.warn)(format!("{}; it runs without", report.message()));
            }
            Err(report) => return report,
        }
    }
    Report::new(StepName::Exec, "run the command", "the plan ends without an exec")
}

/// A launch on its way.
struct Launch<'a, S> {
    sys: &'a mut S,
    command: Vec<OsString>,
    /// The environment this process was started with.
    start: Vars,
    /// The app's environment, as far as it is known.
    vars: Vars,
    /// What environment files add; read early, laid over late.
    from_files: Vec<(String, String)>,
    target: Option<Target>,
    /// Whether there is a mount namespace of its own: nothing is mounted in the host's.
    enclosed: bool,
}

impl<S: Sys> Launch<'_, S> {
    fn carry_out(&mut self, action: &Action) -> Result<(), Report> {
        match action {
            Action::Inherit { clear, strip } => {
                self.inherit(*clear, *strip);
                Ok(())
            }
            Action::LookUp { user, group } => self.look_up(user.as_deref(), group.as_deref()),
            Action::ReadEnvFile(path) => self.read_env_file(path),
            Action::NewSession { or_stay } => self.new_session(*or_stay),
            Action::NewGroup => self.new_group(),
            Action::Limit(resource, value) => self.limit(*resource, *value),
            Action::RestoreLimit { resource, soft, hard } => self
                .sys
                .set_limit(*resource, *soft, *hard)
                .map_err(|errno| Report::new(StepName::Limits, format!("set the {resource} back"), errno)),
            Action::Nice(nice) => self.nice(*nice),
            Action::NiceSession(nice) => self.nice_session(*nice),
            Action::OomScore(score) => self.oom_score(*score),
            Action::Streams => self.streams(),
            Action::Umask(mask) => {
                self.sys.set_umask(*mask);
                Ok(())
            }
            Action::TakeIdentity { keep_capabilities } => self.take_identity(*keep_capabilities),
            Action::Join(join) => join.carry_out(self.sys),
            Action::Wall(wall) => wall.carry_out(self.sys, &mut self.enclosed),
            Action::Capabilities(sets) => sets.carry_out(self.sys),
            Action::NoNewPrivs => {
                self.sys.no_new_privs().map_err(|errno| Report::new(StepName::NoNewPrivs, "set no_new_privs", errno))
            }
            Action::Domain(domain) => domain.carry_out(self.sys),
            Action::Filter(program) => program.carry_out(self.sys),
            Action::Enter(dir) => self.enter(dir),
            Action::Source(script) => {
                self.vars = self.sys.source(script, &self.vars)?;
                Ok(())
            }
            Action::Assign(variables) => {
                self.assign(variables);
                Ok(())
            }
            Action::EndWithParent(signal) => self.sys.end_with_parent(signal.number()).map_err(|errno| {
                Report::new(StepName::Signals, format!("ask for {signal} at the end of the parent"), errno)
            }),
            Action::Output { fd, path } => self
                .sys
                .append_to(*fd, path)
                .map_err(|error| Report::new(StepName::Streams, format!("append output to {}", path.shown()), error)),
            Action::NoInput => self
                .sys
                .no_input()
                .map_err(|error| Report::new(StepName::Streams, "open /dev/null as standard input", error)),
            Action::Wrap(words) => self.wrap(words),
            Action::CloseOnExec => self
                .sys
                .close_on_exec()
                .map_err(|error| Report::new(StepName::Descriptors, "mark descriptors as close-on-exec", error)),
            Action::DefaultSignals => self
                .sys
                .default_signals()
                .map_err(|errno| Report::new(StepName::Signals, "set signals to their defaults", errno)),
            Action::Exec => Err(self.exec()),
        }
    }

    fn inherit(&mut self, clear: bool, strip: bool) {
        let is_inherited = |key: &OsStr| !strip || environment::is_inherited(key.as_bytes());
        let kept = self.start.iter().filter(|(key, _)| is_inherited(key) && (!clear || environment::is_kept(key)));
        self.vars = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    }

    fn assign(&mut self, variables: &[Variable]) {
        for (key, value) in std::mem::take(&mut self.from_files) {
            self.vars.insert(key.into(), value.into());
        }
        for Variable { key, value } in variables {
            let key = OsString::from(key);
            match value.as_ref().map(OsString::from).or_else(|| self.start.get(&key).cloned()) {
                Some(value) => drop(self.vars.insert(key, value)),
                None => drop(self.vars.remove(&key)),
            }
        }
    }

    fn look_up(&mut self, user: Option<&str>, group: Option<&str>) -> Result<(), Report> {
        let target = Target::find(self.sys, user, group)?;
        target.check_permission(self.sys)?;
        self.target = Some(target);
        Ok(())
    }

    fn read_env_file(&mut self, path: &Path) -> Result<(), Report> {
        let what = format!("read the environment file {}", path.shown());
        let bytes = self.sys.read(path).map_err(|error| Report::new(StepName::EnvFiles, what, error))?;
        let variables = environment::parse_env_file(&bytes).map_err(|error| {
            let what = format!("read the environment file {}:{}", path.shown(), error.line);
            Report::new(StepName::EnvFiles, what, error.problem)
        })?;
        self.from_files.extend(variables);
        Ok(())
    }

    fn new_session(&mut self, or_stay: bool) -> Result<(), Report> {
        let (leads_session, leads_group) = self.sys.leads();
        match self.sys.new_session() {
            Ok(()) => Ok(()),
            Err(Errno::EPERM) if leads_session => Ok(()),
            // The shell has given us a job of our own. Signals to it reach us alone, and it is the person's terminal.
            Err(Errno::EPERM) if leads_group && or_stay => Ok(()),
            Err(errno) => Err(Report::new(StepName::Session, "start a session", errno)),
        }
    }

    fn new_group(&mut self) -> Result<(), Report> {
        match self.sys.leads() {
            (_, true) => Ok(()),
            _ => self.sys.new_group().map_err(|errno| Report::new(StepName::Session, "start a process group", errno)),
        }
    }

    fn limit(&mut self, resource: Resource, value: u64) -> Result<(), Report> {
        let failed =
            |errno| Report::new(StepName::Limits, format!("set the {resource} to {}", limit_text(value)), errno);
        // The kernel would kill the new program in the middle of the exec, when there is nobody left to say why.
        if resource == Resource::Stack && value < LEAST_STACK {
            let what = format!("set the {resource} to {value}");
            return Err(Report::new(
                StepName::Limits,
                what,
                format!("no program can start with less than {LEAST_STACK}"),
            ));
        }
        let (_, hard) = self.sys.limit(resource).map_err(failed)?;
        match self.sys.set_limit(resource, value, value) {
            Ok(()) => Ok(()),
            Err(Errno::EPERM) if value > hard => {
                let (why, hint) = match self.most_open_files() {
                    Some(most) if resource == Resource::OpenFiles && value > most => (
                        format!("the system allows {most}"),
                        "sysctl fs.nr_open sets the most that a process can be given",
                    ),
                    _ => (
                        format!("the hard limit is {}", limit_text(hard)),
                        "only CAP_SYS_RESOURCE raises a hard limit; start the supervisor with a higher one",
                    ),
                };
                let what = format!("raise the {resource} to {}", limit_text(value));
                Err(Report::new(StepName::Limits, what, why).with_errno(Errno::EPERM).with_hint(hint))
            }
            Err(errno) => Err(failed(errno)),
        }
    }

    fn most_open_files(&self) -> Option<u64> {
        let text = self.sys.read(Path::new("/proc/sys/fs/nr_open")).ok()?;
        String::from_utf8(text).ok()?.trim().parse().ok()
    }

    fn nice(&mut self, nice: i32) -> Result<(), Report> {
        self.sys.set_nice(nice).map_err(|errno| {
            let report = Report::new(StepName::Nice, format!("set the nice value to {nice}"), errno);
            match errno {
                Errno::EACCES | Errno::EPERM => report.with_hint("a lower value than the present one needs root"),
                _ => report,
            }
        })
    }

    fn nice_session(&mut self, nice: i32) -> Result<(), Report> {
        let (path, text) = ("/proc/self/autogroup", nice.to_string());
        let mut result = self.sys.write(path, &text);
        for _ in 1..TRIES {
            match &result {
                Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
                _ => break,
            }
            self.sys.pause(PAUSE);
            result = self.sys.write(path, &text);
        }
        match result {
            // A kernel without autogroups: there the nice value of the process is all there is.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(|error| {
                Report::new(StepName::Nice, format!("set the nice value of the session to {nice}"), error)
            }),
        }
    }

    fn oom_score(&mut self, score: i32) -> Result<(), Report> {
        self.sys.write("/proc/self/oom_score_adj", &score.to_string()).map_err(|error| {
            let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
            let report = Report::new(StepName::OomScore, format!("set oom_score_adj to {score}"), error);
            if denied { report.with_hint("a lower value than the present one needs CAP_SYS_RESOURCE") } else { report }
        })
    }

    fn streams(&mut self) -> Result<(), Report> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |error| Report::new(StepName::Streams, what, error)
        };
        let owner = self.target.as_ref().and_then(|target| target.user.as_ref()).map(|user| user.uid);
        self.sys.no_input().map_err(failed("open /dev/null as standard input"))?;
        self.sys.hand_over_pipe(1, owner).map_err(failed("hand over standard output"))?;
        self.sys.hand_over_pipe(2, owner).map_err(failed("hand over standard error"))
    }

    fn take_identity(&mut self, keep_capabilities: bool) -> Result<(), Report> {
        if keep_capabilities {
            let failed = |errno| Report::new(StepName::Identity, "keep capabilities over the change of user", errno);
            self.sys.keep_capabilities().map_err(failed)?;
        }
        let Some(target) = &self.target else {
            return Err(Report::new(StepName::Identity, "change identity", "no account was looked up"));
        };
        target.take(self.sys)?;
        if let Some(user) = &target.user {
            for (key, value) in [
                ("HOME", user.home.as_os_str()),
                ("USER", OsStr::new(&user.name)),
                ("LOGNAME", OsStr::new(&user.name)),
                ("SHELL", user.shell.as_os_str()),
            ] {
                self.vars.insert(key.into(), value.into());
            }
        }
        Ok(())
    }

    fn enter(&mut self, dir: &Path) -> Result<(), Report> {
        let failed = |why: super::report::Why| Report::new(StepName::Directory, format!("enter {}", dir.shown()), why);
        match self.sys.enter(dir) {
            Ok(at) if at.is_absolute() => {
                // The caller's would be a lie; where there is none, none is missed.
                if let Some(pwd) = self.vars.get_mut(OsStr::new("PWD")) {
                    *pwd = at.into();
                }
                Ok(())
            }
            Ok(_) => Err(failed("it cannot be reached from the root directory".into())),
            Err(error) => {
                let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
                let report = failed(error.into());
                Err(match &self.target {
                    Some(target) if denied => report.with_hint(format!(
                        "{} needs the right to search it and the directories above it",
                        target.asked
                    )),
                    _ => report,
                })
            }
        }
    }

    /// Puts another program before the command, which is looked for first: whether it is there must be known before that
    /// program runs, and it must be told where.
    fn wrap(&mut self, words: &[String]) -> Result<(), Report> {
        let Some((name, arguments)) = self.command.split_first() else { return Ok(()) };
        let candidates = self.candidates(name).into_iter();
        let mut found: Vec<_> = candidates.map(|path| (self.sys.executable(&path), path)).collect();
        // As execvp(3): what is there and not for us is told only if nothing else is found.
        let best = found.iter().position(|(found, _)| found.is_ok());
        let best =
            best.or_else(|| found.iter().position(|(found, _)| !matches!(found, Err(Errno::ENOENT | Errno::ENOTDIR))));
        match (best.map(|at| found.swap_remove(at)), is_searched(name)) {
            (Some((Ok(absolute), _)), _) => self.command = firejail::wrapped(words, &absolute, arguments),
            (None, true) => return Err(not_found(Path::new(name), &self.path())),
            (Some((Err(errno), path)), _) => {
                return Err(diagnose(&Attempt { path: &path, errno, argv: &[], env: &[] }));
            }
            (None, false) => {
                return Err(diagnose(&Attempt { path: Path::new(name), errno: Errno::ENOENT, argv: &[], env: &[] }));
            }
        }
        Ok(())
    }

    /// Becomes the command. Returns why not.
    fn exec(&mut self) -> Report {
        let nul = |what: &str| Report::new(StepName::Exec, "run the command", format!("{what} contains a NUL byte"));
        let argv: Option<Vec<CString>> = self.command.iter().map(|word| c_string(word)).collect();
        let env: Option<Vec<CString>> = self.vars.iter().map(|(key, value)| variable(key, value)).collect();
        let (Some(argv), Some(env)) = (argv, env) else { return nul("an argument or a variable") };
        let Some(name) = self.command.first().cloned() else {
            return Report::new(StepName::Exec, "run the command", "none is given");
        };

        let mut found = None;
        let searched = is_searched(&name);
        for path in self.candidates(&name) {
            let Some(c_path) = c_string(path.as_os_str()) else { return nul("the command") };
            let errno = self.exec_patiently(&c_path, &argv, &env);
            let absent = matches!(errno, Errno::ENOENT | Errno::ENOTDIR) && path.symlink_metadata().is_err();
            if !absent || !searched {
                found = Some((path, errno));
            }
            // As execvp(3): what is not there, or not for us, may be in a later directory.
            if !absent && errno != Errno::EACCES {
                break;
            }
        }
        match found {
            Some((path, errno)) => diagnose(&Attempt { path: &path, errno, argv: &argv, env: &env }),
            None => not_found(Path::new(&name), &self.path()),
        }
    }

    /// The files that a command's name can mean, in the app's own PATH.
    fn candidates(&self, name: &OsStr) -> Vec<PathBuf> {
        if !is_searched(name) {
            return vec![name.into()];
        }
        std::env::split_paths(&self.path()).map(|dir| dir.join(name)).collect()
    }

    fn path(&self) -> OsString {
        self.vars.get(OsStr::new("PATH")).cloned().unwrap_or_else(|| DEFAULT_PATH.into())
    }

    /// A program that is open for writing is one that a deployment is just replacing: it is tried for about a second.
    fn exec_patiently(&mut self, path: &CString, argv: &[CString], env: &[CString]) -> Errno {
        let mut errno = self.sys.exec(path, argv, env);
        for _ in 1..TRIES {
            if errno != Errno::ETXTBSY {
                break;
            }
            self.sys.pause(PAUSE);
            errno = self.sys.exec(path, argv, env);
        }
        errno
    }
}

/// Whether a command is a name to be looked for in PATH, and not a path itself.
fn is_searched(name: &OsStr) -> bool {
    !name.is_empty() && !name.as_bytes().contains(&b'/')
}

/// KEY=VALUE for execve(2).
fn variable(key: &OsStr, value: &OsStr) -> Option<CString> {
    let mut text = key.as_bytes().to_vec();
    text.push(b'=');
    text.extend(value.as_bytes());
    c_string(&OsString::from_vec(text))
}
