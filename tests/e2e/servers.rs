//! Real servers, as Debian ships them, from plain app directories.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{AppDir, Home, Proc, SOON, free_port, kill, process, wait_until};

/// What both are given: a check every 200 ms, and a quick restart.
const CONF: &str = "\
process.restart = 'on-failure'
process.restart_delay = '100ms'
[monitoring]
enabled = true
check_interval = '200ms'
";

fn redis_app<'home>(home: &'home Home, port: u16) -> AppDir<'home> {
    home.app("redis")
        .run_script(&format!(
            "exec redis-server --bind 127.0.0.1 --port {port} --save '' --dir \"$APPDEPLOY_APP_PATH\""
        ))
        .script("check", &format!("redis-cli -p {port} ping | grep -q PONG"))
        .conf(CONF)
}

fn redis_says(home: &Home, port: u16, words: &[&str]) -> String {
    let port = port.to_string();
    let args = ["-p", &port].into_iter().chain(words.iter().copied());
    home.finish(home.program("redis-cli".as_ref(), args)).stdout.trim().to_owned()
}

#[test]
fn redis_is_healed_and_stops_in_order() {
    let home = Home::new();
    let port = free_port();
    let app = redis_app(&home, port);
    home.ctl(["start", "--wait", "redis"]).ok();
    assert_eq!(redis_says(&home, port, &["set", "colour", "red"]), "OK");
    let before = app.status();
    assert_eq!((before.health.as_str(), before.ready), ("healthy", true));
    let info = redis_says(&home, port, &["info", "server"]);
    assert!(info.contains(&format!("process_id:{}", before.main_pid())), "the pid is the server's own:\n{info}");
    app.wait_for_output("Ready to accept connections");

    kill(before.main_pid(), Signal::SIGKILL);
    let after =
        app.wait_for("healed", |status| status.health == "healthy" && status.pid != before.pid && status.pid.is_some());
    assert_eq!((after.restarts, after.last_exit.unwrap().signal.as_deref()), (1, Some("SIGKILL")));
    assert_eq!(redis_says(&home, port, &["ping"]), "PONG");

    // It shuts down in order when asked to, rather than being killed.
    home.ctl(["stop", "redis"]).ok();
    assert_eq!(app.status().last_exit.unwrap().code, Some(0));
    app.wait_for_output("ready to exit, bye bye");
    app.wait_until_gone();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "something still listens");
}

#[test]
fn a_redis_that_hangs_is_noticed() {
    let home = Home::new();
    let port = free_port();
    let app = redis_app(&home, port);
    app.conf(&format!("{CONF}check_timeout = '500ms'\nfailure_threshold = 2\nstartup_delay = 0"));
    home.ctl(["start", "--wait", "redis"]).ok();
    let before = app.status().main_pid();
    kill(before, Signal::SIGSTOP);
    let after = app.wait_within(Duration::from_secs(30), "restarted", |status| {
        status.health == "healthy" && status.pid != Some(before)
    });
    assert_eq!(after.last_exit.unwrap().reason, "unhealthy");
    assert_eq!(redis_says(&home, port, &["ping"]), "PONG");
}

fn nginx_conf(home: &Home, port: u16, answer: &str) -> String {
    let user = if nix::unistd::geteuid().is_root() { "user nobody nogroup;" } else { "" };
    let dir = home.app("nginx").dir();
    let dir = dir.display();
    format!(
        "daemon off;
{user}
worker_processes 2;
error_log /dev/stderr notice;
pid {dir}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    access_log /dev/stdout;
    client_body_temp_path {dir}/tmp; proxy_temp_path {dir}/tmp; fastcgi_temp_path {dir}/tmp;
    uwsgi_temp_path {dir}/tmp; scgi_temp_path {dir}/tmp;
    server {{
        listen 127.0.0.1:{port};
        location / {{ default_type text/plain; return 200 \"{answer}\\n\"; }}
    }}
}}
"
    )
}

/// The body of the answer to a plain HTTP request.
fn get(port: u16) -> Result<String, String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_owned()).ok_or(answer)
}

#[track_caller]
fn wait_for_answer(port: u16, expected: &str) {
    wait_until(&format!("port {port} answers {expected:?}"), SOON, || match get(port) {
        Ok(body) if body == expected => Ok(()),
        seen => Err(format!("{seen:?}")),
    });
}

fn workers(app: &AppDir<'_>, master: i32) -> Vec<Proc> {
    app.processes()
        .into_iter()
        .filter(|process| process.ppid == master && process.command_line().contains("worker"))
        .collect()
}

#[test]
fn nginx_serves_reloads_and_heals() {
    let home = Home::new();
    let port = free_port();
    let app = home.app("nginx");
    let app = app
        .file("nginx.conf", nginx_conf(&home, port, "one"))
        .run_script(r#"exec nginx -e stderr -p "$APPDEPLOY_APP_PATH" -c nginx.conf"#)
        .program(
            "check",
            format!(
                "#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/{port} || exit 1\nprintf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3\n\
                 read -r -t 2 answer <&3\n[[ $answer == *' 200 '* ]]\n"
            ),
        )
        .conf(CONF);
    home.ctl(["start", "--wait", "nginx"]).ok();
    wait_for_answer(port, "one");
    let master = app.status().main_pid();
    let first = workers(&app, master);
    assert_eq!(first.len(), 2, "{first:#?}");
    app.wait_for_output("GET / HTTP/1.0");

    // Reload: the same master, other workers, the new configuration.
    app.file("nginx.conf", nginx_conf(&home, port, "two"));
    home.ctl(["reload", "nginx"]).ok();
    wait_for_answer(port, "two");
    wait_until("the old workers are gone", SOON, || {
        let left: Vec<_> = first.iter().filter_map(|worker| process(worker.pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) }
    });
    assert_eq!(app.status().main_pid(), master);
    let second = workers(&app, master);
    assert_eq!(second.len(), 2, "{second:#?}");

    // Its master killed, its workers would go on serving, and hold the port against its successor.
    kill(master, Signal::SIGKILL);
    let after =
        app.wait_for("healed", |status| status.health == "healthy" && status.pid.is_some_and(|pid| pid != master));
    assert_eq!(after.restarts, 1);
    wait_for_answer(port, "two");
    assert!(second.iter().all(|worker| process(worker.pid).is_none()), "workers of the killed master are left");

    home.ctl(["stop", "nginx"]).ok();
    app.wait_until_gone();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "something still listens");
    assert_eq!(app.status().last_exit.unwrap().code, Some(0));
}
