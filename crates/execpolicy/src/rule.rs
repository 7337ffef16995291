//! One rule as its author wrote it, and whether it fits one command.
//!
//! A rule says nothing about which file a program name stands for, and nothing about other rules: `evaluate`
//! combines them.

use std::fmt;

use crate::command::Command;
use crate::conditions::{Conditions, Unknown};
use crate::decision::Decision;
use crate::host::HostExecutables;
pub use crate::origin::Origin;
use crate::pattern::{Element, Reading};
use crate::rights::{Grants, ProfileName, Run};

/// What stands for the program when rules are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgramToken {
    /// The base name, or the full path for rules written with one.
    #[default]
    Basename,
    /// The path exactly as given only (`--preserve-program-paths`).
    FullPath,
    /// The path exactly as given, or the base name of an absolute one that `host_executable` admits
    /// (`--resolve-host-executables`).
    ResolvedPath,
}

/// How a rule's first element fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgramFit {
    /// The program as given.
    AsGiven,
    /// The base name of the program's path.
    ByBasename,
}

/// What a rule grants besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleGrants {
    /// What the profile of this name grants.
    OfProfile(ProfileName),
    /// These.
    These(Grants),
}

/// One `prefix_rule(…)`, for one program (alternatives in the first position make one rule each).
#[derive(Clone, Debug)]
pub struct PrefixRule {
    /// What the program must be: a bare name, or a full path.
    pub program: Element,
    /// What the arguments must begin with.
    pub arguments: Vec<Element>,
    /// What else must hold.
    pub conditions: Conditions,
    /// What the rule says.
    pub decision: Decision,
    /// How the program runs, if it does; `None`: as its kind of program does.
    pub run: Option<Run>,
    /// The profile that says how it runs, and with what.
    pub profile: Option<ProfileName>,
    /// What it is granted besides.
    pub grants: Option<RuleGrants>,
    /// What is done about input that a caller writes to the program while it runs; `None`: it is let through.
    pub input: Option<Decision>,
    /// Whether this rule, which allows, settles the questions of rules that ask (`answers`).
    pub overrides_prompt: bool,
    /// Why, in its author's words; never blank.
    pub justification: Option<String>,
    /// Where it was written.
    pub origin: Origin,
}

impl PrefixRule {
    /// Makes one rule for each alternative in the first position of a pattern: `make` gets the program and
    /// the arguments.
    pub(crate) fn for_each_program(
        pattern: Vec<Element>,
        make: impl Fn(Element, Vec<Element>) -> Self,
    ) -> Vec<Self> {
        let mut elements = pattern.into_iter();
        let programs = match elements.next() {
            Some(Element::AnyOf(programs)) => programs,
            Some(program) => vec![program],
            None => Vec::new(),
        };
        let arguments: Vec<Element> = elements.collect();
        programs.into_iter().map(|program| make(program, arguments.clone())).collect()
    }

    /// Whether the rule's first element fits the program.
    pub(crate) fn program_fit(
        &self,
        command: &Command<'_>,
        token: ProgramToken,
        hosts: &HostExecutables,
    ) -> Option<ProgramFit> {
        let reading = Reading::from(self.decision);
        let given = command.program.as_encoded_bytes();
        if self.program.matches(given, reading) {
            return Some(ProgramFit::AsGiven);
        }
        // A rule that asks or forbids must not be dodged by another spelling of the path.
        if reading == Reading::Wide
            && command.plain_program().is_some_and(|plain| self.program.matches(&plain, reading))
        {
            return Some(ProgramFit::AsGiven);
        }
        let name = command.basename();
        let by_basename = match token {
            ProgramToken::Basename => name != given,
            ProgramToken::FullPath => false,
            ProgramToken::ResolvedPath => given.starts_with(b"/"),
        };
        let admitted = reading == Reading::Wide || hosts.admits(name, given);
        (by_basename && self.program.matches(name, reading) && admitted).then_some(ProgramFit::ByBasename)
    }

    /// The argument from which on the command is what the rule asks for, its conditions included; the program
    /// is compared by whoever chose the rule. For a rule that asks or forbids, options may stand before.
    pub(crate) fn fits_from(&self, command: &Command<'_>, starts: &[usize]) -> Option<usize> {
        let looks_behind = Reading::from(self.decision) == Reading::Wide && !self.arguments.is_empty();
        let starts = if looks_behind { starts } else { &[0] };
        let fits = |start: &usize| self.arguments_match(command, *start, Unknown::Cautious);
        starts.iter().copied().find(fits)
    }

    /// Whether the arguments from `start` on begin with what the rule asks for, and its conditions hold.
    pub(crate) fn arguments_match(&self, command: &Command<'_>, start: usize, unknown: Unknown) -> bool {
        let reading = Reading::from(self.decision);
        let available = match reading {
            Reading::Narrow => command.certain_args(),
            Reading::Wide => command.args.len(),
        };
        let end = start + self.arguments.len();
        // By another word for the same.
        let means = |element: &Element, index: usize| {
            let meant = || command.meanings(start).into_iter();
            reading == Reading::Wide && index == 0 && meant().any(|word| element.literals().contains(&word))
        };
        available >= end
            && self.arguments.iter().zip(command.args.iter().skip(start)).enumerate().all(
                |(index, (element, argument))| {
                    element.matches(argument.as_encoded_bytes(), reading) || means(element, index)
                },
            )
            && self.conditions.fulfilled(command, end, reading, unknown)
    }

    /// Number of words that the pattern fixes, the program included: the longest match explains a decision
    /// best.
    #[must_use]
    pub fn length(&self) -> usize {
        1 + self.arguments.len()
    }
}

impl fmt::Display for PrefixRule {
    /// The rule as one would write it, without examples, conditions and justification.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "prefix_rule([{}", self.program)?;
        for argument in &self.arguments {
            write!(formatter, ", {argument}")?;
        }
        write!(formatter, "], \"{}\"", self.decision)?;
        if let Some(run) = self.run {
            write!(formatter, ", run=\"{run}\"")?;
        }
        if let Some(profile) = &self.profile {
            write!(formatter, ", profile=\"{profile}\"")?;
        }
        match &self.grants {
            Some(RuleGrants::OfProfile(name)) => write!(formatter, ", grants=\"{name}\"")?,
            Some(RuleGrants::These(grants)) => write!(formatter, ", grants={grants}")?,
            None => {}
        }
        if let Some(input) = self.input {
            write!(formatter, ", input=\"{input}\"")?;
        }
        if self.overrides_prompt {
            formatter.write_str(", overrides_prompt=True")?;
        }
        if self.conditions.is_empty() { formatter.write_str(")") } else { formatter.write_str(", …)") }
    }
}
