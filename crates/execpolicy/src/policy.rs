//! All rules that are in force, indexed by the program that they name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::command::Command;
use crate::decision::Decision;
use crate::dialect::{self, Declarations};
use crate::errors::ParseError;
use crate::examples::Example;
use crate::host::HostExecutables;
use crate::network::NetworkRule;
use crate::patch::{self, PatchRule, PatchVerdict};
use crate::pattern::Element;
use crate::profiles::Profiles;
use crate::requirements;
use crate::rights::Caps;
use crate::rule::PrefixRule;

/// The rules in force. Cheap to clone; a clone shares its rules.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: Vec<Arc<PrefixRule>>,
    /// First word, a bare name or a full path, → the rules that begin with it.
    by_program: HashMap<Vec<u8>, RulesOfProgram>,
    /// Rules whose first element is an expression: tried for every program.
    by_expression: Vec<usize>,
    hosts: HostExecutables,
    network: Vec<NetworkRule>,
    profiles: Profiles,
    caps: Arc<Caps>,
    patches: Vec<PatchRule>,
    /// The rules that restrain input, each with that as its decision.
    input: Vec<Arc<PrefixRule>>,
    examples: Vec<Example>,
    incomplete: bool,
    /// A rule has a condition on the environment.
    looks_at_environment: bool,
    /// A rule has a condition on who has started a command.
    looks_at_ancestry: bool,
    /// A rule asks or forbids.
    restrains: bool,
}

/// Indices of the rules that begin with one word. Many rules for one program usually differ in the next word.
#[derive(Clone, Debug, Default)]
struct RulesOfProgram {
    by_argument: HashMap<Vec<u8>, Vec<usize>>,
    /// Rules that ask for no argument, or for one by an expression.
    by_program_alone: Vec<usize>,
}

impl RulesOfProgram {
    fn add(&mut self, index: usize, rule: &PrefixRule) {
        match rule.arguments.first().and_then(Element::words) {
            Some(words) => {
                for word in words {
                    self.by_argument.entry(word.as_bytes().to_vec()).or_default().push(index);
                }
            }
            None => self.by_program_alone.push(index),
        }
    }

    fn candidates<'a>(&self, arguments: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = usize> {
        let by_argument = arguments.filter_map(|argument| self.by_argument.get(argument)).flatten();
        by_argument.chain(&self.by_program_alone).copied()
    }
}

impl Policy {
    /// A policy without rules: every command is left to the heuristics.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads rules from text that does not name the user's home (`~/`); the path stands for the file in
    /// errors and origins.
    ///
    /// # Errors
    /// What is wrong with the text, with line, column and excerpt.
    pub fn from_text(file: &Path, text: &str) -> Result<Self, ParseError> {
        let mut policy = Self::empty();
        policy.add_text(file, text, None)?;
        Ok(policy)
    }

    /// Adds the rules of a file's text. The path stands for the file in errors and origins, `home` for `~/`.
    /// The evaluator recurses over the text's shape: it needs [`STACK`](crate::STACK) bytes of stack for what
    /// it lets through.
    ///
    /// # Errors
    /// What is wrong with the text, with line, column and excerpt; then nothing is added.
    pub fn add_text(&mut self, file: &Path, text: &str, home: Option<&str>) -> Result<(), ParseError> {
        let declared = dialect::read(file, text, home)
            .map_err(|problem| ParseError::Rules { file: file.to_owned(), problem: Box::new(problem) })?;
        self.profiles.note_layer(file);
        self.add_declarations(declared);
        Ok(())
    }

    /// Adds the rules of an administrator's `requirements.toml`.
    ///
    /// # Errors
    /// What is wrong with the text; then nothing is added.
    pub fn add_requirements(&mut self, file: &Path, text: &str) -> Result<(), ParseError> {
        let read = requirements::read(file, text)
            .map_err(|what| ParseError::Requirements { file: file.to_owned(), what })?;
        self.caps = Arc::new(read.caps);
        read.rules.into_iter().for_each(|rule| self.add(rule));
        Ok(())
    }

