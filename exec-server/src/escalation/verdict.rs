//! From what the rules say to what is to be done about it. No clock, no socket; nobody is asked here.
//!
//! A rule that allows speaks about one file, so it counts only for the name that was called and only if that is the
//! program it means (`trust`). A rule that asks or forbids speaks about the file under every name that it has.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use execpolicy::{Command, DecidedBy, Decision, Evaluation, Options, Policy, RuleMatch};

use super::environment::{self, Environment};
use super::exec::Exec;
use super::fingerprint::{Gives, identity};
use super::git;
use super::legacy::Legacy;
use super::trust::{OtherName, Program, Trust, Untrusted};
use crate::approval::{Question, visible};

/// Commands inside one command whose programs are looked at as files; a longer script is judged by its words.
const MOST_INNER: usize = 32;

/// What a program is judged by.
pub(super) struct Grounds<'j> {
    pub(super) policy: &'j Policy,
    pub(super) options: &'j Options,
    /// What speaks where the rules are silent, if there is such a thing.
    pub(super) legacy: Option<Legacy<'j>>,
    pub(super) trust: &'j Trust,
    pub(super) environment: &'j Environment,
}

/// What is to be done about one program, and the rule that says so.
#[must_use]
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    pub(super) rule: Option<RuleMatch>,
}

/// What is to be done about one program.
#[must_use]
#[derive(Debug)]
pub(super) enum Verdict {
    /// It runs where it is. `why_inside`: a rule allows it, but it is not the program that the rule means.
    Run { why_inside: Option<String> },
    /// It runs outside the sandbox.
    Escalate(Box<Outside>),
    /// A person decides; this is what a yes means, and what follows when nobody can be asked.
    Ask { question: Box<Question>, approved: Approved, unasked: Unasked },
    /// It does not run.
    Deny { reason: String },
}

