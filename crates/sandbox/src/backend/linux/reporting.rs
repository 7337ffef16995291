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
/// What is reported besides where the session has a network of its own, and why.
const CONNECTIONS: &[(c_long, &str)] = &[(libc::SYS_connect, "only servers inside may be reached")];

/// The processor's number in the `arch` field of what a filter sees (linux/audit.h).
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
/// Calls by x32's numbers have this bit.
const X32_BIT: u32 = 0x4000_0000;

/// Built before the fork.
pub(super) struct Reporter(Vec<sock_filter>);

impl Reporter {
    pub(super) fn new(connections: bool) -> Reporter {
        Reporter(program(connections))
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

const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_SET: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const fn step(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Reports the calls of the tables, kills whoever calls by another processor's numbers (the same calls, under
/// others), and allows the rest.
fn program(connections: bool) -> Vec<sock_filter> {
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
    for (reported, _reason) in REPORTED.iter().chain(CONNECTIONS.iter().filter(|_| connections)) {
        program.push(step(JUMP_EQUAL, 0, 1, number(*reported)));
        program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF));
    }
    if connections {
        program.extend(without_datagrams());
    }
    program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    program
}

/// Refuses Unix sockets, and pairs of them, that are neither of streams nor of sequenced packets. A datagram
/// names whom it is for: to `sendto` and `sendmsg`, past any `connect`, and in memory, which a filter cannot
/// see (`SOCK_RAW` is the same to Unix sockets, unix(7)). The other kinds are deaf to that:
/// `unix_seqpacket_sendmsg` drops the name, `unix_stream_sendmsg` fails. Expects the call's number to be
/// loaded; falls through where nothing is refused.
fn without_datagrams() -> Vec<sock_filter> {
    const FAMILY: u32 = 16; // the low half of seccomp_data.args[0]
    const TYPE: u32 = 24; // of args[1]
    const TYPE_MASK: u32 = 0xf; // the rest is flags (socket(2))
    const UNIX: u32 = 1;
    const STREAM: u32 = 1;
    const SEQUENCED: u32 = 5;
    vec![
        step(JUMP_EQUAL, 1, 0, number(libc::SYS_socket)),
        step(JUMP_EQUAL, 0, 7, number(libc::SYS_socketpair)),
        step(LOAD_WORD, 0, 0, FAMILY),
        step(JUMP_EQUAL, 0, 5, UNIX),
        step(LOAD_WORD, 0, 0, TYPE),
        step(AND, 0, 0, TYPE_MASK),
        step(JUMP_EQUAL, 2, 0, STREAM),
        step(JUMP_EQUAL, 1, 0, SEQUENCED),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs()),
    ]
}

fn number(call: c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}
