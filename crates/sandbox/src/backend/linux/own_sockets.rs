//! Which sockets were bound inside a session: the kernel lists those of a network namespace
//! (sock_diag(7)).
//!
//! A Unix socket's file is known by device and inode, whatever its path, its links and its folders are called by now. The
//! kernel tells the superblock's device and the low half of the inode's number, which stat(2) does not where
//! a file system has subvolumes or layers; so they are read where they are the same (`/proc/self/fdinfo`,
//! `mountinfo`).

use super::sys;
use crate::listening::Listening;
use rustix::net::{RecvFlags, SendFlags};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// What the kernel sends at once is no more than this (`NLMSG_GOODSIZE` and above, netlink(7)).
const BUFFER: usize = 64 * 1024;
/// `struct nlmsghdr`: length, type, flags, sequence, port.
const HEADER: usize = 16;
/// `struct unix_diag_msg`: family, type, state, padding, inode, cookie.
const SOCKET: usize = 16;
/// `struct nlattr`: length, type.
const ATTRIBUTE: usize = 4;

// linux/netlink.h, linux/sock_diag.h, linux/unix_diag.h.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const SHOW_VFS: u32 = 2;
const ATTRIBUTE_VFS: u16 = 1;
const UNIX: u8 = 1;
const INTERNET: u8 = 2;
const INTERNET_6: u8 = 10;
const TCP: u8 = 6;
/// `TCP_LISTEN`: the state of sockets that can be connected to.
const LISTENING: u32 = 1 << 10;

/// The list of a session's own sockets.
#[derive(Debug)]
pub(crate) struct OwnSockets {
    diagnosis: Diagnosis,
    network: Option<u64>,
}

/// A file, as the kernel tells it of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound {
    inode: u32,
    device: u32,
}

impl OwnSockets {
    /// Takes a socket that was opened inside, before anything hostile ran.
    pub(super) fn new(socket: OwnedFd) -> OwnSockets {
        let network = sys::network_cookie(socket.as_fd()).ok();
        OwnSockets { diagnosis: Diagnosis::new(socket), network }
    }

    /// Tells whether the socket is of the session's network.
    pub(super) fn has_network_of(&self, socket: BorrowedFd<'_>) -> bool {
        self.network.is_some_and(|own| sys::network_cookie(socket).is_ok_and(|its| own == its))
    }

    /// Lists the addresses on which programs of the session listen for TCP connections.
    pub(super) fn ports(&self) -> io::Result<Vec<SocketAddr>> {
        self.diagnosis.ports()
    }

    /// Tells who listens on the socket that this file is: the file of a process of the session, opened as a
    /// place only.
    pub(super) fn who_listens(&self, file: BorrowedFd<'_>, process: i32) -> io::Result<Listening> {
        let place = Place::of(file)?;
        let inside = place.find(&self.diagnosis.listeners()?, process)?;
        // A number that is only half of one may be that of another file, too, and so may one that each
        // subvolume counts anew.
        if inside.is_some_and(|found| place.is_exact && place.device == found.device) {
            return Ok(Listening::Inside);
        }
        let outside = place.find(&Diagnosis::new(sys::open_sock_diag()?).listeners()?, process)?;
        Ok(match (inside, outside) {
            (_, Some(_)) => Listening::Outside,
            (Some(_), None) => Listening::Inside,
            (None, None) => Listening::Nobody,
        })
    }
}

/// Where a file is.
struct Place {
    inode: u32,
    /// The number has no upper half.
    is_exact: bool,
    device: u32,
    mount: String,
}

