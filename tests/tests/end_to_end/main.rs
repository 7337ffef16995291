//! End-to-end tests: one module per stage.

mod bash_faithful;
mod bash_hook;
mod calls;
mod protocol;
mod rules;
