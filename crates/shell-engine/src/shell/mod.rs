//! One call of the tool: request → spawn → output → deadline → termination → outcome.
//!
//! A [`Call`] lives by itself: requests of the protocol attach to it and may end before it does.
//!
//! # Layout, in the order in which a call meets it
//! - `shared`: what all calls of one server share.
//! - `request`: what is wanted, checked. `admission`: waiting until it may start; `places`: in turn with
//!   other users. `publish`: ports of its programs that a person is asked about.
//! - `patching`: which sandbox a patch is applied in.
//! - `streams`: its descriptors. `input`: what is written to it.
//!   `terminal`: what a person would see of it. `keys`: what a keyboard sends. `kept`: a
//!   shell that is given one command after the other.
//! - `login`: what the user's start-up files set. `command_line`, `spawn`: starting Bash. `behind_door`: so that its programs are
//!   judged. `attend`: from there to the end.
//! - `call`: what others see of it meanwhile. `running`: the list of all, to be attached to.
//!   `sessions`: those that their caller comes back to.
//! - `denials`, `protected`: what the sandbox refused. `outcome`: what it came to.
//! - `processes`: what it has started, inside the sandbox and outside.
//! - `facts`: what clients should know about where commands run. `git_head`: a repository's branch and commit.
//! - `user_program`: what is no call: a program of the user's own.

mod admission;
mod attend;
mod behind_door;
mod bounded;
mod call;
mod command_line;
mod denials;
mod facts;
mod git_head;
mod input;
mod kept;
mod keys;
mod login;
mod outcome;
mod patching;
mod places;
mod processes;
mod protected;
mod publish;
mod request;
mod running;
mod sessions;
mod shared;
mod spawn;
mod streams;
mod terminal;
mod user_program;

pub use admission::Turn;
pub use attend::StartError;
pub use call::{Call, Typed};
pub use facts::{Dirty, GitFacts, LimitFacts, SessionFacts, ShellFacts, Unknown};
pub use input::WriteError;
pub use kept::{CommandEnd, CommandError, KeptCommand};
pub use outcome::{CallOutcome, Ending};
pub use places::{Lent, Places, TakenPlace, Turns, User};
pub use processes::CallProcess;
pub use request::{CallRequest, Input, RequestError};
pub use running::{BackgroundCall, CallState, RecentCall, RunningCall, RunningCalls};
pub use sessions::{Place, Session, Sessions, TooManySessions};
pub use shared::{Observer, Shell};
pub use terminal::{BadTerminalSize, Screen, TerminalSize};
pub use user_program::{Ran, UserProgram, UserProgramError};
