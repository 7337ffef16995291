//! What is reported besides `execve`, connections and names: what is refused to all commands, and counted so; who traces whom; and who
//! takes for a terminal what nothing can be read from.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::net::{AddressFamily, sockopt};
use sandbox::denial::{Denied, MOUNTS, NAMESPACES, SOCKETS};

use super::attended::Attended;
use super::family::{self, Image};
use crate::sys::connections::take_descriptor;
use crate::sys::notifications::{Listener, Notification};

/// `PTRACE_ATTACH` (ptrace(2)).
const ATTACH: u64 = 16;

/// Answers a call, if it is one of these.
pub(super) fn answer(attended: &Attended, call: &Notification) -> bool {
    if call.number == libc::SYS_listen {
        listen(attended, call);
        return true;
    }
    let Some(denied) = refused(call.number) else {
        return is_of_terminal(attended, call);
    };
    // Who is gone needs no answer.
    let _ = if denied == Denied::Tracing && is_of_own_threads(call) {
        attended.listener.let_happen(call.id)
    } else {
        attended.facts.refused.note_call(denied, || family::program_of(call.thread));
        attended.listener.fail(call.id, libc::EPERM)
    };
    true
}

/// Has a Unix socket listen, in its process's place: another one could be put at that number in the meantime. A socket of TCP
/// would be reached from outside.
fn listen(attended: &Attended, call: &Notification) {
    let low_half =
        |argument: u64| u32::try_from(argument & u64::from(u32::MAX)).unwrap_or_default().cast_signed();
    let [number, backlog, ..] = call.arguments;
    let listened = take_descriptor(call.thread, low_half(number)).and_then(|socket| {
        match sockopt::socket_domain(&socket)? {
            AddressFamily::UNIX if attended.listener.is_waiting(call.id) => {
                Ok(rustix::net::listen(&socket, low_half(backlog))?)
            }
            _ => Err(io::Error::from_raw_os_error(libc::EACCES)),
        }
    });
    // Who is gone needs no answer.
    let _ = match listened {
        Ok(()) => attended.listener.succeed(call.id),
        Err(error) => attended.listener.fail(call.id, error.raw_os_error().unwrap_or(libc::EIO)),
    };
}

/// What is refused by a call of this number.
fn refused(number: i64) -> Option<Denied> {
    Some(match number {
        libc::SYS_ptrace => Denied::Tracing,
        libc::SYS_perf_event_open => Denied::Counters,
        libc::SYS_unshare | libc::SYS_clone => NAMESPACES,
        libc::SYS_socket => SOCKETS,
        libc::SYS_mount
        | libc::SYS_umount2
        | libc::SYS_pivot_root
        | libc::SYS_chroot
        | libc::SYS_open_tree
        | OPEN_TREE_ATTR
        | libc::SYS_move_mount
        | libc::SYS_fsopen
        | libc::SYS_fsconfig
        | libc::SYS_fsmount
        | libc::SYS_fspick
        | libc::SYS_mount_setattr => MOUNTS,
        _ => return None,
    })
}

/// Linux 6.15; the same number on every processor.
const OPEN_TREE_ATTR: i64 = 467;

/// Whether a process stops a thread of its parent, of which it is a part: they have the same program in the same memory. So does
/// LeakSanitizer, which then looks at registers; the filter of the session lets nothing else be asked for.
fn is_of_own_threads(call: &Notification) -> bool {
    let [request, target, ..] = call.arguments;
    if request & u64::from(u32::MAX) != ATTACH {
        return false;
    }
    let Some(process) = family::process_of(call.thread) else { return false };
    let Some(parent) = family::parent_of(process) else { return false };
    let image = Image::of(process);
    image.is_some()
        && image == Image::of(parent)
        && family::number_inside(parent).is_some_and(|inside| family::is_thread(call.thread, target, inside))
}

/// Whether it sets how a terminal works. Who does that to what it reads from, which can only be written (the other end of its own
/// output), waits for what nobody can type; it reads that nothing is to come instead. Nothing else about it changes.
fn is_of_terminal(attended: &Attended, call: &Notification) -> bool {
    const INPUT: u64 = 0;
    if call.number != libc::SYS_ioctl {
        return false;
    }
    let listener = &attended.listener;
    let is_input = call.arguments[0] & u64::from(u32::MAX) == INPUT;
    let _ = if is_input && family::can_only_be_written(call.thread, 0) && ends(listener, call) {
        attended.facts.refused.note_terminal();
        listener.fail(call.id, libc::ENOTTY)
    } else {
        listener.let_happen(call.id)
    };
    true
}

/// Lays what has no content where a process reads from.
fn ends(listener: &Listener, call: &Notification) -> bool {
    let nothing = openat(CWD, "/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    nothing.is_ok_and(|nothing| listener.place(call.id, nothing.as_fd(), 0, false).is_ok())
}