/// What runs outside the sandbox.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) program: Program,
    /// Its environment, `NAME=value` each.
    pub(super) env: Vec<OsString>,
    /// Variables that the command had changed and that it does not get, with the reason.
    pub(super) dropped: Vec<(String, &'static str)>,
    /// Variables that the command had changed and that it gets, `NAME=value`, to be read by people.
    pub(super) changed: Vec<String>,
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

/// What one name of the program comes to.
struct Heard {
    /// The name, where it is not the one that was called.
    name: Option<String>,
    evaluation: Evaluation,
}

/// Judges one program.
pub(super) fn judge(grounds: &Grounds<'_>, exec: &Exec) -> Judgement {
    let variables = exec.variables();
    let own = evaluate(grounds, exec, exec.file.as_os_str(), exec.arguments(), &variables);
    let other = strictest_of_other_names(grounds, exec, &own, &variables);
    let own = Heard { name: None, evaluation: own };
    let stricter = other.filter(|other| other.evaluation.decision() > own.evaluation.decision());
    let heard = stricter.as_ref().unwrap_or(&own);
    let rule = heard.evaluation.deciding_rule().cloned();
    let by_rule = own.evaluation.decided_by() == DecidedBy::Rule;
    let verdict = match (heard.evaluation.decision(), by_rule) {
        (Decision::Forbidden, _) => Verdict::Deny { reason: forbidden(heard) },
        // Only a rule about the program itself, by the name that it was called, lets it out: a script or wrapper whose parts
        // are allowed looks their names up later, where the asker decides what is found.
        (Decision::Prompt, true) => {
            ask(exec, heard, Some(outside(grounds, exec, &own.evaluation, &variables)))
        }
        (Decision::Prompt, false) => ask(exec, heard, None),
        (Decision::Allow, true) => match outside(grounds, exec, &own.evaluation, &variables) {
            Err(why) => Verdict::Run { why_inside: Some(why.to_string()) },
            Ok((outside, git::Care { caution: Some(caution), .. })) => cautious(exec, &own, outside, caution),
            Ok((outside, _)) => Verdict::Escalate(Box::new(outside)),
        },
        (Decision::Allow, false) => Verdict::Run { why_inside: None },
    };
    let verdict = match &grounds.legacy {
        Some(legacy) => legacy.complete(verdict, &own.evaluation, exec, &variables),
        None => verdict,
    };
    Judgement { verdict, rule }
}

fn evaluate<A: AsRef<OsStr>>(
    grounds: &Grounds<'_>,
    exec: &Exec,
    program: &OsStr,
    arguments: &[A],
    variables: &[(OsString, OsString)],
) -> Evaluation {
    let command = Command::new(program, arguments).with_cwd(&exec.workdir).with_environment(variables);
    grounds.policy.evaluate(&command, grounds.options)
}

/// Evaluates what runs under its other names, and the files that its parts name under theirs; returns the strictest that
/// asks or forbids.
fn strictest_of_other_names(
    grounds: &Grounds<'_>,
    exec: &Exec,
    own: &Evaluation,
    variables: &[(OsString, OsString)],
) -> Option<Heard> {
    let covered = own.decided_by() == DecidedBy::Rule;
    let mut strictest: Option<Heard> = None;
    let mut hear = |name: &OtherName, arguments: &[OsString]| {
        let arguments: Vec<&OsStr> = name.before.iter().chain(arguments).map(OsString::as_os_str).collect();
        let evaluation = evaluate(grounds, exec, name.program.as_os_str(), &arguments, variables);
        let counts = match evaluation.decided_by() {
            DecidedBy::Rule | DecidedBy::Parts => true,
            // A rule speaks about the program already.
            DecidedBy::Heuristic => !covered,
            DecidedBy::IncompleteRules | DecidedBy::Nothing => false,
        };
        let before = strictest.as_ref().map_or(Decision::Allow, |heard| heard.evaluation.decision());
        if counts && evaluation.decision() > before {
            let name = visible(name.shown().as_encoded_bytes()).chars().take(200).collect();
            strictest = Some(Heard { name: Some(name), evaluation });
        }
    };
    for name in grounds.trust.other_names(exec) {
        hear(&name, exec.arguments());
    }
    for words in own.commands().iter().skip(1).take(MOST_INNER) {
        let Some((program, arguments)) = words.split_first() else { continue };
        for name in grounds.trust.other_names_of_inner(program, &exec.workdir) {
            hear(&name, arguments);
        }
    }
    strictest
}

/// Prepares what would run outside, if it is the program that the rules which speak for it mean.
fn outside(
    grounds: &Grounds<'_>,
    exec: &Exec,
    evaluation: &Evaluation,
    variables: &[(OsString, OsString)],
) -> Result<(Outside, git::Care), Untrusted> {
    let speaking = || {
        let of_the_program =
            |matched: &&RuleMatch| matched.part == 0 && matched.rule.decision < Decision::Forbidden;
        evaluation.matches().iter().filter(of_the_program)
    };
    let program = grounds.trust.vouch(exec, speaking(), grounds.policy.host_executables())?;
    let mut prepared = grounds.environment.prepare(variables, speaking());
    let care = git::care(&program, exec, grounds.trust);
    care.apply(&mut prepared.variables);
    let env = environment::entries(&prepared.variables);
    Ok((Outside { program, env, dropped: prepared.dropped, changed: prepared.changed }, care))
}

/// A question that a rule or the heuristic asks.
fn ask(exec: &Exec, heard: &Heard, speaks: Option<Result<(Outside, git::Care), Untrusted>>) -> Verdict {
    let gives = if matches!(speaks, Some(Ok(_))) { Gives::Outside } else { Gives::Inside };
    let mut question = question(exec, heard, gives);
    let approved = match speaks {
        Some(Ok((outside, care))) => {
            // What was written inside may be another thing the next time.
            question.once |= care.caution.is_some();
            question.details.extend(care.caution.map(|caution| format!("Careful: {caution}.")));
            question.details.extend(about(exec, &outside));
            Approved::Escalates(Box::new(outside))
        }
        Some(Err(why)) => {
            let why = visible(why.to_string().as_bytes());
            question.details.push(format!("Careful: this is not the program that the rule means, so it would run inside the sandbox: {why}."));
            Approved::Runs { why_inside: Some(why) }
        }
        None => Approved::Runs { why_inside: None },
    };
    Verdict::Ask { question: Box::new(question), approved, unasked: Unasked::Denies }
}

/// A rule allows it, but what it would do outside depends on what was written inside.
fn cautious(exec: &Exec, own: &Heard, outside: Outside, caution: String) -> Verdict {
    let mut question = question(exec, own, Gives::Outside);
    question.once = true;
    question.details.push(format!("Careful: the rule allows it, but {caution}."));
    question.details.extend(about(exec, &outside));
    let unasked = Unasked::Runs { why_inside: caution };
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
        let names: Vec<&str> = outside.dropped.iter().take(20).map(|(name, _)| name.as_str()).collect();
        lines.push(format!("Changed variables that it will not get: {}", names.join(", ")));
    }
    lines
}

