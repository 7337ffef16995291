//! The kernel's door: every `execve` of every descendant of a call's shell waits until it is answered (seccomp_unotify(2)).
//!
//! One thread of the server hears of those of a call, because stops belong to a thread (ptrace(2)). It decides about what simply runs by
//! itself, and proves after the `execve` that it was what was judged. What takes a person, the sandbox's outside or more time it
//! hands to the call's [`KernelDoor`]; a process that has to wait or is refused becomes the wrapper, by its registers alone.
//!
//! # Layout, in the order in which an `execve` meets it
//!
//! * `doors`: the threads, as calls see them. `door`: one call's. `messages`: between the two.
//! * `thread`: the loop. `attended`: what it knows of a call.
//! * `request`: what is asked for, read from the asker's `memory`; which of its `files`, and their `beginnings`.
//!   `family`: who asks.
//! * `execs`: what is done about it. `turning`: becoming the wrapper.
//! * `names`: the broker of protected names, which answers what else is reported. `refused`: what it did not do.
//! * `seized`: processes that are about to execute. `proof`: that it is what was judged. `watched`: those that a debugger
//!   inside traces.
//!
//! `connections` does what is reported besides: each `connect`, which never simply happens. `others`: what is refused to all, and
//! counted.

#[cfg(not(target_os = "linux"))]
mod absent;
#[cfg(target_os = "linux")]
mod attended;
#[cfg(target_os = "linux")]
mod beginnings;
#[cfg(target_os = "linux")]
mod connections;
mod descent;
#[cfg(target_os = "linux")]
mod door;
#[cfg(target_os = "linux")]
mod doors;
#[cfg(target_os = "linux")]
mod execs;
#[cfg(target_os = "linux")]
mod family;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod messages;
#[cfg(target_os = "linux")]
mod names;
#[cfg(target_os = "linux")]
mod others;
#[cfg(target_os = "linux")]
mod proof;
#[cfg(target_os = "linux")]
mod refused;
#[cfg(target_os = "linux")]
mod request;
#[cfg(target_os = "linux")]
mod seized;
#[cfg(target_os = "linux")]
mod thread;
#[cfg(target_os = "linux")]
mod turning;
#[cfg(target_os = "linux")]
mod watched;

#[cfg(not(target_os = "linux"))]
pub(crate) use absent::{KernelDoor, KernelDoors, MadeByCall, Refused};
#[cfg(target_os = "linux")]
pub(crate) use door::KernelDoor;
#[cfg(target_os = "linux")]
pub(crate) use doors::KernelDoors;
#[cfg(target_os = "linux")]
pub(crate) use names::MadeByCall;
#[cfg(target_os = "linux")]
pub(crate) use refused::Refused;
