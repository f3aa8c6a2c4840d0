//! The manual page of `daemonrun`, docs/man/daemonrun.1: the options are the parser's, the exit codes are the steps', the
//! order is that of a real plan, and so none of them can drift.

use std::ffi::OsString;
use std::io;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::super::facts::Facts;
use super::super::options;
use super::super::plan::plan;
use super::super::report::StepName;
use super::duties;

const MODES: &str = "\
Without a mode, daemonrun becomes the command: same pid, nothing left in between; signals and exit code are the command's.

With --foreground it stays as the command's parent. It passes on signals, keeps --timeout, and ends with the command's exit \
code when nothing that the command has started is left, whatever sessions and parents that has left. Standard input, \
output and error are the caller's. With --no-setsid the command is the job of the terminal, where there is one, and can be \
suspended and continued as any other. The parent itself may be killed: the command then gets the stop signal from the \
kernel, unless it has changed its user or is a setuid program, for which the kernel forgets that.

With --daemon it goes to the background and returns when the command has been exec'ed, or says which step failed. Standard \
input is /dev/null; output goes to the files of --stdout and --stderr, else nowhere. The working directory stays as it is. \
A parent stays in the background if an option needs one: --timeout, --log, or one about signals. Otherwise nothing does.

--pidfile names the file that gets the pid of the command, not of its parent. A file that is there is replaced only if its \
process is gone: a parent that stays keeps the file locked, and where none stays the process is known by its start time, \
kept in the attribute user.daemonrun. It is never written through a symbolic link. A parent that stays removes it.";

const SIGNALS: &str = "\
SIGTERM and SIGINT send the stop signal (--stop-signal) to the command's process group. What is left after --kill-timeout \
is killed. A second SIGTERM or SIGINT kills at once.

SIGHUP arrives as the signal of --reload-signal. SIGTSTP suspends the command and the parent, SIGCONT continues both. All \
others are passed on as they are, to the process group, except SIGWINCH, which is about the caller's terminal: \
--no-signal-forward passes on none, --signal only those named, --preserve-signals all but those named. What the caller \
ignores, as nohup(1) does with SIGHUP, is not passed on.

When the command has ended, what it has left behind is sent SIGTERM, and killed after --kill-timeout.";

const EXAMPLES: [(&str, &str); 4] = [
    (
        "daemonrun --user www-data --no-network --readonly-paths /etc:/usr -- ./server",
        "A server as another user, behind walls, in the place of this process.",
    ),
    (
        "daemonrun -F --timeout 1h --kill-timeout 5s -- ./import",
        "An import that has an hour. It ends with 124 if it needs more.",
    ),
    (
        "daemonrun -d --pidfile /run/web.pid --stdout /var/log/web.log --stderr /var/log/web.err -- ./server",
        "A server in the background.",
    ),
    ("daemonrun --explain --user www-data --memory-limit 512M -- ./server", "What would be done, and why; nothing is."),
];

/// Flags of a plan that has each kind of step; those of walls and limits beyond these are in other pages.
const FLAGS: [&str; 12] = [
    "--daemon",
    "--log=/var/log/web.run",
    "--pidfile=/run/web.pid",
    "--user=www-data",
    "--env-file=/srv/web.env",
    "--env-script=/srv/env.sh",
    "--file-limit=4096",
    "--nice=5",
    "--config-override=process.oom_score_adj=100",
    "--chdir=/srv",
    "--env=MODE=fast",
    "--stdout=/var/log/web.log",
];

/// The page, as man(1) reads it.
pub fn page() -> String {
    let mut out = Vec::new();
    // Writing to memory does not fail.
    let _ = write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn write(out: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(options::command().help_template("")).title("daemonrun").section("1");
    man.render_title(out)?;
    man.render_name_section(out)?;
    Roff::new()
        .control("SH", ["SYNOPSIS"])
        .text([bold("daemonrun"), roman(" [OPTIONS] [--] COMMAND [ARG]...")])
        .to_writer(out)?;
    paragraphs("DESCRIPTION", MODES).to_writer(out)?;
    man.render_options_section(out)?;
    let mut more = Roff::new();
    more.extend([exit_status(), paragraphs("SIGNALS OF A PARENT", SIGNALS), order(), examples()]);
    more.to_writer(out)
}

fn paragraphs(title: &str, text: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    for paragraph in text.split("\n\n") {
        roff.control("PP", []).text([roman(paragraph)]);
    }
    roff
}

fn exit_status() -> Roff {
    let mut roff = Roff::new();
    let why = "The command's own, once it runs, or 128 and the number of the signal that ended it. Otherwise:";
    roff.control("SH", ["EXIT STATUS"]).text([roman(why)]);
    let mut entry = |code: String, text: &str| {
        roff.control("TP", []).text([bold(code)]).text([roman(text)]);
    };
    for step in StepName::ALL {
        entry(step.exit_code().to_string(), &format!("the step {step} failed"));
    }
    entry("124".to_owned(), "the command was stopped because of --timeout");
    entry("127".to_owned(), "the command was not found");
    roff
}

fn order() -> Roff {
    let line = FLAGS.into_iter().chain(["--", "./server"]);
    let mut roff = Roff::new();
    // A test says that this is a command line, and can be planned.
    let Ok(request) = options::parse(line.map(OsString::from).collect(), false) else { return roff };
    let Ok(plan) = plan(&request.options, &request.extras, &Facts::default()) else { return roff };
    let example =
        format!("What is done is what --explain prints. For example, daemonrun {} -- ./server:", FLAGS.join(" "));
    roff.control("SH", ["STEPS"]).text([roman(example)]);
    for (duty, why) in duties(&request.options, &request.extras) {
        roff.control("TP", [])
            .text([bold(format!("{} (parent)", duty.step()))])
            .text([roman(format!("{duty}: {why}"))]);
    }
    for step in plan.steps {
        let text = format!("{}: {}", step.action, step.why);
        roff.control("TP", []).text([bold(step.name.to_string())]).text([roman(text)]);
    }
    roff
}

fn examples() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    for (line, what) in EXAMPLES {
        roff.control("TP", []).text([bold(line)]).text([roman(what)]);
    }
    roff
}

#[test]
fn the_example_of_steps_has_them() {
    assert!(page().contains(".SH STEPS"));
}

#[test]
fn the_examples_are_command_lines() {
    for (line, _) in EXAMPLES {
        let words: Vec<OsString> = line.split(' ').skip(1).map(OsString::from).collect();
        let parsed = options::parse(words, false);
        // What is not built yet is refused by name, and is no mistake of the page's.
        let refusal = parsed.err().map(|refusal| refusal.to_string()).unwrap_or_default();
        assert!(refusal.lines().all(|line| line.ends_with("is not supported yet")), "{line}: {refusal}");
    }
}
