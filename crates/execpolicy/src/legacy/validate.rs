//! Whether a word is what its description asks for.

use super::error::CheckError;
use super::matcher::ArgType;

impl ArgType {
    /// Checks one word.
    pub(super) fn validate(&self, value: &str) -> Result<(), CheckError> {
        match self {
            Self::Literal(expected) if expected == value => Ok(()),
            Self::Literal(expected) => Err(CheckError::LiteralValueDidNotMatch {
                expected: expected.clone(),
                actual: value.to_owned(),
            }),
            Self::ReadableFile | Self::WriteableFile if value.is_empty() => Err(CheckError::EmptyFileName {}),
            Self::PositiveInteger => match value.parse::<u64>() {
                Ok(number) if number > 0 => Ok(()),
                Ok(_) | Err(_) => Err(CheckError::InvalidPositiveInteger { value: value.to_owned() }),
            },
            Self::SedCommand if !only_prints_lines(value) => {
                Err(CheckError::SedCommandNotProvablySafe { command: value.to_owned() })
            }
            Self::ReadableFile
            | Self::WriteableFile
            | Self::SedCommand
            | Self::OpaqueNonFile
            | Self::Unknown => Ok(()),
        }
    }
}

/// `N,Mp`.
fn only_prints_lines(command: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    command
        .strip_suffix('p')
        .and_then(|lines| lines.split_once(','))
        .is_some_and(|(first, last)| is_number(first) && is_number(last))
}
