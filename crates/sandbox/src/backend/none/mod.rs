//! A system without a sandbox that we know: programs are started by the server itself, and who asks for a sandbox gets
//! none and is told so.
//!
//! A program's process group ends with its call; what begins a session of its own lives on, and nothing ends with a
//! server that is killed.

mod absent;
mod call;
mod session;
mod sys;
#[cfg(any(test, not(target_os = "macos")))]
mod system;

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(crate) use system::NoSandbox;
#[cfg(any(test, target_os = "macos"))]
pub(crate) use {
    absent::{no_session_process, refuse},
    call::Call,
    session::Session,
};
