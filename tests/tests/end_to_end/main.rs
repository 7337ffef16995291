//! End-to-end tests: one module per stage.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "what a test stands on must break the test when it breaks"
)]

mod background;
mod bash_faithful;
mod bash_hook;
mod calls;
mod load;
mod output;
mod progress;
mod protocol;
mod rules;
mod sandbox;
