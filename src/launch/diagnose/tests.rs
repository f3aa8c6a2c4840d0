//! Each class of failure, brought about with a real file and a real exec.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn script(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        self.file(name, content, 0o755)
    }
}

/// Tries to run the file, which must fail with this error, and returns the explanation with `@` for the directory.
fn why(dir: &Dir, path: &Path, errno: Errno) -> (String, String) {
    let run = || std::process::Command::new(path).spawn().map(drop).expect_err("it runs");
    // A test beside this one may have forked while the file was being written.
    let busy = |error: &io::Error| error.raw_os_error() == Some(libc::ETXTBSY) && errno != Errno::ETXTBSY;
    let error = std::iter::repeat_with(run).find(|error| !busy(error)).expect("it repeats for ever");
    assert_eq!(error.raw_os_error(), Some(errno as i32), "{}: {error}", path.display());
    explained(dir, &diagnose(&Attempt { path, errno, argv: &[], env: &[] }), path)
}

fn explained(dir: &Dir, report: &Report, path: &Path) -> (String, String) {
    let here = dir.0.path().display().to_string();
    let message = report.message();
    let why = message.strip_prefix(&format!("cannot run {}: ", path.display())).expect("the path comes first");
    (why.replace(&here, "@"), report.hint().unwrap_or_default().replace(&here, "@"))
}

fn is_root() -> bool {
    Uid::effective().is_root()
}

#[test]
fn what_is_not_there() {
    let dir = Dir::new();
    let says = |path: &str, errno| why(&dir, &dir.path(path), errno).0;
    assert_eq!(says("nothing", Errno::ENOENT), "it does not exist");
    assert_eq!(says("no/such/thing", Errno::ENOENT), "@/no does not exist");
    symlink("gone", dir.path("dangling")).unwrap();
    assert_eq!(says("dangling", Errno::ENOENT), "it is a link to gone, which does not exist");
    dir.file("plain", "", 0o644);
    assert_eq!(says("plain/run", Errno::ENOTDIR), "@/plain is not a directory");
    symlink("two", dir.path("one")).unwrap();
    symlink("one", dir.path("two")).unwrap();
    let circle = why(&dir, &dir.path("one"), Errno::ELOOP);
    assert_eq!(circle.0, "it is a symbolic link that leads in a circle");
    assert_eq!(circle.1, "@/one -> @/two -> @/one");
}

