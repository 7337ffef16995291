//! What the system has written down for a user. Nothing else in this crate asks which system this is.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::written_down;
#[cfg(target_os = "linux")]
pub(crate) use linux::written_down;
