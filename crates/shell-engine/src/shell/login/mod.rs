//! Login shells without the price of one: what the user's start-up files set is found out once, and given to each call.
//!
//! # Layout
//! - [`capture`]: runs the start-up files in the call's own sandbox, unjudged, and has Bash write down its state.
//! - [`state`]: such a state, and the code that makes one out of another (pure).
//! - [`prelude`]: that code, and how a shell is told to read it.
//! - [`files`]: whether the start-up files are the ones that ran.
//! - [`logins`]: when to run them again, and what a call gets.
//!
//! The code that comes out is made by processes in the sandbox and runs in the sandbox only, in the same place.

mod capture;
mod files;
mod logins;
mod prelude;
mod state;

pub(super) use logins::{Login, Logins};
pub(super) use prelude::{PRELUDE_NUMBER, login_options, set_prelude};