impl Place {
    fn of(file: BorrowedFd<'_>) -> io::Result<Place> {
        let stat = rustix::fs::fstat(file)?;
        let facts = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
        let fact = |name: &str| facts.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        // Before Linux 5.14 it is not told.
        let inode = fact("ino:").and_then(|inode| inode.parse().ok()).unwrap_or(stat.st_ino);
        let low = inode & u64::from(u32::MAX);
        Ok(Place {
            inode: u32::try_from(low).unwrap_or_default(),
            is_exact: low == inode,
            device: device(rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev)),
            mount: fact("mnt_id:").unwrap_or_default().to_owned(),
        })
    }

    fn find(&self, listeners: &[Bound], process: i32) -> io::Result<Option<Bound>> {
        let mut same: Vec<Bound> =
            listeners.iter().copied().filter(|bound| bound.inode == self.inode).collect();
        if let Some(found) = same.iter().find(|bound| bound.device == self.device) {
            return Ok(Some(*found));
        }
        if !same.is_empty() {
            let superblock = self.superblock(process)?;
            same.retain(|bound| Some(bound.device) == superblock);
        }
        Ok(same.first().copied())
    }

    /// The device of what is mounted there, for which the file's own may stand for a part (a subvolume, a
    /// layer).
    fn superblock(&self, process: i32) -> io::Result<Option<u32>> {
        let mounts = fs::read(format!("/proc/{process}/mountinfo"))?;
        let mut lines = mounts.split(|byte| *byte == b'\n').map(String::from_utf8_lossy);
        Ok(lines.find_map(|line| {
            let mut fields = line.split(' ');
            let is_it = fields.next() == Some(self.mount.as_str());
            let (major, minor) = fields.nth(1)?.split_once(':')?;
            is_it.then_some(device(major.parse().ok()?, minor.parse().ok()?))
        }))
    }
}

/// As the kernel writes a device to itself (`MKDEV` in linux/kdev_t.h).
fn device(major: u32, minor: u32) -> u32 {
    major << 20 | minor
}

/// A socket that asks, and how often it has.
#[derive(Debug)]
struct Diagnosis {
    socket: Mutex<(OwnedFd, u32)>,
}

impl Diagnosis {
    fn new(socket: OwnedFd) -> Diagnosis {
        Diagnosis { socket: Mutex::new((socket, 0)) }
    }

    /// Lists the files on which sockets listen.
    fn listeners(&self) -> io::Result<Vec<Bound>> {
        let mut found = Vec::new();
        self.ask(&unix_listeners(), |socket| found.extend(socket.get(SOCKET..).and_then(bound)))?;
        Ok(found)
    }

    /// Lists the addresses on which TCP sockets listen.
    fn ports(&self) -> io::Result<Vec<SocketAddr>> {
        let mut found = Vec::new();
        for family in [INTERNET, INTERNET_6] {
            self.ask(&tcp_listeners(family), |socket| found.extend(listened_on(socket)))?;
        }
        Ok(found)
    }

    /// Asks for sockets, and hands on what the kernel tells of each.
    fn ask(&self, question: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let mut locked = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let (socket, sequence) = &mut *locked;
        *sequence = sequence.wrapping_add(1);
        rustix::net::send(&*socket, &request(*sequence, question), SendFlags::empty())?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let received = rustix::io::retry_on_intr(|| {
                rustix::net::recv(&*socket, buffer.as_mut_slice(), RecvFlags::TRUNC)
            });
            let (_, length) = received?;
            let messages = buffer.get(..length).ok_or_else(|| io::Error::other("an answer was cut"))?;
            if take(messages, *sequence, &mut each)? {
                return Ok(());
            }
        }
    }
}

/// `struct unix_diag_req`.
fn unix_listeners() -> Vec<u8> {
    [
        [UNIX, 0, 0, 0],
        LISTENING.to_ne_bytes(),
        0_u32.to_ne_bytes(), // any inode
        SHOW_VFS.to_ne_bytes(),
        u32::MAX.to_ne_bytes(), // no cookie
        u32::MAX.to_ne_bytes(),
    ]
    .concat()
}

/// `struct inet_diag_req_v2`, for any address.
fn tcp_listeners(family: u8) -> Vec<u8> {
    [[family, TCP, 0, 0].as_slice(), &LISTENING.to_ne_bytes(), &[0; 48]].concat()
}

