//! The egress from socket to socket, on loopback: inside is a range of 127.0.0.0/8, outside is `::1`.

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

mod connections;
mod lenient;
mod names;
mod proxy;
mod refusals;
mod world;
