//! Connects sockets of other processes, and interrupts the threads that do it.

#![expect(
    unsafe_code,
    reason = "addresses that are passed on as bytes, and signals to one thread, have no safe interface"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// `PIDFD_THREAD` (pidfd_open(2), Linux 6.9): of a thread that does not lead its process.
const OF_THREAD: PidfdFlags = PidfdFlags::from_bits_retain(libc::O_EXCL.unsigned_abs());

/// Duplicates a descriptor of another process, which a thread of it has at this number.
pub(crate) fn take_descriptor(thread: i32, number: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(thread).ok_or(io::ErrorKind::InvalidInput)?;
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => pidfd_open(pid, OF_THREAD),
        other => other,
    };
    let handle = match handle {
        Ok(handle) => handle,
        // Before Linux 6.9: by the process, which has the same descriptors unless the thread has given that
        // up.
        Err(_) => pidfd_open(process_of(pid)?, PidfdFlags::empty())?,
    };
    Ok(pidfd_getfd(handle, number, PidfdGetfdFlags::empty())?)
}

/// Whether another process has the same open file at this number as we have. Where the kernel does not tell, it has not.
pub(crate) fn has_same_file(thread: i32, number: i32, ours: BorrowedFd<'_>) -> bool {
    /// `KCMP_FILE` (kcmp(2)).
    const FILES: libc::c_int = 0;
    let own = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: kcmp(2) takes numbers only, and changes nothing.
    let result = unsafe { libc::syscall(libc::SYS_kcmp, own, thread, FILES, ours.as_raw_fd(), number) };
    result == 0
}

fn process_of(thread: Pid) -> io::Result<Pid> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", thread.as_raw_nonzero()))?;
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
    process.and_then(Pid::from_raw).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Connects a socket to an address, which is as connect(2) takes it.
pub(crate) fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(address.len()).map_err(io::Error::other)?;
    // SAFETY: connect(2) reads so many bytes of an address, which is live; it writes nothing.
    let result = unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Who a thread acts as: its effective user and group, and its further groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    user: libc::uid_t,
    group: libc::gid_t,
    groups: Vec<libc::gid_t>,
}

impl Identity {
    /// That of a thread, as it is seen from here (proc_pid_status(5)).
    pub(crate) fn of(thread: i32) -> Option<Identity> {
        let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
        let numbers = |field: &str| -> Option<Vec<u32>> {
            let line = status.lines().find_map(|line| line.strip_prefix(field))?;
            line.split_ascii_whitespace().map(|number| number.parse().ok()).collect()
        };
        let effective = |field: &str| numbers(field)?.get(1).copied();
        Some(Identity { user: effective("Uid:")?, group: effective("Gid:")?, groups: numbers("Groups:")? })
    }

    /// Does something as this one, on this thread alone, where we may: as root. Others act as the only user that their
    /// sessions know.
    ///
    /// # Errors
    ///
    /// When this thread cannot become this one. It is always itself again after that.
    pub(crate) fn act<T>(&self, what: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let Some(own) = Identity::of(nix::unistd::gettid().as_raw()) else { return what() };
        if own.user != 0 || own == *self {
            return what();
        }
        let done = self.assume().and_then(|()| what());
        if own.assume().is_err() {
            // As somebody else it must do nothing more.
            std::process::abort();
        }
        done
    }

    /// As the kernel has it: the C library would change all threads. The real and the saved user stay root, so nobody
    /// gets a right over this thread.
    fn assume(&self) -> io::Result<()> {
        const KEPT: libc::uid_t = libc::uid_t::MAX;
        let outcome =
            |result: libc::c_long| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        // First root again, who alone may change groups.
        // SAFETY: setresuid(2) takes three numbers.
        outcome(unsafe { libc::syscall(libc::SYS_setresuid, KEPT, 0, KEPT) })?;
        // SAFETY: setgroups(2) reads as many numbers as it is told, which are live.
        outcome(unsafe { libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr()) })?;
        // SAFETY: setresgid(2) takes three numbers.
        outcome(unsafe { libc::syscall(libc::SYS_setresgid, KEPT, self.group, KEPT) })?;
        // SAFETY: as above.
        outcome(unsafe { libc::syscall(libc::SYS_setresuid, KEPT, self.user, KEPT) })
    }
}

/// One thread of this process, as the kernel counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interruptible(i32);

/// What interrupts: the last but one of the signals that programs are free to use (signal(7)).
fn signal() -> i32 {
    libc::SIGRTMAX() - 1
}

extern "C" fn interrupted(_: libc::c_int) {}

impl Interruptible {
    /// Has this thread be interruptible: a system call in which it waits fails with `EINTR`, and is not
    /// started again.
    pub(crate) fn current() -> io::Result<Interruptible> {
        static PREPARED: OnceLock<bool> = OnceLock::new();
        let prepared = PREPARED.get_or_init(|| {
            // SAFETY: a structure of numbers and a pointer, for which zeroes are valid; no flag is set, so
            // not SA_RESTART.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            action.sa_sigaction = interrupted as *const () as usize;
            // SAFETY: the action is live and only read; its handler does nothing, so it may interrupt
            // anything.
            unsafe { libc::sigaction(signal(), &raw const action, std::ptr::null_mut()) == 0 }
        });
        if !prepared {
            return Err(io::Error::other("a signal cannot be had"));
        }
        Ok(Interruptible(nix::unistd::gettid().as_raw()))
    }

    /// Interrupts it, if it waits now.
    pub(crate) fn interrupt(self) {
        let process = std::process::id();
        // SAFETY: tgkill(2) takes three integers; the handler of that signal does nothing. A thread that is
        // gone is an error.
        unsafe { libc::syscall(libc::SYS_tgkill, process, self.0, signal()) };
    }
}
