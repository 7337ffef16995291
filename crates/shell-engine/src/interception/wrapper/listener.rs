//! The door of the patched Bash: the socket on which the wrappers of one call open their connections.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use escalation_protocol::hello::{HELLO_BYTES, Hello, MAX_HELLO_DESCRIPTORS};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{ReturnFlags, SendFlags, send};
use tokio::io::unix::AsyncFd;
use tokio::sync::Semaphore;

use super::protocol::{self, Attached};
use super::socket;
use crate::interception::call::InterceptedCall;
use crate::interception::door::Door;
use crate::sys::{MESSAGES, NO_SIGNAL, watch_readable};

/// Bytes of requests of one call that may be held at once, so that a call costs bounded memory whatever it sends.
const MAX_REQUEST_KIB: usize = 64 << 10;

/// The end of the socket that the shell inherits.
pub(crate) type Socket = OwnedFd;

/// The server's end.
pub(crate) struct WrapperDoor {
    socket: AsyncFd<OwnedFd>,
    memory: Arc<Semaphore>,
}

impl WrapperDoor {
    /// Makes the socket pair of one call.
    ///
    /// # Errors
    ///
    /// When the system has no descriptors left.
    pub(crate) fn new() -> io::Result<(WrapperDoor, Socket)> {
        let (ours, theirs) = socket::pair(MESSAGES)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        let socket = watch_readable(ours)?;
        Ok((WrapperDoor { socket, memory: Arc::new(Semaphore::new(MAX_REQUEST_KIB)) }, theirs))
    }
}

impl Door for WrapperDoor {
    type Event = Attached;

    /// The next well-formed hello; `None` when nobody is left who could say one.
    async fn next(&self) -> io::Result<Option<Attached>> {
        loop {
            let mut ready = self.socket.readable().await?;
            match ready.try_io(|socket| receive(socket.get_ref())) {
                Ok(Ok(Received::Hello(attached))) => return Ok(Some(attached)),
                Ok(Ok(Received::Junk)) => tracing::debug!("junk on the escalation socket of a call"),
                Ok(Ok(Received::End)) => return Ok(None),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }
    fn hold(
        &self,
        attached: Attached,
        call: Arc<InterceptedCall>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let memory = Arc::clone(&self.memory);
        async move {
            if let Err(error) = protocol::hold(attached, &call, &memory).await {
                tracing::debug!(%error, "a connection with a wrapper ended early");
            }
        }
    }
}

enum Received {
    Hello(Attached),
    /// Anything else: whoever sent it gets no answer, and its descriptors are closed.
    Junk,
    End,
}

/// Whether every holder of the other end has closed it.
fn hung_up(socket: &impl AsFd) -> io::Result<bool> {
    let mut watched = [PollFd::new(socket, PollFlags::empty())];
    poll(&mut watched, Some(&Timespec::default()))?;
    let [watched] = watched;
    // Older gVisors report no hang-up, but let nobody write to one either. Nobody reads what is written here.
    let refused = || send(socket, &[0], SendFlags::DONTWAIT | NO_SIGNAL) == Err(Errno::PIPE);
    Ok(watched.revents().contains(PollFlags::HUP) || refused())
}

fn receive(socket: impl AsFd) -> io::Result<Received> {
    let mut payload = [0; HELLO_BYTES + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_HELLO_DESCRIPTORS))];
    let message = match socket::receive(&socket, &mut payload, &mut space) {
        Ok(message) => message,
        Err(Errno::CONNRESET) => return Ok(Received::End),
        Err(errno) => return Err(errno.into()),
    };
    let descriptors = message.descriptors;
    if message.length == 0 && descriptors.is_empty() {
        // Either nobody is left, or somebody sent an empty message to look like that.
        return Ok(if hung_up(&socket)? { Received::End } else { Received::Junk });
    }
    let cut = message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    let hello = payload.get(..message.length).map(Hello::decode);
    let (false, Some(Ok(hello))) = (cut, hello) else { return Ok(Received::Junk) };
    if descriptors.len() != hello.descriptors() {
        return Ok(Received::Junk);
    }
    let mut descriptors = descriptors.into_iter();
    let stream = descriptors.next();
    let directory = if hello.has_directory { descriptors.next() } else { None };
    let file = if hello.has_file { descriptors.next() } else { None };
    Ok(match stream {
        Some(stream) => Received::Hello(Attached { stream, directory, file, has_input: hello.has_input }),
        None => Received::Junk,
    })
}
