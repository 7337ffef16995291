//! The user's rules as the server uses them: found in layers, followed while their files change, beside a legacy policy.
//!
//! [`Rules`] is asked before each program for the rules in force. It decides nothing: `escalation` does.

mod answers;
mod doubts;
mod live;
mod settings;
#[cfg(target_os = "linux")]
mod sys;

pub(crate) use answers::write_answer;
pub use doubts::doubts;
pub(crate) use live::Rules;
pub use settings::{RuleSettings, RulesError};
