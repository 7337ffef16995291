//! The rules that a person may have written instead of being asked again.

use std::path::Path;

use execpolicy::amend::{Amendment, suggest_answers};
use execpolicy::{Command, Options, Policy};

use super::exec::Exec;

/// The rules for commands that begin as this one, the narrowest first, if a rule in `folder` asks: those that would
/// settle the question and not allow too much.
pub(super) fn suggest(policy: &Policy, options: &Options, folder: &Path, exec: &Exec) -> Vec<Amendment> {
    let variables = exec.variables();
    let command =
        Command::new(&exec.file, exec.arguments()).with_cwd(&exec.workdir).with_environment(&variables);
    let command = command.with_ancestry(&exec.lineage.ancestry);
    suggest_answers(&policy.evaluate(&command, options), &command, options, folder)
}
