//! The words of a judgement: the question that a person is asked, and why a program does not run.

use std::path::Path;

use execpolicy::{Command, DecidedBy, Evaluation, Options, Policy, Rights, RuleMatch};

use super::exec::{Exec, Starter};
use super::fingerprint::{Placement, identity, identity_in_call};
use super::trust::Untrusted;
use super::verdict::{Approved, Concerns, Outside, Unasked, Verdict};
use crate::approval::Question;
use crate::visible::{code, inert, visible};

/// What a yes does, said in each question.
const OUTSIDE: &str = "A yes runs it outside the sandbox, with your rights.";
const INSIDE: &str = "A yes runs it inside the sandbox.";
const WHERE_IT_IS: &str = "A yes runs it outside the sandbox, where what starts it runs.";

/// What is said of variables that a program does not get.
const NOT_GOT: &str = "Changed variables that it will not get: ";

/// What one name of the program comes to.
pub(super) struct NamedEvaluation {
    /// The name, where it is not the one that was called.
    pub(super) name: Option<String>,
    pub(super) evaluation: Evaluation,
}

/// A question that a rule or the heuristic asks.
pub(super) fn ask(
    exec: &Exec,
    named: &NamedEvaluation,
    speaks: Option<Result<(Outside, Concerns), Untrusted>>,
) -> Verdict {
    let (question, approved) = match speaks {
        Some(Ok((outside, concerns))) => {
            let mut question = question(exec, named, Placement::Outside);
            question.cautions.extend(concerns.cautions.iter().map(|caution| careful(caution)));
            tell_of_outside(&mut question, exec, &outside, &concerns);
            (question, Approved::Escalates(Box::new(outside)))
        }
        Some(Err(why)) => {
            let mut question = question(exec, named, Placement::Inside);
            let why = visible(why.to_string().as_bytes());
            question.cautions.push(careful(&format!("this is not the program that the rule means: {why}")));
            (question, Approved::Runs { why_inside: Some(why) })
        }
        None => (question(exec, named, Placement::Inside), Approved::Runs { why_inside: None }),
    };
    let outside = match &approved {
        Approved::Escalates(outside) => Some(&**outside),
        Approved::Runs { .. } => None,
    };
    let question = Box::new(bound(question, exec, outside));
    Verdict::Ask { question, approved, unasked: Unasked::Denies }
}

/// Says in a question what a yes gives, within an administrator's bounds, which is part of what is answered.
pub(super) fn tell_rights(
    verdict: Verdict,
    rights: &Rights,
    is_enforced: bool,
    bounded: impl FnOnce(&Rights) -> Rights,
) -> Verdict {
    match verdict {
        // Where nothing keeps commands inside, it has what they have.
        Verdict::Ask { mut question, approved: Approved::Escalates(outside), unasked } if is_enforced => {
            // Where what a rule gives cannot be held, it has more.
            let mut had = bounded(rights);
            had.run = outside.run;
            let words = had.in_words();
            let mut line = format!("A yes runs it {}.", inert(&visible(words.as_bytes())));
            if !had.withheld.is_empty() {
                let withheld = visible(had.withheld.join("; ").as_bytes());
                line.push_str(&format!(" Not given: {}.", inert(&withheld)));
            }
            let gives = [line.as_bytes()];
            question.identity = question.identity.with(gives);
            question.again = question.again.as_ref().map(|again| again.with(gives));
            match question.details.iter_mut().find(|detail| *detail == OUTSIDE) {
                Some(detail) => *detail = line,
                None => question.details.insert(0, line),
            }
            question.gives_more = !rights.is_none();
            Verdict::Ask { question, approved: Approved::Escalates(outside), unasked }
        }
        Verdict::Ask { .. }
        | Verdict::Run { .. }
        | Verdict::Try
        | Verdict::Escalate(_)
        | Verdict::Deny { .. } => verdict,
    }
}

