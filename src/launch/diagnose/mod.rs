//! Why execve(2) failed, in words.
//!
//! The kernel has one number for several causes: "no such file" is also a script whose interpreter is missing. So the
//! file is looked at as the kernel looks at it: is it there, may it be run, what kind of program is it, and then the
//! same for the interpreter or loader it names. The first fault on that way is the cause. Where there is none, the
//! number has only one meaning left.

mod elf;
#[cfg(test)]
mod tests;

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, Uid, access};

use self::elf::Elf;
use super::report::{Report, StepName, words};
use crate::app::Shown;

/// An execve(2) that failed.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// The program.
    pub path: &'a Path,
    /// What the kernel said.
    pub errno: Errno,
    /// Its arguments, the name among them.
    pub argv: &'a [CString],
    /// Its environment, as KEY=VALUE.
    pub env: &'a [CString],
}

/// How much of a file the kernel reads to see what it is (BINPRM_BUF_SIZE).
const HEAD: usize = 256;
/// The longest argument or variable, with its NUL (MAX_ARG_STRLEN).
const LONGEST: usize = 32 * 4096;
/// How deep interpreters may be nested before the kernel refuses (exec_binprm).
const DEEPEST: usize = 5;

/// Says why.
pub fn diagnose(attempt: &Attempt<'_>) -> Report {
    let report = |why: String, hint: Option<String>| {
        let report =
            Report::new(StepName::Exec, format!("run {}", attempt.path.shown()), why).with_errno(attempt.errno);
        match hint {
            Some(hint) => report.with_hint(hint),
            None => report,
        }
    };
    // These say enough by themselves, whatever the file looks like.
    match attempt.errno {
        Errno::E2BIG => {
            let (why, hint) = too_big(attempt.argv, attempt.env);
            return report(why, Some(hint));
        }
        Errno::ETXTBSY => {
            let hint = "wait for the deployment to finish; better, replace a program by renaming a new file over it";
            return report("it is open for writing".to_owned(), Some(hint.to_owned()));
        }
        Errno::EAGAIN => {
            let hint = "the user has reached its limit of processes (RLIMIT_NPROC)";
            return report(words(Errno::EAGAIN), Some(hint.to_owned()));
        }
        Errno::ENOMEM => return report(words(Errno::ENOMEM), None),
        _ => {}
    }
    match examine(attempt.path, "it", 0) {
        Some(Fault { why, hint }) => report(why, hint),
        None => report(words(attempt.errno), hint_for(attempt.errno)),
    }
}

/// A command without a slash that is in no directory of PATH.
pub fn not_found(name: &Path, path: &OsStr) -> Report {
    Report::new(StepName::Exec, format!("run {}", name.shown()), "there is no such command in PATH")
        .with_errno(Errno::ENOENT)
        .with_hint(format!("PATH is {}; give the whole path, or set PATH", path.shown()))
}

/// Why a file cannot be run by this user, as a sentence that calls it `it`, and what to do about that; nothing where it can.
pub fn fault_of(path: &Path) -> Option<(String, Option<String>)> {
    examine(path, "it", 0).map(|fault| (fault.why, fault.hint))
}

/// What keeps a file from being run.
struct Fault {
    why: String,
    hint: Option<String>,
}

impl Fault {
    fn new(why: impl Into<String>) -> Option<Self> {
        Some(Self { why: why.into(), hint: None })
    }

    fn hinted(why: impl Into<String>, hint: impl Into<String>) -> Option<Self> {
        Some(Self { why: why.into(), hint: Some(hint.into()) })
    }
}

/// Looks for the fault of a file, and of what it needs to run. `it` is how the sentence calls the file.
fn examine(path: &Path, it: &str, depth: usize) -> Option<Fault> {
    if depth > DEEPEST {
        return Fault::hinted(
            "its interpreters lead from one script to the next, too many times",
            "an interpreter should be a program, not a script that needs an interpreter itself",
        );
    }
    let meta = match path.metadata() {
        Ok(meta) => meta,
        Err(error) => return unreachable(path, it, &error),
    };
    let kind = meta.file_type();
    if kind.is_dir() {
        return Fault::new(format!("{it} is a directory"));
    }
    if !kind.is_file() {
        let what = match () {
            () if kind.is_socket() => "a socket",
            () if kind.is_fifo() => "a named pipe",
            () => "a device",
        };
        return Fault::new(format!("{it} is {what}, not a program"));
    }
    if access(path, AccessFlags::X_OK).is_err() {
        return not_executable(path, it, &meta);
    }
    let head = read_head(path).ok()?;
    match Content::of(&head) {
        Content::Empty => {
            Fault::hinted(format!("{it} is empty"), "an interrupted copy, or a full disk, leaves such files")
        }
        Content::Script { line, complete } => script(path, &line, complete, depth),
        Content::Elf => native(path, it, depth),
        Content::Text => Fault::hinted(
            format!("{it} has no #! line, so the system does not know what to run it with"),
            "begin it with a line such as #!/bin/sh",
        ),
        Content::MarkedText => Fault::hinted(
            format!("{it} begins with a byte order mark, which hides its #! line"),
            "save it as UTF-8 without BOM",
        ),
        Content::Foreign(what) => Fault::new(format!("{it} is {what}, which Linux does not run")),
        Content::Unknown => Fault::new(format!("{it} is not a program this system knows")),
    }
}

