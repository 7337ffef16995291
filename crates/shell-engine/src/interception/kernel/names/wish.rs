//! What a call that makes or changes names asks for, read from the asker's memory once. All of it is the asker's claim.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{Timespec, Timestamps};

use super::super::connections::path_in;
use super::super::memory::Memory;
use crate::sys::notifications::Notification;

/// The longest value of an attribute (`XATTR_SIZE_MAX`).
const MAX_VALUE: u64 = 64 << 10;
/// The longest name of an attribute (`XATTR_NAME_MAX`).
const MAX_ATTRIBUTE: usize = 255;

/// The same number on every processor (Linux 6.6); `libc` does not have it for all.
const FCHMODAT2: libc::c_long = 452;

/// The longest address of a Unix socket (unix(7)).
const MAX_ADDRESS: usize = 110;

/// A path, from where the asker means it.
#[derive(Debug)]
pub(super) struct At {
    /// A descriptor of the asker's, or `AT_FDCWD`.
    pub(super) folder: i32,
    pub(super) path: Vec<u8>,
}

/// What is asked for.
#[derive(Debug)]
pub(super) enum Wish {
    Open {
        at: At,
        flags: u32,
        mode: u32,
    },
    MakeFolder {
        at: At,
        mode: u32,
    },
    MakeNode {
        at: At,
        mode: u32,
    },
    MakeLink {
        at: At,
        target: Vec<u8>,
    },
    Remove {
        at: At,
        flags: u32,
    },
    Rename {
        from: At,
        to: At,
        flags: u32,
    },
    Link {
        from: At,
        to: At,
        flags: u32,
    },
    /// A name for a socket of the asker's.
    Bind {
        socket: i32,
        at: At,
    },
    Change {
        at: At,
        follows: bool,
        change: Change,
    },
}

/// A change of what a path leads to.
#[derive(Debug)]
pub(super) enum Change {
    /// None: only whether it may be read, written and executed.
    Access(u32),
    Length(u64),
    Mode(u32),
    /// User and group; all ones leave one as it is.
    Owner(u32, u32),
    Times(Timestamps),
    SetAttribute {
        name: OsString,
        value: Vec<u8>,
        flags: u32,
    },
    RemoveAttribute {
        name: OsString,
    },
}

/// Flags of an open that makes or changes a file.
const CHANGING: i32 =
    libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY);

impl Wish {
    /// The path of what is opened to be read, and nothing else.
    pub(super) fn only_reads(&self) -> Option<&[u8]> {
        match self {
            Wish::Open { at, flags, .. } if flags & CHANGING.unsigned_abs() == 0 => Some(&at.path),
            Wish::Open { .. }
            | Wish::MakeFolder { .. }
            | Wish::MakeNode { .. }
            | Wish::MakeLink { .. }
            | Wish::Remove { .. }
            | Wish::Rename { .. }
            | Wish::Link { .. }
            | Wish::Bind { .. }
            | Wish::Change { .. } => None,
        }
    }

