//! What one argument, or a run of them, must be.

use serde::Serialize;

/// One entry of a program's `args`, or the type of an option's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum ArgMatcher {
    /// This very word.
    Literal(String),
    /// One word that is not a file (`ARG_OPAQUE_VALUE`).
    OpaqueNonFile,
    /// One file that is read (`ARG_RFILE`).
    ReadableFile,
    /// One file that is written (`ARG_WFILE`).
    WriteableFile,
    /// At least one file that is read (`ARG_RFILES`).
    ReadableFiles,
    /// Any number of files that are read; none means the current folder (`ARG_RFILES_OR_CWD`).
    ReadableFilesOrCwd,
    /// A number above zero (`ARG_POS_INT`).
    PositiveInteger,
    /// A command of sed that only prints lines (`ARG_SED_COMMAND`).
    SedCommand,
    /// Any number of words of unknown meaning (`ARG_UNVERIFIED_VARARGS`).
    UnverifiedVarargs,
}

/// The constants of the language.
pub(super) const CONSTANTS: &[(&str, ArgMatcher)] = &[
    ("ARG_OPAQUE_VALUE", ArgMatcher::OpaqueNonFile),
    ("ARG_RFILE", ArgMatcher::ReadableFile),
    ("ARG_WFILE", ArgMatcher::WriteableFile),
    ("ARG_RFILES", ArgMatcher::ReadableFiles),
    ("ARG_RFILES_OR_CWD", ArgMatcher::ReadableFilesOrCwd),
    ("ARG_POS_INT", ArgMatcher::PositiveInteger),
    ("ARG_SED_COMMAND", ArgMatcher::SedCommand),
    ("ARG_UNVERIFIED_VARARGS", ArgMatcher::UnverifiedVarargs),
];

/// How many words an entry covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cardinality {
    One,
    AtLeastOne,
    ZeroOrMore,
}

/// What a verified word is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum ArgType {
    /// This very word.
    Literal(String),
    /// A word that is not a file.
    OpaqueNonFile,
    /// A file that is read.
    ReadableFile,
    /// A file that is written.
    WriteableFile,
    /// A number above zero.
    PositiveInteger,
    /// A command of sed that only prints lines.
    SedCommand,
    /// Not known.
    Unknown,
}

impl ArgMatcher {
    pub(super) fn cardinality(&self) -> Cardinality {
        match self {
            Self::Literal(_)
            | Self::OpaqueNonFile
            | Self::ReadableFile
            | Self::WriteableFile
            | Self::PositiveInteger
            | Self::SedCommand => Cardinality::One,
            Self::ReadableFiles => Cardinality::AtLeastOne,
            Self::ReadableFilesOrCwd | Self::UnverifiedVarargs => Cardinality::ZeroOrMore,
        }
    }

    pub(super) fn arg_type(&self) -> ArgType {
        match self {
            Self::Literal(word) => ArgType::Literal(word.clone()),
            Self::OpaqueNonFile => ArgType::OpaqueNonFile,
            Self::ReadableFile | Self::ReadableFiles | Self::ReadableFilesOrCwd => ArgType::ReadableFile,
            Self::WriteableFile => ArgType::WriteableFile,
            Self::PositiveInteger => ArgType::PositiveInteger,
            Self::SedCommand => ArgType::SedCommand,
            Self::UnverifiedVarargs => ArgType::Unknown,
        }
    }
}

impl ArgType {
    /// Whether a word of this type may name a file that gets written.
    #[must_use]
    pub fn might_write_file(&self) -> bool {
        match self {
            Self::WriteableFile | Self::Unknown => true,
            Self::Literal(_)
            | Self::OpaqueNonFile
            | Self::ReadableFile
            | Self::PositiveInteger
            | Self::SedCommand => false,
        }
    }
}
