//! The rule that a person may have written instead of being asked again.

use std::path::Path;

use execpolicy::amend::{Amendment, suggest_answer};
use execpolicy::{Command, Options, Policy};

use super::exec::Exec;

/// The rule for all words of this command, if one in `folder` asks, and it would settle the question and not allow too much.
pub(super) fn offer(policy: &Policy, options: &Options, folder: &Path, exec: &Exec) -> Option<Amendment> {
    let variables = exec.variables();
    let command =
        Command::new(&exec.file, exec.arguments()).with_cwd(&exec.workdir).with_environment(&variables);
    suggest_answer(&policy.evaluate(&command, options), &command, options, folder)
}
