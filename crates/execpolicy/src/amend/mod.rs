//! Makes the rule that is added to a rules file when a human said "and do not ask again". Its caller writes
//! it.

mod broad;
mod handing_on;
mod learn;
mod line;

pub use crate::pattern::quoted;
pub use broad::{code_options, too_broad};
pub(crate) use handing_on::beginnings;
pub use handing_on::{hands_on, runs_what_it_is_given};
pub use learn::{Observed, learn};
pub use line::{Amendment, AmendmentError, suggest_answers, suggest_inside, suggest_retries};
