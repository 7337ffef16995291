//! The listener of a filter that reports system calls (seccomp_unotify(2)): receives notifications and answers them.

#![expect(unsafe_code, reason = "no kept library has the requests of a seccomp listener")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

// linux/seccomp.h; the numbers hold the sizes of the structures.
const RECEIVE: libc::Ioctl = 0xc050_2100_u32 as libc::Ioctl;
const SEND: libc::Ioctl = 0xc018_2101_u32 as libc::Ioctl;
const IS_VALID: libc::Ioctl = 0x4008_2102;
const ADD_DESCRIPTOR: libc::Ioctl = 0x4018_2103;
const SET_FLAGS: libc::Ioctl = 0x4008_2104;
/// Wakes the other side on the processor of this one, since one waits for the other (Linux 6.6).
const SYNCHRONOUS_WAKE_UP: usize = 1;

/// One system call that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notification {
    /// What the answer names.
    pub(crate) id: u64,
    /// The thread that called, as seen from here.
    pub(crate) thread: i32,
    /// Which call it is.
    pub(crate) number: i64,
    /// Its arguments: the caller's claim, and addresses in its memory.
    pub(crate) arguments: [u64; 6],
}

/// The end of a filter that hears and answers. When it is closed, calls that wait fail with ENOSYS, and so do all later ones.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

impl Listener {
    pub(crate) fn new(descriptor: OwnedFd) -> Listener {
        let listener = Listener(descriptor);
        // Where the kernel does not know it, it is only slower.
        let _ = listener.request(SET_FLAGS, SYNCHRONOUS_WAKE_UP);
        listener
    }

    /// Takes the next notification. Only after `poll` has said that there is one: else it waits. `None`: who called was
    /// interrupted or is gone.
    pub(crate) fn receive(&self) -> io::Result<Option<Notification>> {
        // SAFETY: a structure of numbers, for which zeroes are valid; the kernel demands them.
        let mut heard: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: RECEIVE writes one `seccomp_notif`, which is live and writable.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), RECEIVE, &raw mut heard) };
        if result < 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::ENOENT | libc::EINTR) => Ok(None),
                _ => Err(error),
            };
        }
        Ok(Some(Notification {
            id: heard.id,
            thread: i32::try_from(heard.pid).unwrap_or_default(),
            number: heard.data.nr.into(),
            arguments: heard.data.args,
        }))
    }

    /// Whether the call still waits: what was read of its process before is then its.
    pub(crate) fn is_waiting(&self, id: u64) -> bool {
        // SAFETY: IS_VALID reads one u64, which is live.
        unsafe { libc::ioctl(self.0.as_raw_fd(), IS_VALID, &raw const id) == 0 }
    }

    /// Lets the call happen: the kernel reads its arguments again.
    pub(crate) fn let_happen(&self, id: u64) -> io::Result<()> {
        self.answer(id, 0, u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1))
    }

    /// Has the call succeed, without happening: it was done in its place.
    pub(crate) fn succeed(&self, id: u64) -> io::Result<()> {
        self.answer(id, 0, 0)
    }

    /// Has the call fail.
    pub(crate) fn fail(&self, id: u64, errno: i32) -> io::Result<()> {
        self.answer(id, -errno, 0)
    }

    /// Places a descriptor of ours at a number in the caller's table; what was there is closed.
    pub(crate) fn place(
        &self,
        id: u64,
        ours: BorrowedFd<'_>,
        number: i32,
        closes_on_exec: bool,
    ) -> io::Result<()> {
        let added = libc::seccomp_notif_addfd {
            id,
            flags: u32::try_from(libc::SECCOMP_ADDFD_FLAG_SETFD).unwrap_or(1),
            srcfd: ours.as_raw_fd().unsigned_abs(),
            newfd: number.unsigned_abs(),
            newfd_flags: if closes_on_exec { libc::O_CLOEXEC.unsigned_abs() } else { 0 },
        };
        // SAFETY: ADD_DESCRIPTOR reads one `seccomp_notif_addfd`, which is live; it changes the table of the caller, not ours.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), ADD_DESCRIPTOR, &raw const added) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Has the call return a descriptor, a copy of ours, at the lowest free number. Ours is closed before it goes on: a
    /// file that is open for writing anywhere cannot be executed.
    pub(crate) fn answer_with(&self, id: u64, ours: OwnedFd, closes_on_exec: bool) -> io::Result<()> {
        let added = libc::seccomp_notif_addfd {
            id,
            flags: 0,
            srcfd: ours.as_raw_fd().unsigned_abs(),
            newfd: 0,
            newfd_flags: if closes_on_exec { libc::O_CLOEXEC.unsigned_abs() } else { 0 },
        };
        // SAFETY: ADD_DESCRIPTOR reads one `seccomp_notif_addfd`, which is live; it changes the table of the caller, not ours.
        let number = unsafe { libc::ioctl(self.0.as_raw_fd(), ADD_DESCRIPTOR, &raw const added) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        drop(ours);
        self.respond(libc::seccomp_notif_resp { id, val: number.into(), error: 0, flags: 0 })
    }

    fn answer(&self, id: u64, error: i32, flags: u32) -> io::Result<()> {
        self.respond(libc::seccomp_notif_resp { id, val: 0, error, flags })
    }

    fn respond(&self, response: libc::seccomp_notif_resp) -> io::Result<()> {
        // SAFETY: SEND reads one `seccomp_notif_resp`, which is live.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), SEND, &raw const response) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn request(&self, request: libc::Ioctl, value: usize) -> io::Result<()> {
        // SAFETY: the only request made so, SET_FLAGS, takes a number.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), request, value) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
