//! Who writes an app's logs, decided at each launch.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use serde::{Deserialize, Serialize};

use crate::app::Shown;
use crate::config::values::Collector;
use crate::launch::typed;
use crate::logs::rotate::Rules;

/// What the program is called.
const NAME: &str = "teelog";

/// A program that writes an app's logs, and what it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Teelog {
    /// The program, by its whole path.
    pub program: PathBuf,
    /// Its arguments, up to the `--` before the command.
    pub arguments: Vec<String>,
}

impl Teelog {
    /// Its command line, as it can be pasted into a shell, up to the command.
    pub(in crate::supervise) fn shell_line(&self) -> String {
        let words = std::iter::once(self.program.to_string_lossy().into_owned()).chain(self.arguments.iter().cloned());
        words.map(|word| typed(&word)).collect::<Vec<_>>().join(" ")
    }
}

/// Where programs are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// `PATH` of the command that asked for the start.
    pub path: Option<&'a str>,
    /// This program: what lies beside it is its own teelog.
    pub own: &'a Path,
    /// The user who runs it.
    pub uid: u32,
}

/// The program that is to write the logs, or nothing where that is done here; and why one that is there was passed over.
/// The error says why what was asked for cannot be had.
pub fn choose(
    collector: Collector,
    place: Place<'_>,
    rules: &Rules,
    (out, err): (&Path, &Path),
) -> Result<(Option<Teelog>, Option<String>), String> {
    let (auto, found) = match collector {
        Collector::Builtin => return Ok((None, None)),
        Collector::Auto if rules.compress => return Ok((None, None)), // No teelog compresses.
        Collector::Auto => (true, find(place, true)),
        Collector::Teelog => (false, find(place, false)),
    };
    let doubt = match &found {
        None if auto => return Ok((None, None)),
        None => return Err("there is no teelog in PATH".to_owned()),
        Some(program) => doubt(program, place.uid),
    };
    match (found, doubt) {
        (Some(program), None) => Ok((Some(Teelog { program, arguments: arguments(rules, out, err) }), None)),
        (_, Some(doubt)) if auto => Ok((None, Some(format!("{doubt}; the built-in collector is used")))),
        (_, Some(doubt)) => Err(doubt),
        (None, None) => Ok((None, None)),
    }
}

/// The first in the path that can be a program, but for the one that comes with this program, if it is not wanted.
fn find(place: Place<'_>, but_own: bool) -> Option<PathBuf> {
    let is_file = |path: &PathBuf| path.is_absolute() && path.metadata().is_ok_and(|meta| meta.is_file());
    let mut all = std::env::split_paths(OsStr::new(place.path?)).map(|dir| dir.join(NAME)).filter(is_file);
    all.find(|program| !but_own || !is_own(program, place.own))
}

/// Whether a program is the teelog that comes with this one: it would do what is done here anyway, at more expense.
pub fn is_own(program: &Path, own: &Path) -> bool {
    let (Ok(program), Ok(own)) = (program.canonicalize(), own.canonicalize()) else { return false };
    program == own || program.parent() == own.parent()
}

/// Why a program cannot, or should not, be run by this user: it is no program, or others could make it another one.
fn doubt(program: &Path, uid: u32) -> Option<String> {
    let name = program.shown();
    if access(program, AccessFlags::X_OK).is_err() {
        return Some(format!("{name} is not run, since it is not executable"));
    }
    let open = open_place(program, uid)?;
    Some(format!("{name} is not run, since others than its user may change {}", open.shown()))
}

/// The first thing on the way to a file, links included, that somebody else could put another one in place of.
fn open_place(file: &Path, uid: u32) -> Option<PathBuf> {
    let is_open = |path: &Path| {
        let Ok(meta) = path.metadata() else { return true };
        // In a directory with the sticky bit, what is there stays there; on a file it means nothing.
        let shared = meta.mode() & 0o022 != 0 && !(meta.is_dir() && meta.mode() & 0o1000 != 0);
        shared || ![0, uid].contains(&meta.uid())
    };
    let mut ahead: Vec<OsString> = file.iter().rev().map(OsStr::to_owned).collect();
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    // Step by step, as the kernel goes: every directory that a step is looked up in, whatever links lead there.
    while let Some(step) = ahead.pop() {
        match step.as_encoded_bytes() {
            b"/" => at = PathBuf::from("/"),
            b"." => {}
            b".." => drop(at.pop()),
            _ if is_open(&at) => return Some(at),
            _ => match at.join(&step).read_link() {
                // So many links are more than the system itself would follow.
                Ok(_) if links == 40 => return Some(at.join(step)),
                Ok(target) => {
                    links += 1;
                    ahead.extend(target.iter().rev().map(OsStr::to_owned));
                }
                Err(_) => at.push(step),
            },
        }
    }
    is_open(&at).then_some(at)
}

