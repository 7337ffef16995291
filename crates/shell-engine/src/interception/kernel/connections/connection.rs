//! One `connect`: judged by what is behind its address, and made in its process's place.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Weak};
use std::time::Duration;

use execpolicy::Ancestry;
use nix::errno::Errno;
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, getsockname, sockopt};
use sandbox::Listening;

use super::address::internet_address;
use super::caller::{caller, program};
use super::following::follow;
use crate::interception::call::InterceptedCall;
use crate::interception::kernel::family::Image;
use crate::interception::kernel::memory::Memory;
use crate::judgement::Refusals;
use crate::network::{Connecting, SandboxNetwork};
use crate::sandboxes::Sandbox;
use crate::sys::connections::{Identity, connect, take_descriptor};
use crate::sys::notifications::{Listener, Notification};
use crate::sys::path_of;

/// The longest address of any kind (`sockaddr_storage`), and of a Unix socket.
const LONGEST: usize = 128;
const LONGEST_UNIX: usize = 110;
/// The shortest address without a family.
const UNSPECIFIED: usize = 16;
/// How long a connection waits until it is made outside, at most: it keeps others of its call from being made.
const MAKING: Duration = Duration::from_secs(2);
/// An address begins with its family.
const FAMILY: usize = 2;

/// One that waits. It holds neither its call nor the sandbox while it waits itself.
pub(in crate::interception::kernel) struct Connection {
    pub(in crate::interception::kernel) listener: Weak<Listener>,
    pub(in crate::interception::kernel) sandbox: Weak<Sandbox>,
    pub(in crate::interception::kernel) call: Weak<InterceptedCall>,
    pub(in crate::interception::kernel) ancestry: Ancestry,
    /// The call's own shell and what it looks like, where that is known.
    pub(in crate::interception::kernel) shell: Option<(i32, Image)>,
    pub(in crate::interception::kernel) notification: Notification,
    /// Where it is noted that there is no way to it.
    pub(in crate::interception::kernel) refusals: Option<Refusals>,
}

/// Who has made it.
enum Made {
    Here,
    /// It is left to the kernel, which reads what it was asked for once more.
    ByKernel,
}

/// Where to, as far as it is to be had.
enum Target {
    /// What is no path.
    Address(Vec<u8>),
    /// This file, which is a socket.
    File(OwnedFd),
    /// Whatever the kernel makes of it.
    Kernels,
}

impl Connection {
    /// Makes it, or has it fail. May wait for whoever listens.
    pub(super) fn make(&self) {
        let outcome = self.attempt();
        let Some(listener) = self.listener.upgrade() else { return };
        // Who is gone needs no answer.
        let _ = match outcome {
            Ok(Made::ByKernel) => listener.let_happen(self.notification.id),
            Ok(Made::Here) => listener.succeed(self.notification.id),
            Err(errno) => listener.fail(self.notification.id, errno as i32),
        };
    }

    /// Whether its process still waits for it.
    pub(super) fn is_wanted(&self) -> bool {
        self.listener.upgrade().is_some_and(|listener| listener.is_waiting(self.notification.id))
    }

