//! Makes the rule that is added to a rules file when a human said "and do not ask again". Its caller writes
//! it.

mod broad;
mod line;

pub use broad::too_broad;
pub use line::{Amendment, AmendmentError, suggest_answers};
