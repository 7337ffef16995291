//! Fork, the steps in the child, execve.
//!
//! Between fork and execve only async-signal-safe calls are made and nothing is allocated: everything that the child
//! needs lies ready in [`Plan`] before the fork.

#![expect(unsafe_code, reason = "fork, and raw descriptors in the forked child, have no safe interface")]

use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// Descriptors at or above this number are out of the way of those that a program is given.
const OUT_OF_THE_WAY: RawFd = 256;

/// A NULL-terminated array of C strings, with the strings.
pub(super) struct CStringArray {
    _strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl CStringArray {
    pub(super) fn new(strings: Vec<CString>) -> CStringArray {
        // The strings' own memory does not move when the vector does.
        let pointers = strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        CStringArray { _strings: strings, pointers }
    }
}

/// Where the child changes to.
pub(super) enum DirectoryPlan {
    Path(CString),
    Open(RawFd),
}

/// Everything that the child needs, in the form that system calls take.
pub(super) struct Plan {
    pub(super) program: CString,
    pub(super) argv: CStringArray,
    pub(super) env: CStringArray,
    pub(super) directory: DirectoryPlan,
    /// Our descriptor, and its number in the program.
    pub(super) descriptors: Vec<(RawFd, RawFd)>,
    /// Soft and hard limit of open descriptors, when they are not the server's own.
    pub(super) descriptor_limit: Option<(libc::rlim_t, libc::rlim_t)>,
}

/// A step in the child; its number travels to the parent when it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Step {
    Session,
    Signals,
    Directory,
    Descriptors,
    Limits,
    Execve,
}

impl Step {
    const ALL: [Step; 6] =
        [Step::Session, Step::Signals, Step::Directory, Step::Descriptors, Step::Limits, Step::Execve];

    pub(super) fn name(self) -> &'static str {
        match self {
            Step::Session => "begin a session",
            Step::Signals => "reset signals",
            Step::Directory => "change to the working directory",
            Step::Descriptors => "place descriptors",
            Step::Limits => "set limits",
            Step::Execve => "execute it",
        }
    }
}

/// What went wrong, and where.
pub(super) enum Failure {
    Fork(io::Error),
    Child { step: Step, source: io::Error },
}

impl Plan {
    /// Forks, and executes the program in the child. Returns the child's process id once execve has succeeded.
    pub(super) fn fork_and_exec(mut self) -> Result<libc::pid_t, Failure> {
        let (report_read, report_write) = report_pipe().map_err(Failure::Fork)?;
        // SAFETY: the child runs `in_child` only, which keeps to async-signal-safe calls.
        let pid = unsafe { libc::fork() };
        match pid {
            -1 => Err(Failure::Fork(io::Error::last_os_error())),
            0 => {
                let (step, errno) = self.in_child();
                let [a, b, c, d] = errno.to_ne_bytes();
                let report = [step as u8, a, b, c, d];
                // SAFETY: the buffer is valid for reads of its length.
                unsafe { libc::write(report_write.as_raw_fd(), report.as_ptr().cast(), report.len()) };
                // SAFETY: _exit runs no handlers and does not return.
                unsafe { libc::_exit(127) }
            }
            pid => {
                drop(report_write);
                match read_report(&report_read) {
                    None => Ok(pid),
                    Some((step, source)) => {
                        // SAFETY: the child is ours and has no other waiter; no status is asked for.
                        unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
                        Err(Failure::Child { step, source })
                    }
                }
            }
        }
    }

