//! The answer about one call, as it is printed in JSON.

use serde::Serialize;

use super::call::Call;
use super::error::CheckError;
use super::matcher::ArgType;

/// An option without a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatchedFlag {
    /// The option.
    pub name: String,
}

/// An option with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatchedOpt {
    /// The option.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What the value is.
    pub r#type: ArgType,
}

/// A word that is not an option, and what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatchedArg {
    /// Index in the call's arguments.
    pub index: usize,
    /// What the word is.
    pub r#type: ArgType,
    /// The word.
    pub value: String,
}

/// A call that fits a description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatchedCall {
    /// The program's name.
    pub program: String,
    /// Options without a value.
    pub flags: Vec<MatchedFlag>,
    /// Options with a value.
    pub opts: Vec<MatchedOpt>,
    /// The other words.
    pub args: Vec<MatchedArg>,
    /// Where the program may be found, best first.
    pub system_path: Vec<String>,
}

impl MatchedCall {
    /// Whether a word may name a file that gets written.
    #[must_use]
    pub fn might_write_files(&self) -> bool {
        self.opts.iter().any(|opt| opt.r#type.might_write_file())
            || self.args.iter().any(|arg| arg.r#type.might_write_file())
    }
}

/// What forbids a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum ForbiddenCause {
    /// The program's name.
    Program {
        /// The program.
        program: String,
        /// The call.
        exec_call: Call,
    },
    /// An argument.
    Arg {
        /// The argument.
        arg: String,
        /// The call.
        exec_call: Call,
    },
    /// A description that is marked as forbidden.
    Exec {
        /// The call as it fits that description.
        exec: MatchedCall,
    },
}

/// The answer about one call.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Outcome {
    /// It fits a description and writes no file.
    Safe {
        /// How it fits.
        r#match: MatchedCall,
    },
    /// It fits a description and may write files.
    Match {
        /// How it fits.
        r#match: MatchedCall,
    },
    /// It is forbidden.
    Forbidden {
        /// Why, in the author's words.
        reason: String,
        /// What forbids it.
        cause: ForbiddenCause,
    },
    /// It fits no description.
    Unverified {
        /// Why not.
        error: CheckError,
    },
}

/// Exit codes of `policy check-legacy --require-safe`; without that option it is always 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Safe.
    Safe = 0,
    /// Fits, and may write files.
    Match = 12,
    /// Fits no description.
    Unverified = 13,
    /// Forbidden.
    Forbidden = 14,
}

impl Outcome {
    /// The exit code that `--require-safe` asks for.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Safe { .. } => ExitCode::Safe,
            Self::Match { .. } => ExitCode::Match,
            Self::Forbidden { .. } => ExitCode::Forbidden,
            Self::Unverified { .. } => ExitCode::Unverified,
        }
    }
}
