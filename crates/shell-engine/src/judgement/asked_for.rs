//! What the caller of a command asks for beyond what commands may do: for the whole command, by one question, within the
//! bounds that hold for all.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use execpolicy::conditions::Conditions;
use execpolicy::pattern::Element;
use execpolicy::rights::{Grants, HostPattern, Place};
use execpolicy::rule::{Origin, PrefixRule, RuleGrants};
use execpolicy::{Decision, Policy, Rights, Run};

use super::exec::Exec;
use super::verdict::Verdict;
use super::wording::careful;
use crate::config::Opened;
use crate::visible::{inert, shortened, visible};

/// Characters of the caller's words that are shown.
const LONGEST_WORDS: usize = 500;

/// What stands for the file of the rule.
const ASKED_FOR: &str = "(asked for by the agent)";

/// What a caller can do who asks for everything.
const INSTEAD: &str = "ask for the places that the command needs";

/// Whether a rule is that of what a caller asks for.
pub(super) fn is_origin(origin: &Origin) -> bool {
    *origin.file == *Path::new(ASKED_FOR)
}

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedFor {
    grants: Grants,
    /// It is to run outside the sandbox.
    pub outside: bool,
    /// Why, in the caller's words.
    pub justification: Option<String>,
}

impl AskedFor {
    /// Adds hosts, or every host.
    ///
    /// # Errors
    ///
    /// A text about the one that is none.
    pub fn hosts(&mut self, hosts: Vec<String>, everywhere: bool) -> Result<(), String> {
        let every = everywhere.then(|| "*".to_owned());
        for host in hosts.iter().chain(&every) {
            self.grants.hosts.push(HostPattern::parse(host)?);
        }
        Ok(())
    }

    /// Adds places to be read, and to be written.
    ///
    /// # Errors
    ///
    /// A text about the one that is none, or is everything.
    pub fn places(&mut self, read: Vec<String>, write: Vec<String>) -> Result<(), String> {
        for place in read {
            self.grants.read.push(Place::parse(&place)?);
        }
        for place in write {
            self.grants.write.push(Place::parse(&place)?);
        }
        self.grants.refused()
    }

    /// Whether it is more than commands may do anyway.
    #[must_use]
    pub fn asks_for_something(&self) -> bool {
        self.outside || !self.grants.is_empty()
    }

    /// What it would be granted inside the sandbox.
    pub(crate) fn grants(&self) -> &Grants {
        &self.grants
    }

    /// What a yes gives, within no bounds.
    pub fn rights(&self) -> Rights {
        let mut rights = Rights::none();
        (rights.run, rights.grants) = self.run_and_grants();
        rights
    }

    fn run_and_grants(&self) -> (Run, Grants) {
        match self.outside {
            true => (Run::Outside, Grants::default()),
            false => (Run::Inside, self.grants.clone()),
        }
    }

    /// The caller's words, as they are shown.
    fn words(&self) -> String {
        let words = self.justification.as_deref().map(str::trim).filter(|words| !words.is_empty());
        match words {
            Some(words) => {
                format!("the agent says: {}", inert(&shortened(&visible(words.as_bytes()), LONGEST_WORDS)))
            }
            None => "the agent asks for more than commands may do, and does not say why".to_owned(),
        }
    }
}

/// A command that is to have what its caller asks for: its shell becomes this program at once, by which it is judged like
/// any other, by one rule more.
#[derive(Clone, Debug)]
pub(crate) struct AskedByCall {
    rule: PrefixRule,
    opened: Opened,
    program: PathBuf,
    argv: Vec<OsString>,
}

impl AskedByCall {
    /// A command that `bash` is to run with what is asked for.
    pub(crate) fn new(asked: &AskedFor, bash: &Path, command: &str, opened: Opened) -> AskedByCall {
        let (run, grants) = asked.run_and_grants();
        let program = bash.to_string_lossy().into_owned();
        let arguments = ["-c", "--", command];
        let rule = PrefixRule {
            program: Element::Word(program.clone()),
            arguments: arguments.iter().map(|word| Element::Word((*word).to_owned())).collect(),
            conditions: Conditions { exact: true, ..Conditions::default() },
            decision: Decision::Prompt,
            run: Some(run),
            profile: None,
            grants: (!asked.outside).then_some(RuleGrants::These(grants)),
            input: None,
            overrides_prompt: false,
            justification: Some(asked.words()),
            origin: Origin { file: Arc::from(Path::new(ASKED_FOR)), line: 1, column: 1 },
        };
        let argv = std::iter::once(program.as_str()).chain(arguments).map(OsString::from).collect();
        AskedByCall { rule, opened, program: bash.to_owned(), argv }
    }

    /// The script by which a shell becomes it.
    pub(crate) fn script(&self) -> OsString {
        let words =
            self.argv.iter().map(|word| shlex::bytes::try_quote(word.as_encoded_bytes()).unwrap_or_default());
        let words: Vec<_> = words.map(|word| String::from_utf8_lossy(&word).into_owned()).collect();
        format!("exec -- {}", words.join(" ")).into()
    }

    /// Whether a program of the call is what it is asked for.
    pub(super) fn is_for(&self, exec: &Exec) -> bool {
        exec.file == self.program && exec.argv == self.argv
    }

    /// The rules that it is judged by.
    pub(super) fn rules(&self, policy: &Policy) -> Policy {
        policy.with_rule(self.rule.clone())
    }

    /// Says in the question what is opened; nobody is asked for everything.
    pub(super) fn caution(&self, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::Ask { mut question, approved, unasked } => {
                if let Some(everything) = &self.opened.everything {
                    return Verdict::Deny {
                        reason: format!("{everything}, and no caller is given that; {INSTEAD}"),
                    };
                }
                // What has marks in it is shown as code, for it may be anything.
                let cautions = self.opened.cautions.iter().map(|caution| careful(&caution.replace('`', "")));
                let cautions: Vec<String> = cautions.collect();
                question.identity = question.identity.with(cautions.iter().map(String::as_bytes));
                question.cautions.extend(cautions);
                Verdict::Ask { question, approved, unasked }
            }
            Verdict::Run { .. } | Verdict::Try | Verdict::Escalate(_) | Verdict::Deny { .. } => verdict,
        }
    }
}
