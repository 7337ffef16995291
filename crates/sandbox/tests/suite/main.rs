//! The crate's tests that cross a process boundary: one binary, one file per subject.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, also in the code that tests share"
)]

mod lifetime;
mod support;
