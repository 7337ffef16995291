//! Adds a rule to a rules file, when a human said "and do not ask again".

mod append;
mod broad;
mod line;

pub use append::{AmendError, Appended, append};
pub use broad::too_broad;
pub use line::{Amendment, AmendmentError, suggest_answers};
