//! Judges one command by all rules, and by the heuristics when no rule speaks.
//!
//! Strictest wins. The order of rules and files never matters.

use std::ffi::OsStr;
use std::sync::Arc;

use crate::command::Command;
use crate::conditions::Unknown;
use crate::dangerous;
use crate::decision::Decision;
use crate::evaluation::{DecidedBy, Evaluation, HeuristicMatch, RuleMatch, deciding};
use crate::policy::Policy;
use crate::rule::{PrefixRule, ProgramFit, ProgramToken};

/// How to judge.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What stands for the program.
    pub program_token: ProgramToken,
}

impl Policy {
    /// Judges one command.
    pub fn evaluate(&self, command: &Command<'_>, options: &Options) -> Evaluation {
        let matches = self.matching_rules(command, options);
        let deciding = deciding(&matches);
        let dangers = match deciding {
            Some(_) => Vec::new(),
            None => dangerous::find(command)
                .map(|danger| HeuristicMatch { command: words(command), danger })
                .into_iter()
                .collect(),
        };
        let (mut decision, mut decided_by) = match deciding.and_then(|index| matches.get(index)) {
            Some(one) => (one.rule.decision, DecidedBy::Rule),
            None if dangers.is_empty() => (Decision::Allow, DecidedBy::Nothing),
            None => (Decision::Prompt, DecidedBy::Heuristic),
        };
        if self.is_incomplete() && decision == Decision::Allow {
            (decision, decided_by) = (Decision::Prompt, DecidedBy::IncompleteRules);
        }
        Evaluation { decision, decided_by, matches, deciding, dangers }
    }

    fn matching_rules(&self, command: &Command<'_>, options: &Options) -> Vec<RuleMatch> {
        let given = command.program.as_encoded_bytes();
        let fitting = |rule: &Arc<PrefixRule>| {
            let fit = rule.program_fit(command, options.program_token, self.host_executables())?;
            rule.arguments_match(command, Unknown::Cautious).then(|| rule_match(rule, fit, command))
        };
        self.candidates(given, command.basename()).into_iter().filter_map(fitting).collect()
    }
}

fn rule_match(rule: &Arc<PrefixRule>, fit: ProgramFit, command: &Command<'_>) -> RuleMatch {
    let (program, resolved_program) = match fit {
        ProgramFit::AsGiven => (command.program(), None),
        ProgramFit::ByBasename => {
            let name = std::path::Path::new(command.program()).file_name();
            (name.unwrap_or(command.program()), Some(command.program().to_os_string()))
        }
    };
    RuleMatch { rule: rule.clone(), matched_prefix: matched_prefix(rule, program, command), resolved_program }
}

fn matched_prefix(rule: &PrefixRule, program: &OsStr, command: &Command<'_>) -> Vec<std::ffi::OsString> {
    let arguments = command.args().take(rule.arguments.len());
    std::iter::once(program).chain(arguments).map(OsStr::to_os_string).collect()
}

/// All words of a command, the program first.
fn words(command: &Command<'_>) -> Vec<std::ffi::OsString> {
    std::iter::once(command.program()).chain(command.args()).map(OsStr::to_os_string).collect()
}