#[test]
fn what_may_not_be_run() {
    let dir = Dir::new();
    assert_eq!(why(&dir, dir.0.path(), Errno::EACCES).0, "it is a directory");
    let plain = dir.file("plain", "#!/bin/sh\n", 0o644);
    let (message, hint) = why(&dir, &plain, Errno::EACCES);
    assert_eq!((message.as_str(), hint.as_str()), ("it is not executable", "chmod +x @/plain"));
    nix::unistd::mkfifo(&dir.path("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o755)).unwrap();
    assert_eq!(why(&dir, &dir.path("fifo"), Errno::EACCES).0, "it is a named pipe, not a program");
}

#[test]
fn a_script_whose_interpreter_is_at_fault() {
    let dir = Dir::new();
    let missing = dir.script("missing", "#!/usr/bin/pyhton3 -u\n");
    let (message, hint) = why(&dir, &missing, Errno::ENOENT);
    assert_eq!(message, "its interpreter /usr/bin/pyhton3 does not exist");
    assert_eq!(hint, "the first line of @/missing is #!/usr/bin/pyhton3 -u");
    let elsewhere = dir.script("elsewhere", "#! /opt/venv/bin/python\n");
    assert_eq!(why(&dir, &elsewhere, Errno::ENOENT).0, "its interpreter /opt/venv/bin/python does not exist");

    let crlf = dir.script("crlf", "#!/bin/sh\r\necho\r\n");
    let (message, hint) = why(&dir, &crlf, Errno::ENOENT);
    assert_eq!(message, r#"its first line ends with a carriage return, so that its interpreter would be "/bin/sh\r""#);
    assert_eq!(hint, r"it has Windows (CRLF) line ends; to convert it: sed -i 's/\r$//' @/crlf");

    let plain = dir.file("plain", "#!/bin/sh\n", 0o644);
    let not_executable = dir.script("not", format!("#!{}\n", plain.display()));
    assert_eq!(why(&dir, &not_executable, Errno::EACCES).0, "its interpreter @/plain is not executable");
    let directory = dir.script("directory", "#!/usr\n");
    assert_eq!(why(&dir, &directory, Errno::EACCES).0, "its interpreter /usr is a directory");
}

#[test]
fn interpreters_that_never_end() {
    let dir = Dir::new();
    let path = dir.path("itself");
    dir.script("itself", format!("#!{}\n", path.display()));
    let (message, hint) = why(&dir, &path, Errno::ELOOP);
    assert_eq!(message, "its interpreters lead from one script to the next, too many times");
    assert!(hint.contains("should be a program"), "{hint}");
}

#[test]
fn what_is_no_program() {
    let dir = Dir::new();
    let says = |name: &str, content: &[u8]| why(&dir, &dir.script(name, content), Errno::ENOEXEC).0;
    assert_eq!(says("empty", b""), "it is empty");
    assert_eq!(says("text", b"echo hello\n"), "it has no #! line, so the system does not know what to run it with");
    assert_eq!(says("latin", b"# caf\xe9\n"), says("text", b"echo hello\n"));
    assert_eq!(says("bom", b"\xef\xbb\xbf#!/bin/sh\n"), "it begins with a byte order mark, which hides its #! line");
    assert_eq!(says("nobody", b"#!\n"), "the #! line of @/nobody names no interpreter");
    assert_eq!(says("windows", b"MZ\x90\0\x03"), "it is a Windows program, which Linux does not run");
    assert_eq!(says("noise", b"\x01\x02\0\xff"), "it is not a program this system knows");
    let long = format!("#!/{}\n", "x".repeat(300));
    assert_eq!(says("long", long.as_bytes()), "the #! line of @/long is longer than the 256 bytes the system reads");
}

#[test]
fn programs_that_are_damaged_or_foreign() {
    let dir = Dir::new();
    let mut bytes = fs::read("/bin/true").unwrap();
    let says = |name: &str, content: &[u8], errno| why(&dir, &dir.script(name, content), errno).0;
    assert_eq!(says("short", &bytes[..32], Errno::ENOEXEC), "it is a program that has been cut short");
    let loader = String::from_utf8_lossy(&bytes).find("/lib").unwrap();
    let at = bytes.windows(4).position(|window| window == b"/lib").unwrap();
    assert!(loader > 0);
    bytes[at..at + 4].copy_from_slice(b"/bil");
    let message = says("alien", &bytes, Errno::ENOENT);
    assert!(message.starts_with("its loader /bil") && message.ends_with(" does not exist"), "{message}");
    let machine = if cfg!(target_arch = "aarch64") { libc::EM_X86_64 } else { libc::EM_AARCH64 };
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    let message = says("foreign", &bytes, Errno::ENOEXEC);
    assert!(message.starts_with("it is a program for ") && message.contains(", and this machine is "), "{message}");
}

#[test]
fn a_program_open_for_writing() {
    let dir = Dir::new();
    let path = dir.script("busy", fs::read("/bin/true").unwrap());
    let _open = fs::OpenOptions::new().append(true).open(&path).unwrap();
    assert_eq!(why(&dir, &path, Errno::ETXTBSY).0, "it is open for writing");
}

#[test]
fn too_many_arguments_are_measured_and_values_are_not_shown() {
    let dir = Dir::new();
    let text = |text: String| CString::new(text).unwrap();
    let says = |argv: &[CString], env: &[CString]| {
        let report = diagnose(&Attempt { path: Path::new("/bin/true"), errno: Errno::E2BIG, argv, env });
        explained(&dir, &report, Path::new("/bin/true")).0
    };
    let long = text("x".repeat(200_000));
    assert_eq!(says(&[text("true".into()), long], &[]), "argument 1 is too long, 200000 bytes");
    assert_eq!(
        says(&[], &[text(format!("KEY={}", "x".repeat(200_000)))]),
        "the variable KEY is too long, 200004 bytes"
    );
    let many = vec![text("x".repeat(99)); 1000];
    let message = says(&many, &many[..1]);
    assert_eq!(message, "arguments (108000 bytes) and environment (108 bytes) are too large together");
}

#[test]
fn a_filesystem_that_is_mounted_noexec() {
    // /proc is mounted so on every system; a test cannot mount one of its own without root.
    let noexec = |path: &Path| {
        let fs = nix::sys::statvfs::statvfs(path).unwrap();
        fs.flags().contains(nix::sys::statvfs::FsFlags::ST_NOEXEC)
    };
    let path = Path::new("/proc/self/comm");
    if !noexec(path) {
        return;
    }
    let dir = Dir::new();
    let (message, hint) = why(&dir, path, Errno::EACCES);
    assert_eq!(message, "it lies on a filesystem that is mounted noexec");
    assert_eq!(hint, "move it, remount /proc with exec, or run it through its interpreter");
}

#[test]
fn a_command_that_is_not_in_path() {
    let report = not_found(Path::new("pyhton"), OsStr::new("/usr/bin:/bin"));
    assert_eq!(report.message(), "cannot run pyhton: there is no such command in PATH");
    assert_eq!(report.exit_code(), 127);
}

#[test]
fn a_directory_that_the_user_may_not_enter() {
    if is_root() {
        return;
    }
    let dir = Dir::new();
    fs::create_dir(dir.path("closed")).unwrap();
    dir.script("closed/run", "#!/bin/sh\n");
    fs::set_permissions(dir.path("closed"), fs::Permissions::from_mode(0o600)).unwrap();
    let (message, _) = why(&dir, &dir.path("closed/run"), Errno::EACCES);
    assert!(message.starts_with("@/closed may not be entered by "), "{message}");
}
