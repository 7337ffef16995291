//! End-to-end tests: one module per stage.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "what a test stands on must break the test when it breaks"
)]

mod bash_faithful;
mod bash_hook;
mod calls;
mod escalation;
mod protocol;
mod rules;
mod sandbox;
