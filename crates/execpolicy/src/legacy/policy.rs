//! All descriptions of a `.policy` file, and the order in which a call is checked.

use std::path::Path;

use regex::Regex;

use super::dialect;
use super::error::CheckError;
use super::outcome::{Call, ForbiddenCause, Outcome};
use super::spec::ProgramSpec;
use crate::errors::LoadError;

/// A legacy policy.
#[derive(Clone, Debug, Default)]
pub struct LegacyPolicy {
    pub(super) programs: Vec<ProgramSpec>,
    pub(super) forbidden_programs: Vec<(Regex, String)>,
    pub(super) forbidden_substrings: Vec<String>,
}

impl LegacyPolicy {
    /// Reads a policy from text; the path stands for the file in errors.
    ///
    /// # Errors
    /// What is wrong with the text, with line, column and excerpt; also an example that is not what it should be.
    pub fn from_text(file: &Path, text: &str) -> Result<Self, LoadError> {
        dialect::read(file, text)
            .map_err(|problem| LoadError::Parse { file: file.to_owned(), problem: Box::new(problem) })
    }

    /// Reads a policy from a file.
    ///
    /// # Errors
    /// The file cannot be read, or what is wrong with its text.
    pub fn from_file(file: &Path) -> Result<Self, LoadError> {
        Self::from_text(file, &crate::load::read_file(file)?)
    }

    /// Checks one call: forbidden programs, then forbidden words, then the program's descriptions in their order, of which the first that fits
    /// decides.
    pub fn check(&self, call: &Call) -> Outcome {
        if let Some((_, reason)) =
            self.forbidden_programs.iter().find(|(regex, _)| regex.is_match(&call.program))
        {
            let cause = ForbiddenCause::Program { program: call.program.clone(), exec_call: call.clone() };
            return Outcome::Forbidden { reason: reason.clone(), cause };
        }
        for arg in &call.args {
            if self.forbidden_substrings.iter().any(|substring| arg.contains(substring)) {
                let reason = format!("arg `{arg}` contains forbidden substring");
                let cause = ForbiddenCause::Arg { arg: arg.clone(), exec_call: call.clone() };
                return Outcome::Forbidden { reason, cause };
            }
        }
        let mut error = CheckError::NoSpecForProgram { program: call.program.clone() };
        for spec in self.programs.iter().filter(|spec| spec.program == call.program) {
            match (spec.check(call), &spec.forbidden) {
                (Ok(exec), Some(reason)) => {
                    return Outcome::Forbidden {
                        reason: reason.clone(),
                        cause: ForbiddenCause::Exec { exec },
                    };
                }
                (Ok(r#match), None) if r#match.might_write_files() => return Outcome::Match { r#match },
                (Ok(r#match), None) => return Outcome::Safe { r#match },
                (Err(why), _) => error = why,
            }
        }
        Outcome::Unverified { error }
    }
}
