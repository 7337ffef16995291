//! What differs between systems, and what has no safe interface. Nothing else in this crate asks which system this is.

#[cfg(target_os = "linux")]
mod code_memory;
#[cfg(target_os = "linux")]
pub(crate) mod connections;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) mod notifications;
#[cfg(target_os = "linux")]
pub(crate) mod ptrace;
#[cfg(target_os = "linux")]
mod threads;
mod watch;

#[cfg(not(target_os = "linux"))]
use elsewhere as system;
#[cfg(target_os = "linux")]
use linux as system;

#[cfg(target_os = "linux")]
pub(crate) use code_memory::release_code;
#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::release_code;
pub(crate) use system::{
    DESCRIPTORS, LOOK, MESSAGES, NEW_SOCKET, NO_SIGNAL, RECEIVE, REPORTS_EXECS, device_and_inode,
    file_of_process, grow_pipe, other_end, parent_of_process, path_of, reopen, reopen_terminal_to_write,
    unnamed_file,
};
#[cfg(target_os = "linux")]
pub(crate) use threads::own_umask;
pub(crate) use watch::{watch_readable, watch_writable};
