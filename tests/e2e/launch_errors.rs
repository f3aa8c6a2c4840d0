//! Each way in which a program cannot be started, told in words to the person who typed `start`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::{AppDir, Home, Output, is_root, testapp};

/// The start fails, says for which app and why, and the app is `failed` and not tried again.
#[track_caller]
fn cannot_start(home: &Home, name: &str, words: &[&str]) -> Output {
    let output = home.ctl(["start", name]).exits(1).explains(&format!("cannot start {name}"));
    for word in words {
        let said = output.stderr.to_lowercase().contains(&word.to_lowercase());
        assert!(said, "{name}: expected {word:?}:\n{output}");
    }
    assert!(!output.stderr.contains("os error"), "a bare errno:\n{output}");
    assert!(!output.stderr.contains("panicked"), "a panic message:\n{output}");
    let status = home.status(name);
    assert_eq!((status.state.as_str(), status.pid, status.restarts), ("failed", None, 0), "{status:#?}");
    assert!(home.app(name).processes().is_empty());
    output
}

fn command<'home>(app: AppDir<'home>, program: &str) -> AppDir<'home> {
    app.conf(&format!("process.command = {program:?}\nprocess.restart = 'always'\nprocess.restart_delay = '10ms'"))
}

fn path(app: &AppDir<'_>, file: &str) -> String {
    app.path(file).to_string_lossy().into_owned()
}

#[test]
fn a_program_that_does_not_exist() {
    let home = Home::new();
    command(home.app("web"), "/no/such/program");
    cannot_start(&home, "web", &["/no/such/program", "does not exist"]);
}

#[test]
fn a_program_that_is_not_in_path() {
    let home = Home::new();
    command(home.app("web"), "no-such-program");
    cannot_start(&home, "web", &["no-such-program", "PATH"]);
}

#[test]
fn a_file_without_the_execute_bit() {
    let home = Home::new();
    let app = home.app("web").file("program", "#!/bin/sh\n");
    command(app, &path(&app, "program"));
    cannot_start(&home, "web", &[&path(&app, "program"), "execut"]);
}

#[test]
fn a_directory() {
    let home = Home::new();
    let app = home.app("web").file("program/file", "");
    command(app, &path(&app, "program"));
    cannot_start(&home, "web", &[&path(&app, "program"), "directory"]);
}

#[test]
fn an_interpreter_that_does_not_exist() {
    let home = Home::new();
    let app = home.app("web").program("run", "#!/no/such/interpreter -x\necho\n");
    cannot_start(&home, "web", &[&path(&app, "run"), "/no/such/interpreter", "interpreter"]);
}

#[test]
fn an_interpreter_with_a_carriage_return() {
    let home = Home::new();
    home.app("web").program("run", "#!/bin/sh\r\necho\r\n");
    cannot_start(&home, "web", &["/bin/sh", "CRLF"]);
}

#[test]
fn a_script_that_does_not_say_what_runs_it() {
    let home = Home::new();
    let app = home.app("web").program("run", "echo hello\n");
    cannot_start(&home, "web", &[&path(&app, "run"), "#!"]);
}

#[test]
fn an_empty_file() {
    let home = Home::new();
    let app = home.app("web").program("run", "");
    cannot_start(&home, "web", &[&path(&app, "run"), "empty"]);
}

#[test]
fn a_truncated_program() {
    let home = Home::new();
    let whole = fs::read(testapp()).unwrap();
    let app = home.app("web").program("run", &whole[..40]);
    cannot_start(&home, "web", &[&path(&app, "run"), "cut short"]);
}

#[test]
fn a_program_for_another_machine() {
    let home = Home::new();
    let mut foreign = fs::read(testapp()).unwrap();
    foreign[18..20].copy_from_slice(&8u16.to_ne_bytes()); // EM_MIPS
    let app = home.app("web").program("run", foreign);
    cannot_start(&home, "web", &[&path(&app, "run"), "MIPS", "this machine"]);
}

