//! The older `.policy` language: each program's options and arguments are described, and what does not fit
//! the description is not verified.
//!
//! Kept for those who have such files. It answers "is this known to be harmless", where `.rules` answer "may
//! this run".

mod call;
mod default;
mod dialect;
mod error;
mod matcher;
mod outcome;
mod policy;
mod positional;
mod spec;
mod validate;

pub use call::Call;
pub use default::default_policy;
pub use error::CheckError;
pub use matcher::{ArgMatcher, ArgType};
pub use outcome::{ExitCode, ForbiddenCause, MatchedArg, MatchedCall, MatchedFlag, MatchedOpt, Outcome};
pub use policy::LegacyPolicy;
