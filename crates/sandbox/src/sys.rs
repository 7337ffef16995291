//! The system calls of a new process, on every system, for which no safe wrapper exists in the libraries used.
//!
//! None of them allocates: a process that was forked by one with several threads must not.
#![expect(unsafe_code, reason = "execve, signal sets and descriptor numbers have no safe wrapper")]

use std::ffi::{CStr, CString};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Makes this process the leader of a session of its own, without a terminal.
pub(crate) fn new_session() -> io::Result<()> {
    // SAFETY: setsid(2) takes nothing. Not by a library that makes a process number of what it returns: in gVisor that
    // is 0.
    nothing(unsafe { libc::setsid() })
}

/// Duplicates a descriptor onto a number, without close-on-exec, for a program about to be executed.
pub(crate) fn place_descriptor(source: BorrowedFd<'_>, target: RawFd) -> io::Result<()> {
    // SAFETY: dup2(2) takes two integers. It may close what was at `target`: the caller runs in a forked child just
    // before execve and keeps its own descriptors above every target.
    let result = unsafe { libc::dup2(source.as_raw_fd(), target) };
    nothing(result)
}

/// Ignores and blocks these signals and no others, for a program about to be executed; bit 0 is signal 1. Of other
/// signals only SIGPIPE, which Rust's start-up has set to be ignored, gets its default action. Allocates nothing.
pub(crate) fn inherit_signals(ignored: u64, blocked: u64) {
    let members = |set: u64| (1..=64).filter(move |number| set >> (number - 1) & 1 == 1);
    // SAFETY: SIG_DFL is a valid disposition.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    for number in members(ignored) {
        // SAFETY: SIG_IGN is a valid disposition for any number; for those that cannot be ignored the call fails.
        unsafe { libc::signal(number, libc::SIG_IGN) };
    }
    let mut set = no_signals();
    for number in members(blocked) {
        // SAFETY: `set` is initialised; those that the C library keeps for itself are answered with EINVAL, and stay
        // out.
        unsafe { libc::sigaddset(&raw mut set, number) };
    }
    // SAFETY: `set` is an initialised signal set; the old mask is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) };
}

/// Strings in the form that `execve` takes, made before a fork.
pub(crate) struct CStringArray<'a> {
    /// Ends with a null pointer.
    pointers: Vec<*const libc::c_char>,
    strings: PhantomData<&'a [CString]>,
}

impl<'a> CStringArray<'a> {
    pub(crate) fn new(strings: &'a [CString]) -> CStringArray<'a> {
        let pointers = strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect();
        CStringArray { pointers, strings: PhantomData }
    }
}

/// Replaces this process by a program; returns only when that failed.
pub(crate) fn execute(
    program: &CStr,
    arguments: &CStringArray<'_>,
    environment: &CStringArray<'_>,
) -> io::Error {
    // SAFETY: the path is NUL-terminated; both arrays end with a null pointer and point into `CString`s that stay
    // borrowed during the call.
    unsafe { libc::execve(program.as_ptr(), arguments.pointers.as_ptr(), environment.pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// Ends this process at once, without running exit handlers that belong to the process it was forked from.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes any number and never returns.
    unsafe { libc::_exit(code) }
}

/// Makes an empty set of signals.
pub(crate) fn no_signals() -> libc::sigset_t {
    // SAFETY: `sigset_t` consists of integers, for which all zeroes is a valid value.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a live, writable local.
    unsafe { libc::sigemptyset(&raw mut set) };
    set
}

fn nothing(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
