//! What a system does for sandboxes, and which one this is: the only place that asks.
//!
//! A port is a [`Backend`], and nothing else. Linux has sessions that the kernel enforces; macOS has Seatbelt; any
//! other Unix runs programs without a sandbox, and says so to whoever asks for one.

mod contract;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, target_os = "macos"))]
mod macos;
#[cfg(any(test, not(target_os = "linux")))]
mod none;

pub(crate) use contract::{Backend, BackendCall, BackendSession};
#[cfg(target_os = "linux")]
pub(crate) use linux::Linux as Platform;
#[cfg(target_os = "macos")]
pub(crate) use macos::MacOs as Platform;
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(crate) use none::NoSandbox as Platform;
