//! The filter that has system calls of a program and of all its descendants reported to the server, and held until it answers
//! (seccomp_unotify(2)).
//!
//! A second filter beside that of `seccomp`, one for each call: so each has a listener of its own, which says when the last
//! process of the call is gone. Nothing is decided here.

use super::sys;
use libc::c_long;
use seccompiler::sock_filter;
use std::io;
use std::os::fd::OwnedFd;

/// What is reported, and why.
const REPORTED: &[(c_long, &str)] =
    &[(libc::SYS_execve, "rules decide which programs run, and where"), (libc::SYS_execveat, "as execve")];

/// The processor's number in the `arch` field of what a filter sees (linux/audit.h).
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
/// Calls by x32's numbers have this bit.
const X32_BIT: u32 = 0x4000_0000;

/// Built before the fork.
pub(super) struct Reporter(Vec<sock_filter>);

impl Reporter {
    pub(super) fn new() -> Reporter {
        Reporter(program())
    }

    /// Puts the filter on this process and returns its listener, which is close-on-exec. Sets `no_new_privs`, without which
    /// only root may.
    ///
    /// # Errors
    /// `EBUSY` where something around us listens already (a container manager), `EINVAL` or `ENOSYS` where the kernel cannot.
    pub(super) fn start(&self) -> io::Result<OwnedFd> {
        rustix::thread::set_no_new_privs(true)?;
        sys::filter_with_listener(&self.0)
    }
}

/// Reports the calls of the table, kills whoever calls by another processor's numbers (the same calls, under others), and
/// allows the rest.
fn program() -> Vec<sock_filter> {
    const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const JUMP_SET: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let mut program = vec![
        step(LOAD_WORD, 0, 0, 4), // seccomp_data.arch
        step(JUMP_EQUAL, 1, 0, ARCHITECTURE),
        step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(LOAD_WORD, 0, 0, 0), // seccomp_data.nr
    ];
    if cfg!(target_arch = "x86_64") {
        program.push(step(JUMP_EQUAL, 2, 0, u32::MAX)); // -1 is no call at all
        program.push(step(JUMP_SET, 0, 1, X32_BIT));
        program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS));
    }
    for (number, _reason) in REPORTED {
        program.push(step(JUMP_EQUAL, 0, 1, u32::try_from(*number).unwrap_or(u32::MAX)));
        program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF));
    }
    program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    program
}