/// A rule allows it, but what it would do outside depends on what was written inside.
pub(super) fn cautious(exec: &Exec, own: &NamedEvaluation, outside: Outside, concerns: &Concerns) -> Verdict {
    let mut question = question(exec, own, Placement::Outside);
    let but = |caution: &String| careful(&format!("the rule allows it, but {caution}"));
    question.cautions.extend(concerns.cautions.iter().map(but));
    tell_of_outside(&mut question, exec, &outside, concerns);
    let unasked = Unasked::Runs { why_inside: concerns.cautions.join("; ") };
    let question = Box::new(bound(question, exec, Some(&outside)));
    Verdict::Ask { question, approved: Approved::Escalates(Box::new(outside)), unasked }
}

/// It would run with the rights of what starts it, but what it would do depends on what was written inside.
pub(super) fn cautious_below(exec: &Exec, named: &NamedEvaluation, what: &str) -> Verdict {
    let mut question = question(exec, named, Placement::Inside);
    question.cautions.push(careful(&format!("{what}, and a command may have written that")));
    question.once = true;
    let question = Box::new(bound(question, exec, None));
    Verdict::Ask { question, approved: Approved::Runs { why_inside: None }, unasked: Unasked::Denies }
}

/// It failed inside, because of what was refused to it.
pub(super) fn retry(
    exec: &Exec,
    (outside, concerns): (&Outside, &Concerns),
    rights: &Rights,
    (command, refused): (&str, &str),
) -> Question {
    let program = Command::new(&exec.file, exec.arguments());
    let evaluation = Policy::empty().evaluate(&program, &Options::default());
    let mut question = question(exec, &NamedEvaluation { name: None, evaluation }, Placement::Outside);
    let failed = format!(
        "{command} was refused {}. Give it that and run it again? (It has already run once.)",
        inert(refused)
    );
    question.identity = question.identity.with([failed.as_bytes()]);
    question.again = question.again.as_ref().map(|again| again.with([failed.as_bytes()]));
    question.failed = Some(failed);
    question.details = vec![format!("A yes runs it {}.", inert(&visible(rights.in_words().as_bytes())))];
    tell_of_outside(&mut question, exec, outside, concerns);
    bound(question, exec, Some(outside))
}

pub(super) fn careful(caution: &str) -> String {
    format!("Careful: {}.", inert(caution))
}

/// Everything that is shown is part of what is answered. On whose behalf it is asked in one command is not: there
/// the same program, arguments and rule are asked about once, if what the program gets is the same.
fn bound(mut question: Question, exec: &Exec, outside: Option<&Outside>) -> Question {
    let changed = outside.map(|outside| outside.changed.as_slice()).unwrap_or_default();
    let again = question.again.filter(|_| !question.once);
    let details = question.details.iter().filter(|detail| !detail.starts_with(NOT_GOT));
    let gets = question.cautions.iter().chain(details).chain(changed).map(String::as_bytes);
    question.again = again.as_ref().map(|again| again.with(gets));
    if let Starter::Program(parents) = exec.starter() {
        let parents: Vec<String> = parents.iter().map(|parent| code(parent)).collect();
        if !parents.is_empty() {
            question.details.insert(1, format!("Started by {}.", parents.join(" ← ")));
        }
    }
    let shown = question.cautions.iter().chain(&question.details).map(String::as_bytes);
    question.identity = question.identity.with(shown);
    question
}

/// What a person should know about a program that would run outside, beyond its command line.
fn tell_of_outside(question: &mut Question, exec: &Exec, outside: &Outside, concerns: &Concerns) {
    // What was written inside may be another thing the next time.
    question.once |= !concerns.cautions.is_empty() || !concerns.reads.is_empty();
    question.details.extend(concerns.reads.iter().cloned());
    if outside.program.canonical != exec.file {
        let file = inert(&visible(outside.program.canonical.as_os_str().as_encoded_bytes()));
        question.details.push(format!("File: {file}"));
    }
    if !outside.changed.is_empty() {
        question.details.push(format!("Changed variables that it gets: {}", listed(&outside.changed, " ")));
    }
    if !outside.dropped.is_empty() {
        question.details.push(format!("{NOT_GOT}{}", listed(&outside.dropped, ", ")));
    }
}

