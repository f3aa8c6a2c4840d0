//! Pipe mode: standard input to a log and to standard output. Signals do what they do to tee(1).

use std::io;
use std::os::fd::AsFd;

use super::options::Request;
use super::outlet::Outlet;
use super::record::Record;
use super::relay::{Relay, Stream};
use super::say;
use crate::app::reason;

/// What could not be opened, read or written.
const FAILED: u8 = 1;

/// Runs to the end of standard input, and returns the exit code.
pub(super) fn run(request: &Request) -> u8 {
    let done = open(request).and_then(|mut relay| {
        while !relay.is_done() {
            relay.turn(None).map_err(|error| format!("cannot wait for input: {}", reason(&error)))?;
        }
        Ok(relay.finish())
    });
    match done {
        Ok(true) => 0,
        Ok(false) => FAILED,
        Err(why) => {
            say(why);
            FAILED
        }
    }
}

fn open(request: &Request) -> Result<Relay, String> {
    let input = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| format!("cannot use standard input: {}", reason(&error)))?;
    let output = Outlet::to("standard output", io::stdout().as_fd());
    let output = output.map_err(|error| format!("cannot use standard output: {}", reason(&error)))?;
    let log = Record::open(&request.out, request.rules)?;
    Ok(Relay::new(vec![Stream::new("standard input", input, log, output)]))
}
