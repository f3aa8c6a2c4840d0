//! A private world for one story.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::app::tail;
use super::status::Report;
use super::wait::poll;
use super::{AppDir, Foreground, Output, Proc, SOON, Status, kill, processes, wait_until};

/// The longest a command may take before the story counts as hanging.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where programs are looked for: what Debian has comes first, then what the caller added.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Undoes that SIGHUP, SIGINT or SIGQUIT is ignored, as in all that `nohup` or a script's `&` starts: commands would
/// ignore it as well (signal(7): what is ignored stays ignored over execve, what has a handler is reset). The tests
/// themselves still go on when it comes.
static HEARING: LazyLock<()> = LazyLock::new(|| {
    let status = fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a line SigIgn");
    let ignored = u64::from_str_radix(mask.trim(), 16).expect("a mask of signals");
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT].map(|signal| signal as i32) {
        if ignored & 1 << (signal - 1) != 0 {
            signal_hook::flag::register(signal, Arc::default()).expect("a handler");
        }
    }
});

/// The binary under test with this name.
pub(crate) fn binary(name: &str) -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_daemonctl")).parent().expect("a directory").to_owned();
    std::env::var_os("DAEMONCTL_E2E_BIN_DIR")
        .map_or(built, |dir| fs::canonicalize(dir).expect("the binaries"))
        .join(name)
}

/// The helper program, which cargo builds as an example.
pub(crate) fn testapp() -> PathBuf {
    let beside = |binary: &Path| binary.with_file_name("examples").join("testapp");
    let places = [beside(&binary("daemonctl")), beside(Path::new(env!("CARGO_BIN_EXE_daemonctl")))];
    let found = places.iter().find(|place| place.exists());
    found.unwrap_or_else(|| panic!("{} is missing: cargo build --example testapp", places[1].display())).clone()
}

/// Copies a program, which everybody may execute then, with this mode. Another program makes the copy: a child that
/// another story starts meanwhile would inherit our open file, and what is open for writing cannot be executed.
#[track_caller]
pub(crate) fn copy_program(program: &Path, to: &Path, mode: u32) {
    let mode = format!("{mode:o}");
    let copied = Command::new("install").args(["-m", &mode]).arg(program).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} cannot be copied", program.display());
}

/// One of the directories under `examples/`.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// An apps root, a runtime directory and an environment that no other story sees. When it goes, everything that was
/// started in it goes as well, whatever state the story left it in.
pub(crate) struct Home {
    base: PathBuf,
    runtime: PathBuf,
    // Dropped last: the files, then the turn.
    _files: Vec<tempfile::TempDir>,
    _turn: Turn,
}

impl Home {
    /// A world beside those of other stories.
    pub(crate) fn new() -> Self {
        Self::with(Turn::shared(), None)
    }

    /// A world with the machine to itself, for stories that measure time. Its runtime directory is in memory where
    /// that can be, as /run is: a disk that others keep busy makes each record wait for it.
    pub(crate) fn alone() -> Self {
        let memory = tempfile::Builder::new().prefix("daemonctl-e2e-").tempdir_in("/dev/shm").ok();
        Self::with(Turn::alone(), memory)
    }