#[test]
fn interpreters_of_interpreters_without_end() {
    let home = Home::new();
    let mut app = home.app("web");
    app = app.program("run", format!("#!{}\n", path(&app, "i0")));
    for depth in 0..8 {
        app = app.program(&format!("i{depth}"), format!("#!{}\n", path(&app, &format!("i{}", depth + 1))));
    }
    app = app.program("i8", "#!/bin/sh\n");
    cannot_start(&home, "web", &[&path(&app, "run"), "interpreter"]);
}

#[test]
fn an_interpreter_that_is_not_executable() {
    let home = Home::new();
    let app = home.app("web").file("interpreter", "");
    let app = app.program("run", format!("#!{}\n", path(&app, "interpreter")));
    cannot_start(&home, "web", &[&path(&app, "run"), &path(&app, "interpreter"), "execut"]);
}

#[test]
fn an_argument_that_is_too_long() {
    let home = Home::new();
    let long = "x".repeat(200 << 10);
    home.app("web").conf(&format!("process.command = 'true'\nprocess.args = ['{long}']"));
    let output = cannot_start(&home, "web", &["too long"]);
    assert!(output.stderr.len() < 4096, "the message repeats the argument");
}

#[test]
fn arguments_that_are_too_long_together() {
    let home = Home::new();
    let args = vec![format!("'{}'", "x".repeat(60 << 10)); 4].join(",");
    home.app("web").conf(&format!("process.command = 'true'\nprocess.args = [{args}]\nlimits.stack_limit = '512K'"));
    cannot_start(&home, "web", &["too large together"]);
}

#[test]
fn a_program_that_somebody_is_writing() {
    let home = Home::new();
    let app = home.app("web").program("run", fs::read(testapp()).unwrap());
    let writer = fs::OpenOptions::new().append(true).open(app.path("run")).unwrap();
    cannot_start(&home, "web", &[&path(&app, "run"), "writ"]);
    // Once it is written, it starts.
    drop(writer);
    app.conf("process.args = ['sleep']");
    home.ctl(["start", "web"]).ok();
}

#[test]
fn links_that_lead_round_in_a_circle() {
    let home = Home::new();
    let app = home.app("web").file("note", "");
    symlink("b", app.path("a")).unwrap();
    symlink("a", app.path("b")).unwrap();
    command(app, &path(&app, "a"));
    cannot_start(&home, "web", &[&path(&app, "a"), "link"]);
}

#[test]
fn a_file_system_that_forbids_execution() {
    if !is_root("a noexec mount") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").file("mnt/keep", "");
    let mount =
        |args: &[&str]| std::process::Command::new("mount").args(args).status().is_ok_and(|status| status.success());
    let target = path(&app, "mnt");
    if !mount(&["-t", "tmpfs", "-o", "noexec,size=64k", "tmpfs", &target]) {
        eprintln!("SKIPPED: this root may not mount");
        return;
    }
    let _unmount = Unmount(target);
    let app = app.program("mnt/program", "#!/bin/sh\n");
    command(app, &path(&app, "mnt/program"));
    cannot_start(&home, "web", &[&path(&app, "mnt/program"), "noexec"]);
}

struct Unmount(String);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").args(["-l", &self.0]).status();
    }
}

#[test]
fn a_user_or_group_that_does_not_exist() {
    let home = Home::new();
    home.app("web").behaves("sleep");
    for user in ["no-such-user", "0day", "0x0", "-1", "4294967295", ""] {
        let output = home.ctl(["start", &format!("--user={user}"), "web"]);
        assert!(matches!(output.code(), 1 | 2), "{output}");
        output.explains("user");
        assert!(home.app("web").processes().is_empty(), "started as {user:?}");
    }
    let output = home.ctl(["start", "--config-override", "security.group=no-such-group", "web"]);
    assert!(matches!(output.code(), 1 | 2), "{output}");
    output.explains("no-such-group");
}

#[test]
fn a_working_directory_that_is_not_there() {
    let home = Home::new();
    home.app("web").behaves("sleep").conf("daemon.working_directory = '/no/such/directory'");
    cannot_start(&home, "web", &["/no/such/directory", "no such file"]);
}