/// A file that cannot even be looked at.
fn unreachable(path: &Path, it: &str, error: &io::Error) -> Option<Fault> {
    match Errno::from_raw(error.raw_os_error()?) {
        Errno::ENOENT => match path.read_link() {
            Ok(to) => Fault::new(format!("{it} is a link to {}, which does not exist", to.shown())),
            Err(_) => {
                let parents = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty());
                match parents.take_while(|dir| dir.symlink_metadata().is_err()).last() {
                    Some(dir) => Fault::new(format!("{} does not exist", dir.shown())),
                    None => Fault::new(format!("{it} does not exist")),
                }
            }
        },
        Errno::ENOTDIR => {
            let mut parents = path.ancestors().skip(1);
            let file = parents.find(|dir| dir.metadata().is_ok_and(|meta| !meta.is_dir()));
            Fault::new(format!("{} is not a directory", file.unwrap_or(path).shown()))
        }
        Errno::ELOOP => Fault::hinted(format!("{it} is a symbolic link that leads in a circle"), circle(path)),
        Errno::EACCES => {
            let closed = path
                .ancestors()
                .skip(1)
                .filter(|dir| dir.metadata().is_ok())
                .find(|dir| !dir.as_os_str().is_empty() && access(*dir, AccessFlags::X_OK).is_err());
            let closed = closed.or(path.parent()).unwrap_or(path);
            Fault::hinted(
                format!("{} may not be entered by {}", closed.shown(), who()),
                "give the user the right to search (x) that directory, or run as another user",
            )
        }
        errno => Fault::new(words(errno)),
    }
}

/// The links of a circle, as far as they can be followed.
fn circle(path: &Path) -> String {
    let mut links = vec![path.shown().to_string()];
    let mut at = path.to_owned();
    while let Ok(to) = at.read_link() {
        at = at.parent().unwrap_or(Path::new("/")).join(to);
        links.push(at.shown().to_string());
        if links.len() > 4 || links[..links.len() - 1].contains(&links[links.len() - 1]) {
            break;
        }
    }
    links.join(" -> ")
}

/// A file that is there and must not be run.
fn not_executable(path: &Path, it: &str, meta: &std::fs::Metadata) -> Option<Fault> {
    let noexec =
        nix::sys::statvfs::statvfs(path).is_ok_and(|fs| fs.flags().contains(nix::sys::statvfs::FsFlags::ST_NOEXEC));
    if noexec {
        return Fault::hinted(
            format!("{it} lies on a filesystem that is mounted noexec"),
            format!("move it, remount {} with exec, or run it through its interpreter", mount_point(path).shown()),
        );
    }
    if meta.mode() & 0o111 == 0 {
        return Fault::hinted(format!("{it} is not executable"), format!("chmod +x {}", path.shown()));
    }
    let mode = meta.mode() & 0o7777;
    Fault::hinted(
        format!("{it} may not be executed by {}", who()),
        format!("its mode is {mode:04o}, its owner {}, its group {}", meta.uid(), meta.gid()),
    )
}

/// The directory at which the filesystem of a file is mounted, as far as devices tell.
fn mount_point(path: &Path) -> PathBuf {
    let Ok(path) = path.canonicalize() else { return path.to_owned() };
    let device = |path: &Path| path.metadata().map(|meta| meta.dev()).ok();
    let own = device(&path);
    path.ancestors().take_while(|dir| device(dir) == own).last().unwrap_or(&path).to_owned()
}

/// This process's user, who is the app's by now.
fn who() -> String {
    let uid = Uid::effective();
    nix::unistd::User::from_uid(uid)
        .ok()
        .flatten()
        .map_or_else(|| format!("uid {uid}"), |user| format!("user {}", user.name))
}