/// The address of a socket, in `struct inet_diag_msg`.
fn listened_on(socket: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(*socket.get(4..6)?.first_chunk()?);
    let address = socket.get(8..24)?;
    let address = match *socket.first()? {
        INTERNET => Ipv4Addr::from(*address.first_chunk::<4>()?).into(),
        INTERNET_6 => Ipv6Addr::from(*address.first_chunk::<16>()?).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

fn request(sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or_default();
    [
        length.to_ne_bytes().as_slice(),
        &SOCK_DIAG_BY_FAMILY.to_ne_bytes(),
        &REQUEST_DUMP.to_ne_bytes(),
        &sequence.to_ne_bytes(),
        &0_u32.to_ne_bytes(),
        body,
    ]
    .concat()
}

/// Takes what some messages tell; true when they were the last.
fn take(mut messages: &[u8], sequence: u32, each: &mut impl FnMut(&[u8])) -> io::Result<bool> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "an answer of the kernel is malformed");
    while !messages.is_empty() {
        let length = usize::try_from(word(messages, 0).ok_or_else(malformed)?).map_err(io::Error::other)?;
        let message = messages.get(..length).filter(|_| length >= HEADER).ok_or_else(malformed)?;
        messages = messages.get(aligned(length)..).unwrap_or_default();
        let body = message.get(HEADER..).ok_or_else(malformed)?;
        // What is left over of an earlier question that failed.
        if word(message, 8) != Some(sequence) {
            continue;
        }
        match half(message, 4).ok_or_else(malformed)? {
            DONE => return Ok(true),
            ERROR => {
                let errno = word(body, 0).ok_or_else(malformed)?.cast_signed();
                return Err(io::Error::from_raw_os_error(errno.wrapping_neg()));
            }
            SOCK_DIAG_BY_FAMILY => each(body),
            _ => {}
        }
    }
    Ok(false)
}

/// Finds the file among a socket's attributes.
fn bound(mut attributes: &[u8]) -> Option<Bound> {
    loop {
        let length = usize::from(half(attributes, 0)?);
        let attribute = attributes.get(..length).filter(|_| length >= ATTRIBUTE)?;
        if half(attribute, 2)? == ATTRIBUTE_VFS {
            return Some(Bound {
                inode: word(attribute, ATTRIBUTE)?,
                device: word(attribute, ATTRIBUTE + 4)?,
            });
        }
        attributes = attributes.get(aligned(length)..)?;
    }
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    fn own() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    fn listens(sockets: &OwnSockets, path: &Path) -> Listening {
        let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        sockets.who_listens(file.as_fd(), own()).unwrap()
    }

    #[test]
    fn a_socket_is_known_by_its_file_whatever_that_is_called() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let sockets = OwnSockets::new(sys::open_sock_diag().unwrap());
        let [bound, moved, linked] =
            ["bound", "moved\nelsewhere", "linked"].map(|name| folder.path().join(name));
        let listener = UnixListener::bind(&bound).unwrap();
        assert_eq!(listens(&sockets, &bound), Listening::Inside);
        fs::rename(&bound, &moved).unwrap();
        fs::hard_link(&moved, &linked).unwrap();
        assert_eq!(listens(&sockets, &linked), Listening::Inside);
        drop(listener);
        assert_eq!(listens(&sockets, &linked), Listening::Nobody);
    }

    #[test]
    fn malformed_answers_are_errors() {
        let mut found = 0;
        let mut each = |_: &[u8]| found += 1;
        assert!(take(&[1, 0, 0], 1, &mut each).is_err());
        assert!(take(&[8, 0, 0, 0, 0, 0, 0, 0], 1, &mut each).is_err());
        assert!(take(&[255, 255, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], 1, &mut each).is_err());
        assert_eq!(bound(&[0, 0, 0, 0]), None);
        assert_eq!(bound(&[8, 0, 1, 0, 1, 2, 3, 4]), None);
        assert_eq!((listened_on(&[]), listened_on(&[2; 20]), listened_on(&[7; 60])), (None, None, None));
        assert_eq!(found, 0);
    }

    #[test]
    fn ports_that_are_listened_on_are_listed() {
        let sockets = OwnSockets::new(sys::open_sock_diag().unwrap());
        let listeners = ["127.0.0.1:0", "[::1]:0"].map(|address| std::net::TcpListener::bind(address).ok());
        let addresses = listeners.iter().flatten().map(|listener| listener.local_addr().unwrap());
        for address in addresses.collect::<Vec<_>>() {
            assert!(sockets.ports().unwrap().contains(&address), "{address}");
        }
    }
}