#[test]
fn a_working_directory_that_the_user_may_not_enter() {
    if !is_root("another user") {
        return;
    }
    let home = Home::new();
    let app = home.app("web").run_script("exec sleep 1000").file("private/file", "");
    fs::set_permissions(app.path("private"), fs::Permissions::from_mode(0o700)).unwrap();
    app.conf(&format!("security.user = 'nobody'\ndaemon.working_directory = {:?}", app.path("private")));
    cannot_start(&home, "web", &[&path(&app, "private"), "permission denied"]);
}

#[test]
fn a_limit_above_what_is_allowed() {
    let home = Home::new();
    home.app("web").behaves("sleep").conf("limits.file_limit = 99999999999");
    cannot_start(&home, "web", &["file", "99999999999"]);
}

#[test]
fn an_option_that_is_not_built_yet_is_not_ignored() {
    let home = Home::new();
    home.app("web").behaves("sleep").conf("logging.syslog = true");
    let output = home.ctl(["start", "web"]);
    if output.code() == 0 {
        assert_eq!(home.status("web").state, "running");
    } else {
        output.explains("logging.syslog");
        assert!(home.app("web").processes().is_empty());
    }
}

#[test]
fn an_end_right_after_the_start_is_not_a_failure_to_start() {
    let home = Home::new();
    let app = home.app("web").behaves("exit 7");
    home.ctl(["start", "web"]).ok();
    let status = app.wait_for_state("exited");
    assert_eq!(status.last_exit.unwrap().code, Some(7));
    // To wait until it is healthy is another question, and the answer is no.
    app.script("check", "exit 1");
    home.ctl(["start", "--wait", "web"]).exits(1).says("7");
}

#[test]
fn a_repaired_app_starts() {
    let home = Home::new();
    let app = home.app("web").program("run", "#!/no/such/interpreter\n");
    cannot_start(&home, "web", &["/no/such/interpreter"]);
    app.behaves("sleep");
    home.ctl(["start", "web"]).ok();
    assert_eq!(app.status().state, "running");
}

#[test]
fn a_named_pipe_in_the_place_of_a_file_holds_up_nobody() {
    let home = Home::new();
    let other = home.app("other").behaves("sleep");
    home.ctl(["start", "other"]).ok();
    let app = home.app("web").behaves("sleep");
    mkfifo(&app.path("conf.toml"), Mode::S_IRWXU).unwrap();
    home.ctl(["start", "web"]).exits(2).explains("conf.toml: cannot read it: it is not a regular file");
    fs::remove_file(app.path("conf.toml")).unwrap();
    let pipe = path(&app, "pipe");
    mkfifo(pipe.as_str(), Mode::S_IRWXU).unwrap();
    home.ctl(["start", "web", "--env-file", &pipe]).exits(2).explains("--env-file").explains("not a regular file");
    home.ctl(["--env", &pipe, "start", "web"]).exits(2).explains("--env ").explains("not a regular file");
    home.ctl(["start", "web", "--log", &pipe]).ok();
    assert_eq!((app.status().state.as_str(), other.status().state.as_str()), ("running", "running"));
    home.ctl(["stop", "web"]).ok();
}

#[test]
fn a_run_link_that_leads_nowhere_is_not_passed_over() {
    let home = Home::new();
    let app = home.app("web").file("v2/run", "#!/bin/sh\nexec sleep 60\n");
    symlink("v3", app.path("run")).unwrap();
    home.app("other").behaves("sleep");
    let why = "run is a link to v3, which is not there";
    home.ctl(["start-all"]).exits(1).says("started 1, failed 1 (web)").explains(why);
    home.ctl(["start", "web"]).exits(1).explains(why);
    home.ctl(["config", "check"]).exits(2).says(why);
    home.ctl(["why", "web"]).ok().says(why);
    home.ctl(["list"]).explains(why);
    fs::remove_file(app.path("run")).unwrap();
    symlink("v2", app.path("run")).unwrap();
    home.ctl(["start-all"]).ok().says("started 1, already running 1");
}