/// The first of many, and how many more there are.
fn listed(all: &[String], between: &str) -> String {
    const MOST: usize = 20;
    let shown: Vec<String> = all.iter().take(MOST).map(|text| inert(text)).collect();
    let more = all.len().saturating_sub(MOST);
    let more = if more > 0 { format!("{between}and {more} more") } else { String::new() };
    shown.join(between) + &more
}

fn question(exec: &Exec, named: &NamedEvaluation, placement: Placement) -> Question {
    let known_as = named.name.iter().map(|name| format!("Careful: it is also known as {}.", code(name)));
    // Outside it is told what was judged.
    let is_told = matches!(placement, Placement::Inside);
    let yes = match (is_told, exec.outside()) {
        (true, Some(_)) => WHERE_IT_IS,
        (true, None) => INSIDE,
        (false, _) => OUTSIDE,
    };
    let called =
        exec.argv.first().filter(|argv0| is_told && Path::new(argv0).file_name() != exec.file.file_name());
    let called = called.map(|argv0| {
        let shown: String = visible(argv0.as_encoded_bytes()).chars().take(200).collect();
        format!("Careful: it is told that its name is {}.", code(&shown))
    });
    let unknown_starter = counts_unknown(exec, &named.evaluation).then(|| format!("{UNKNOWN_STARTER}."));
    let asks = asker(&named.evaluation);
    let mut question = Question {
        program: exec.file.clone(),
        arguments: exec.arguments().iter().map(|argument| argument.as_encoded_bytes().to_vec()).collect(),
        workdir: exec.workdir.clone(),
        rule: named.evaluation.deciding_rule().cloned(),
        danger: reason(&named.evaluation),
        identity: identity(exec, &asks, placement),
        again: Some(identity_in_call(exec, &asks, placement)),
        always: Vec::new(),
        scoped: Vec::new(),
        cautions: known_as.chain(called).collect(),
        details: std::iter::once(yes.to_owned()).chain(unknown_starter).collect(),
        line: None,
        connection: None,
        once: false,
        subject: None,
        failed: None,
        gives_more: false,
    };
    // What a person has not read counts for this once.
    question.once = question.is_shortened();
    question
}

/// What is said where a rule goes by what has started a program.
const UNKNOWN_STARTER: &str = "What has started it is not known here, so the rule counts";

/// Whether a rule counts because it is not known what has started the program.
fn counts_unknown(exec: &Exec, evaluation: &Evaluation) -> bool {
    let goes_by_it = |one: &RuleMatch| one.rule.conditions.look_at_ancestry();
    !exec.lineage.ancestry.is_whole() && evaluation.deciding_rule().is_some_and(goes_by_it)
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

pub(super) fn forbidden(exec: &Exec, named: &NamedEvaluation) -> String {
    let mut reason = String::from("Execution forbidden by policy");
    if let Some(rule) = named.evaluation.deciding_rule() {
        append_rule(&mut reason, rule);
    }
    if let Some(name) = &named.name {
        reason.push_str(&format!("; it is also known as `{name}`"));
    }
    if counts_unknown(exec, &named.evaluation) {
        reason.push_str(". ");
        reason.push_str(UNKNOWN_STARTER);
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

/// The text of a denial because nobody could be asked: who asks, why nobody answers, and what would change that. The
/// agent reads it, so it has no rule that could be written in a person's stead.
pub(super) fn unasked(question: &Question, why: &str, own_rules: &Path) -> String {
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
        None if question.subject.is_some() => {
            let what = question.danger.as_deref().unwrap_or_default();
            reason = format!("the patch needs a person's approval: {}", visible(what.as_bytes()));
            format!(
                "only a person can allow it: by an answer, or by patch_rule([…], \"allow\") or the like in {}; nothing was changed",
                own_rules.display()
            )
        }
        None => {
            if let Some(danger) = &question.danger {
                reason.push_str(&format!(": {danger}"));
            }
            format!(
                "only a person can allow it: by an answer, or by a rule with run=\"inside\" in {}",
                own_rules.display()
            )
        }
    };
    format!("{reason}, but {why}; {remedy}")
}
