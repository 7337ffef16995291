//! Judges one command by all rules, looks at the commands inside it, and asks the heuristics when no rule
//! speaks.
//!
//! Strictest wins. The order of rules and files never matters.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use crate::answers;
use crate::command::Command;
use crate::conditions::Unknown;
use crate::dangerous::{self, Heuristics};
use crate::decision::Decision;
use crate::evaluation::{DecidedBy, Evaluation, HeuristicMatch, RuleMatch, deciding};
use crate::giving::Plain;
use crate::nested::{ReadBudget, finds_operands, nested, runs_in_its_own_process};
use crate::policy::Policy;
use crate::rule::{PrefixRule, ProgramFit, ProgramToken};
use crate::shell::Doubt;

/// Deepest nesting of commands in commands that is followed (`sh -c "sh -c …"`); deeper ones are left in
/// doubt.
const MAX_DEPTH: usize = 8;
/// Most commands that are judged for one; more are left in doubt.
const MAX_COMMANDS: usize = 2_000;

/// How to judge.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What stands for the program.
    pub program_token: ProgramToken,
    /// What is asked about although no rule mentions it.
    pub heuristics: Heuristics,
    /// What becomes of commands inside it (`sh -c`, `env`, …).
    pub nested: Nested,
    /// What a rule gives that says nothing of it.
    pub plain: Plain,
}

/// What becomes of the commands that a command says it will run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nested {
    /// Rules bind them, and the heuristics look at them: nobody else will.
    #[default]
    Judged,
    /// Only the heuristics look at them, and not where they are run on what is found: each is judged by the rules when it is executed. What is never executed,
    /// because the command does it in its own process (`busybox rm`, `ld.so rm`), is judged now.
    ExecutedLater,
}

impl Policy {
    /// Judges one command.
    pub fn evaluate(&self, command: &Command<'_>, options: &Options) -> Evaluation {
        let mut findings = Findings::new(self, options);
        let allowed = findings.judge(command, 0, false, true);
        let Findings { matches, dangers, commands, doubt, .. } = findings;
        let settled = answers::settled(&matches);
        let deciding = settled.or_else(|| deciding(&matches));
        let strictest = deciding.and_then(|index| matches.get(index));
        let by = |one: &RuleMatch| if one.part == 0 { DecidedBy::Rule } else { DecidedBy::Parts };
        let (mut decision, mut decided_by) = match strictest {
            Some(one) if one.rule.decision > Decision::Allow || allowed => (one.rule.decision, by(one)),
            Some(_) | None if !dangers.is_empty() => (Decision::Prompt, DecidedBy::Heuristic),
            Some(_) | None => (Decision::Allow, DecidedBy::Nothing),
        };
        let speaks = matches!(decided_by, DecidedBy::Rule | DecidedBy::Parts);
        if self.is_incomplete() && decision == Decision::Allow {
            (decision, decided_by) = (Decision::Prompt, DecidedBy::IncompleteRules);
        }
        let deciding = deciding.filter(|_| speaks);
        let deciding_match = deciding.and_then(|index| matches.get(index));
        let whole = commands.first().map(Vec::as_slice).unwrap_or_default();
        let rights = self.rights((&matches, whole), deciding_match, options);
        Evaluation { rights, decision, decided_by, matches, deciding, dangers, commands, doubt }
    }

    /// The rule that would allow a command if it were known what has started it.
    #[must_use]
    pub fn kept_back_by_ancestry(&self, command: &Command<'_>, options: &Options) -> Option<&PrefixRule> {
        if !self.looks_at_ancestry() || command.ancestry.is_whole() {
            return None;
        }
        let is_kept_back = |rule: &&Arc<PrefixRule>| {
            rule.decision == Decision::Allow
                && rule.conditions.look_at_ancestry()
                && rule.program_fit(command, options.program_token, self.host_executables()).is_some()
                && rule.arguments_match(command, 0, Unknown::Fulfilled)
        };
        self.candidates(command, &[0]).into_iter().find(is_kept_back).map(AsRef::as_ref)
    }

    fn matching_rules(&self, command: &Command<'_>, options: &Options, part: usize) -> Vec<RuleMatch> {
        let starts = command.argument_starts();
        let fitting = |rule: &Arc<PrefixRule>| {
            let fit = rule.program_fit(command, options.program_token, self.host_executables())?;
            let start = rule.fits_from(command, &starts)?;
            Some(rule_match(rule, fit, (command, start), part))
        };
        self.candidates(command, &starts).into_iter().filter_map(fitting).collect()
    }
}

