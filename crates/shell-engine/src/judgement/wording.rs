//! The words of a judgement: the question that a person is asked, and why a program does not run.

use std::path::Path;

use execpolicy::{DecidedBy, Evaluation, RuleMatch};

use super::exec::Exec;
use super::fingerprint::{Placement, identity};
use super::trust::Untrusted;
use super::verdict::{Approved, Outside, Unasked, Verdict};
use crate::approval::Question;
use crate::visible::visible;

/// What a yes does, said in each question.
const OUTSIDE: &str = "A yes runs it outside the sandbox, with your rights.";
const INSIDE: &str = "A yes runs it inside the sandbox.";

/// What one name of the program comes to.
pub(super) struct NamedEvaluation {
    /// The name, where it is not the one that was called.
    pub(super) name: Option<String>,
    pub(super) evaluation: Evaluation,
}

/// A question that a rule or the heuristic asks.
pub(super) fn ask(
    exec: &Exec,
    heard: &NamedEvaluation,
    speaks: Option<Result<(Outside, Vec<String>), Untrusted>>,
) -> Verdict {
    let placement = if matches!(speaks, Some(Ok(_))) { Placement::Outside } else { Placement::Inside };
    let mut question = question(exec, heard, placement);
    let approved = match speaks {
        Some(Ok((outside, cautions))) => {
            question.details.insert(0, OUTSIDE.into());
            // What was written inside may be another thing the next time.
            question.once |= !cautions.is_empty();
            question.details.extend(cautions.iter().map(|caution| format!("Careful: {caution}.")));
            question.details.extend(about(exec, &outside));
            Approved::Escalates(Box::new(outside))
        }
        Some(Err(why)) => {
            let why = visible(why.to_string().as_bytes());
            question.details.insert(0, INSIDE.into());
            question.details.push(format!("Careful: this is not the program that the rule means: {why}."));
            Approved::Runs { why_inside: Some(why) }
        }
        None => {
            question.details.insert(0, INSIDE.into());
            Approved::Runs { why_inside: None }
        }
    };
    Verdict::Ask { question: Box::new(question), approved, unasked: Unasked::Denies }
}

/// A rule allows it, but what it would do outside depends on what was written inside.
pub(super) fn cautious(exec: &Exec, own: &NamedEvaluation, outside: Outside, cautions: &[String]) -> Verdict {
    let mut question = question(exec, own, Placement::Outside);
    question.once = true;
    question.details.insert(0, OUTSIDE.into());
    question
        .details
        .extend(cautions.iter().map(|caution| format!("Careful: the rule allows it, but {caution}.")));
    question.details.extend(about(exec, &outside));
    let unasked = Unasked::Runs { why_inside: cautions.join("; ") };
    Verdict::Ask { question: Box::new(question), approved: Approved::Escalates(Box::new(outside)), unasked }
}

/// What a person should know about a program that would run outside, beyond its command line.
fn about(exec: &Exec, outside: &Outside) -> Vec<String> {
    let mut lines = Vec::new();
    if outside.program.canonical != exec.file {
        let file = visible(outside.program.canonical.as_os_str().as_encoded_bytes());
        lines.push(format!("File: {file}"));
    }
    if !outside.changed.is_empty() {
        let variables: Vec<&str> = outside.changed.iter().take(20).map(String::as_str).collect();
        lines.push(format!("Changed variables that it gets: {}", variables.join(" ")));
    }
    if !outside.dropped.is_empty() {
        let names: Vec<&str> = outside.dropped.iter().take(20).map(String::as_str).collect();
        lines.push(format!("Changed variables that it will not get: {}", names.join(", ")));
    }
    lines
}

