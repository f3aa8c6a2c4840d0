//! The launcher as a program of its own: sets up one process, and becomes it.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemonctl::launch::main(std::env::args_os().skip(1))
}