    fn attempt(&self) -> Result<Made, Errno> {
        let [number, address, length, ..] = self.notification.arguments;
        let number = low_half(number);
        let socket = take_descriptor(self.notification.thread, number).map_err(raw)?;
        let domain =
            sockopt::socket_domain(&socket).map_err(|errno| Errno::from_raw(errno.raw_os_error()))?;
        let length = usize::try_from(low_half(length)).map_err(|_| Errno::EINVAL)?;
        if length > LONGEST {
            return Err(Errno::EINVAL);
        }
        let address = Memory::of(self.notification.thread).bytes(address, length)?;
        let (leads_out, to) = (leads_out(&address), internet_address(&address));
        let target = self.judge(&socket, domain, address)?;
        let asker = Identity::of(self.notification.thread).ok_or(Errno::ESRCH)?;
        let named = match &target {
            Target::Address(address) => self.expect(&socket, address),
            Target::File(_) => None,
            Target::Kernels => return Ok(Made::ByKernel),
        };
        // What was read and taken is of the process that asks only if it still does.
        if !self.is_wanted() {
            return Err(Errno::EINTR);
        }
        // As who asks: servers see whom they are connected to, and the file lets in whom it lets in.
        let connected = asker.act(|| match target {
            Target::Address(address) => connect(socket.as_fd(), &address),
            Target::File(file) => {
                let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                Ok(SocketAddrUnix::new(path).and_then(|address| rustix::net::connect(&socket, &address))?)
            }
            Target::Kernels => Ok(()),
        });
        // A socket that does not wait has its address already.
        if let (Some(connecting), Ok(Ok(from))) = (named, getsockname(&socket).map(SocketAddr::try_from)) {
            let is_made = connecting.has_connected(from);
            if connected.is_ok() && self.comes_to_nothing(&socket, &is_made) {
                // It can be connected elsewhere (connect(2), `AF_UNSPEC`).
                let _ = connect(socket.as_fd(), &[0; UNSPECIFIED]);
                return Err(Errno::ECONNREFUSED);
            }
        }
        let connected = connected.map_err(raw);
        let met_no_way = matches!(connected, Err(Errno::ENETUNREACH | Errno::EHOSTUNREACH));
        let has_no_way = met_no_way || leads_out;
        // Where hosts are reached by name, each connection is asked about by itself.
        let has_none =
            |sandbox: Arc<Sandbox>| !sandbox.plan().network.is_enabled() && sandbox.network().is_none();
        let is_kept_from_it = || self.sandbox.upgrade().is_some_and(has_none);
        if let Some(refusals) = self.refusals.as_ref().filter(|_| has_no_way && is_kept_from_it()) {
            refusals.note_network();
        }
        if met_no_way {
            self.tell_of_no_way(&socket, to);
        }
        connected.map(|()| Made::Here)
    }

    /// Whether a program that waits for its connection learns that it is refused, or cannot be had. It would try again for long
    /// if what it takes for made were ended. Through a proxy none is made before the program says what it wants.
    fn comes_to_nothing(&self, socket: &OwnedFd, is_made: &Receiver<bool>) -> bool {
        let does_not_wait = fcntl_getfl(socket).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK));
        let has_no_proxy = |network: &SandboxNetwork| network.proxy().is_none();
        let is_direct =
            self.sandbox.upgrade().is_some_and(|sandbox| sandbox.network().is_some_and(has_no_proxy));
        is_direct && !does_not_wait && is_made.recv_timeout(MAKING) == Ok(false)
    }

    /// Lets the call say to which address there was no way, where hosts are reached by name.
    fn tell_of_no_way(&self, socket: &OwnedFd, to: Option<SocketAddr>) {
        let is_stream = sockopt::socket_type(socket).is_ok_and(|kind| kind == SocketType::STREAM);
        let call = self.call.upgrade();
        let network = call.as_ref().and_then(|call| call.network.as_ref());
        if let (Some(network), Some(to)) = (network, to.filter(|_| is_stream)) {
            network.has_no_way(to, &program(self.notification.thread));
        }
    }

    /// Makes ready for a connection to an address that stands for a name, and finds out whose it is.
    fn expect(&self, socket: &OwnedFd, address: &[u8]) -> Option<Connecting> {
        let sandbox = self.sandbox.upgrade()?;
        let (network, entered) = (sandbox.network()?, self.call.upgrade()?.network.clone()?);
        let address = internet_address(address).filter(|address| network.has(*address))?;
        let is_stream = sockopt::socket_type(socket).is_ok_and(|kind| kind == SocketType::STREAM);
        is_stream.then(|| {
            network.expect(address);
            entered.connects(
                address,
                caller(self.notification.thread, self.ancestry.clone(), self.shell.as_ref()),
            )
        })
    }

    /// Decides. To grant it is harmless, although we follow paths and connect with rights that the asker may
    /// lack: it reaches programs of its own session, which the kernel tells from all others, and what the
    /// user has said.
    ///
    /// An address that is no path means something only in the network of the socket; that must be the
    /// session's own, which holds its loopback and its abstract sockets, and nothing of the host's.
    fn judge(&self, socket: &OwnedFd, domain: AddressFamily, address: Vec<u8>) -> Result<Target, Errno> {
        let sandbox = self.sandbox.upgrade().ok_or(Errno::EINTR)?;
        if let Some(proxy) = sandbox.network().and_then(SandboxNetwork::proxy) {
            return judge_for_proxy(&sandbox, proxy, domain, address);
        }
        if !sandbox.session().has_network_of(socket.as_fd()) {
            return Err(Errno::EACCES);
        }
        match domain {
            AddressFamily::INET | AddressFamily::INET6 => Ok(Target::Address(address)),
            AddressFamily::UNIX => match path_in(&address)? {
                Some(path) => self.reach(&sandbox, follow(self.notification.thread, path)?),
                None => Ok(Target::Address(address)),
            },
            // Routes and the like are asked without.
            _ => Err(Errno::EPERM),
        }
    }

    fn reach(&self, sandbox: &Sandbox, file: OwnedFd) -> Result<Target, Errno> {
        let stat = fstat(&file).map_err(|errno| Errno::from_raw(errno.raw_os_error()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
            return Err(Errno::ECONNREFUSED);
        }
        if sandbox.grants_socket(&stat) {
            return Ok(Target::File(file));
        }
        match sandbox.session().who_listens(file.as_fd(), self.notification.thread) {
            Ok(Listening::Inside) => Ok(Target::File(file)),
            Ok(Listening::Nobody) => Err(Errno::ECONNREFUSED),
            Ok(Listening::Outside) => {
                let path = path_of(&file).unwrap_or_default();
                tracing::info!(path = %path.display(), "refused: a program outside listens on this socket (`allow_read` lets it be reached)");
                Err(Errno::EACCES)
            }
            Err(error) => {
                tracing::warn!(%error, "refused: the kernel does not tell which sockets were bound inside");
                Err(Errno::EACCES)
            }
        }
    }
}

