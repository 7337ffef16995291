//! The rules that a person may have written instead of being asked again.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use execpolicy::amend::{Amendment, suggest_answers, suggest_inside};
use execpolicy::{Command, Options, Policy};

use super::exec::Exec;
use crate::approval::{Choice, ScopedRule};
use crate::rules::AnswerFile;

/// The rules for commands that begin as this one, the narrowest first, if a rule in `folder` asks: those that would
/// settle the question and not allow too much.
pub(super) fn suggest(policy: &Policy, options: &Options, folder: &Path, exec: &Exec) -> Vec<Amendment> {
    let variables = exec.variables();
    let command =
        Command::new(&exec.file, exec.arguments()).with_cwd(&exec.workdir).with_environment(&variables);
    let command = command.with_ancestry(&exec.lineage.ancestry).at(SystemTime::now());
    let evaluation = policy.evaluate(&command, options);
    let answers = suggest_answers(&evaluation, &command, options, folder);
    if answers.is_empty() { suggest_inside(&evaluation) } else { answers }
}

/// A project, and the file of what a person has answered for it alone.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) answers: AnswerFile,
}

/// How long a rule for an hour lasts.
const HOUR: Duration = Duration::from_secs(3600);

/// The shortest of these rules for less than always and everywhere.
pub(super) fn scoped(always: &[Amendment], exec: &Exec, project: Option<&Project>) -> Vec<ScopedRule> {
    let Some(shortest) = always.last() else { return Vec::new() };
    let length = shortest.length();
    // Of the whole command, *session* says it.
    let session = (always.len() > 1).then(|| ScopedRule {
        choice: Choice::SessionFirst(length),
        rule: shortest.clone(),
        file: None,
    });
    let here = project.filter(|project| exec.workdir.starts_with(&project.root)).and_then(|project| {
        let rule = shortest.clone().within(&project.root)?;
        Some(ScopedRule { choice: Choice::Project(length), rule, file: Some(project.answers.clone()) })
    });
    let until = shortest.clone().until(SystemTime::now() + HOUR);
    let hour = ScopedRule { choice: Choice::Hour(length), rule: until, file: None };
    session.into_iter().chain(here).chain([hour]).collect()
}
