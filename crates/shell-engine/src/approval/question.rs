//! What a human is asked about one program, and the words for it.

use std::path::PathBuf;

use execpolicy::RuleMatch;
use execpolicy::amend::Amendment;
use sha2::{Digest, Sha256};

use super::choice::{Choice, OfferedRule};
use super::memory::Identity;
use crate::rules::AnswerFile;
use crate::visible::{code, inert, shortened, visible};

/// One program that waits for a person's decision.
#[derive(Clone, Debug)]
pub struct Question {
    /// The program's path, resolved against the shell's working directory.
    pub program: PathBuf,
    /// The arguments after `argv[0]`; need not be UTF-8.
    pub arguments: Vec<Vec<u8>>,
    /// The working directory.
    pub workdir: PathBuf,
    /// The rule that asks; `None` when the dangerous-command heuristic does.
    pub rule: Option<RuleMatch>,
    /// Why the heuristic asks, when it does.
    pub danger: Option<String>,
    /// What the answer is bound to: another command has another identity.
    pub identity: Identity,
    /// What the same program, arguments and rule have in common however they come about below one command: a yes to one
    /// holds for all of them in the call. `None`: each is asked about.
    pub again: Option<Identity>,
    /// The rules that an answer for good may write, the narrowest first: it has all words of the command. Empty when
    /// there is none that is narrow and would help.
    pub always: Vec<Amendment>,
    /// Other rules that an answer may make: for the session, for the project, for an hour.
    pub scoped: Vec<ScopedRule>,
    /// What to be careful about, a line each, shown first; nothing in them hides.
    pub cautions: Vec<String>,
    /// What else a person should know before saying yes, a line each; nothing in them hides.
    pub details: Vec<String>,
    /// The line of the command's script that has led to it. Not a part of what is answered.
    pub line: Option<String>,
    /// A yes gives it more than commands may do, so that it may be let run with nothing more.
    pub gives_more: bool,
    /// The host and the port that it wants to connect to, where that is what is asked about.
    pub connection: Option<String>,
    /// A yes counts for this once: what it depends on may be another thing the next time.
    pub once: bool,
    /// What is asked where it has run already, and failed; nothing in it hides.
    pub failed: Option<String>,
    /// What is to be allowed, where that is more than a program's run, as in *change 2 files*; nothing in it hides.
    pub subject: Option<String>,
}

/// A rule for less than always and everywhere.
#[derive(Clone, Debug)]
pub struct ScopedRule {
    /// The choice that makes it.
    pub choice: Choice,
    /// The rule.
    pub rule: Amendment,
    /// The file that it belongs into, where that is not the usual one.
    pub file: Option<AnswerFile>,
}

impl Question {
    /// The question as a person reads it. The first line is the one that clients of this kind of server have always
    /// shown; what follows says who asks, and why. Characters that would not be seen as they are are written out.
    pub fn message(&self) -> String {
        let program = || code(&with_both_ends(&self.command_line()));
        let workdir = || code(&quoted(self.workdir.as_os_str().as_encoded_bytes()));
        let wish = self.wish();
        let mut message = match (&self.failed, &self.connection) {
            (Some(failed), _) => format!("{failed}\nIn {}: {}", workdir(), program()),
            (None, None) => {
                let wish = wish.unwrap_or_else(|| format!("run {}", program()));
                format!("Allow agent to {wish} in {}?", workdir())
            }
            (None, Some(_)) => format!("Allow agent to {} with {}?", wish.unwrap_or_default(), program()),
        };
        for caution in &self.cautions {
            message.push_str(&format!("\n{caution}"));
        }
        if let Some(rule) = &self.rule {
            if let Some(justification) = rule.rule.justification.as_deref() {
                message.push_str(&format!("\nReason: {}", visible(justification.as_bytes())));
            }
            message.push_str(&format!("\nRule: {}", inert(&rule.rule.origin.to_string())));
        } else if let Some(danger) = &self.danger {
            message.push_str(&format!("\nReason: {}", visible(danger.as_bytes())));
        }
        for detail in &self.details {
            message.push_str(&format!("\n{detail}"));
        }
        message
    }