    fn with(turn: Turn, memory: Option<tempfile::TempDir>) -> Self {
        let files = tempfile::Builder::new().prefix("daemonctl-e2e-").tempdir().expect("a temporary directory");
        let base = files.path().canonicalize().expect("its path");
        // Apps that run as another user must be able to get here; a temporary directory is private otherwise.
        fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).expect("its mode");
        for part in ["apps", "home"] {
            fs::create_dir(base.join(part)).expect("a directory in it");
        }
        let runtime = memory.as_ref().map_or(&*base, |memory| memory.path()).join("runtime");
        let mut files: Vec<_> = [files].into_iter().chain(memory).collect();
        if std::env::var_os("DAEMONCTL_E2E_KEEP").is_some() {
            for files in &mut files {
                files.disable_cleanup(true);
                eprintln!("files are kept in {}", files.path().display());
            }
        }
        Self { base, runtime, _files: files, _turn: turn }
    }

    /// The apps root.
    pub(crate) fn root(&self) -> PathBuf {
        self.base.join("apps")
    }

    /// The directory around the apps root, for files of the story's own.
    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// The runtime directory; the product makes it.
    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.runtime.clone()
    }

    /// An app of this name, whether its directory exists or not.
    pub(crate) fn app<'home>(&'home self, name: &'home str) -> AppDir<'home> {
        AppDir { home: self, name }
    }

    /// `daemonctl` with these arguments, ready to run in this world.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        self.program(&binary("daemonctl"), args)
    }

    /// Any program, with the environment of this world.
    pub(crate) fn program<A: AsRef<OsStr>>(&self, program: &Path, args: impl IntoIterator<Item = A>) -> Command {
        let inherited = std::env::var("PATH").unwrap_or_default();
        LazyLock::force(&HEARING);
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.root())
            .env_clear()
            .env("PATH", format!("{PATH}:{inherited}"))
            .env("HOME", self.base.join("home"))
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("DAEMONCTL_PATH", self.root())
            .env("DAEMONCTL_RUNTIME_DIR", self.runtime_dir())
            .stdin(Stdio::null());
        command
    }

    /// Runs `daemonctl` with these arguments to its end.
    #[track_caller]
    pub(crate) fn ctl<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        finish(self.command(args))
    }

    /// Runs any command to its end.
    #[track_caller]
    pub(crate) fn finish(&self, command: Command) -> Output {
        finish(command)
    }

    /// Runs `daemonctl` with these arguments and leaves it running.
    #[track_caller]
    pub(crate) fn spawn<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Foreground {
        Foreground::begin(self.command(args))
    }

    /// Runs `daemonrun` with these arguments to its end.
    #[track_caller]
    pub(crate) fn daemonrun<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        finish(self.program(&binary("daemonrun"), args))
    }

    /// Runs any command and leaves it running.
    #[track_caller]
    pub(crate) fn begin(&self, command: Command) -> Foreground {
        Foreground::begin(command)
    }

    /// The processes of this world that have this text in their command line.
    pub(crate) fn running(&self, text: &str) -> Vec<Proc> {
        self.processes_where(|process| process.command_line().contains(text))
    }

    /// Waits until no process of this world has this text in its command line.
    #[track_caller]
    pub(crate) fn wait_until_none_runs(&self, text: &str) {
        wait_until(&format!("no {text} runs"), SOON, || match self.running(text) {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:#?}")),
        });
    }

    /// The status of one app.
    #[track_caller]
    pub(crate) fn status(&self, name: &str) -> Status {
        let mut all = self.report(["status", "--json", name]);
        assert_eq!(all.len(), 1, "status of one app tells of {}: {all:#?}", all.len());
        all.remove(0)
    }

    /// The status of all apps.
    #[track_caller]
    pub(crate) fn statuses(&self) -> Vec<Status> {
        self.report(["status", "--json", "--all"])
    }

    #[track_caller]
    fn report<const N: usize>(&self, args: [&str; N]) -> Vec<Status> {
        let output = self.ctl(args);
        assert!(matches!(output.code(), 0 | 3), "status failed:\n{output}");
        let report: Report =
            serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("not the schema: {error}\n{output}"));
        assert_eq!(report.schema_version, 1);
        report.apps
    }

    /// The control groups of this world's apps.
    pub(crate) fn groups(&self) -> Vec<PathBuf> {
        // A story may have made more roots beside the usual one.
        let beside = fs::read_dir(&self.base).into_iter().flatten().filter_map(|entry| entry.ok()?.metadata().ok());
        let roots = beside.filter(fs::Metadata::is_dir);
        let names: Vec<_> = roots.map(|root| format!("daemonctl-{:x}-{:x}", root.dev(), root.ino())).collect();
        super::groups::called(&names)
    }

    /// The supervisors of this world: processes that call themselves so.
    pub(crate) fn supervisors(&self) -> Vec<Proc> {
        self.processes_where(|process| process.comm.starts_with("daemonctl-super"))
    }

    /// The supervisor that looks after an app, and the keeper, which is its parent.
    #[track_caller]
    pub(crate) fn pair(&self, app: &str) -> (Proc, Proc) {
        let status = self.status(app);
        let supervisor = status.supervisor.and_then(super::process);
        let supervisor = supervisor.unwrap_or_else(|| panic!("{app} has no living supervisor: {status:#?}"));
        let keeper = super::process(supervisor.ppid).unwrap_or_else(|| panic!("no keeper above {supervisor:#?}"));
        (supervisor, keeper)
    }

    /// Waits until no supervisor or keeper is left.
    #[track_caller]
    pub(crate) fn wait_until_unsupervised(&self) {
        wait_until("the supervisor is gone", SOON, || {
            let left = self.processes_where(Proc::is_ours);
            if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) }
        });
    }

    /// The processes of the app in this directory: they were told so, or work there. Servers that write a title over
    /// their arguments write it over what /proc shows of their environment as well.
    pub(super) fn processes_of(&self, app: &Path) -> Vec<Proc> {
        let assignment = format!("APPDEPLOY_APP_PATH={}", app.display());
        let belongs = |process: &Proc| process.has_environment(&assignment) || process.works_in(app);
        processes::all().into_iter().filter(belongs).collect()
    }

    fn processes_where(&self, pleases: impl Fn(&Proc) -> bool) -> Vec<Proc> {
        processes::all().into_iter().filter(|process| pleases(process) && process.names(&self.base)).collect()
    }

    fn sweep(&self) {
        // Politely first, as a person would; by force whatever that leaves. Those that start others go first.
        let mut farewell = self.command(["stop-all", "--force"]);
        farewell.stdout(Stdio::null()).stderr(Stdio::null());
        if let Ok(mut child) = farewell.spawn() {
            let ended = |child: &mut std::process::Child| child.try_wait().ok().flatten().ok_or_else(String::new);
            let _ = poll(Duration::from_secs(5), || ended(&mut child));
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = poll(Duration::from_secs(5), || {
            let mut left = self.processes_where(|_| true);
            left.sort_by_key(|process| !process.is_ours());
            for process in &left {
                kill(process.pid, Signal::SIGKILL);
            }
            if left.is_empty() { Ok(()) } else { Err(String::new()) }
        });
    }

    /// Everything a person would look at first.
    fn describe(&self) -> String {
        let mut text = String::from("---- what was left at the end of the story\n");
        for process in self.processes_where(|_| true) {
            text += &format!("{} {} ({}) < {}\n", process.pid, process.command_line(), process.state, process.ppid);
        }
        let apps = fs::read_dir(self.root()).into_iter().flatten().filter_map(Result::ok).take(20);
        for file in apps.flat_map(|app| fs::read_dir(app.path().join("logs")).into_iter().flatten()) {
            let path = file.map(|file| file.path()).unwrap_or_default();
            if path.extension().is_some_and(|kind| kind == "times" || kind == "gz") {
                continue;
            }
            let content = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
            if !content.is_empty() {
                text += &format!("---- {}\n{}\n", path.display(), tail(&content));
            }
        }
        text
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.describe());
        }
        self.sweep();
        super::groups::remove(&self.groups());
    }
}

