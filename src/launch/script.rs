//! env.sh: a script of the app's that sets its environment.
//!
//! /bin/sh sources it with `set -a`, in the script's directory, in a child process, and then turns into `env -0`, which
//! prints what the app is to have. The script's output, and that of its commands, goes where the app's errors go. It is
//! collected in files without a name rather than in pipes: a process the script leaves behind would keep a pipe open,
//! and the launch would wait for it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use daemonctl_actors::value::ExitStatus;
use rustix::fs::{MemfdFlags, memfd_create};

use super::environment::{Vars, is_shells_own};
use super::report::{Report, StepName};
use crate::app::Shown;

/// Where env(1) can be: looked for here, since the script may change PATH.
const ENV: [&str; 2] = ["/usr/bin/env", "/bin/env"];

/// What the shell does. Descriptor 3 is where the environment goes, and the script does not see it. The status has to
/// be kept in a variable, as the script may use the positional parameters for itself; `||` in place of it would switch
/// off a `set -e` of the script's.
const SOURCE: &str = r#"exec 3>&1 >&2
set -a
. "$1" 3>&-
__daemonrun=$?
set +a
[ "$__daemonrun" -eq 0 ] || exit "$__daemonrun"
unset __daemonrun
exec ENV -0 >&3"#;

/// Sources a script, and returns the environment that results.
pub fn source(script: &Path, vars: &Vars) -> Result<Vars, Report> {
    let what = format!("source {}", script.shown());
    let failed = |error: io::Error| Report::new(StepName::EnvScript, what.clone(), error);
    File::open(script).map_err(failed)?;
    let env = ENV.into_iter().find(|path| Path::new(path).exists());
    let env = env.ok_or_else(|| Report::new(StepName::EnvScript, what.clone(), "there is no /usr/bin/env here"))?;

    let (mut dump, mut said) = (nameless().map_err(failed)?, nameless().map_err(failed)?);
    let status = Command::new("/bin/sh")
        .args(["-c", &SOURCE.replace("ENV", env), "sh"])
        .arg(script)
        .current_dir(script.parent().unwrap_or(Path::new("/")))
        .env_clear()
        .envs(vars)
        .stdin(Stdio::null())
        .stdout(dump.try_clone().map_err(failed)?)
        .stderr(said.try_clone().map_err(failed)?)
        .status()
        .map_err(failed)?;
    let (dump, said) = (content(&mut dump).map_err(failed)?, content(&mut said).map_err(failed)?);
    let _ = io::stderr().write_all(&said);

    match ExitStatus::from_wait(status.into_raw()) {
        ExitStatus::Code(0) if dump.is_empty() => {
            Err(Report::new(StepName::EnvScript, what, "it calls exit, which leaves no environment to take over"))
        }
        ExitStatus::Code(0) => Ok(variables(&dump)),
        ended => {
            let reason = last_line(&said).map_or_else(|| ended.to_string(), |line| format!("{ended}: {line}"));
            let report = Report::new(StepName::EnvScript, what, format!("it {}", predicate(ended, &reason)));
            Err(report.with_hint(
                "its last command failed, or one that it must not go on without; end it with ':' if that is no failure",
            ))
        }
    }
}

/// "it exited 3", "it was killed by SIGKILL".
fn predicate(ended: ExitStatus, words: &str) -> String {
    match ended {
        ExitStatus::Signal { .. } => format!("was {words}"),
        ExitStatus::Code(_) | ExitStatus::Unknown => words.to_owned(),
    }
}

fn nameless() -> io::Result<File> {
    Ok(memfd_create("env.sh", MemfdFlags::CLOEXEC)?.into())
}

fn content(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The variables that `env -0` printed, without the shell's own.
fn variables(dump: &[u8]) -> Vars {
    let entries = dump.split(|byte| *byte == 0).filter_map(|entry| {
        let equals = entry.iter().position(|byte| *byte == b'=')?;
        Some((OsStr::from_bytes(&entry[..equals]).to_owned(), OsStr::from_bytes(&entry[equals + 1..]).to_owned()))
    });
    entries.filter(|(key, _)| !is_shells_own(key)).collect()
}

/// The last thing the script said. Not what `set -x` says: it shows values, which may be secrets.
fn last_line(said: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with('+'))?;
    Some(line.chars().filter(|c| !c.is_control()).take(200).collect())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn sourced(text: &str) -> (Result<Vars, Report>, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("env.sh");
        std::fs::write(&path, text).unwrap();
        let vars = Vars::from([("OLD".into(), "1".into()), ("PATH".into(), "/usr/bin:/bin".into())]);
        (source(&path, &vars), path)
    }

    fn value(text: &str, key: &str) -> Option<String> {
        let vars = sourced(text).0.unwrap();
        vars.get(OsStr::new(key)).map(|value| value.to_string_lossy().into_owned())
    }

    #[test]
    fn what_a_script_sets_and_unsets_is_taken_over() {
        assert_eq!(value("A=1", "A").as_deref(), Some("1"));
        assert_eq!(value("A='x\ny'; export A", "A").as_deref(), Some("x\ny"));
        assert_eq!(value("unset OLD", "OLD"), None);
        assert_eq!(value("set -- a b c; A=$OLD", "A").as_deref(), Some("1"));
        assert_eq!(value("PATH=/nowhere; A=1", "A").as_deref(), Some("1"));
        assert_eq!(value("set -eu; A=1", "A").as_deref(), Some("1"));
        assert_eq!(value("echo noise; echo noise >&2; sleep 5 & A=1", "A").as_deref(), Some("1"));
        for own in ["_", "PWD", "SHLVL", "__daemonrun"] {
            assert_eq!(value("A=1", own), None, "{own}");
        }
    }

    #[test]
    fn a_script_runs_in_its_own_directory() {
        let (vars, path) = sourced("HERE=$(pwd)");
        assert_eq!(vars.unwrap()[OsStr::new("HERE")], path.parent().unwrap().as_os_str());
    }

    #[test]
    fn a_script_that_fails_is_named_with_what_it_said() {
        for (text, why) in [
            ("echo 'no database' >&2; exit 3", "it exited 3: no database"),
            ("false", "it exited 1"),
            ("set -e\nfalse\nA=1", "it exited 1"),
            ("exit 0", "it calls exit, which leaves no environment to take over"),
            ("kill -9 $$", "it was killed by SIGKILL"),
            ("set -x; A=secret; exit 2", "it exited 2"),
        ] {
            let (result, path) = sourced(text);
            assert_eq!(result.unwrap_err().message(), format!("cannot source {}: {why}", path.display()), "{text}");
        }
        let missing = source(Path::new("/nowhere/env.sh"), &Vars::new()).unwrap_err();
        assert_eq!(missing.message(), "cannot source /nowhere/env.sh: no such file or directory");
    }
}