    /// What is to be allowed where that is something else than that the program runs, as in *connect to `example.org:443`*.
    pub fn wish(&self) -> Option<String> {
        let place = |place: &String| format!("connect to {}", code(&visible(place.as_bytes())));
        self.connection.as_ref().map(place).or_else(|| self.subject.clone())
    }

    /// Says which line of the command's script has led to it, for people: it may hold anything, and a program that looks
    /// for words in a question must not find them there.
    pub fn script_line(&self) -> Option<String> {
        let shown = |line: &String| code(&shortened(&visible(line.as_bytes()), MAX_LINE));
        self.line.as_ref().map(|line| format!("In the line: {}", shown(line)))
    }

    /// What one call asks about once.
    pub(super) fn in_its_call(&self) -> Identity {
        self.again.unwrap_or(self.identity)
    }

    /// Whether the command line is too long to be shown whole.
    pub(crate) fn is_shortened(&self) -> bool {
        self.command_line().chars().nth(MAX_SHOWN).is_some()
    }

    /// The program and its arguments, each quoted as a shell would need it.
    pub fn command_line(&self) -> String {
        self.beginning(usize::MAX)
    }

    /// As much of the command line as this many words.
    fn beginning(&self, words: usize) -> String {
        let program = self.program.as_os_str().as_encoded_bytes();
        let all = std::iter::once(program).chain(self.arguments.iter().map(Vec::as_slice));
        all.take(words).map(quoted).collect::<Vec<_>>().join(" ")
    }

    /// The rules on offer, and how each is chosen: the narrowest by the word that clients have always known.
    pub(super) fn rules_on_offer(&self) -> Vec<OfferedRule> {
        let offered = |(place, rule): (usize, &Amendment)| OfferedRule {
            choice: if place == 0 { Choice::Always } else { Choice::AlwaysFirst(rule.length()) },
            beginning: match rule.place() {
                Some(place) => visible(place.as_bytes()),
                None => self.beginning(rule.length()),
            },
            line: rule.line().to_owned(),
        };
        let scoped = |scoped: &ScopedRule| OfferedRule {
            choice: scoped.choice,
            beginning: self.beginning(scoped.rule.length()),
            line: scoped.rule.line().to_owned(),
        };
        self.always.iter().enumerate().map(offered).chain(self.scoped.iter().map(scoped)).collect()
    }

    /// The rule that this choice makes, if it is on offer.
    pub(super) fn rule_of(&self, choice: Choice) -> Option<&Amendment> {
        let place = self.rules_on_offer().iter().position(|rule| rule.choice == choice)?;
        self.always.iter().chain(self.scoped.iter().map(|scoped| &scoped.rule)).nth(place)
    }

    /// The rule of this line, if it is on offer, and the file that it belongs into where that is not the usual one.
    pub(super) fn rule_to_write(&self, line: &str) -> Option<(&Amendment, Option<&AnswerFile>)> {
        let scoped = self.scoped.iter().map(|scoped| (&scoped.rule, scoped.file.as_ref()));
        self.always.iter().map(|rule| (rule, None)).chain(scoped).find(|(rule, _)| rule.line() == line)
    }
}

/// Characters of a line of script that are shown.
const MAX_LINE: usize = 300;

/// Characters of a command line that are shown in full.
const MAX_SHOWN: usize = 4000;

/// Keeps beginning and end of what is too long to be read, and says how much is left out between them, and by which
/// hash the whole is recognised.
fn with_both_ends(text: &str) -> String {
    let count = text.chars().count();
    if count <= MAX_SHOWN {
        return text.to_owned();
    }
    let head: String = text.chars().take(MAX_SHOWN / 2).collect();
    let tail: String = text.chars().skip(count - MAX_SHOWN / 2).collect();
    let hash: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    let left_out = count - MAX_SHOWN;
    format!("{head} … {left_out} of {count} characters left out; SHA-256 of the whole: {hash} … {tail}")
}

fn quoted(word: &[u8]) -> String {
    match shlex::bytes::try_quote(word) {
        Ok(quoted) => visible(&quoted),
        Err(_) => visible(word), // A NUL byte: the kernel's argv has none.
    }
}
