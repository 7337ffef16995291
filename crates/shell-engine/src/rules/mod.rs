//! The user's rules as the server uses them, and everything that is done with their files: they are found in
//! layers, read, followed while they change, and added to when a person says *always*.
//!
//! [`Rules`] is asked before each program for the rules in force. It decides nothing: `judgement` does.

mod answers;
mod doubts;
mod legacy;
mod load;
mod reload;
mod settings;
mod sources;
mod stamps;
mod tool_hosts;

pub use answers::AnswerFile;
pub use doubts::doubts;
pub use legacy::read_legacy_policy;
pub(crate) use legacy::{LegacyVerdict, judge_by_legacy};
pub use load::{LoadError, LoadErrors, load_rules};
pub use reload::Rules;
pub(crate) use settings::{OWN, OWN_RULES, project_rules, started_in};
pub use settings::{RuleFiles, RuleSettings, RulesError};
pub use sources::RuleSource;
pub(crate) use tool_hosts::ToolConfiguration;