fn question(exec: &Exec, heard: &NamedEvaluation, placement: Placement) -> Question {
    let known_as = heard.name.iter().map(|name| format!("Careful: it is also known as `{name}`."));
    // Outside it is told what was judged.
    let is_told = matches!(gives, Placement::Inside);
    let called =
        exec.argv.first().filter(|argv0| is_told && Path::new(argv0).file_name() != exec.file.file_name());
    let called = called.map(|argv0| {
        let shown: String = visible(argv0.as_encoded_bytes()).chars().take(200).collect();
        format!("Careful: it is told that its name is `{shown}`.")
    });
    let parents: Vec<String> = exec.starter.parents().iter().map(|parent| format!("`{parent}`")).collect();
    let started_by = (!parents.is_empty()).then(|| format!("Started by {}.", parents.join(" ← ")));
    let mut question = Question {
        program: exec.file.clone(),
        arguments: exec.arguments().iter().map(|argument| argument.as_encoded_bytes().to_vec()).collect(),
        workdir: exec.workdir.clone(),
        rule: heard.evaluation.deciding_rule().cloned(),
        danger: reason(&heard.evaluation),
        identity: identity(exec, &asker(&heard.evaluation), placement),
        always: Vec::new(),
        details: started_by.into_iter().chain(known_as).chain(called).collect(),
        once: false,
    };
    // What a person has not read counts for this once.
    question.once = question.is_shortened();
    question
}

/// Who asks: another rule, or another reason, asks another question.
fn asker(evaluation: &Evaluation) -> String {
    match evaluation.deciding_rule() {
        Some(matched) => format!("{} {}", matched.rule.origin, matched.rule.decision),
        None => evaluation.reason(),
    }
}

/// Why everything is asked about when the rules are incomplete.
const BROKEN_RULES: &str = "some rule files are broken, so every program is asked about";

/// Why it is asked about when no rule asks.
fn reason(evaluation: &Evaluation) -> Option<String> {
    match evaluation.decided_by() {
        DecidedBy::IncompleteRules => Some(BROKEN_RULES.into()),
        DecidedBy::Rule | DecidedBy::Parts | DecidedBy::Heuristic | DecidedBy::Nothing => {
            evaluation.dangers().first().map(|danger| danger.danger.to_string())
        }
    }
}

pub(super) fn forbidden(heard: &NamedEvaluation) -> String {
    let mut reason = String::from("Execution forbidden by policy");
    if let Some(rule) = heard.evaluation.deciding_rule() {
        append_rule(&mut reason, rule);
    }
    if let Some(name) = &heard.name {
        reason.push_str(&format!("; it is also known as `{name}`"));
    }
    reason
}

/// Adds why and where: `: <justification> (rule <file>:<line>)`.
fn append_rule(reason: &mut String, matched: &RuleMatch) {
    if let Some(justification) = &matched.rule.justification {
        reason.push_str(": ");
        reason.push_str(&visible(justification.as_bytes()));
    }
    reason.push_str(&format!(" (rule {})", matched.rule.origin));
}

/// The text of a denial because nobody could be asked: who asks, why nobody answers, and what would change that. The agent reads it,
/// so it has no rule that could be written in a person's stead.
pub(super) fn unasked(question: &Question, why: &str, default_rules: &Path) -> String {
    let mut reason =
        format!("{} needs a person's approval", visible(question.program.as_os_str().as_encoded_bytes()));
    let remedy = match &question.rule {
        Some(matched) => {
            append_rule(&mut reason, matched);
            "only a person can allow it: by an answer, or by changing that rule".to_owned()
        }
        None if question.danger.as_deref() == Some(BROKEN_RULES) => {
            reason.push_str(&format!(": {BROKEN_RULES}"));
            "a person has to mend them; the server's log and every result say what is wrong with them"
                .to_owned()
        }
        None => {
            if let Some(danger) = &question.danger {
                reason.push_str(&format!(": {danger}"));
            }
            format!("only a person can allow it: by an answer, or by a rule in {}", default_rules.display())
        }
    };
    format!("{reason}, but {why}; {remedy}")
}
