//! The filter that has system calls of a program and of all its descendants reported to the server, and held until it answers
//! (seccomp_unotify(2)).
//!
//! A second filter beside that of `seccomp`, one for each call: so each has a listener of its own, which says when the last
//! process of the call is gone. Nothing is decided here.

use super::seccomp::FAMILIES;
use super::sys::{self, Forked, SingleThreaded};
use super::wire::Reported;
use libc::c_long;
use seccompiler::sock_filter;
use std::io;
use std::os::fd::OwnedFd;

/// When a call is reported.
#[derive(Clone, Copy)]
enum When {
    Always,
    /// Any of these bits is set in this argument.
    With(u32, u32),
    /// This argument is one of these.
    OneOf(u32, &'static [u64]),
    /// This argument is none of these.
    NoneOf(u32, &'static [u64]),
    /// Never: the kernel does not know it, so callers use an older one. What it does is in memory, where no filter sees it.
    Unknown,
}

/// A system call, when it is reported, and why.
type Row = (c_long, When, &'static str);

/// What is reported of every call that is.
const EXECS: &[Row] = &[
    (libc::SYS_execve, When::Always, "rules decide which programs run, and where"),
    (libc::SYS_execveat, When::Always, "as execve"),
    (
        libc::SYS_ioctl,
        When::OneOf(1, SET_TERMINAL),
        "where nothing can be read, who takes it for a terminal would wait for ever",
    ),
];

/// How a terminal's modes are set (ioctl_tty(2)): `TCSETS`, `TCSETSW`, `TCSETSF`.
const SET_TERMINAL: &[u64] = &[0x5402, 0x5403, 0x5404];

/// What is reported besides where commands may not trace: all requests but those that need a thread which is traced already.
const TRACING: &[Row] = &[(
    libc::SYS_ptrace,
    When::NoneOf(0, AFTER_ATTACHING),
    "who looks for leaks stops its own threads, others' are refused",
)];

/// Of what LeakSanitizer asks for: `PTRACE_CONT`, `PTRACE_KILL`, `PTRACE_GETREGS`, `PTRACE_DETACH`, `PTRACE_GETREGSET`.
const AFTER_ATTACHING: &[u64] = &[7, 8, 12, 17, 0x4204];

/// What is reported besides to be refused: whoever wanted it hears of it, whatever the program says.
#[rustfmt::skip]
const REFUSED: &[Row] = &[
    (libc::SYS_perf_event_open, When::Always, "counters"),
    (libc::SYS_unshare, When::With(0, NEW_NAMESPACES), "namespaces"),
    (libc::SYS_clone, When::With(0, CLONE_NEW_NAMESPACES), "as unshare"),
    (libc::SYS_socket, When::NoneOf(0, FAMILIES), "rare protocols"),
    (libc::SYS_mount, When::Always, "mounts"),
    (libc::SYS_umount2, When::Always, "as mount"),
    (libc::SYS_pivot_root, When::Always, "as mount"),
    (libc::SYS_chroot, When::Always, "as mount"),
    (libc::SYS_open_tree, When::Always, "as mount"),
    (libc::SYS_move_mount, When::Always, "as mount"),
    (libc::SYS_fsopen, When::Always, "as mount"),
    (libc::SYS_fsconfig, When::Always, "as mount"),
    (libc::SYS_fsmount, When::Always, "as mount"),
    (libc::SYS_fspick, When::Always, "as mount"),
    (libc::SYS_mount_setattr, When::Always, "as mount"),
    (OPEN_TREE_ATTR, When::Always, "as mount"),
];

/// Linux 6.15.
const OPEN_TREE_ATTR: c_long = 467;

/// All bits that `seccomp` refuses to unshare(2), and to clone(2).
const NEW_NAMESPACES: u32 = 0x7e02_0080;
const CLONE_NEW_NAMESPACES: u32 = 0x7e02_0000;

/// What is reported besides where the session has a network of its own.
const CONNECTIONS: &[Row] = &[(libc::SYS_connect, When::Always, "only servers inside may be reached")];

/// What is reported where TCP sockets are of the host's network.
const LISTENING: &[Row] =
    &[(libc::SYS_listen, When::Always, "a TCP socket that listens gets a port by itself, past Landlock")];

/// Opens that may make or change a file.
const WRITES: u32 =
    (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY))
        as u32;

/// What opens a file.
#[cfg(target_arch = "x86_64")]
const OPENS: &[c_long] = &[libc::SYS_openat, libc::SYS_open];
#[cfg(not(target_arch = "x86_64"))]
const OPENS: &[c_long] = &[libc::SYS_openat];

/// Whether something may be written.
const WRITABLE: u32 = libc::W_OK as u32;

/// What is reported where protected names are held by a broker: whatever makes, replaces or removes a name, or changes what a
/// path leads to.
#[rustfmt::skip]
const NAMES: &[Row] = &[
    (libc::SYS_openat, When::With(2, WRITES), "makes files"),
    (libc::SYS_openat2, When::Unknown, "makes files"),
    (libc::SYS_mkdirat, When::Always, "makes folders"),
    (libc::SYS_mknodat, When::Always, "makes files, pipes and sockets"),
    (libc::SYS_bind, When::Always, "makes sockets"),
    (libc::SYS_symlinkat, When::Always, "makes links"),
    (libc::SYS_linkat, When::Always, "makes names"),
    (libc::SYS_unlinkat, When::Always, "removes names"),
    (libc::SYS_renameat2, When::Always, "replaces names"),
    (libc::SYS_renameat, When::Always, "replaces names"),
    (libc::SYS_truncate, When::Always, "changes a file by its path"),
    (libc::SYS_fchmodat, When::Always, "as truncate"),
    (FCHMODAT2, When::Always, "as truncate"),
    (libc::SYS_fchownat, When::Always, "as truncate"),
    (libc::SYS_utimensat, When::Always, "as truncate"),
    (libc::SYS_setxattr, When::Always, "as truncate"),
    (libc::SYS_lsetxattr, When::Always, "as truncate"),
    (libc::SYS_removexattr, When::Always, "as truncate"),
    (libc::SYS_lremovexattr, When::Always, "as truncate"),
    (libc::SYS_fchmod, When::Always, "as truncate, of what was opened to be read"),
    (libc::SYS_fchown, When::Always, "as fchmod"),
    (libc::SYS_faccessat, When::With(2, WRITABLE), "asks whether there would be an answer"),
    (libc::SYS_faccessat2, When::With(2, WRITABLE), "as faccessat"),
];

/// The same number on every processor (Linux 6.6); `libc` does not have it for all.
const FCHMODAT2: c_long = 452;

/// The older forms, which new processors do not have.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OLDER_NAMES: &[Row] = &[
    (libc::SYS_open, When::With(1, WRITES), "as openat"),
    (libc::SYS_creat, When::Always, "as openat"),
    (libc::SYS_mkdir, When::Always, "as mkdirat"),
    (libc::SYS_mknod, When::Always, "as mknodat"),
    (libc::SYS_symlink, When::Always, "as symlinkat"),
    (libc::SYS_link, When::Always, "as linkat"),
    (libc::SYS_unlink, When::Always, "as unlinkat"),
    (libc::SYS_rmdir, When::Always, "as unlinkat"),
    (libc::SYS_rename, When::Always, "as renameat2"),
    (libc::SYS_chmod, When::Always, "as fchmodat"),
    (libc::SYS_chown, When::Always, "as fchownat"),
    (libc::SYS_lchown, When::Always, "as fchownat"),
    (libc::SYS_utime, When::Always, "as utimensat"),
    (libc::SYS_utimes, When::Always, "as utimensat"),
    (libc::SYS_futimesat, When::Always, "as utimensat"),
    (libc::SYS_access, When::With(1, WRITABLE), "as faccessat"),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_NAMES: &[Row] = &[];

/// The processor's number in the `arch` field of what a filter sees (linux/audit.h).
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
/// Calls by x32's numbers have this bit.
const X32_BIT: u32 = 0x4000_0000;

impl Reported {
    fn rows(self) -> Vec<Row> {
        let connections = if self.connections { CONNECTIONS } else { &[] };
        let listening = if self.listening { LISTENING } else { &[] };
        let (names, older) = if self.names { (NAMES, OLDER_NAMES) } else { (&[][..], &[][..]) };
        let tracing = if self.tracing { TRACING } else { &[] };
        let refused = if self.refused { REFUSED } else { &[] };
        let mut rows = [names, older, EXECS, tracing, refused, connections, listening].concat();
        if self.reads {
            let opens = |(call, when, _): &&mut Row| OPENS.contains(call) && matches!(when, When::With(..));
            rows.iter_mut().filter(opens).for_each(|(_, when, _)| *when = When::Always);
        }
        rows
    }
}

/// The filter.
pub(super) struct Reporter(Vec<sock_filter>);

impl Reporter {
    pub(super) fn new(reported: Reported) -> Reporter {
        Reporter(program(reported))
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

/// Tells whether the kernel lets anybody listen here, by a child that tries.
pub(super) fn can_listen(proof: SingleThreaded) -> bool {
    let Ok(Forked::Parent(child)) = sys::fork(proof).map(|forked| match forked {
        Forked::Child => sys::exit_now(i32::from(
            Reporter::new(Reported { names: true, ..Reported::default() }).start().is_err(),
        )),
        parent => parent,
    }) else {
        return false;
    };
    let ended = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty());
    matches!(ended, Ok(Some((_, status))) if status.exit_status() == Some(0))
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
fn program(reported: Reported) -> Vec<sock_filter> {
    /// Of the low half of the first argument, where bytes are in the order of these processors.
    const ARGUMENTS: u32 = 16;
    const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    let report = || step(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF);
    let allow = || step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW);
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
    for (call, when, _reason) in reported.rows() {
        let number = number(call);
        match when {
            When::Always => program.extend([step(JUMP_EQUAL, 0, 1, number), report()]),
            When::Unknown => {
                program.extend([step(JUMP_EQUAL, 0, 1, number), step(RETURN, 0, 0, UNKNOWN)]);
            }
            When::With(argument, bits) => program.extend([
                step(JUMP_EQUAL, 0, 4, number),
                step(LOAD_WORD, 0, 0, ARGUMENTS + 8 * argument),
                step(JUMP_SET, 0, 1, bits),
                report(),
                allow(),
            ]),
            When::OneOf(argument, values) => {
                let mut loaded = vec![step(LOAD_WORD, 0, 0, ARGUMENTS + 8 * argument)];
                for value in values {
                    loaded.extend([step(JUMP_EQUAL, 0, 1, low(*value)), report()]);
                }
                loaded.push(allow());
                program.push(step(JUMP_EQUAL, 0, past(&loaded), number));
                program.extend(loaded);
            }
            // What is not reported goes on to the other rows.
            When::NoneOf(argument, values) => {
                let mut loaded = vec![step(LOAD_WORD, 0, 0, ARGUMENTS + 8 * argument)];
                for (left, value) in (1..=values.len()).rev().zip(values) {
                    loaded.push(step(JUMP_EQUAL, u8::try_from(left).unwrap_or(u8::MAX), 0, low(*value)));
                }
                loaded.extend([report(), step(LOAD_WORD, 0, 0, 0)]);
                program.push(step(JUMP_EQUAL, 0, past(&loaded), number));
                program.extend(loaded);
            }
        }
    }
    if reported.connections {
        program.extend(without_datagrams());
    }
    program.push(allow());
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

fn low(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// How far a jump goes past these steps.
fn past(steps: &[sock_filter]) -> u8 {
    u8::try_from(steps.len()).unwrap_or(u8::MAX)
}

fn number(call: c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_has_two_rows_and_each_has_a_reason() {
        let rows = Reported {
            connections: true,
            listening: true,
            names: true,
            reads: true,
            tracing: true,
            refused: true,
        }
        .rows();
        let mut numbers: Vec<c_long> = rows.iter().map(|(number, _, _)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), rows.len());
        assert!(rows.iter().all(|(_, _, reason)| !reason.is_empty()));
    }

    #[test]
    fn the_same_bits_make_namespaces_as_for_the_other_filter() {
        use super::super::seccomp::{CLONE_NAMESPACE_BITS, NAMESPACE_BITS};
        let all = |bits: &[u64]| bits.iter().fold(0, |all, bit| all | bit);
        assert_eq!(all(NAMESPACE_BITS), u64::from(NEW_NAMESPACES));
        assert_eq!(all(CLONE_NAMESPACE_BITS), u64::from(CLONE_NEW_NAMESPACES));
    }
}
