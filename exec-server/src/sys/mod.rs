//! What differs between systems, and what has no safe interface. Nothing else in this crate asks which system this is.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;
mod process;

#[cfg(not(target_os = "linux"))]
use elsewhere as system;
#[cfg(target_os = "linux")]
use linux as system;

pub use process::restore_signals;
pub(crate) use process::{adopt_descriptor, keep, watch_broken};
pub(crate) use system::{WAY_THROUGH_DESCRIPTORS, is_more_confined};
