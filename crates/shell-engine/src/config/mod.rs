//! What was typed (`Settings`) and what it means (`Config`): the programs, the rules, the sandbox, validated once.

mod agent;
mod approvals;
mod door;
mod error;
mod file;
mod limits;
mod programs;
mod results;
mod rights;
mod sandboxing;
mod settings;
mod shell_program;
mod temporary;
mod trusted;
mod validated;
mod variables;
mod word;

pub(crate) use agent::{EDITOR_ARGUMENT, EDITOR_VARIABLES, NO_EDITOR, UNSET};
pub use approvals::{ApprovalSettings, ChannelKind, ReasonField};
pub use door::DoorChoice;
pub use error::ConfigError;
pub use file::ConfigFileError;
pub use limits::{AfterCall, LimitError, LimitSettings, Limits, SpoolLimits, UnknownAfterCall};
pub use limits::{BYTES_PER_TOKEN, DEFAULT_TOKENS, MAX_TOKENS};
pub use programs::{find_bash, find_wrapper};
pub use results::Results;
pub use results::{ResultFormat, ResultSettings};
pub use rights::AllowMeans;
pub use sandboxing::{SandboxSettings, SandboxSettingsError};
pub use sandboxing::{Sandboxing, Wanted};
pub use settings::Settings;
pub use shell_program::{ShellKind, ShellProgram, find_shell};
pub use trusted::TrustedPlaceError;
pub use validated::{Config, find_codex_home, trusted_projects};
pub(crate) use variables::Variables;
pub use word::UnknownWord;
