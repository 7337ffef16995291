//! Why a call is not verified.

use serde::Serialize;

use super::call::PositionalArg;
use super::matcher::ArgMatcher;

/// Why a call does not fit a description. Serialised with the variant's name as `type`.
#[expect(missing_docs, reason = "the fields are named for what they hold, and the names are a file format")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "type")]
pub enum CheckError {
    /// No description for this program.
    #[error("no description of `{program}`")]
    NoSpecForProgram { program: String },
    /// An option that needs a value is the last word.
    #[error("option `{option}` of `{program}` has no value")]
    OptionMissingValue { program: String, option: String },
    /// An option that needs a value is followed by another option.
    #[error("option `{option}` of `{program}` is followed by `{value}` instead of a value")]
    OptionFollowedByOptionInsteadOfValue { program: String, option: String, value: String },
    /// An option that the description does not list.
    #[error("`{program}` has no known option `{option}`")]
    UnknownOption { program: String, option: String },
    /// Words that the description has no place for.
    #[error("unexpected arguments for `{program}`")]
    UnexpectedArguments { program: String, args: Vec<PositionalArg> },
    /// `--`
    #[error("`--` is not supported (`{program}`)")]
    DoubleDashNotSupportedYet { program: String },
    /// The description has two entries that cover any number of words.
    #[error("two entries for `{program}` take any number of arguments")]
    MultipleVarargPatterns { program: String, first: ArgMatcher, second: ArgMatcher },
    /// Fewer words than the description needs.
    #[error("not enough arguments for `{program}`")]
    NotEnoughArgs { program: String, args: Vec<PositionalArg>, arg_patterns: Vec<ArgMatcher> },
    /// The words before and after the variable part overlap.
    #[error("the first and the last arguments overlap")]
    PrefixOverlapsSuffix {},
    /// The variable part needs at least one word.
    #[error("`{program}` needs at least one more argument")]
    VarargMatcherDidNotMatchAnything { program: String, matcher: ArgMatcher },
    /// A file's name is empty.
    #[error("a file name is empty")]
    EmptyFileName {},
    /// Another word than the one asked for.
    #[error("expected `{expected}`, got `{actual}`")]
    LiteralValueDidNotMatch { expected: String, actual: String },
    /// Not a number above zero.
    #[error("`{value}` is not a positive integer")]
    InvalidPositiveInteger { value: String },
    /// An option that must be given is not.
    #[error("`{program}` needs {}", options.join(", "))]
    MissingRequiredOptions { program: String, options: Vec<String> },
    /// A command of sed that may do more than print lines.
    #[error("the sed command `{command}` is not provably safe")]
    SedCommandNotProvablySafe { command: String },
}
