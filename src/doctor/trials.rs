//! Options, tried on a process that does nothing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, User, geteuid};

use super::{Finding, Verdict};
use crate::app::Shown;
use crate::launch::facts::Facts;
use crate::launch::plan::{Action, plan};
use crate::launch::report::{StepName, Word};
use crate::launch::walls::Wall;
use crate::launch::{LaunchSpec, NotSpawned, Report, options, spawn};

/// How much is read of what a failed trial said, in bytes.
const MOST_SAID: u64 = 1024;

/// An option to be tried.
struct Trial {
    topic: &'static str,
    name: &'static str,
    /// The launcher's flags that ask for it.
    flags: &'static [&'static str],
    /// What is launched with them: something that does nothing, and that all hosts have.
    command: &'static [&'static str],
    /// The step that tells by which mechanism it is held.
    step: StepName,
    /// What a success means where the step does not say it.
    means: Option<&'static str>,
}

const fn trial(topic: &'static str, name: &'static str, flags: &'static [&'static str], step: StepName) -> Trial {
    // This program says its version, and leaves.
    Trial { topic, name, flags, command: &["/proc/self/exe", "--version"], step, means: None }
}

const fn means(trial: Trial, what: &'static str) -> Trial {
    Trial { means: Some(what), ..trial }
}

/// What is tried. Values are such that a process that does nothing can live with them.
const TRIALS: &[Trial] = &[
    means(trial("identity", "security.user", &["--user=nobody"], StepName::Identity), "apps can run as any account"),
    trial("limits", "limits.memory_limit", &["--memory-limit=256M"], StepName::Cgroup),
    trial("limits", "limits.cpu_limit", &["--cpu-limit=50"], StepName::Cgroup),
    trial("limits", "limits.process_limit", &["--proc-limit=1000"], StepName::Cgroup),
    means(
        trial("limits", "limits.file_limit", &["--file-limit=256"], StepName::Limits),
        "setrlimit(2), up to the hard limit",
    ),
    means(trial("limits", "process.priority", &["--nice=-1"], StepName::Nice), "any value, below 0 as well"),
    means(
        trial(
            "limits",
            "process.oom_score_adj",
            &["--config-override=process.oom_score_adj=-1000"],
            StepName::OomScore,
        ),
        "any value, also below the present one",
    ),
    means(
        trial(
            "privileges",
            "security.no_new_privs",
            &["--config-override=security.no_new_privs=true"],
            StepName::NoNewPrivs,
        ),
        "no exec gains privileges",
    ),
    means(
        trial("privileges", "security.capabilities_drop", &["--caps-drop=all"], StepName::Capabilities),
        "apps run without capabilities",
    ),
    means(trial("sandbox", "sandbox.private_tmp", &["--private-tmp"], StepName::Sandbox), "a mount namespace"),
    means(trial("sandbox", "sandbox.private_dev", &["--private-dev"], StepName::Sandbox), "a mount namespace"),
    means(trial("sandbox", "sandbox.no_network", &["--no-network"], StepName::Sandbox), "a network namespace"),
    means(
        trial("sandbox", "sandbox.readonly_paths", &["--readonly-paths=/etc"], StepName::Sandbox),
        "a mount namespace",
    ),
    means(trial("sandbox", "sandbox.seccomp", &["--seccomp"], StepName::Seccomp), "a system call filter"),
    Trial {
        topic: "sandbox",
        name: "sandbox.type = firejail",
        flags: &["--sandbox=firejail"],
        command: &["/bin/sh", "-c", ":"], // firejail looks for the program itself, in its own /proc.
        step: StepName::Sandbox,
        means: Some("firejail builds the walls"),
    },
];

/// Tries everything.
pub(super) fn run() -> Vec<Finding> {
    TRIALS.iter().filter(|trial| is_a_question(trial)).map(Trial::finding).collect()
}

/// Whether there is something to find out: an account that is the present one proves nothing.
fn is_a_question(trial: &Trial) -> bool {
    trial.step != StepName::Identity
        || User::from_name("nobody").is_ok_and(|user| user.is_some_and(|user| user.uid != geteuid()))
}

/// How a trial went.
enum Outcome {
    /// The process ran; the warnings say what is not as asked for.
    Ran(Vec<String>),
    /// It did not.
    Refused(Report),
    /// It could not even be tried.
    Untried(String),
}

