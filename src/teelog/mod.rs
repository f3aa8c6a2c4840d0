//! `teelog`: what comes is appended to a log, byte for byte, and passed on. The log is rotated as a supervisor's are.
//!
//! It believes that the log matters more than whoever looks on: a piece is written to the log first, and then to
//! standard output. A reader that has gone ends nothing, and one that is slow slows the writer, as with tee(1), but
//! neither the signals nor the other stream. A disk that is full ends nothing either: what cannot be written is
//! counted, said, and still passed on.
//!
//! One thread and one poll loop, no runtime: it begins in a millisecond, and needs one buffer, however long a line is.
//!
//! - [`options`]: the command line, and the variables that stand in for it.
//! - `record`: one log, and what of it is lost.
//! - `outlet`: where output is passed on to, without ever waiting there.
//! - `relay`: from sources to logs and outlets; the poll loop.
//! - `pipe` and `command`: the two modes.
//! - `signals`: what a command is told that was told to us.

mod command;
pub mod manual;
pub mod options;
mod outlet;
mod pipe;
mod record;
mod relay;
mod signals;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use self::options::Refusal;

/// The exit code of a command line that cannot be understood.
pub(crate) const USAGE: u8 = 2;

/// Runs `teelog`. `args` are its arguments, without its own name.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let request = match options::parse(args.collect(), |name| std::env::var_os(name)) {
        Ok(request) => request,
        Err(Refusal::Text(text)) => {
            let _ = text.print();
            return ExitCode::SUCCESS;
        }
        Err(Refusal::Mistakes(mistakes)) => {
            mistakes.iter().for_each(say);
            return ExitCode::from(USAGE);
        }
    };
    let code = match request.command.is_empty() {
        true => pipe::run(&request),
        false => command::run(&request),
    };
    ExitCode::from(code)
}

/// Says something to a person. If nobody is there to read it, there is nobody to tell.
fn say(text: impl Display) {
    let _ = io::stderr().write_all(format!("teelog: {text}\n").as_bytes());
}