fn read_head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    File::open(path)?.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// What a file is, by its first bytes.
enum Content {
    Empty,
    /// What follows `#!` on its first line, and whether the line ends within [`HEAD`].
    Script {
        line: Vec<u8>,
        complete: bool,
    },
    Elf,
    Text,
    /// Text behind a byte order mark.
    MarkedText,
    /// A program of another system.
    Foreign(&'static str),
    Unknown,
}

impl Content {
    fn of(head: &[u8]) -> Self {
        // What no text of any encoding contains: control characters other than white space and escape.
        let binary = |byte: &u8| matches!(byte, 0..=8 | 14..=26 | 28..=31);
        match head {
            [] => Self::Empty,
            [b'#', b'!', rest @ ..] => {
                let end = rest.iter().position(|byte| *byte == b'\n');
                Self::Script {
                    line: rest[..end.unwrap_or(rest.len())].to_vec(),
                    complete: end.is_some() || head.len() < HEAD,
                }
            }
            [0x7f, b'E', b'L', b'F', ..] => Self::Elf,
            [0xef, 0xbb, 0xbf, ..] => Self::MarkedText,
            [b'M', b'Z', ..] => Self::Foreign("a Windows program"),
            [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => {
                Self::Foreign("a macOS program or Java class")
            }
            bytes if bytes.iter().any(binary) => Self::Unknown,
            _ => Self::Text,
        }
    }
}

/// A script: its first line, and the interpreter named there.
fn script(path: &Path, line: &[u8], complete: bool, depth: usize) -> Option<Fault> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = line.iter().position(|byte| !blank(byte)).unwrap_or(line.len());
    let rest = &line[start..];
    let name = &rest[..rest.iter().position(blank).unwrap_or(rest.len())];
    if name.is_empty() || name == b"\r" {
        return Fault::hinted(format!("the #! line of {} names no interpreter", path.shown()), "such as #!/bin/sh");
    }
    if !complete && name.len() == rest.len() {
        return Fault::new(format!("the #! line of {} is longer than the {HEAD} bytes the system reads", path.shown()));
    }
    if let Some(bare) = name.strip_suffix(b"\r") {
        let bare = String::from_utf8_lossy(bare);
        return Fault::hinted(
            format!("its first line ends with a carriage return, so that its interpreter would be \"{bare}\\r\""),
            format!("it has Windows (CRLF) line ends; to convert it: sed -i 's/\\r$//' {}", path.shown()),
        );
    }
    let interpreter = PathBuf::from(std::ffi::OsString::from_vec(name.to_vec()));
    let called = match depth {
        0 => format!("its interpreter {}", interpreter.shown()),
        _ => format!("{}, the interpreter of {},", interpreter.shown(), path.shown()),
    };
    let fault = examine(&interpreter, &called, depth + 1)?;
    let first_line = format!("the first line of {} is #!{}", path.shown(), String::from_utf8_lossy(line));
    // That a directory on the way to it is missing as well helps nobody here.
    let absent = interpreter.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let why = if absent { format!("{called} does not exist") } else { fault.why };
    Some(Fault { why, hint: Some(fault.hint.unwrap_or(first_line)) })
}

/// A native program: whether it is whole, for this machine, and what loads it.
fn native(path: &Path, it: &str, depth: usize) -> Option<Fault> {
    let own = Elf::of(&File::open("/proc/self/exe").ok()?).ok()?;
    let program = match File::open(path).and_then(|file| Elf::of(&file)) {
        Ok(program) => program,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Fault::hinted(
                format!("{it} is a program that has been cut short"),
                "an interrupted copy or a full disk leaves such files; copy it again",
            );
        }
        Err(_) => return None,
    };
    if !program.runs_beside(&own) {
        let (theirs, ours) = (program.machine(), own.machine());
        return Fault::new(format!("{it} is a program for {theirs}, and this machine is {ours}"));
    }
    let loader = program.loader?;
    let fault = examine(&loader, &format!("its loader {}", loader.shown()), depth + 1)?;
    if loader.symlink_metadata().is_ok() {
        return Some(fault);
    }
    Fault::hinted(
        format!("its loader {} does not exist", loader.shown()),
        "it was built for another C library or distribution (musl, glibc, NixOS …): install that, or build it statically",
    )
}

/// Which of arguments and environment is too much, and how much is not.
pub(super) fn too_big(argv: &[CString], env: &[CString]) -> (String, String) {
    let size = |texts: &[CString]| texts.iter().map(|text| text.as_bytes_with_nul().len() + 8).sum::<usize>();
    let long = |text: &CString| text.as_bytes_with_nul().len() > LONGEST;
    let limit = format!("one argument or variable may have {} bytes", LONGEST - 1);
    if let Some(at) = argv.iter().position(long) {
        return (format!("argument {at} is too long, {} bytes", argv[at].as_bytes().len()), limit);
    }
    if let Some(text) = env.iter().find(|text| long(text)) {
        let key = text.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default();
        let why = format!("the variable {} is too long, {} bytes", String::from_utf8_lossy(key), text.as_bytes().len());
        return (why, limit);
    }
    let (arguments, variables) = (size(argv), size(env));
    (
        format!("arguments ({arguments} bytes) and environment ({variables} bytes) are too large together"),
        "the system allows a quarter of the stack limit; clear_env begins with a small environment".to_owned(),
    )
}

/// What is left to say for an error that the file does not explain.
fn hint_for(errno: Errno) -> Option<String> {
    let hint = match errno {
        Errno::EPERM => "a security module or a system call filter may forbid it",
        Errno::EACCES => "a security module may forbid it, or a filesystem mounted noexec",
        Errno::ENOEXEC => "its format is damaged, or one this kernel is not configured for",
        Errno::ELIBBAD => "its loader is not a valid program",
        _ => return None,
    };
    Some(hint.to_owned())
}
