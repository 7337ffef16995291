//! Judges one command by all rules, and by the heuristics when no rule speaks.
//!
//! Strictest wins. The order of rules and files never matters.

use std::ffi::OsStr;

use crate::command::{Command, basename};
use crate::dangerous;
use crate::decision::Decision;
use crate::evaluation::{DecidedBy, Evaluation, HeuristicMatch, RuleMatch, deciding};
use crate::policy::Policy;
use crate::rule::PrefixRule;

/// What stands for the program when rules are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgramToken {
    /// The base name; rules written with a full path also fit when the path is exactly that.
    #[default]
    Basename,
    /// The full path only (`--preserve-program-paths`).
    FullPath,
}

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
        let program = command.program.as_encoded_bytes();
        let mut matches = Vec::new();
        for rule in self.rules_for(program).filter(|rule| rule.arguments_match(command)) {
            let matched_prefix = matched_prefix(rule, &command.program, command);
            matches.push(RuleMatch { rule: rule.clone(), matched_prefix, resolved_program: None });
        }
        let name = basename(program);
        if options.program_token == ProgramToken::Basename && name != program {
            for rule in self.rules_for(name).filter(|rule| rule.arguments_match(command)) {
                let name = std::path::Path::new(command.program()).file_name().unwrap_or(OsStr::new(""));
                matches.push(RuleMatch {
                    rule: rule.clone(),
                    matched_prefix: matched_prefix(rule, name, command),
                    resolved_program: Some(command.program().to_os_string()),
                });
            }
        }
        matches
    }
}

fn matched_prefix(rule: &PrefixRule, program: &OsStr, command: &Command<'_>) -> Vec<std::ffi::OsString> {
    let arguments = command.args().take(rule.arguments.len());
    std::iter::once(program).chain(arguments).map(OsStr::to_os_string).collect()
}

/// All words of a command, the program first.
fn words(command: &Command<'_>) -> Vec<std::ffi::OsString> {
    std::iter::once(command.program()).chain(command.args()).map(OsStr::to_os_string).collect()
}