impl Trial {
    fn finding(&self) -> Finding {
        let (verdict, detail, hint) = match self.outcome() {
            Outcome::Ran(warnings) if warnings.is_empty() => (Verdict::Yes, self.mechanism(), None),
            Outcome::Ran(warnings) => (Verdict::Partly, warnings.join("; "), None),
            Outcome::Refused(report) => (Verdict::No, report.message(), report.hint().filter(is_about_the_host)),
            Outcome::Untried(why) => (Verdict::No, why, None),
        };
        Finding { topic: self.topic, name: self.name, verdict, detail, hint }
    }

    fn outcome(&self) -> Outcome {
        let flags = self.flags.iter().map(|flag| (*flag).to_owned());
        let group = format!("--cgroup=daemonctl-doctor-{}", std::process::id());
        let spec = LaunchSpec {
            flags: flags.chain([group]).collect(),
            command: self.command.iter().map(|word| (*word).to_owned()).collect(),
            environment: BTreeMap::new(),
            join: None,
        };
        match launch(&spec) {
            Ok(Launched { failure: Some(report), .. }) | Err(NotSpawned::Refused(report)) => Outcome::Refused(report),
            // It did not run, or not as it should: firejail refuses by its own exit code.
            Ok(launched) if launched.status != WaitStatus::Exited(launched.pid, 0) => Outcome::Untried(launched.said),
            Ok(launched) => Outcome::Ran(launched.warnings),
            Err(NotSpawned::Io(error)) => Outcome::Untried(error.to_string()),
        }
    }

    /// By which mechanism the option is held.
    fn mechanism(&self) -> String {
        let means = self.means.unwrap_or_default().to_owned();
        let words = self.flags.iter().chain(["--", "true"].iter()).map(OsString::from).collect();
        let Ok(request) = options::parse(words, true) else { return means };
        let steps = Facts::gather(&request.options, &request.extras)
            .and_then(|facts| plan(&request.options, &request.extras, &facts))
            .map_or_else(|_| Vec::new(), |plan| plan.steps);
        let said = steps.iter().find_map(|step| match &step.action {
            Action::Join(join) => {
                let group = join.groups.first()?;
                Some(format!("{}, below {}", group.version, group.dir.parent()?.shown()))
            }
            Action::Wall(Wall::Namespaces { user: true, .. }) => Some(format!("{means}, within a user namespace")),
            _ => None,
        });
        said.unwrap_or(means)
    }
}

/// That `--force` would do without is of no interest to whoever asks what there is.
#[allow(clippy::ptr_arg, reason = "it filters an Option<String>")]
fn is_about_the_host(hint: &String) -> bool {
    !hint.starts_with("--force")
}

/// What came of a launch.
struct Launched {
    pid: Pid,
    /// What its launcher warned of, and why it failed.
    warnings: Vec<String>,
    failure: Option<Report>,
    /// How the process ended, and the first line of its standard error.
    status: WaitStatus,
    said: String,
}

/// Launches a process and waits for its end.
fn launch(spec: &LaunchSpec) -> Result<Launched, NotSpawned> {
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    let mut errors = File::from(memfd_create(c"stderr", MFdFlags::MFD_CLOEXEC).map_err(io::Error::from)?);
    let gate = spawn(spec, null.into(), errors.try_clone()?.into())?;
    let (pid, mut warnings, join) = (Pid::from_raw(gate.pid()), gate.warnings.clone(), gate.join.clone());
    let mut stream = gate.open()?;
    stream.set_nonblocking(false)?;
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let status = waitpid(pid, None).map_err(io::Error::from)?;
    for group in join.iter().flat_map(|join| &join.groups) {
        let _ = group.remove(); // Empty by now; one that is left is in nobody's way.
    }
    read?;
    let (said, failure) = Word::decode(&bytes)?;
    warnings.extend(said);
    errors.rewind()?;
    let mut text = Vec::new();
    errors.take(MOST_SAID).read_to_end(&mut text)?;
    let said = String::from_utf8_lossy(&text).lines().next().unwrap_or("it said nothing").to_owned();
    Ok(Launched { pid, warnings, failure, status, said })
}