    /// All rules, in the order in which they were read.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &PrefixRule> {
        self.rules.iter().map(AsRef::as_ref)
    }

    /// Whether a command's environment matters to any rule.
    #[must_use]
    pub fn looks_at_environment(&self) -> bool {
        self.looks_at_environment
    }

    /// Whether it matters to any rule who has started a command.
    #[must_use]
    pub fn looks_at_ancestry(&self) -> bool {
        self.looks_at_ancestry
    }

    /// Whether any rule asks or forbids, about a command or input to it, or one that does may not have been read. Else there is
    /// no command that it keeps from running.
    #[must_use]
    pub fn restrains(&self) -> bool {
        self.restrains || self.incomplete
    }

    /// Whether some rules could not be read, so that nothing may be allowed without asking.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Remembers that rules are missing: from now on no command is allowed without asking.
    pub fn mark_incomplete(&mut self) {
        self.incomplete = true;
    }

    /// The files that bare program names may stand for.
    #[must_use]
    pub fn host_executables(&self) -> &HostExecutables {
        &self.hosts
    }

    /// All network rules, in the order in which they were read.
    #[must_use]
    pub fn network_rules(&self) -> &[NetworkRule] {
        &self.network
    }

    pub(crate) fn profiles(&self) -> &Profiles {
        &self.profiles
    }

    /// What no rule, grant or answer gives.
    #[must_use]
    pub fn caps(&self) -> &Arc<Caps> {
        &self.caps
    }

    /// All patch rules, in the order in which they were read.
    #[must_use]
    pub fn patch_rules(&self) -> &[PatchRule] {
        &self.patches
    }

    /// What the rules say about a patch that changes this file, an absolute path without links. Relative globs are seen from
    /// each of the `roots`. Whoever cannot read all rules asks.
    pub fn patch(&self, path: &Path, roots: &[PathBuf]) -> PatchVerdict<'_> {
        let verdict = patch::judge(&self.patches, path, roots);
        let least = self.incomplete.then_some(Decision::Prompt);
        PatchVerdict { decision: verdict.decision.max(least), ..verdict }
    }

    /// The rules that ask about input that is written to programs, or forbid it: copies of those in [`rules`](Self::rules), with that as their
    /// decision.
    pub(crate) fn input_rules(&self) -> &[Arc<PrefixRule>] {
        &self.input
    }

    /// All verified examples, in the order in which they were read.
    #[must_use]
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// The same with one rule more.
    #[must_use]
    pub fn with_rule(&self, rule: PrefixRule) -> Self {
        let mut policy = self.clone();
        policy.add(rule);
        policy
    }

    fn add_declarations(&mut self, declared: Declarations) {
        self.hosts.extend(declared.hosts);
        self.looks_at_ancestry |= declared.network.iter().any(|rule| !rule.by.is_empty());
        self.network.extend(declared.network);
        declared.profiles.into_iter().for_each(|profile| self.profiles.add(profile));
        self.patches.extend(declared.patches);
        self.examples.extend(declared.examples);
        declared.rules.into_iter().for_each(|rule| self.add(rule));
    }

    fn add(&mut self, rule: PrefixRule) {
        let index = self.rules.len();
        self.looks_at_environment |= !rule.conditions.env.is_empty();
        self.looks_at_ancestry |= rule.conditions.look_at_ancestry();
        self.restrains |= rule.decision > Decision::Allow;
        if let Some(decision) = rule.input.filter(|input| *input > Decision::Allow) {
            self.restrains = true;
            self.input.push(Arc::new(PrefixRule { decision, ..rule.clone() }));
        }
        match &rule.program {
            Element::Word(word) => {
                self.by_program.entry(word.as_bytes().to_vec()).or_default().add(index, &rule);
            }
            // Alternatives in the first position were made into one rule each.
            Element::AnyOf(_) | Element::Expression(_) => self.by_expression.push(index),
        }
        self.rules.push(Arc::new(rule));
    }

    /// The rules that may fit a command's program, in the order in which they were read.
    /// `starts` are the arguments at which what they ask for may begin.
    pub(crate) fn candidates(&self, command: &Command<'_>, starts: &[usize]) -> Vec<&Arc<PrefixRule>> {
        let given = command.program.as_encoded_bytes();
        let name = command.basename();
        let mut indices = self.by_expression.clone();
        let mut add = |word: &[u8]| {
            if let Some(rules) = self.by_program.get(word) {
                let arguments = starts.iter().filter_map(|start| command.arg_bytes(*start));
                indices.extend(rules.candidates(arguments));
                let meant = starts.iter().flat_map(|start| command.meanings(*start));
                indices.extend(rules.candidates(meant.map(str::as_bytes)));
            }
        };
        add(given);
        if name != given {
            add(name);
        }
        if let Some(plain) = command.plain_program() {
            add(&plain);
        }
        indices.sort_unstable();
        // Alternatives of one rule may repeat a word.
        indices.dedup();
        indices.iter().filter_map(|index| self.rules.get(*index)).collect()
    }
}