    /// Reads it. `None`: it is nothing that could be done for the asker, who will hear from the kernel why.
    pub(super) fn read(call: &Notification) -> Option<Wish> {
        let memory = Memory::of(call.thread);
        let [first, second, third, fourth, fifth, _] = call.arguments;
        let path = |address| memory.path(address).ok();
        let here = |address| Some(At { folder: libc::AT_FDCWD, path: path(address)? });
        let at = |folder, address| Some(At { folder: signed(folder), path: path(address)? });
        Some(match call.number {
            libc::SYS_openat => Wish::Open { at: at(first, second)?, flags: low(third), mode: low(fourth) },
            libc::SYS_mkdirat => Wish::MakeFolder { at: at(first, second)?, mode: low(third) },
            libc::SYS_mknodat => Wish::MakeNode { at: at(first, second)?, mode: low(third) },
            libc::SYS_symlinkat => Wish::MakeLink { at: at(second, third)?, target: path(first)? },
            libc::SYS_unlinkat => Wish::Remove { at: at(first, second)?, flags: low(third) },
            libc::SYS_renameat | libc::SYS_renameat2 => {
                let flags = if call.number == libc::SYS_renameat2 { low(fifth) } else { 0 };
                Wish::Rename { from: at(first, second)?, to: at(third, fourth)?, flags }
            }
            libc::SYS_linkat => {
                Wish::Link { from: at(first, second)?, to: at(third, fourth)?, flags: low(fifth) }
            }
            libc::SYS_bind => {
                let address = memory
                    .bytes(second, usize::try_from(third).ok().filter(|length| *length <= MAX_ADDRESS)?);
                let path = path_in(&address.ok()?).ok()??.to_vec();
                Wish::Bind { socket: signed(first), at: At { folder: libc::AT_FDCWD, path } }
            }
            libc::SYS_truncate => changing(here(first)?, Change::Length(second)),
            libc::SYS_faccessat => changing(at(first, second)?, Change::Access(low(third))),
            libc::SYS_faccessat2 => by_flags(at(first, second)?, fourth, Change::Access(low(third))),
            libc::SYS_fchmodat => changing(at(first, second)?, Change::Mode(low(third))),
            FCHMODAT2 => by_flags(at(first, second)?, fourth, Change::Mode(low(third))),
            libc::SYS_fchmod => changing(itself(first), Change::Mode(low(second))),
            libc::SYS_fchown => changing(itself(first), Change::Owner(low(second), low(third))),
            libc::SYS_fchownat => by_flags(at(first, second)?, fifth, Change::Owner(low(third), low(fourth))),
            libc::SYS_utimensat => {
                let at = if second == 0 { itself(first) } else { at(first, second)? };
                by_flags(at, fourth, Change::Times(times(memory, third, 1)?))
            }
            libc::SYS_setxattr | libc::SYS_lsetxattr => {
                let value = memory.bytes(third, usize::try_from(fourth.min(MAX_VALUE)).ok()?).ok()?;
                let change =
                    Change::SetAttribute { name: attribute(memory, second)?, value, flags: low(fifth) };
                let follows = call.number == libc::SYS_setxattr;
                Wish::Change { at: here(first)?, follows, change }
            }
            libc::SYS_removexattr | libc::SYS_lremovexattr => {
                let change = Change::RemoveAttribute { name: attribute(memory, second)? };
                let follows = call.number == libc::SYS_removexattr;
                Wish::Change { at: here(first)?, follows, change }
            }
            _ => return Wish::read_older(call),
        })
    }

    /// The name in an open folder that it makes or removes, if it is no path.
    pub(super) fn name_in_folder(&self) -> Option<&At> {
        let (Wish::MakeFolder { at, .. }
        | Wish::MakeNode { at, .. }
        | Wish::MakeLink { at, .. }
        | Wish::Remove { at, .. }) = self
        else {
            return None;
        };
        (at.folder >= 0 && !at.path.contains(&b'/')).then_some(at)
    }

    /// Whether it opens a device of the session's own, as every shell does.
    pub(super) fn is_of_a_device(&self) -> bool {
        const DEVICES: &[&[u8]] = &[b"/dev/null", b"/dev/tty", b"/dev/zero"];
        matches!(self, Wish::Open { at, .. } if DEVICES.contains(&at.path.as_slice()))
    }