/// What it is told. Ages are whole minutes to it: a shorter one is a minute, and no other is less than what was asked.
fn arguments(rules: &Rules, out: &Path, err: &Path) -> Vec<String> {
    let minutes = |age: Duration| age.as_secs_f64() / 60.0;
    let limits = [
        ("--max-size", rules.max_size.map(|size| size.to_string())),
        ("--max-age", rules.max_age.map(|age| format!("{}m", minutes(age).ceil().max(1.0)))),
        ("--max-count", rules.max_count.map(|count| count.to_string())),
    ];
    // Two words each: not every one of them reads `--max-size=1M`.
    let limits = limits.into_iter().filter_map(|(option, value)| Some([option.to_owned(), value?])).flatten();
    let files = [out, err].map(|file| file.to_string_lossy().into_owned());
    limits.chain(files).chain(["--".to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn install(dir: &Path, mode: u32) -> PathBuf {
        fs::create_dir_all(dir).unwrap();
        let program = dir.join(NAME);
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
        program
    }

    fn chosen(collector: Collector, path: &Path, own: &Path) -> Result<(Option<PathBuf>, Option<String>), String> {
        let path = path.to_string_lossy().into_owned();
        let uid = nix::unistd::geteuid().as_raw();
        let place = Place { path: Some(&path), own, uid };
        let files = (Path::new("/l/web.log"), Path::new("/l/web.err"));
        let (teelog, doubt) = choose(collector, place, &Rules::default(), files)?;
        Ok((teelog.map(|teelog| teelog.program), doubt))
    }

    #[test]
    fn the_one_in_the_path_is_taken_where_it_is_wanted_and_not_our_own() {
        let home = tempfile::tempdir().unwrap();
        let (bin, empty) = (home.path().join("bin"), home.path().join("empty"));
        let elsewhere = Path::new("/bin/sh");
        fs::create_dir(&empty).unwrap();
        let program = install(&bin, 0o755);
        assert_eq!(chosen(Collector::Auto, &bin, elsewhere), Ok((Some(program.clone()), None)));
        assert_eq!(chosen(Collector::Teelog, &bin, elsewhere), Ok((Some(program.clone()), None)));
        assert_eq!(chosen(Collector::Builtin, &bin, elsewhere), Ok((None, None)));
        assert_eq!(chosen(Collector::Auto, &empty, elsewhere), Ok((None, None)));
        assert!(chosen(Collector::Teelog, &empty, elsewhere).is_err());
        let own = bin.join("daemonctl");
        fs::write(&own, "").unwrap();
        assert_eq!(chosen(Collector::Auto, &bin, &own), Ok((None, None)));
        // Another one may come after it.
        let later = install(&home.path().join("later"), 0o755);
        let both = std::env::join_paths([&bin, &home.path().join("later")]).unwrap();
        assert_eq!(chosen(Collector::Auto, Path::new(&both), &own), Ok((Some(later), None)));
        assert_eq!(chosen(Collector::Teelog, &bin, &own), Ok((Some(program), None)));
    }

    #[test]
    fn what_is_to_be_compressed_is_written_here() {
        let home = tempfile::tempdir().unwrap();
        install(home.path(), 0o755);
        let path = home.path().to_string_lossy();
        let uid = nix::unistd::geteuid().as_raw();
        let place = Place { path: Some(&path), own: Path::new("/bin/sh"), uid };
        let files = (Path::new("/l/web.log"), Path::new("/l/web.err"));
        let rules = |compress| Rules { compress, ..Rules::default() };
        assert_eq!(choose(Collector::Auto, place, &rules(true), files), Ok((None, None)));
        assert!(choose(Collector::Auto, place, &rules(false), files).unwrap().0.is_some());
    }

    #[test]
    fn what_others_may_change_is_not_run() {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        install(&bin, 0o777);
        let (none, doubt) = chosen(Collector::Auto, &bin, Path::new("/bin/sh")).unwrap();
        assert!(none.is_none() && doubt.unwrap().contains("since others than its user may change"));
        assert!(chosen(Collector::Teelog, &bin, Path::new("/bin/sh")).is_err());
    }

    #[test]
    fn no_way_to_it_may_be_open_to_others() {
        let home = tempfile::tempdir().unwrap();
        let uid = nix::unistd::geteuid().as_raw();
        let safe = home.path().join("safe");
        let good = install(&safe, 0o755);
        assert_eq!(doubt(&good, uid), None);
        let open = home.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        // A link that others may turn elsewhere, a directory that others may rename, and a sticky bit on a file.
        std::os::unix::fs::symlink(&good, open.join(NAME)).unwrap();
        assert!(doubt(&open.join(NAME), uid).unwrap().contains("may change"));
        let below = install(&open.join("bin"), 0o755);
        assert!(doubt(&below, uid).unwrap().contains("may change"));
        fs::set_permissions(&good, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(doubt(&good, uid).unwrap().contains("may change"));
        fs::set_permissions(&good, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(doubt(&good, uid).unwrap().contains("not executable"));
    }

    #[test]
    fn it_is_told_the_limits_in_its_own_units() {
        let rules = |size, age, count| Rules { max_size: size, max_age: age, max_count: count, compress: false };
        let told = |rules| arguments(&rules, Path::new("/l/o"), Path::new("/l/e")).join(" ");
        assert_eq!(told(rules(None, None, None)), "/l/o /l/e --");
        let day = Some(Duration::from_secs(86_400));
        assert_eq!(told(rules(Some(100), day, Some(3))), "--max-size 100 --max-age 1440m --max-count 3 /l/o /l/e --");
        assert_eq!(told(rules(None, Some(Duration::from_secs(61)), None)), "--max-age 2m /l/o /l/e --");
        assert_eq!(told(rules(None, Some(Duration::from_millis(5)), None)), "--max-age 1m /l/o /l/e --");
    }

    #[test]
    fn its_command_line_plays_with_no_terminal() {
        let arguments = arguments(&Rules::default(), Path::new("/l/my\x1b[2Jo"), Path::new("/l/\u{202e}e"));
        let teelog = Teelog { program: "/opt/my bin/teelog".into(), arguments };
        assert_eq!(teelog.shell_line(), r"'/opt/my bin/teelog' $'/l/my\x1b[2Jo' $'/l/\xe2\x80\xaee' --");
    }
}
