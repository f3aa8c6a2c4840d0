//! The log writer as a program of its own: copies a stream, or a command's output, to logs that are rotated.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemonctl::teelog::main(std::env::args_os().skip(1))
}