    /// Returns only when a step has failed.
    fn in_child(&mut self) -> (Step, i32) {
        // SAFETY: no arguments; a fork's child is no group leader, so it may.
        if let Err(errno) = check(unsafe { libc::setsid() }) {
            return (Step::Session, errno);
        }
        if let Err(errno) = default_signals() {
            return (Step::Signals, errno);
        }
        // The directory's descriptor may have the number of one to be placed, so it comes first.
        let changed = match &self.directory {
            // SAFETY: the path is NUL-terminated.
            DirectoryPlan::Path(path) => check(unsafe { libc::chdir(path.as_ptr()) }),
            // SAFETY: fchdir takes any number.
            DirectoryPlan::Open(directory) => check(unsafe { libc::fchdir(*directory) }),
        };
        if let Err(errno) = changed {
            return (Step::Directory, errno);
        }
        if let Err(errno) = place(&mut self.descriptors) {
            return (Step::Descriptors, errno);
        }
        if let Some((soft, hard)) = self.descriptor_limit {
            let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
            // SAFETY: the limit is valid for reads.
            if let Err(errno) = check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }) {
                return (Step::Limits, errno);
            }
        }
        // SAFETY: the path is NUL-terminated; both arrays are NULL-terminated arrays of NUL-terminated strings.
        unsafe {
            libc::execve(self.program.as_ptr(), self.argv.pointers.as_ptr(), self.env.pointers.as_ptr())
        };
        (Step::Execve, errno())
    }
}

/// A pipe for the child's report. Its end in the child is out of the way of the program's descriptors.
fn report_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = io::pipe()?;
    // SAFETY: F_DUPFD_CLOEXEC takes a lowest number.
    let high = check(unsafe { libc::fcntl(write.as_raw_fd(), libc::F_DUPFD_CLOEXEC, OUT_OF_THE_WAY) })
        .map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok((read.into(), unsafe { OwnedFd::from_raw_fd(high) }))
}

/// Reads the report; none means that execve closed the pipe.
fn read_report(pipe: &OwnedFd) -> Option<(Step, io::Error)> {
    let mut report = [0_u8; 5];
    let length = loop {
        match rustix::io::read(pipe, &mut report) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other.unwrap_or(0),
        }
    };
    let [step, errno @ ..] = report;
    let step = Step::ALL.into_iter().find(|known| *known as u8 == step)?;
    (length == report.len()).then(|| (step, io::Error::from_raw_os_error(i32::from_ne_bytes(errno))))
}

/// What the server ignores or blocks must not be inherited: SIGPIPE is ignored by Rust's runtime.
fn default_signals() -> Result<(), i32> {
    // SAFETY: SIG_DFL installs no handler.
    if unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) } == libc::SIG_ERR {
        return Err(errno());
    }
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is valid for writes.
    check(unsafe { libc::sigemptyset(none.as_mut_ptr()) })?;
    // SAFETY: the set was initialised by sigemptyset; no old set is asked for.
    check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut()) })?;
    Ok(())
}

/// Makes every descriptor but the standard streams close-on-exec: whoever started the server may have left some open
/// that are not ours to pass on.
fn close_on_exec_all() -> Result<(), i32> {
    // SAFETY: sysconf takes any name.
    let open_max = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    for number in 3..RawFd::try_from(open_max).unwrap_or(OUT_OF_THE_WAY).min(1 << 16) {
        // SAFETY: F_SETFD on a number that is not open does nothing.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// Gives each descriptor its number and closes the standard streams that the program does not get.
fn place(descriptors: &mut [(RawFd, RawFd)]) -> Result<(), i32> {
    close_on_exec_all()?;
    // First out of the way, all of them: a number to be given may be that of one not yet placed.
    for (ours, _) in &mut *descriptors {
        // SAFETY: F_DUPFD_CLOEXEC takes a lowest number.
        *ours = check(unsafe { libc::fcntl(*ours, libc::F_DUPFD_CLOEXEC, OUT_OF_THE_WAY) })?;
    }
    for (ours, number) in &*descriptors {
        // SAFETY: dup2 takes any numbers. The copy is not close-on-exec.
        check(unsafe { libc::dup2(*ours, *number) })?;
    }
    for standard in 0..=2 {
        if !descriptors.iter().any(|(_, number)| *number == standard) {
            // SAFETY: closing a number that is not open does nothing.
            unsafe { libc::close(standard) };
        }
    }
    Ok(())
}

fn check(result: libc::c_int) -> Result<libc::c_int, i32> {
    if result == -1 { Err(errno()) } else { Ok(result) }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or_default()
}
