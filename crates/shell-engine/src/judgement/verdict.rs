//! What can be decided about one program.

use std::ffi::OsString;
use std::path::PathBuf;

use execpolicy::patch::PatchRule;
use execpolicy::rights::{Granted, ProfileName};
use execpolicy::rule::Origin;
use execpolicy::{Rights, RuleMatch, Run};

use super::executes::Executes;
use super::trust::Program;
use crate::approval::Question;
use crate::audit::RightsRecord;

/// What is to be done about one program, and the rule that says so.
#[must_use]
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    pub(super) rule: Option<RuleMatch>,
    /// The rule about patches that says so, where one does.
    pub(super) patch_rule: Option<SpokenRule>,
    /// The rule that asks about input to the program while it runs, or forbids it.
    pub(super) about_input: Option<RuleMatch>,
}

/// A rule as it is told of.
#[derive(Clone, Debug)]
pub(super) struct SpokenRule {
    /// Where it is written.
    pub(super) origin: String,
    /// Why, in its author's words.
    pub(super) justification: Option<String>,
}

impl SpokenRule {
    pub(super) fn of(rule: &PatchRule) -> SpokenRule {
        SpokenRule { origin: rule.origin.to_string(), justification: rule.justification.clone() }
    }
}

impl From<&RuleMatch> for SpokenRule {
    fn from(matched: &RuleMatch) -> SpokenRule {
        let rule = &matched.rule;
        SpokenRule { origin: rule.origin.to_string(), justification: rule.justification.clone() }
    }
}

/// What is to be done about one program.
#[must_use]
#[derive(Debug)]
pub(super) enum Verdict {
    /// It runs where it is. `why_inside`: a rule allows it, but it is not the program that the rule means.
    Run { why_inside: Option<String> },
    /// It runs where it is, and may once more with what its profile gives.
    Try,
    /// It runs outside its call's sandbox.
    Escalate(Box<Outside>),
    /// A person decides; this is what a yes means, and what follows when nobody can be asked.
    Ask { question: Box<Question>, approved: Approved, unasked: Unasked },
    /// It does not run.
    Deny { reason: String },
}

/// What runs outside its call's sandbox: in one of its own, with the rights that a rule gives.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) program: Program,
    /// Its argument vector: `argv[0]` is the name that was judged.
    pub(crate) argv: Vec<OsString>,
    /// Its environment, `NAME=value` each.
    pub(crate) env: Vec<OsString>,
    /// How it runs.
    pub(crate) run: Run,
    /// What it is granted.
    pub(crate) granted: Granted,
    /// The rule that says so.
    pub(crate) origin: Option<Origin>,
    /// The profile that says so, if one does.
    pub(crate) profile: Option<ProfileName>,
    /// All that it executes where it is confined.
    pub(crate) executes: Executes,
    /// Why it is told no password, where that is so.
    pub(crate) no_password: Option<String>,
    /// Variables that the command had changed and that it does not get.
    pub(super) dropped: Vec<String>,
    /// Variables that the command had changed and that it gets, `NAME=value`, to be read by people.
    pub(super) changed: Vec<String>,
}

impl Outside {
    /// What it has, for records and results.
    pub(super) fn rights(&self) -> RightsRecord {
        RightsRecord::new(self.run, self.profile.as_ref(), &self.granted)
    }
}

/// A program that runs inside, and may run once more with this.
#[derive(Debug)]
pub(crate) struct Retry {
    pub(super) outside: Box<Outside>,
    pub(super) concerns: Concerns,
    /// What a yes gives, in its words.
    pub(super) rights: Rights,
    pub(super) home: Option<PathBuf>,
}

/// What a person should know before something runs outside.
#[derive(Debug)]
pub(super) struct Concerns {
    /// Why a rule that allows is not enough.
    pub(super) cautions: Vec<String>,
    /// What it reads that a command may write, a sentence each: a yes to one content is no yes to the next.
    pub(super) reads: Vec<String>,
}

/// What an approval gives.
#[derive(Debug)]
pub(super) enum Approved {
    /// A rule asked, so the person lets it out of the sandbox.
    Escalates(Box<Outside>),
    /// The heuristic asked, or it is not the program that the rule means: it may run, where it is.
    Runs { why_inside: Option<String> },
}

/// What follows when nobody can be asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unasked {
    /// It does not run.
    Denies,
    /// A rule allows it, so it runs, inside.
    Runs { why_inside: String },
}

/// The final decision about one program.
#[must_use]
#[derive(Debug)]
pub(crate) enum Action {
    /// It runs where it is.
    Run,
    /// It runs where it is; where it fails because of the sandbox, a person may let it run once more.
    Try(Box<Retry>),
    /// It runs outside the sandbox.
    Escalate(Box<Outside>),
    /// It does not run.
    Deny { reason: String },
}
