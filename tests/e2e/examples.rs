//! The directories of `examples/` do what their README says.

use std::fs;
use std::net::TcpStream;
use std::path::Path;

use crate::support::{Home, SOON, example, free_port, wait_until};

/// Puts a copy of an example into the world, so that what it writes does not end up in the source tree.
fn copy(name: &str, home: &Home) {
    copy_tree(&example(name), &home.root().join(name));
}

/// What is there once somebody has tried an example in the source tree.
const WRITTEN: [&str; 2] = ["logs", "state"];

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() && WRITTEN.iter().any(|name| entry.file_name() == *name) => {}
            kind if kind.is_dir() => copy_tree(&entry.path(), &target),
            _ => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn each_example_is_an_app_with_a_valid_configuration() {
    let home = Home::new();
    let mut names: Vec<_> = fs::read_dir(example(""))
        .unwrap()
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["flaky", "hello", "web", "worker"]);
    let readme = fs::read_to_string(example("README.md")).unwrap();
    for name in &names {
        copy(name, &home);
        assert!(readme.contains(&format!("`{name}`")), "README.md does not mention {name}");
        home.ctl(["--dry-run", "start", name]).ok();
    }
    let listed: Vec<_> = home.statuses().into_iter().map(|status| status.name).collect();
    assert_eq!(listed, names);
}

#[test]
fn hello() {
    let home = Home::new();
    copy("hello", &home);
    let app = home.app("hello");
    home.ctl(["start", "hello"]).ok();
    app.wait_for_output("hello, world, for the 2nd time");
    home.ctl(["stop", "hello"]).ok();
    app.wait_for_output("goodbye");
    assert_eq!(app.status().last_exit.unwrap().code, Some(0));
    app.wait_until_gone();
}

#[test]
fn web() {
    let home = Home::new();
    copy("web", &home);
    let app = home.app("web");
    let port = free_port();
    let run = home.spawn(["run", "--env", &format!("PORT={port}"), "web"]);
    app.wait_for("healthy", |status| status.health == "healthy");
    let answer = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        std::io::Write::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n")?;
        std::io::read_to_string(stream)
    };
    let page = answer().expect("an answer");
    assert!(page.starts_with("HTTP/1.0 200") && page.contains("daemonctl"), "{page}");
    // It logs to the terminal.
    wait_until("the request is shown", SOON, || match run.stderr() {
        seen if seen.contains("GET / ") => Ok(()),
        seen => Err(seen),
    });
    run.ctrl_c();
    let begun = std::time::Instant::now();
    run.wait();
    assert!(begun.elapsed().as_secs_f64() < 5.0, "Ctrl-C took {:?}", begun.elapsed());
    app.wait_until_gone();
    assert!(answer().is_err(), "something still listens");
}

#[test]
fn flaky() {
    let home = Home::new();
    copy("flaky", &home);
    let app = home.app("flaky");
    // It fails twice, then runs.
    home.ctl(["start", "flaky"]).ok();
    app.wait_for_output("the third time it works");
    let status = app.wait_for_state("running");
    assert_eq!(status.restarts, 2, "{status:#?}");
    home.ctl(["stop", "flaky"]).ok();
    // Told to fail for ever, it is given up.
    home.ctl(["start", "--env", "FAILURES=100", "flaky"]).ok();
    let status = app.wait_for_state("failed");
    assert_eq!((status.restarts, status.last_exit.unwrap().code), (3, Some(1)));
}

#[test]
fn worker() {
    let home = Home::new();
    copy("worker", &home);
    let app = home.app("worker");
    home.ctl(["start", "--wait", "worker"]).ok();
    let status = app.status();
    assert_eq!((status.health.as_str(), status.version.as_deref()), ("healthy", Some("1.0.0")));
    app.wait_for_output("done");
    app.wait_for_text("logs/worker.run", "worker 1.0.0 is up");
    let pid = status.main_pid();
    home.ctl(["reload", "worker"]).ok();
    app.wait_for_output("reloaded");
    assert_eq!(app.status().main_pid(), pid);
    home.ctl(["stop", "worker"]).ok();
    assert_eq!(app.status().last_exit.unwrap().code, Some(0));
    app.wait_for_text("logs/worker.run", "worker 1.0.0 is down: stopped");
    app.wait_until_gone();
}