fn question(exec: &Exec, heard: &Heard, gives: Gives) -> Question {
    let known_as = heard.name.iter().map(|name| format!("Careful: it is also known as `{name}`."));
    let called = exec.argv.first().filter(|argv0| Path::new(argv0).file_name() != exec.file.file_name());
    let called = called.map(|argv0| {
        let shown: String = visible(argv0.as_encoded_bytes()).chars().take(200).collect();
        format!("Careful: it is told that its name is `{shown}`.")
    });
    let mut question = Question {
        program: exec.file.clone(),
        arguments: exec.arguments().iter().map(|argument| argument.as_encoded_bytes().to_vec()).collect(),
        workdir: exec.workdir.clone(),
        rule: heard.evaluation.deciding_rule().cloned(),
        danger: reason(&heard.evaluation),
        identity: identity(exec, &asker(&heard.evaluation), gives),
        always: Vec::new(),
        details: known_as.chain(called).collect(),
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

fn forbidden(heard: &Heard) -> String {
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

/// The text of a denial because nobody could be asked: who asks, why nobody answers, and what would change that.
pub(super) fn unasked(question: &Question, why: &str, default_rules: &Path) -> String {
    let mut reason =
        format!("{} needs a person's approval", visible(question.program.as_os_str().as_encoded_bytes()));
    let remedy = match &question.rule {
        Some(matched) => {
            append_rule(&mut reason, matched);
            if let Some(amendment) = question.always.first() {
                return format!(
                    "{reason}, but {why}; to allow it without asking, add this line to {}: {}",
                    default_rules.display(),
                    visible(amendment.line().as_bytes())
                );
            }
            format!(
                "to allow it without asking, change that rule's decision to \"allow\" in {}",
                matched.rule.origin.file.display()
            )
        }
        None if question.danger.as_deref() == Some(BROKEN_RULES) => {
            reason.push_str(&format!(": {BROKEN_RULES}"));
            "mend them; the server's log and every result say what is wrong with them".to_owned()
        }
        None => {
            if let Some(danger) = &question.danger {
                reason.push_str(&format!(": {danger}"));
            }
            format!(
                "to allow it without asking, add a line like prefix_rule(pattern={}, decision=\"allow\") to {}",
                pattern(question),
                default_rules.display()
            )
        }
    };
    format!("{reason}, but {why}; {remedy}")
}

/// The whole command as a rule's pattern: the narrowest rule that would allow it.
fn pattern(question: &Question) -> String {
    let name = question.program.file_name().unwrap_or_default().as_encoded_bytes();
    let words = std::iter::once(name).chain(question.arguments.iter().map(Vec::as_slice));
    let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
    // JSON's strings are Starlark's.
    serde_json::to_string(&words).unwrap_or_default().replace("\",\"", "\", \"")
}

#[cfg(test)]
mod tests;
