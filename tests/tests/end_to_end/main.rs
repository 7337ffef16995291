//! End-to-end tests: one module per stage.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "what a test stands on must break the test when it breaks"
)]

mod approvals;
mod approve;
mod audit;
mod bash_faithful;
mod bash_hook;
mod calls;
mod live_rules;
mod policy;
mod protocol;
mod rounds;
mod rules;
mod sandbox;
