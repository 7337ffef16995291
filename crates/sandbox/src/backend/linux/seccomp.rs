//! The filter of system calls: a table with a reason in each row.
//!
//! Applied once to init; every call inherits it and cannot take it off. Everything that is not in the table is allowed:
//! the sandbox's walls are mounts, Landlock and namespaces; the filter closes the doors that lead around them, and the
//! parts of the kernel from which most escapes were made.

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};
use std::collections::BTreeMap;

/// Why the filter could not be applied.
#[derive(Debug, thiserror::Error)]
pub(super) enum SeccompError {
    #[error("this processor's system calls are not known to the filter: {0}")]
    Architecture(#[source] seccompiler::BackendError),
    #[error("could not build the filter of system calls: {0}")]
    Build(#[source] seccompiler::BackendError),
    #[error("could not apply the filter of system calls: {0}")]
    Apply(#[source] seccompiler::Error),
}

/// Which sockets may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sockets {
    /// Unix and IP sockets: the network is allowed, or is a private loopback.
    WithIp,
    /// Only Unix sockets.
    NoIp,
    /// Only Unix sockets that talk within a call: nothing else keeps commands from the host's sockets (no mounts that
    /// hide them, and no Landlock that restricts them), and some of those are as good as root (Docker).
    OnlyPairs,
    /// As [`Sockets::OnlyPairs`], and IP sockets of a private loopback.
    IpAndPairs,
    /// As [`Sockets::NoIp`], and TCP sockets that the server connects, to a proxy.
    TcpAndUnix,
    /// As [`Sockets::OnlyPairs`], and TCP sockets that the server connects, to a proxy.
    TcpAndPairs,
}

/// What else of the host is in reach, and the filter's work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) sockets: Sockets,
    /// The session has System V objects and message queues of its own.
    pub(super) own_ipc: bool,
    /// Its processes may trace each other. The kernel keeps them from those that must not be: init and supervisors, which
    /// cannot be dumped; processes outside, by Landlock, or a PID or user namespace.
    pub(super) debug: bool,
    /// The server refuses some calls itself, to count them.
    pub(super) counts: bool,
}

/// When a row applies.
enum When {
    Always,
    /// Any of these bits is set in the low half of the argument.
    AnyBit(u8, &'static [u64]),
    /// The low half of the argument is one of these.
    OneOf(u8, &'static [u64]),
    /// The low half of the argument is none of these.
    NoneOf(u8, &'static [u64]),
    /// Argument 0 is this and argument `.1` is not zero.
    FirstIsAndNotZero(u64, u8),
    /// Argument 0 is one of these, and argument `.1`, under this mask, is one of those.
    FirstIsAndMasked(&'static [u64], u8, u64, &'static [u64]),
    /// Argument 0 is one of these, and the low half of argument `.1` is none of those.
    FirstIsAndNoneOf(&'static [u64], u8, &'static [u64]),
    /// The argument, under this mask, is this.
    Masked(u8, u64, u64),
    /// The argument, all of it, is not zero.
    NotZero(u8),
    /// The first argument's flags make a file, and the second's mode has one of the bits. Without such a flag there is
    /// no mode.
    MakesFileWith(u8, u8, u64),
}

/// One row: a system call, when it is refused, and why.
type Row = (c_long, When, &'static str);

pub(super) const NAMESPACE_BITS: &[u64] = &[
    0x0000_0080, // CLONE_NEWTIME (unshare and clone3 only)
    0x0002_0000, // CLONE_NEWNS
    0x0200_0000, // CLONE_NEWCGROUP
    0x0400_0000, // CLONE_NEWUTS
    0x0800_0000, // CLONE_NEWIPC
    0x1000_0000, // CLONE_NEWUSER
    0x2000_0000, // CLONE_NEWPID
    0x4000_0000, // CLONE_NEWNET
];
/// As above without CLONE_NEWTIME, whose bit is part of the exit signal in clone(2).
pub(super) const CLONE_NAMESPACE_BITS: &[u64] = NAMESPACE_BITS.split_at(1).1;

/// What LeakSanitizer asks for, to look for pointers in the registers of its own process's threads: it stops and continues,
/// which signals do as well, and reads registers. Nothing of it writes.
const LEAK_CHECK: &[u64] = &[
    7,      // PTRACE_CONT
    8,      // PTRACE_KILL
    12,     // PTRACE_GETREGS (x86 only)
    16,     // PTRACE_ATTACH
    17,     // PTRACE_DETACH
    0x4204, // PTRACE_GETREGSET
];

/// Not in every C library's list.
const KEXEC_FILE_LOAD: c_long = if cfg!(target_arch = "x86_64") { 320 } else { 294 };

const UNIX: u64 = 1;
const INET: u64 = 2;
const INET6: u64 = 10;
const NETLINK: u64 = 16;
/// Of which sockets may be made, where there is a network, if only a private one.
pub(super) const FAMILIES: &[u64] = &[UNIX, INET, INET6, NETLINK];
/// Families whose sockets may be TCP's.
const IP: &[u64] = &[INET, INET6];
const TCP: u64 = 6;
/// All types of sockets (`enum sock_type` in linux/net.h) but streams.
const NO_STREAMS: &[u64] = &[0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/// `MSG_FASTOPEN`.
const FAST_OPEN: &[u64] = &[0x2000_0000];
const DATAGRAM: u64 = 2;
const RAW: u64 = 3;
/// The low bits of a socket's type; the others are flags.
const TYPE_MASK: u64 = 0xf;

/// A program with this bit has the rights of its owner, whoever starts it (inode(7)).
const SET_USER_ID: u64 = 0o4000;
/// `O_CREAT`, and what `O_TMPFILE` has more than `O_DIRECTORY` (open(2)).
const MAKING: &[u64] = &[0o100, 0o20_000_000];
/// Since Linux 6.6.
const FCHMODAT2: c_long = 452;

/// Refused with EPERM.
#[rustfmt::skip]
fn refused() -> Vec<Row> {
    use When::{Always, AnyBit, MakesFileWith, NoneOf, NotZero, OneOf};
    vec![
        (libc::SYS_pidfd_getfd, Always, "takes other processes' open files"),
        (libc::SYS_prlimit64, NotZero(0), "limits of other processes: a server or supervisor that may open, write or start nothing ends no call"),
        (libc::SYS_kcmp, Always, "compares kernel objects of other processes"),
        (libc::SYS_bpf, Always, "loads code into the kernel"),
        (libc::SYS_userfaultfd, Always, "widens races in the kernel"),
        (libc::SYS_add_key, Always, "key rings are not namespaced"),
        (libc::SYS_request_key, Always, "as add_key; runs a helper outside"),
        (libc::SYS_keyctl, Always, "as add_key; reads the user's keys"),
        (libc::SYS_setns, Always, "enters other namespaces"),
        (libc::SYS_open_by_handle_at, Always, "opens files past every path check"),
        (libc::SYS_kexec_load, Always, "replaces the kernel"),
        (KEXEC_FILE_LOAD, Always, "replaces the kernel"),
        (libc::SYS_init_module, Always, "loads code into the kernel"),
        (libc::SYS_finit_module, Always, "loads code into the kernel"),
        (libc::SYS_delete_module, Always, "unloads code from the kernel"),
        (libc::SYS_reboot, Always, "ends the machine"),
        (libc::SYS_swapon, Always, "changes the machine"),
        (libc::SYS_swapoff, Always, "changes the machine"),
        (libc::SYS_acct, Always, "changes the machine"),
        (libc::SYS_quotactl, Always, "changes the machine"),
        (libc::SYS_syslog, Always, "reads the kernel's log, with addresses"),
        (libc::SYS_settimeofday, Always, "changes the machine's clock"),
        (libc::SYS_clock_settime, Always, "changes the machine's clock"),
        (libc::SYS_vhangup, Always, "hangs up a terminal"),
        (libc::SYS_ioctl, OneOf(1, &[0x5412, 0x541c]), "TIOCSTI and TIOCLINUX type into a terminal that others read"),
        (libc::SYS_socketpair, NoneOf(0, &[UNIX]), "no pairs but Unix ones are of use"),
        (libc::SYS_fchmod, AnyBit(1, &[SET_USER_ID]), "outside, others would get the user's rights by it"),
        (libc::SYS_fchmodat, AnyBit(2, &[SET_USER_ID]), "as fchmod"),
        (FCHMODAT2, AnyBit(2, &[SET_USER_ID]), "as fchmod"),
        (libc::SYS_mknodat, AnyBit(2, &[SET_USER_ID]), "as fchmod"),
        (libc::SYS_openat, MakesFileWith(2, 3, SET_USER_ID), "as fchmod"),
    ]
}

#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
fn refused_on_this_processor() -> Vec<Row> {
    vec![
        (libc::SYS_iopl, When::Always, "direct access to hardware"),
        (libc::SYS_ioperm, When::Always, "direct access to hardware"),
        (libc::SYS_chmod, When::AnyBit(1, &[SET_USER_ID]), "as fchmod"),
        (libc::SYS_mknod, When::AnyBit(1, &[SET_USER_ID]), "as fchmod"),
        (libc::SYS_creat, When::AnyBit(1, &[SET_USER_ID]), "as fchmod"),
        (libc::SYS_open, When::MakesFileWith(1, 2, SET_USER_ID), "as fchmod"),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn refused_on_this_processor() -> Vec<Row> {
    Vec::new()
}

#[rustfmt::skip]
fn refused_sockets(sockets: Sockets) -> Vec<Row> {
    let pairs_alone = || [
        (libc::SYS_sendto, When::NotZero(4), "as connect: with an address, a datagram needs none"),
        (libc::SYS_socketpair, When::Masked(1, TYPE_MASK, DATAGRAM), "a pair of these can be connected anew, to the host's sockets"),
        (libc::SYS_socketpair, When::Masked(1, TYPE_MASK, RAW), "as above"),
    ];
    let connected_for_them = || [
        (libc::SYS_socket, When::FirstIsAndMasked(IP, 1, TYPE_MASK, NO_STREAMS), "no network but what the server connects, by TCP"),
        (libc::SYS_socket, When::FirstIsAndNoneOf(IP, 2, &[0, TCP]), "Landlock judges TCP, and no other protocol of streams"),
        (libc::SYS_sendto, When::AnyBit(3, FAST_OPEN), "connects, and Landlock does not see it"),
        (libc::SYS_sendmsg, When::AnyBit(2, FAST_OPEN), "as above"),
        (libc::SYS_sendmmsg, When::AnyBit(3, FAST_OPEN), "as above"),
    ];
    match sockets {
        // As `counted` says.
        Sockets::WithIp => Vec::new(),
        Sockets::NoIp => vec![
            (libc::SYS_socket, When::NoneOf(0, &[UNIX]), "no network"),
        ],
        Sockets::OnlyPairs => vec![
            (libc::SYS_socket, When::NoneOf(0, &[UNIX]), "no network"),
            (libc::SYS_connect, When::Always, "the host's sockets are in reach"),
            (libc::SYS_sendto, When::NotZero(4), "as connect: with an address, a datagram needs none"),
            (libc::SYS_socket, When::Masked(1, TYPE_MASK, DATAGRAM), "as connect: sendmsg takes an address that the filter cannot see"),
            (libc::SYS_socket, When::Masked(1, TYPE_MASK, RAW), "to Unix sockets the same as datagrams"),
            (libc::SYS_socketpair, When::Masked(1, TYPE_MASK, DATAGRAM), "as above"),
            (libc::SYS_socketpair, When::Masked(1, TYPE_MASK, RAW), "as above"),
        ],
        Sockets::IpAndPairs => vec![
            (libc::SYS_socket, When::NoneOf(0, &[INET, INET6, NETLINK]), "the host's Unix sockets are in reach; rare protocols"),
            (libc::SYS_socketpair, When::Masked(1, TYPE_MASK, DATAGRAM), "a pair of these can be connected anew, to the host's sockets"),
            (libc::SYS_socketpair, When::Masked(1, TYPE_MASK, RAW), "as above"),
        ],
        Sockets::TcpAndUnix => connected_for_them()
            .into_iter()
            .chain([(libc::SYS_socket, When::NoneOf(0, &[UNIX, INET, INET6]), "no other network")])
            .collect(),
        Sockets::TcpAndPairs => connected_for_them()
            .into_iter()
            .chain(pairs_alone())
            .chain([(libc::SYS_socket, When::NoneOf(0, &[UNIX, INET, INET6]), "no other network"),
                (libc::SYS_socket, When::Masked(1, TYPE_MASK, DATAGRAM), "sendmsg takes an address that the filter cannot see"),
                (libc::SYS_socket, When::Masked(1, TYPE_MASK, RAW), "to Unix sockets the same as datagrams")])
            .collect(),
    }
}

/// Refused with EPROTONOSUPPORT, as on a kernel without them: libaudit, and with it PAM, `su` and `sudo`, then does without.
#[rustfmt::skip]
fn unsupported_sockets() -> Vec<Row> {
    vec![
        (libc::SYS_socket, When::FirstIsAndNotZero(NETLINK, 2), "of netlink only routes (protocol 0), which getifaddrs reads"),
    ]
}

/// What namespaces would keep out of reach, and Landlock does not judge.
#[rustfmt::skip]
fn refused_without_namespaces(reach: Reach) -> Vec<Row> {
    use When::Always;
    let mut rows = Vec::new();
    if !reach.own_ipc {
        rows.extend([
            (libc::SYS_shmget, Always, "memory that the user's programs share, which has no path"),
            (libc::SYS_shmat, Always, "as shmget; numbers can be guessed"),
            (libc::SYS_shmctl, Always, "as shmget"),
            (libc::SYS_semget, Always, "as shmget"),
            (libc::SYS_semop, Always, "as shmget"),
            (libc::SYS_semtimedop, Always, "as shmget"),
            (libc::SYS_semctl, Always, "as shmget"),
            (libc::SYS_msgget, Always, "as shmget"),
            (libc::SYS_msgsnd, Always, "as shmget"),
            (libc::SYS_msgrcv, Always, "as shmget"),
            (libc::SYS_msgctl, Always, "as shmget"),
            (libc::SYS_mq_open, Always, "as shmget"),
            (libc::SYS_mq_unlink, Always, "as shmget"),
        ]);
    }
    rows
}

/// Refused, and of interest to whoever wanted it: where the server hears of it, it refuses these in the filter's place, and counts.
#[rustfmt::skip]
fn counted(reach: Reach) -> Vec<Row> {
    use When::{Always, AnyBit, NoneOf};
    let mut rows = vec![
        (libc::SYS_perf_event_open, Always, "large attack surface, side channels"),
        (libc::SYS_mount, Always, "changes what the file system looks like"),
        (libc::SYS_umount2, Always, "uncovers what is hidden"),
        (libc::SYS_pivot_root, Always, "as mount"),
        (libc::SYS_chroot, Always, "as mount"),
        (libc::SYS_open_tree, Always, "as mount"),
        (libc::SYS_move_mount, Always, "as mount"),
        (libc::SYS_fsopen, Always, "as mount"),
        (libc::SYS_fsconfig, Always, "as mount"),
        (libc::SYS_fsmount, Always, "as mount"),
        (libc::SYS_fspick, Always, "as mount"),
        (libc::SYS_mount_setattr, Always, "makes a mount writable"),
        (467 /* open_tree_attr, Linux 6.15 */, Always, "makes a mount writable"),
        (libc::SYS_unshare, AnyBit(0, NAMESPACE_BITS), "a new user namespace gives capabilities over large parts of the kernel"),
        (libc::SYS_clone, AnyBit(0, CLONE_NAMESPACE_BITS), "as unshare"),
    ];
    if reach.sockets == Sockets::WithIp {
        rows.push((libc::SYS_socket, NoneOf(0, FAMILIES), "rare protocols (packet, vsock, alg, …): attack surface, and ways around the network's rules"));
    }
    if !reach.debug {
        rows.push((libc::SYS_ptrace, NoneOf(0, LEAK_CHECK), "controls other processes: what rules judge is proved where nothing inside traces"));
    }
    rows
}

/// Refused unless the user has said that commands may debug.
#[rustfmt::skip]
fn refused_without_debugging() -> Vec<Row> {
    use When::Always;
    vec![
        (libc::SYS_process_vm_readv, Always, "reads other processes' memory"),
        (libc::SYS_process_vm_writev, Always, "writes other processes' memory"),
    ]
}

/// Refused with ENOSYS, on which callers use the older call that the filter can judge.
#[rustfmt::skip]
fn unknown() -> Vec<Row> {
    vec![
        (libc::SYS_clone3, When::Always, "its flags are in memory, where the filter cannot see them; libc falls back to clone"),
        (libc::SYS_openat2, When::Always, "its mode is in memory, where the filter cannot see it; callers fall back to openat"),
        (libc::SYS_io_uring_setup, When::Always, "opens and connects past the filter; runtimes fall back to epoll"),
        (libc::SYS_io_uring_enter, When::Always, "as io_uring_setup"),
        (libc::SYS_io_uring_register, When::Always, "as io_uring_setup"),
    ]
}

/// Filters the system calls of this process and of its descendants; `no_new_privs` must be set.
pub(super) fn apply(reach: Reach) -> Result<(), SeccompError> {
    let rows = all_refused(reach);
    // Of two that refuse the same, the last one says the error.
    let unsupported = compile(unsupported_sockets(), libc::EPROTONOSUPPORT)?;
    for program in
        [other_numbers(), compile(unknown(), libc::ENOSYS)?, compile(rows, libc::EPERM)?, unsupported]
    {
        seccompiler::apply_filter(&program).map_err(SeccompError::Apply)?;
    }
    Ok(())
}

/// Filters what the server would refuse and count, for processes that report nothing.
pub(super) fn apply_uncounted(reach: Reach) -> Result<(), SeccompError> {
    seccompiler::apply_filter(&compile(counted(reach), libc::EPERM)?).map_err(SeccompError::Apply)
}

fn all_refused(reach: Reach) -> Vec<Row> {
    let mut rows = refused();
    if !reach.counts {
        rows.extend(counted(reach));
    }
    rows.extend(refused_on_this_processor());
    rows.extend(refused_sockets(reach.sockets));
    rows.extend(refused_without_namespaces(reach));
    if !reach.debug {
        rows.extend(refused_without_debugging());
    }
    rows
}

/// Compiles rows into a program that also kills whatever calls by another processor's numbers.
fn compile(rows: Vec<Row>, errno: i32) -> Result<BpfProgram, SeccompError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(SeccompError::Architecture)?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for (number, when, _reason) in rows {
        let added = rules_for(&when).map_err(SeccompError::Build)?;
        rules.entry(number).or_default().extend(added);
    }
    let errno = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, errno, architecture)
        .and_then(BpfProgram::try_from)
        .map_err(SeccompError::Build)
}

/// Returns alternatives, any of which matching refuses; none at all means always.
fn rules_for(when: &When) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let low = |argument: u8, operator: SeccompCmpOp, value: u64| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
    };
    match when {
        When::Always => Ok(Vec::new()),
        When::AnyBit(argument, bits) => {
            bits.iter().map(|bit| SeccompRule::new(vec![low(*argument, MaskedEq(*bit), *bit)?])).collect()
        }
        When::OneOf(argument, values) => {
            values.iter().map(|value| SeccompRule::new(vec![low(*argument, Eq, *value)?])).collect()
        }
        When::NoneOf(argument, values) => {
            let all = values.iter().map(|value| low(*argument, Ne, *value)).collect::<Result<_, _>>()?;
            Ok(vec![SeccompRule::new(all)?])
        }
        When::FirstIsAndNotZero(first, argument) => {
            Ok(vec![SeccompRule::new(vec![low(0, Eq, *first)?, low(*argument, Ne, 0)?])?])
        }
        When::FirstIsAndMasked(firsts, argument, mask, values) => {
            let pairs = firsts.iter().flat_map(|first| values.iter().map(move |value| (first, value)));
            let rule = |(first, value): (&u64, &u64)| {
                SeccompRule::new(vec![low(0, Eq, *first)?, low(*argument, MaskedEq(*mask), *value)?])
            };
            pairs.map(rule).collect()
        }
        When::FirstIsAndNoneOf(firsts, argument, values) => {
            let rule = |first: &u64| {
                let none = values.iter().map(|value| low(*argument, Ne, *value));
                let all = std::iter::once(low(0, Eq, *first)).chain(none).collect::<Result<_, _>>()?;
                SeccompRule::new(all)
            };
            firsts.iter().map(rule).collect()
        }
        When::Masked(argument, mask, value) => {
            Ok(vec![SeccompRule::new(vec![low(*argument, MaskedEq(*mask), *value)?])?])
        }
        When::MakesFileWith(flags, mode, bit) => {
            let with = |flag: u64| {
                SeccompRule::new(vec![low(*flags, MaskedEq(flag), flag)?, low(*mode, MaskedEq(*bit), *bit)?])
            };
            MAKING.iter().map(|flag| with(*flag)).collect()
        }
        When::NotZero(argument) => {
            let whole = SeccompCondition::new(*argument, SeccompCmpArgLen::Qword, Ne, 0)?;
            Ok(vec![SeccompRule::new(vec![whole])?])
        }
    }
}

/// Kills callers of x32 numbers: the same calls by other numbers, which the table does not list. On other processors
/// there are none, and the program allows everything.
fn other_numbers() -> BpfProgram {
    const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const JUMP_SET: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const X32_BIT: u32 = 0x4000_0000;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let mut program = Vec::new();
    if cfg!(target_arch = "x86_64") {
        program.push(step(LOAD_WORD, 0, 0, 0)); // seccomp_data.nr
        program.push(step(JUMP_EQUAL, 2, 0, u32::MAX)); // -1 is no call at all
        program.push(step(JUMP_SET, 0, 1, X32_BIT));
        program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS));
    }
    program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With namespaces, and without.
    fn reaches() -> impl Iterator<Item = Reach> {
        let all = [
            Sockets::WithIp,
            Sockets::NoIp,
            Sockets::OnlyPairs,
            Sockets::IpAndPairs,
            Sockets::TcpAndUnix,
            Sockets::TcpAndPairs,
        ];
        let reach = |sockets, own| Reach { sockets, own_ipc: own, debug: own, counts: false };
        all.into_iter().flat_map(move |sockets| [true, false].map(|own| reach(sockets, own)))
    }

    #[test]
    fn every_row_compiles_and_has_a_reason() {
        for reach in reaches() {
            let rows = all_refused(reach);
            let elsewhere = all_refused(Reach { counts: true, ..reach });
            assert_eq!(rows.len(), elsewhere.len() + counted(reach).len());
            assert!(rows.iter().all(|(_, _, reason)| !reason.is_empty()));
            assert!(!compile(rows, libc::EPERM).unwrap().is_empty());
        }
        assert!(!compile(unknown(), libc::ENOSYS).unwrap().is_empty());
        assert!(!compile(unsupported_sockets(), libc::EPROTONOSUPPORT).unwrap().is_empty());
    }

    #[test]
    fn no_call_has_a_row_that_always_applies_and_another() {
        for reach in reaches() {
            let mut seen = BTreeMap::new();
            for (number, when, _) in all_refused(reach) {
                let always = matches!(when, When::Always);
                let (count, any) = seen.entry(number).or_insert((0, false));
                *count += 1;
                *any |= always;
                assert!(
                    !*any || *count == 1,
                    "call {number}: an empty list of rules means always, so both would be lost"
                );
            }
        }
    }

    /// The filter of a thread is that of its children, too.
    #[test]
    fn a_filter_that_refuses_or_kills_is_found_by_asking_it() {
        const NEW_USER: When = When::AnyBit(0, &[0x1000_0000]);
        for action in [SeccompAction::Errno(libc::EPERM.unsigned_abs()), SeccompAction::KillProcess] {
            let rules = BTreeMap::from([(libc::SYS_clone, rules_for(&NEW_USER).unwrap())]);
            let architecture = TargetArch::try_from(std::env::consts::ARCH).unwrap();
            let filter =
                SeccompFilter::new(rules, SeccompAction::Allow, action.clone(), architecture).unwrap();
            let program = BpfProgram::try_from(filter).unwrap();
            let asked = std::thread::spawn(move || {
                seccompiler::apply_filter(&program).unwrap();
                crate::backend::linux::sys::user_namespaces_are_filtered()
            });
            assert!(asked.join().unwrap(), "{action:?}");
        }
    }
}
