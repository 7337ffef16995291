//! Why a text, or a wrapper's arguments, are not fully understood.

use std::fmt;

/// Why a text is not fully understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It is not valid, or not in the grammar.
    Syntax,
    /// It is too long or too involved.
    TooLarge,
    /// It holds characters that readers and shells take differently.
    StrangeCharacters,
    /// It writes to a file by itself.
    WritesFile,
    /// It changes variables that programs obey.
    SetsVariables,
    /// It gives a name a new meaning.
    DefinesNames,
    /// What it runs is known only when it runs.
    DynamicProgram,
    /// It uses a construct that is not on the list.
    Construct,
    /// An option is not known, so it is not certain where the command begins.
    UnknownOption,
    /// The command gets more arguments, or other rights, than are seen here.
    MoreThanSeen,
}

impl fmt::Display for Doubt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Syntax => "its syntax is not understood",
            Self::TooLarge => "it is too large",
            Self::StrangeCharacters => "it holds control or look-alike characters",
            Self::WritesFile => "it writes to a file",
            Self::SetsVariables => "it sets variables that programs obey",
            Self::DefinesNames => "it defines functions, aliases or exported variables",
            Self::DynamicProgram => "a program's name is computed while it runs",
            Self::Construct => "it uses a construct that is not understood",
            Self::UnknownOption => "an option before the command is not known",
            Self::MoreThanSeen => "the command gets arguments or rights that are not seen here",
        })
    }
}