/// Runs a command to its end, which is also the end of its output: a command that leaves its streams open in a
/// background process hangs here, as it would in a shell's `$(…)`.
#[track_caller]
fn finish(mut command: Command) -> Output {
    let line = in_words(&command);
    let begun = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {line}: {error}"));
    let streams = [slurp(child.stdout.take()), slurp(child.stderr.take())];
    let [stdout, stderr] = streams.map(|stream| stream.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())));
    let (Ok(stdout), Ok(stderr)) = (stdout, stderr) else {
        let ended = matches!(child.try_wait(), Ok(Some(_)));
        let _ = child.kill();
        let _ = child.wait();
        let how = if ended { "ended, but something still holds its output" } else { "did not end" };
        panic!("{line}\n{how} after {PATIENCE:?}");
    };
    let status = child.wait().expect("the command to be waited for");
    Output { line, status, stdout, stderr, took: begun.elapsed() }
}

/// The command line as a person would type it.
pub(super) fn in_words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let args = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
}

fn slurp(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (done, text) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.map(|mut stream| stream.read_to_end(&mut bytes));
        let _ = done.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    text
}

/// Whose turn it is: many stories at once, or one that measures.
struct Turn {
    _guard: Option<Guard>,
}

enum Guard {
    Shared { _lock: RwLockReadGuard<'static, ()> },
    Alone { _lock: RwLockWriteGuard<'static, ()> },
}

static TURNS: RwLock<()> = RwLock::new(());

thread_local! {
    /// A story with a second world keeps its turn: asking again would wait for one that waits for us.
    static HAS_TURN: Cell<bool> = const { Cell::new(false) };
}

impl Turn {
    fn shared() -> Self {
        Self::take(|| Guard::Shared { _lock: TURNS.read().unwrap_or_else(PoisonError::into_inner) })
    }

    fn alone() -> Self {
        Self::take(|| Guard::Alone { _lock: TURNS.write().unwrap_or_else(PoisonError::into_inner) })
    }

    fn take(lock: impl FnOnce() -> Guard) -> Self {
        let _guard = (!HAS_TURN.replace(true)).then(lock);
        Self { _guard }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self._guard.is_some() {
            HAS_TURN.set(false);
        }
    }
}
