//! Why a file does not leave the sandbox.

use std::path::PathBuf;

use super::location;

/// Why a file does not leave the sandbox as the program that a rule means. The texts continue "not escalated: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::judgement) enum Untrusted {
    /// There is no such file outside.
    #[error("{} cannot be looked at outside the sandbox", .0.display())]
    Absent(PathBuf),
    /// The path is another file inside.
    #[error("{} is another file outside the sandbox than inside", .0.display())]
    AnotherFile(PathBuf),
    /// It is no regular file.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The rule's name means another file.
    #[error("to the user `{name}` means {}, not {}", meant.display(), is.display())]
    MeansAnother {
        /// The rule's name.
        name: String,
        /// What it means.
        meant: PathBuf,
        /// What was about to run.
        is: PathBuf,
    },
    /// The rule's name means nothing.
    #[error(
        "`{0}` is not found on the server's search path, so the rule names no program of the user's; write its full path into the rule"
    )]
    MeansNothing(String),
    /// `host_executable` lists other files.
    #[error("{} is not one of the files that host_executable lists for `{name}`", is.display())]
    NotListed {
        /// The rule's name.
        name: String,
        /// What was about to run.
        is: PathBuf,
    },
    /// The place can be changed by others.
    #[error("{place}")]
    Place {
        /// What is wrong with it.
        place: location::Unsafe,
    },
    /// It would print the user's keys.
    #[error(
        "ssh prints what it does not understand of {}, which commands can write, or which is a key, so it would show the user's keys",
        .0.display()
    )]
    ShowsKeys(PathBuf),
    /// The script's interpreter is not to be trusted.
    #[error("it is a script, and its interpreter {} is not to be trusted: {why}", interpreter.display())]
    Interpreter {
        /// The interpreter.
        interpreter: PathBuf,
        /// Why.
        why: Box<Untrusted>,
    },
    /// The script's first line cannot be followed.
    #[error("the first line of {} names no interpreter that can be checked", .0.display())]
    UnclearInterpreter(PathBuf),
}
