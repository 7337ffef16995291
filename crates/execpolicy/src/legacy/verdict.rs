//! What a server that has a legacy policy does with a command.

use std::ffi::OsStr;

use super::call::Call;
use super::folders::{Folders, check_folders};
use super::outcome::Outcome;
use super::policy::LegacyPolicy;
use crate::command::Command;

/// What a legacy policy says about a command.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegacyVerdict {
    /// It is known to be harmless where it is, or writes only where it may: it runs, inside the sandbox, unasked.
    Run,
    /// It is known, and may write a file elsewhere: a human is asked.
    Prompt {
        /// Why, for the human.
        reason: String,
    },
    /// It never runs.
    Deny {
        /// Why, in the author's words.
        reason: String,
    },
    /// It is not known: as if there were no legacy policy.
    NoOpinion,
}

impl LegacyPolicy {
    /// Judges a command by its base name. `folders` holds where it may write; what it reads is the sandbox's business.
    pub fn judge(&self, command: &Command<'_>, folders: &Folders) -> LegacyVerdict {
        let Some(call) = call(command) else { return LegacyVerdict::NoOpinion };
        match self.check(&call) {
            Outcome::Safe { .. } => LegacyVerdict::Run,
            Outcome::Forbidden { reason, .. } => LegacyVerdict::Deny { reason },
            Outcome::Unverified { .. } => LegacyVerdict::NoOpinion,
            Outcome::Match { r#match } => {
                let anywhere = vec!["/".into()];
                let folders = Folders { readable: anywhere, ..folders.clone() };
                match check_folders(&r#match, &folders) {
                    Ok(()) => LegacyVerdict::Run,
                    Err(error) => LegacyVerdict::Prompt { reason: error.to_string() },
                }
            }
        }
    }
}

/// The command as a call; `None` when it is not text, which no description fits.
fn call(command: &Command<'_>) -> Option<Call> {
    let args = command.args().map(|arg| arg.to_str().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
    let program = std::path::Path::new(command.program()).file_name().and_then(OsStr::to_str)?.to_owned();
    Some(Call { program, args })
}

#[cfg(test)]
mod tests {
    use super::LegacyVerdict;
    use crate::Command;
    use crate::legacy::{Folders, LegacyPolicy, default_policy};

    fn judge(policy: &LegacyPolicy, line: &str, folders: &Folders) -> LegacyVerdict {
        let words: Vec<&str> = line.split(' ').collect();
        policy.judge(&Command::from_words(&words).unwrap(), folders)
    }

    #[test]
    fn each_outcome_has_its_consequence() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders {
            cwd: Some(root.path().to_owned()),
            readable: Vec::new(),
            writable: vec![root.path().to_owned()],
        };
        std::fs::write(root.path().join("a"), "").unwrap();
        let policy = default_policy().unwrap();
        assert_eq!(judge(&policy, "/bin/ls -l", &folders), LegacyVerdict::Run);
        assert_eq!(judge(&policy, "cp a b", &folders), LegacyVerdict::Run);
        assert!(matches!(judge(&policy, "cp a /b", &folders), LegacyVerdict::Prompt { .. }));
        assert_eq!(judge(&policy, "rm a", &folders), LegacyVerdict::NoOpinion);
        let forbidding = LegacyPolicy::from_text(
            std::path::Path::new("x.policy"),
            "forbid_program_regex(\"^rm$\", \"no\")",
        )
        .unwrap();
        assert_eq!(judge(&forbidding, "/bin/rm a", &folders), LegacyVerdict::Deny { reason: "no".into() });
    }
}