    /// The forms without a folder, which new processors do not have.
    #[cfg(target_arch = "x86_64")]
    fn read_older(call: &Notification) -> Option<Wish> {
        let memory = Memory::of(call.thread);
        let [first, second, third, ..] = call.arguments;
        let path = |address| memory.path(address).ok();
        let here = |address| Some(At { folder: libc::AT_FDCWD, path: path(address)? });
        let owner = || Change::Owner(low(second), low(third));
        Some(match call.number {
            libc::SYS_open => Wish::Open { at: here(first)?, flags: low(second), mode: low(third) },
            libc::SYS_creat => {
                let flags = (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC).unsigned_abs();
                Wish::Open { at: here(first)?, flags, mode: low(second) }
            }
            libc::SYS_mkdir => Wish::MakeFolder { at: here(first)?, mode: low(second) },
            libc::SYS_mknod => Wish::MakeNode { at: here(first)?, mode: low(second) },
            libc::SYS_symlink => Wish::MakeLink { at: here(second)?, target: path(first)? },
            libc::SYS_unlink => Wish::Remove { at: here(first)?, flags: 0 },
            libc::SYS_rmdir => Wish::Remove { at: here(first)?, flags: libc::AT_REMOVEDIR.unsigned_abs() },
            libc::SYS_rename => Wish::Rename { from: here(first)?, to: here(second)?, flags: 0 },
            libc::SYS_link => Wish::Link { from: here(first)?, to: here(second)?, flags: 0 },
            libc::SYS_access => changing(here(first)?, Change::Access(low(second))),
            libc::SYS_chmod => changing(here(first)?, Change::Mode(low(second))),
            libc::SYS_chown => changing(here(first)?, owner()),
            libc::SYS_lchown => Wish::Change { at: here(first)?, follows: false, change: owner() },
            libc::SYS_utime => changing(here(first)?, Change::Times(whole_seconds(memory, second)?)),
            libc::SYS_utimes => changing(here(first)?, Change::Times(times(memory, second, 1000)?)),
            libc::SYS_futimesat => {
                let at = At { folder: signed(first), path: path(second)? };
                changing(at, Change::Times(times(memory, third, 1000)?))
            }
            _ => return None,
        })
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn read_older(_call: &Notification) -> Option<Wish> {
        None
    }
}

fn changing(at: At, change: Change) -> Wish {
    Wish::Change { at, follows: true, change }
}

/// Flags of the `AT_` kind: an empty path is not meant unless they say so, and then it is the descriptor itself.
fn by_flags(at: At, flags: u64, change: Change) -> Wish {
    let follows = low(flags) & libc::AT_SYMLINK_NOFOLLOW.unsigned_abs() == 0;
    Wish::Change { at, follows, change }
}

/// What a descriptor is open on.
fn itself(descriptor: u64) -> At {
    At { folder: signed(descriptor), path: Vec::new() }
}

fn attribute(memory: Memory, address: u64) -> Option<OsString> {
    let name = memory.path(address).ok()?;
    (name.len() <= MAX_ATTRIBUTE).then(|| OsString::from_vec(name))
}

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };

/// Two times, whose second half is in units of so many nanoseconds; none at all means now.
fn times(memory: Memory, address: u64, unit: i64) -> Option<Timestamps> {
    if address == 0 {
        return Some(Timestamps { last_access: NOW, last_modification: NOW });
    }
    let [access, access_part, change, change_part] = numbers::<4>(memory, address)?;
    let time = |seconds, part: i64| Some(Timespec { tv_sec: seconds, tv_nsec: part.checked_mul(unit)? });
    Some(Timestamps {
        last_access: time(access, access_part)?,
        last_modification: time(change, change_part)?,
    })
}

#[cfg(target_arch = "x86_64")]
fn whole_seconds(memory: Memory, address: u64) -> Option<Timestamps> {
    if address == 0 {
        return times(memory, 0, 1);
    }
    let [access, change] = numbers::<2>(memory, address)?;
    let time = |seconds| Timespec { tv_sec: seconds, tv_nsec: 0 };
    Some(Timestamps { last_access: time(access), last_modification: time(change) })
}

fn numbers<const COUNT: usize>(memory: Memory, address: u64) -> Option<[i64; COUNT]> {
    let bytes = memory.bytes(address, COUNT * size_of::<i64>()).ok()?;
    let mut numbers = [0; COUNT];
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(size_of::<i64>())) {
        *number = i64::from_ne_bytes(bytes.try_into().ok()?);
    }
    Some(numbers)
}

/// The low half of an argument.
fn low(argument: u64) -> u32 {
    u32::try_from(argument & u64::from(u32::MAX)).unwrap_or_default()
}

fn signed(argument: u64) -> i32 {
    low(argument).cast_signed()
}
