//! How programs that are about to be executed reach the judge, and what is done with its answer.
//!
//! A [door](door::Door) delivers them for one call, each with whatever descriptors it needs; `attend` serves one, and a call may
//! have several. What all of them share is the [`InterceptedCall`]. A door may close early, but it does not say when
//! the call ends: its processes do ([`Shutdown`]).
//!
//! # Layout
//!
//! * `wrapper`: the door of the patched Bash: execve-wrapper asks over a socket.
//! * `outside`: starting a program with other rights. `git_filters`: what stands in its way, if it is Git. `apart`, `behind_door`: what it starts then. `escalated`: those that were started. `again`: one that failed where it was.
//! * `shutdown`: how a call ends. `whereabouts`: where its programs were executed.

mod again;
mod apart;
mod behind_door;
mod call;
mod door;
mod escalated;
mod git_filters;
mod git_passwords;
mod kernel;
mod outside;
mod shutdown;
mod whereabouts;
mod wrapper;

pub(crate) use apart::Unexecuted;
pub(crate) use call::InterceptedCall;
pub(crate) use door::attend;
pub(crate) use escalated::{AliveOutside, Escalated};
pub(crate) use kernel::{KernelDoor, KernelDoors, MadeByCall, Refused};
pub(crate) use shutdown::Shutdown;
pub(crate) use whereabouts::Whereabouts;
pub(crate) use wrapper::WrapperDoor;
