//! The crate's tests that cross a process boundary: one binary, one file per subject.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, also in the code that tests share"
)]

/// Prints for whoever runs the tests with `--nocapture`; libtest captures standard error as well.
macro_rules! tell {
    ($($what:tt)*) => { eprintln!($($what)*) };
}

mod execution;
mod groups;
mod impersonation;
mod lifetime;
mod programs;
mod reading;
mod reporting;
mod sessions;
mod speed;
mod support;
mod waiting;
mod walls;