/// What is gathered while a command and those inside it are judged.
struct Findings<'p> {
    policy: &'p Policy,
    options: &'p Options,
    matches: Vec<RuleMatch>,
    dangers: Vec<HeuristicMatch>,
    commands: Vec<Vec<OsString>>,
    doubt: Option<Doubt>,
    budget: ReadBudget,
    /// Commands that were looked at.
    seen: usize,
}

impl<'p> Findings<'p> {
    fn new(policy: &'p Policy, options: &'p Options) -> Self {
        Self {
            policy,
            options,
            matches: Vec::new(),
            dangers: Vec::new(),
            commands: Vec::new(),
            doubt: None,
            budget: ReadBudget::default(),
            seen: 0,
        }
    }

    /// Judges a command and those inside it; returns whether rules allow it, leaving aside that others may
    /// ask or forbid.
    ///
    /// `covered`: a rule speaks about a command around this one, so the heuristics keep silent. `bound`: rules bind it
    /// now.
    fn judge(&mut self, command: &Command<'_>, depth: usize, covered: bool, bound: bool) -> bool {
        if self.seen >= MAX_COMMANDS {
            self.doubt.get_or_insert(Doubt::TooLarge);
            return false;
        }
        self.seen += 1;
        let mut own = Vec::new();
        if bound {
            own = self.policy.matching_rules(command, self.options, self.commands.len());
            self.commands.push(words(command));
        }
        let allows = own.iter().any(|one| one.rule.decision == Decision::Allow);
        let covered = covered || !own.is_empty();
        self.matches.extend(own);
        if !covered {
            let found = dangerous::find(command, &self.options.heuristics);
            self.dangers.extend(found.map(|danger| HeuristicMatch { command: words(command), danger }));
        }
        let parts_allow = self.judge_nested(command, depth, covered, bound);
        allows || parts_allow
    }

    fn judge_nested(&mut self, command: &Command<'_>, depth: usize, covered: bool, bound: bool) -> bool {
        let Some(nested) = nested(command, command.input.as_deref(), &mut self.budget) else { return false };
        let doubt = if depth >= MAX_DEPTH { Some(Doubt::TooLarge) } else { nested.doubt };
        if let Some(doubt) = doubt {
            self.doubt.get_or_insert(doubt);
        }
        if depth >= MAX_DEPTH {
            return false;
        }
        let bound = bound
            && match self.options.nested {
                Nested::Judged => true,
                Nested::ExecutedLater => runs_in_its_own_process(command),
            };
        // What they are run on is seen when they are executed.
        let covered =
            covered || self.options.nested == Nested::ExecutedLater && finds_operands(command.basename());
        let mut all_allowed = bound && doubt.is_none() && !nested.commands.is_empty();
        for inside in &nested.commands {
            let inside = &Command { time: command.time, ..inside.clone() };
            if !self.policy.looks_at_ancestry() {
                all_allowed &= self.judge(inside, depth + 1, covered, bound);
                continue;
            }
            let ancestry = command.ancestry.below(command.program());
            all_allowed &= self.judge(&inside.clone().with_ancestry(&ancestry), depth + 1, covered, bound);
        }
        all_allowed
    }
}

pub(crate) fn rule_match(
    rule: &Arc<PrefixRule>,
    fit: ProgramFit,
    (command, start): (&Command<'_>, usize),
    part: usize,
) -> RuleMatch {
    let (program, resolved_program) = match fit {
        ProgramFit::AsGiven => (command.program(), None),
        ProgramFit::ByBasename => {
            let name = std::path::Path::new(command.program()).file_name();
            (name.unwrap_or(command.program()), Some(command.program().to_os_string()))
        }
    };
    let arguments = command.args().skip(start).take(rule.arguments.len());
    let matched_prefix = std::iter::once(program).chain(arguments).map(OsStr::to_os_string).collect();
    RuleMatch { rule: rule.clone(), matched_prefix, part, resolved_program }
}

fn words(command: &Command<'_>) -> Vec<OsString> {
    command.words().map(OsStr::to_os_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_in_scripts_are_read_up_to_a_limit_of_their_text_together() {
        let policy = Policy::empty();
        let read = |levels: usize| {
            let script = format!("{}a{}", "sh -c \"$(".repeat(levels), ")\"".repeat(levels));
            let words = ["sh", "-c", &script];
            let command = Command::from_words(&words).expect("words");
            policy.evaluate(&command, &Options::default())
        };
        assert!(read(2).doubt() != Some(Doubt::TooLarge));
        // Each level is a script with all the deeper ones in it: read one by one they would be thousands of
        // times the text.
        let deep = read(4_000);
        assert!(
            deep.doubt() == Some(Doubt::TooLarge) && deep.commands().len() < 100,
            "{:?}",
            deep.commands().len()
        );
        assert_eq!(deep.decision(), Decision::Allow);
    }
}
