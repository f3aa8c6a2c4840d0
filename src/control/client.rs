//! The asking side of the control socket: blocking, one exchange at a time, on a connection that may serve several.
//!
//! Waiting for an app is the supervisor's business, and it tells how that ended. The deadline here is for the
//! supervisor itself: without one that passes, a supervisor that hangs would hang every command with it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::protocol::{AppReply, Command, MAX_LINE, Reply, Request, VERSION};

/// How much is read at once: the status of a hundred apps is some 80 kB.
const BLOCK: usize = 64 << 10;

/// A connection to a supervisor.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    /// For whom this process asks, as sudo told it.
    sudo_user: Option<String>,
    path: Option<PathBuf>,
}

/// What a client does while nothing comes. It returns how long it need not be called again, or breaks off.
pub type Idle<'a> = &'a mut dyn FnMut() -> ControlFlow<(), Option<Duration>>;

/// Why a supervisor could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no way to the socket.
    #[error("cannot connect to the supervisor")]
    Connect(#[source] io::Error),
    /// It went away before it said anything: it was about to leave. Asking again finds, or starts, another one.
    #[error("the supervisor went away")]
    Closed,
    /// It went away in the middle of its answer.
    #[error("the supervisor went away before its answer was complete")]
    Broken,
    /// Nothing came in time.
    #[error("the supervisor does not answer")]
    TimedOut,
    /// It refused the request.
    #[error("the supervisor refused: {0}")]
    Refused(String),
    /// It speaks, but not this protocol.
    #[error("the supervisor speaks another version of the protocol than {VERSION}, which this daemonctl speaks")]
    Version,
    /// Whoever asked has broken off the wait.
    #[error("the wait for the supervisor was broken off")]
    Interrupted,
    /// A line is longer than [`MAX_LINE`].
    #[error("cannot {0} a line of more than {limit} MiB", limit = MAX_LINE >> 20)]
    Long(&'static str),
    /// The connection failed.
    #[error("cannot speak to the supervisor")]
    Io(#[source] io::Error),
}

/// The longest path that fits a socket address, without the byte that ends it.
const MAX_SOCKET_PATH: usize = 107;

impl Client {
    /// A client on an open connection.
    pub fn new(stream: UnixStream) -> Self {
        let sudo_user = std::env::var("SUDO_USER").ok();
        Self { stream: BufReader::with_capacity(BLOCK, stream), sudo_user, path: None }
    }

    /// Connects to the socket at `path`, however long that path is.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = connect(path).map_err(ClientError::Connect)?;
        Ok(Self { path: Some(path.to_owned()), ..Self::new(stream) })
    }

    /// Where it has connected to, for a second connection beside an exchange that takes its time.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Sends one command, hands over what becomes of each app as it is told, and returns the line that ends the
    /// exchange. `deadline` is for the whole of it; without one, the wait is as long as the supervisor's.
    pub fn exchange(
        &mut self,
        command: Command,
        deadline: Option<Duration>,
        on_app: &mut dyn FnMut(AppReply),
    ) -> Result<Reply, ClientError> {
        self.exchange_while(command, deadline, on_app, &mut || ControlFlow::Continue(None))
    }

    /// The same; `idle` is called before each wait, and when a signal or the time it returned has ended one.
    pub fn exchange_while(
        &mut self,
        command: Command,
        deadline: Option<Duration>,
        on_app: &mut dyn FnMut(AppReply),
        idle: Idle<'_>,
    ) -> Result<Reply, ClientError> {
        let until = deadline.map(|span| Instant::now() + span);
        self.send(&Request { v: VERSION, command, sudo_user: self.sudo_user.clone() }, until)?;
        let mut silent = true;
        loop {
            let line = match self.read_line(until, idle) {
                Err(ClientError::Closed) if !silent => return Err(ClientError::Broken),
                line => line?,
            };
            silent = false;
            match Reply::read(&line).map_err(|_| ClientError::Version)? {
                Reply::App(reply) => on_app(reply),
                Reply::Error { message } => return Err(ClientError::Refused(message)),
                last @ (Reply::Done | Reply::Status { .. } | Reply::Health(_) | Reply::Supervisor { .. }) => {
                    return Ok(last);
                }
            }
        }
    }

    fn send(&mut self, request: &Request, until: Option<Instant>) -> Result<(), ClientError> {
        let mut line = serde_json::to_vec(request).map_err(|error| ClientError::Io(error.into()))?;
        line.push(b'\n');
        if line.len() > MAX_LINE {
            return Err(ClientError::Long("send"));
        }
        let stream = self.stream.get_mut();
        stream.set_write_timeout(remaining(until)?).map_err(ClientError::Io)?;
        stream.write_all(&line).map_err(failed)
    }

    /// One line without its end. [`ClientError::Closed`] where the stream ends, even in the middle of a line.
    fn read_line(&mut self, until: Option<Instant>, idle: Idle<'_>) -> Result<Vec<u8>, ClientError> {
        let mut line = Vec::new();
        loop {
            if self.stream.buffer().is_empty() {
                let ControlFlow::Continue(pause) = idle() else { return Err(ClientError::Interrupted) };
                // Zero would be refused, and a wait without an end is the one that nobody limits.
                let pause = pause.map(|pause| pause.max(Duration::from_millis(1)));
                let wait = [remaining(until)?, pause].into_iter().flatten().min();
                self.stream.get_ref().set_read_timeout(wait).map_err(ClientError::Io)?;
            }
            // One buffer at a time, so that a supervisor that dribbles bytes cannot outwait the deadline.
            let ready = match self.stream.fill_buf() {
                Ok(bytes) => bytes.len(),
                // Whether the deadline has passed is seen above.
                Err(error) if is_pause(&error) => continue,
                Err(error) => return Err(failed(error)),
            };
            if ready == 0 {
                return Err(ClientError::Closed);
            }
            self.stream.by_ref().take(ready as u64).read_until(b'\n', &mut line).map_err(failed)?;
            if line.last() == Some(&b'\n') {
                line.pop();
                return Ok(line);
            }
            if line.len() > MAX_LINE {
                return Err(ClientError::Long("read"));
            }
        }
    }
}

/// The time left for one system call; zero would mean "for ever" to the kernel, so it is the end here.
fn remaining(until: Option<Instant>) -> Result<Option<Duration>, ClientError> {
    match until.map(|until| until.saturating_duration_since(Instant::now())) {
        Some(Duration::ZERO) => Err(ClientError::TimedOut),
        left => Ok(left),
    }
}

/// What a failed read or write means. A peer that has left shows as a reset or a broken pipe when it had not read all.
fn failed(error: io::Error) -> ClientError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::TimedOut,
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ClientError::Closed,
        _ => ClientError::Io(error),
    }
}

