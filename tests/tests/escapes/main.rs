//! The escape suite: what a command tries to get out of the sandbox of the shipped server, each attempt beside an
//! allowed twin that runs first; as root and as an ordinary user, with namespaces and with Landlock alone.
//!
//! `cargo test -p end-to-end-tests --test escapes -- --nocapture score` prints the table of cases, of what stopped
//! each, and of what is not stopped and said so. The library's own tests (`crates/sandbox/tests`) look at its walls
//! more closely.

#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "what a test stands on must break the test when it breaks")]

/// Prints for whoever runs the tests with `--nocapture`.
macro_rules! tell {
    ($($what:tt)*) => { eprintln!($($what)*) };
}

mod approval;
mod attempts;
mod files;
mod git_index;
mod interpreters;
mod leaving;
mod limits;
mod names;
mod outside;
mod place;
mod processes;
mod programs;
mod questions;
mod rights;
mod score;
mod server;
mod walls;
