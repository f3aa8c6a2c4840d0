//! One program under five names: the launcher, the log writer, the keeper and the supervisor are entered by argv[0],
//! before anything else is done, because they must be small and quick; every other name is the command line.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let name = Path::new(&name).file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    if name == "daemonrun" {
        return daemonctl::launch::main(arguments);
    }
    if name == "teelog" {
        return daemonctl::teelog::main(arguments);
    }
    match daemonctl::supervise::entered(&name) {
        Some(entered) => entered(arguments),
        None => daemonctl::cli::main(std::env::args_os()),
    }
}