/// Whether a read ended because its time was up, or because of a signal.
fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// A long path does not fit a socket address; the same file is reached through its open directory.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return UnixStream::connect(path) };
    if path.as_os_str().len() <= MAX_SOCKET_PATH {
        return UnixStream::connect(path);
    }
    let dir = std::fs::File::open(dir)?;
    UnixStream::connect(Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;
    use crate::control::protocol::Outcome;

    /// A client whose supervisor reads one request and then writes `answer`, in two pieces, and leaves.
    fn against(answer: &'static str) -> Client {
        let (ours, theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            let mut theirs = BufReader::new(theirs);
            theirs.read_line(&mut String::new()).unwrap();
            let (first, second) = answer.split_at(answer.len() / 2);
            theirs.get_mut().write_all(first.as_bytes()).unwrap();
            theirs.get_mut().write_all(second.as_bytes()).unwrap();
        });
        Client::new(ours)
    }

    fn ask(mut client: Client) -> (Vec<AppReply>, Result<Reply, ClientError>) {
        let mut apps = Vec::new();
        let last = client.exchange(Command::Hello, Some(Duration::from_secs(5)), &mut |app| apps.push(app));
        (apps, last)
    }

    #[test]
    fn apps_are_handed_over_until_the_last_line() {
        let running = r#"{"reply":"app","app":"web","outcome":{"outcome":"running","pid":7}}"#;
        let answer = format!("{running}\n{running}\n{{\"reply\":\"done\"}}\n");
        let (apps, last) = ask(against(answer.leak()));
        assert_eq!(apps.len(), 2);
        assert_eq!(apps[0].outcome, Outcome::Running { pid: 7 });
        assert_eq!(last.unwrap(), Reply::Done);
    }

    #[test]
    fn every_way_of_leaving_has_its_error() {
        let app = "{\"reply\":\"app\",\"app\":\"web\",\"outcome\":{\"outcome\":\"not-running\"}}\n";
        assert!(matches!(ask(against("")).1, Err(ClientError::Closed)));
        assert!(matches!(ask(against("{\"reply\":")).1, Err(ClientError::Closed)));
        assert!(matches!(ask(against(app)).1, Err(ClientError::Broken)));
        assert!(matches!(ask(against("{\"reply\":\"brew-tea\"}\n")).1, Err(ClientError::Version)));
        let refused = ask(against("{\"reply\":\"error\",\"message\":\"not you\"}\n")).1.unwrap_err();
        assert_eq!(refused.to_string(), "the supervisor refused: not you");
    }

    #[test]
    fn a_supervisor_that_hangs_is_told_from_one_that_left() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let patience = Some(Duration::from_millis(20));
        let reply = Client::new(ours).exchange(Command::Hello, patience, &mut |_| ());
        assert!(matches!(reply, Err(ClientError::TimedOut)));
    }

    #[test]
    fn a_socket_behind_a_long_path_is_reached() {
        let home = tempfile::tempdir().unwrap();
        let deep = home.path().join("d".repeat(100));
        std::fs::create_dir(&deep).unwrap();
        let _listener = UnixListener::bind(home.path().join("s")).unwrap();
        std::fs::rename(home.path().join("s"), deep.join("control.sock")).unwrap();
        assert!(deep.as_os_str().len() > MAX_SOCKET_PATH);
        Client::connect(&deep.join("control.sock")).unwrap();
    }
}
