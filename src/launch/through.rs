//! A launch through a program that starts the launcher as a child of its own: an external log writer.
//!
//! That program has a socket as its standard input, which the launcher inherits. The launcher makes a gate of its own,
//! sends the other end of it back through that socket, and is from then on at a gate as any other launcher: end of file on
//! it still means that the app runs, whoever else holds the first socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

use super::environment::shield_from_teelog;
use super::spawn::{Gate, LaunchSpec, NotSpawned, Planned};

/// The flag that tells a launcher that its standard input leads to whoever waits for it. It is always the first.
pub(super) const THROUGH: &str = "--gate-through";

/// A program that is to start the launcher.
#[derive(Debug)]
pub struct Through {
    /// Its process, which leads a process group of its own.
    pub pid: i32,
    planned: Planned,
    socket: UnixStream,
}

/// Starts `wrapper`, program and arguments, which is to run the launcher in `launcher` with the flags and the command that
/// follow these arguments. Whoever calls has to reap the process.
pub fn spawn_through(
    wrapper: &[String],
    launcher: &str,
    spec: &LaunchSpec,
    stdout: OwnedFd,
    stderr: OwnedFd,
) -> Result<Through, NotSpawned> {
    let planned = spec.orders()?;
    let (socket, theirs) = UnixStream::pair()?;
    socket.set_nonblocking(true)?;
    rustix::net::sockopt::set_socket_passcred(&socket, true).map_err(io::Error::from)?;
    let (program, arguments) = wrapper.split_first().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let child = Command::new(program)
        .args(arguments)
        .args([launcher, THROUGH])
        .args(&spec.argv()[1..])
        .env_clear()
        .envs(spec.environment.iter().map(|(key, value)| (shield_from_teelog(key), value)))
        .stdin(OwnedFd::from(theirs))
        .stdout(stdout)
        .stderr(stderr)
        // What is meant for the app's group, or typed at a terminal, is not meant for it.
        .process_group(0)
        .spawn()?;
    Ok(Through { pid: child.id() as i32, planned, socket })
}

impl Through {
    /// What becomes readable when the launcher has come.
    pub fn socket(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }

    /// The gate of the launcher that has come; `WouldBlock` if none has.
    pub fn meet(self) -> Result<Gate, (Self, io::Error)> {
        match receive(&self.socket) {
            Ok((pid, gate)) => {
                let rest = Self { pid: self.pid, planned: Planned::default(), socket: self.socket };
                Gate::at(pid, gate, self.planned).map_err(|error| (rest, error))
            }
            Err(error) => Err((self, error)),
        }
    }
}

/// The pid of whoever has sent a descriptor, by the kernel's word (unix(7), SCM_CREDENTIALS), and the descriptor.
fn receive(socket: &UnixStream) -> io::Result<(i32, UnixStream)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1), ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, flags)?;
    let (mut pid, mut gate) = (None, None);
    for message in ancillary.drain() {
        match message {
            RecvAncillaryMessage::ScmRights(mut fds) => gate = fds.next(),
            RecvAncillaryMessage::ScmCredentials(who) => pid = Some(who.pid.as_raw_nonzero().get()),
            _ => {}
        }
    }
    match (pid, gate) {
        (Some(pid), Some(gate)) => Ok((pid, UnixStream::from(gate))),
        _ if received.bytes == 0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Err(io::Error::other("a launcher came without a gate")),
    }
}

/// The launcher's side: makes a gate, sends its other end through standard input, and takes its own end for standard
/// input from then on.
pub(super) fn come() -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = [theirs.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    let stdin = io::stdin();
    rustix::net::sendmsg(stdin.as_fd(), &[IoSlice::new(b"!")], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(rustix::stdio::dup2_stdin(&ours)?)
}
