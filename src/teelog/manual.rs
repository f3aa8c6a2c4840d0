//! The manual page, docs/man/teelog.1: the options are the parser's.

use std::io;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::options;

const DESCRIPTION: &str = "\
Without a COMMAND, standard input is appended to OUT, byte for byte, and passed on to standard output.

With a COMMAND, its standard output goes to OUT and on to standard output, its standard error to ERR and on to standard \
error. ERR is OUT if it is not given. When the command ends, what is in its pipes is taken, also if something that it has \
started still holds them. The last line on standard output is then EOK, or EFAIL and the exit code; the logs do not get it.

Each piece is written to the log first. A reader of standard output that leaves is no error: logging goes on. A slow one \
slows whoever writes, as with tee(1).";

const LOGS: &str = "\
Directories that are missing are made. Without --max-size a log only grows. With it, the log is renamed to \
OUT.YYYY-MM-DD-HHMMSS, the moment in UTC, before it grows beyond that size; .1, .2 and so on follow for more within a \
second. A line is never cut: a longer one has a file of its own. Only files that are called exactly like that, with .gz or .zst \
behind it where somebody has compressed them, count as archives and are ever removed.

A log that is renamed, removed or cut to nothing by others is begun anew. Several processes may write to one log. \
OUT.times says when which bytes came; it can be removed, and is not counted.

When a log cannot be written, the oldest archive is removed if the disk is full, else output is dropped, and passed on all \
the same. Standard error is told when that begins, how many bytes are missing when it ends, and how many archives went.";

const SIGNALS: &str = "\
SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH and SIGCONT are passed on to the command, and end teelog only \
through it. What a terminal has sent to both is not sent twice. When the command has ended and a reader does not take what is \
left, SIGTERM, SIGINT, SIGHUP or SIGQUIT ends the wait for it; the logs are complete. What the caller ignores, as nohup(1) does \
with SIGHUP, is not passed on. Without a COMMAND, signals do what they do to tee(1).";

const CODES: [(&str, &str); 5] = [
    ("0", "standard input has ended, and all of it was logged and passed on, unless the reader has left"),
    ("1", "a log cannot be opened; without a command also: something could not be read, logged or passed on"),
    ("2", "the command line cannot be understood"),
    ("126", "the command cannot be executed"),
    ("127", "the command was not found"),
];

const EXAMPLES: [(&str, &str); 2] = [
    ("./server | teelog --max-size 10M --max-count 5 server.log", "The last 50 MB, and what is being written."),
    (
        "teelog -s 10M -a 7d out.log err.log -- ./server --port 80",
        "Both streams, each in a log of its own, for a week.",
    ),
];

/// The page, as man(1) reads it.
pub fn page() -> String {
    let mut out = Vec::new();
    // Writing to memory does not fail.
    let _ = write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn write(out: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(options::command().help_template("").after_help("")).title("teelog").section("1");
    man.render_title(out)?;
    man.render_name_section(out)?;
    let mut head = Roff::new();
    head.control("SH", ["SYNOPSIS"])
        .text([bold("teelog"), roman(" [OPTIONS] OUT [ERR]")])
        .control("br", [])
        .text([bold("teelog"), roman(" [OPTIONS] OUT [ERR] -- COMMAND [ARG]...")]);
    head.extend([paragraphs("DESCRIPTION", DESCRIPTION)]);
    head.to_writer(out)?;
    man.render_options_section(out)?;
    let mut more = Roff::new();
    let codes = "That of the command, or 128 and the number of the signal that ended it. Otherwise:";
    more.extend([
        paragraphs(
            "ENVIRONMENT",
            "TEELOG_MAX_SIZE, TEELOG_MAX_AGE and TEELOG_MAX_COUNT are the defaults of the options.",
        ),
        paragraphs("LOGS", LOGS),
        paragraphs("SIGNALS", SIGNALS),
        paragraphs("EXIT STATUS", codes),
        entries(&CODES),
        paragraphs("EXAMPLES", ""),
        entries(&EXAMPLES),
    ]);
    more.to_writer(out)
}

fn paragraphs(title: &str, text: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        roff.control("PP", []).text([roman(paragraph)]);
    }
    roff
}

fn entries(entries: &[(&str, &str)]) -> Roff {
    let mut roff = Roff::new();
    for (term, text) in entries {
        roff.control("TP", []).text([bold(*term)]).text([roman(*text)]);
    }
    roff
}