/// Decides where the sandbox has no network of its own. To connect to the proxy is harmless: it takes no notice of who is not
/// announced, and judges the rest. All other TCP Landlock forbids whoever asks, so what the kernel is left with are Unix sockets,
/// which it judges itself, or of which there are only pairs.
fn judge_for_proxy(
    sandbox: &Sandbox,
    proxy: SocketAddr,
    domain: AddressFamily,
    address: Vec<u8>,
) -> Result<Target, Errno> {
    match domain {
        AddressFamily::INET | AddressFamily::INET6 => match internet_address(&address) {
            Some(to) if to == proxy => Ok(Target::Address(address)),
            // As where there is a network of its own.
            Some(to) if to.ip().is_loopback() => Err(Errno::ECONNREFUSED),
            Some(_) | None => Err(Errno::ENETUNREACH),
        },
        AddressFamily::UNIX if sandbox.enforcement().keeps_unix_sockets_away() => Ok(Target::Kernels),
        _ => Err(Errno::EPERM),
    }
}

/// Whether it is the address of the machine's own name server (port 53 of a loopback address), which in a network of the
/// session's own nobody serves: a question to it is one about the network.
fn leads_out(address: &[u8]) -> bool {
    const DNS: [u8; 2] = 53_u16.to_be_bytes();
    let inet = libc::sa_family_t::try_from(libc::AF_INET).unwrap_or_default().to_ne_bytes();
    address.starts_with(&inet) && address.get(2..4) == Some(&DNS[..]) && address.get(4) == Some(&127)
}

/// The path of a Unix socket's address; none where it has another kind of name, or is none.
pub(in crate::interception::kernel) fn path_in(address: &[u8]) -> Result<Option<&[u8]>, Errno> {
    if address.len() > LONGEST_UNIX {
        return Err(Errno::EINVAL);
    }
    let unix = libc::sa_family_t::try_from(libc::AF_UNIX).unwrap_or_default().to_ne_bytes();
    let Some((family, name)) = address.split_at_checked(FAMILY) else { return Ok(None) };
    if family != unix || name.first().is_none_or(|first| *first == 0) {
        return Ok(None);
    }
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    Ok(name.get(..end))
}

/// An argument that is a C `int`.
fn low_half(argument: u64) -> i32 {
    u32::try_from(argument & u64::from(u32::MAX)).unwrap_or_default().cast_signed()
}

fn raw(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_the_kernel_takes_for_one() {
        let of = |family: u16, name: &[u8]| [&family.to_ne_bytes(), name].concat();
        assert_eq!(path_in(&of(1, b"a/b\0rest")), Ok(Some(b"a/b".as_slice())));
        assert_eq!(path_in(&of(1, &[b'x'; 108])), Ok(Some([b'x'; 108].as_slice())));
        assert_eq!(path_in(&of(1, &[b'x'; 109])), Err(Errno::EINVAL));
        for none in [of(1, b"\0abstract"), of(1, b""), of(0, b"x"), of(2, b"x"), vec![1], Vec::new()] {
            assert_eq!(path_in(&none), Ok(None), "{none:?}");
        }
    }

    #[test]
    fn arguments_are_as_wide_as_the_kernel_takes_them() {
        assert_eq!(low_half(0xffff_ffff_0000_0005), 5);
        assert_eq!(low_half(u64::MAX), -1);
    }
}
