//! The link between keeper and supervisor: a SEQPACKET socket, one message a packet, descriptors beside the text.
//!
//! | message | from | meaning |
//! |---|---|---|
//! | `P key` + descriptor | both | keep this; at a handover: this is kept |
//! | `D key` | supervisor | drop it |
//! | `X pid status` | keeper | a child of mine has ended with this wait status |
//! | `R` | keeper | end of the handover |
//! | `F code` | supervisor | I am done; leave with this exit code |

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

/// The longest message, in bytes.
const MAX: usize = 512;

/// One message.
#[derive(Debug)]
pub enum Message {
    /// Keep a descriptor, or: it is kept.
    Put(String, OwnedFd),
    /// Drop a descriptor.
    Drop(String),
    /// A process has ended.
    Exit {
        /// Its pid.
        pid: i32,
        /// Its wait status, as wait(2) gives it.
        status: i32,
    },
    /// The handover is complete.
    Ready,
    /// The supervisor is done.
    Finish(u8),
}

/// Makes the two ends of a link, both close-on-exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = rustix::net::SocketFlags::CLOEXEC;
    Ok(rustix::net::socketpair(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::SEQPACKET, flags, None)?)
}

/// Asks the other end to keep `fd` under `key`, or tells that it is kept.
pub fn put(link: BorrowedFd<'_>, key: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
    send(link, &format!("P {key}"), Some(fd), SendFlags::NOSIGNAL)
}

/// Sends a message without descriptor.
pub fn tell(link: BorrowedFd<'_>, message: &Message) -> io::Result<()> {
    let text = match message {
        Message::Put(key, fd) => return put(link, key, fd.as_fd()),
        Message::Drop(key) => format!("D {key}"),
        Message::Exit { pid, status } => format!("X {pid} {status}"),
        Message::Ready => "R".to_owned(),
        Message::Finish(code) => format!("F {code}"),
    };
    // The keeper must never wait for a supervisor that has stopped reading.
    let flags = if matches!(message, Message::Exit { .. }) { SendFlags::DONTWAIT } else { SendFlags::empty() };
    send(link, &text, None, flags | SendFlags::NOSIGNAL)
}

fn send(link: BorrowedFd<'_>, text: &str, fd: Option<BorrowedFd<'_>>, flags: SendFlags) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    }
    loop {
        match rustix::net::sendmsg(link, &[IoSlice::new(text.as_bytes())], &mut ancillary, flags) {
            Err(rustix::io::Errno::INTR) => {}
            sent => return Ok(sent.map(|_| ())?),
        }
    }
}

/// Receives one message, waiting for it unless `now`. Nothing means that the other end is gone.
pub fn receive(link: BorrowedFd<'_>, now: bool) -> io::Result<Option<Message>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut buffer = [0; MAX];
    let flags = RecvFlags::CMSG_CLOEXEC | if now { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let bytes = loop {
        match rustix::net::recvmsg(link, &mut [IoSliceMut::new(&mut buffer)], &mut ancillary, flags) {
            Err(rustix::io::Errno::INTR) => {}
            received => break received?.bytes,
        }
    };
    let fd = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    if bytes == 0 {
        return Ok(None);
    }
    let text = std::str::from_utf8(&buffer[..bytes]).map_err(io::Error::other)?;
    decode(text, fd).map(Some).ok_or_else(|| io::Error::other(format!("not a message of the keeper's link: {text:?}")))
}

fn decode(text: &str, fd: Option<OwnedFd>) -> Option<Message> {
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    match kind {
        "P" => Some(Message::Put(rest.to_owned(), fd?)),
        "D" => Some(Message::Drop(rest.to_owned())),
        "X" => {
            let (pid, status) = rest.split_once(' ')?;
            Some(Message::Exit { pid: pid.parse().ok()?, status: status.parse().ok()? })
        }
        "R" => Some(Message::Ready),
        "F" => Some(Message::Finish(rest.parse().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_descriptors_cross_the_link() {
        let (ours, theirs) = pair().unwrap();
        let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        put(ours.as_fd(), "out:web", file.as_fd()).unwrap();
        tell(ours.as_fd(), &Message::Exit { pid: 7, status: 256 }).unwrap();
        tell(ours.as_fd(), &Message::Finish(3)).unwrap();
        drop(ours);
        assert!(matches!(receive(theirs.as_fd(), true), Ok(Some(Message::Put(key, _))) if key == "out:web"));
        assert!(matches!(receive(theirs.as_fd(), true), Ok(Some(Message::Exit { pid: 7, status: 256 }))));
        assert!(matches!(receive(theirs.as_fd(), true), Ok(Some(Message::Finish(3)))));
        assert!(matches!(receive(theirs.as_fd(), true), Ok(None)));
    }
}
