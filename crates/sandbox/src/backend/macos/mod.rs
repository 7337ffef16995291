//! Enforcement on macOS: a Seatbelt profile, made from a plan, for `/usr/bin/sandbox-exec`.
//!
//! The profile is a pure function of the plan and is tested as text on every platform. Running it has not been tried on
//! a Mac yet; the first run there is CI's.

mod seatbelt;
mod system;

#[cfg(target_os = "macos")]
pub(crate) use system::MacOs;
