//! Who writes an app's logs, decided at each launch.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::values::Collector;
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
    let found = match collector {
        Collector::Builtin => return Ok((None, None)),
        Collector::Auto | Collector::Teelog => find(place),
    };
    let doubt = found.as_deref().and_then(|program| doubt(program, place.uid));
    let made = |program: PathBuf| Teelog { program, arguments: arguments(rules, out, err) };
    match (collector, found, doubt) {
        (Collector::Teelog, None, _) => Err("there is no teelog in PATH".to_owned()),
        (Collector::Teelog, Some(_), Some(doubt)) => Err(doubt),
        (_, Some(program), _) if collector == Collector::Auto && is_own(&program, place.own) => Ok((None, None)),
        (_, Some(_), Some(doubt)) => Ok((None, Some(format!("{doubt}; the built-in collector is used")))),
        (_, Some(program), None) => Ok((Some(made(program)), None)),
        (_, None, _) => Ok((None, None)),
    }
}

fn find(place: Place<'_>) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        path.is_absolute() && path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(OsStr::new(place.path?)).map(|dir| dir.join(NAME)).find(is_program)
}

/// Whether a program is the teelog that comes with this one: it would do what is done here anyway, at more expense.
fn is_own(program: &Path, own: &Path) -> bool {
    let (Ok(program), Ok(own)) = (program.canonicalize(), own.canonicalize()) else { return false };
    program == own || program.parent() == own.parent()
}

/// Why a program should not be run by this user: others could change it.
fn doubt(program: &Path, uid: u32) -> Option<String> {
    let program = program.canonicalize().ok()?;
    let open = |path: &Path| {
        let meta = path.metadata().ok()?;
        let others = meta.mode() & 0o022 != 0 && meta.mode() & 0o1000 == 0;
        (others || ![0, uid].contains(&meta.uid())).then(|| path.display().to_string())
    };
    let open = open(&program).or_else(|| open(program.parent()?))?;
    Some(format!("{} is not run, since others than its user may change {open}", program.display()))
}

/// What it is told. Ages are whole minutes to it: a shorter one is a minute, and no other is less than what was asked.
fn arguments(rules: &Rules, out: &Path, err: &Path) -> Vec<String> {
    let minutes = |age: Duration| age.as_secs_f64() / 60.0;
    let size = rules.max_size.map(|size| format!("--max-size={size}"));
    let age = rules.max_age.map(|age| format!("--max-age={}m", minutes(age).ceil().max(1.0)));
    let count = rules.max_count.map(|count| format!("--max-count={count}"));
    let files = [out, err].map(|file| file.to_string_lossy().into_owned());
    size.into_iter().chain(age).chain(count).chain(files).chain(["--".to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        assert_eq!(chosen(Collector::Teelog, &bin, &own), Ok((Some(program), None)));
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
    fn it_is_told_the_limits_in_its_own_units() {
        let rules = |size, age, count| Rules { max_size: size, max_age: age, max_count: count };
        let told = |rules| arguments(&rules, Path::new("/l/o"), Path::new("/l/e")).join(" ");
        assert_eq!(told(rules(None, None, None)), "/l/o /l/e --");
        let day = Some(Duration::from_secs(86_400));
        assert_eq!(told(rules(Some(100), day, Some(3))), "--max-size=100 --max-age=1440m --max-count=3 /l/o /l/e --");
        assert_eq!(told(rules(None, Some(Duration::from_secs(61)), None)), "--max-age=2m /l/o /l/e --");
        assert_eq!(told(rules(None, Some(Duration::from_millis(5)), None)), "--max-age=1m /l/o /l/e --");
    }
}
