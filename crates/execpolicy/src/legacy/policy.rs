//! All descriptions of a `.policy` file, and the order in which a call is checked.

use regex::Regex;

use super::call::Call;
use super::error::CheckError;
use super::outcome::{ForbiddenCause, Outcome};
use super::spec::ProgramSpec;

/// A legacy policy.
#[derive(Clone, Debug, Default)]
pub struct LegacyPolicy {
    pub(super) programs: Vec<ProgramSpec>,
    pub(super) forbidden_programs: Vec<(Regex, String)>,
    pub(super) forbidden_substrings: Vec<String>,
}

impl LegacyPolicy {
    /// Checks one call: forbidden programs, then forbidden words, then the program's descriptions in their
    /// order, of which the first that fits decides.
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
