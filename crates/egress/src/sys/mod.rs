//! What differs between systems: through what bytes go from one socket to another.

#[cfg_attr(not(target_os = "linux"), path = "buffers.rs")]
mod pipes;

pub(crate) use pipes::Pipe;
