//! From what the rules say to what is done about it. Pure: no clock, no socket, nobody is asked here.

use std::path::Path;

use execpolicy::{Command, DecidedBy, Decision, Evaluation, Options, Policy, RuleMatch};

use super::exec::Exec;
use super::fingerprint::identity;
use super::legacy::Legacy;
use crate::approval::{Question, visible};

/// What is to be done about one program.
#[must_use]
#[derive(Debug)]
pub(super) enum Verdict {
    /// It runs where it is.
    Run,
    /// It runs outside the sandbox.
    Escalate,
    /// A person decides; this is what a yes means.
    Ask { question: Box<Question>, approved: Approved },
    /// It does not run.
    Deny { reason: String },
}

/// What an approval gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Approved {
    /// A rule asked, so the person lets it out of the sandbox.
    Escalates,
    /// The heuristic asked: it may run, where it is.
    Runs,
}

/// What is to be done about one program, and the rule that says so.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// File and line.
    pub(super) rule: Option<String>,
}

/// Judges one program by the rules, and by the legacy policy where they are silent.
pub(super) fn judge(policy: &Policy, options: &Options, legacy: Option<&Legacy<'_>>, exec: &Exec) -> Judged {
    let variables = exec.variables();
    let command =
        Command::new(&exec.file, exec.arguments()).with_cwd(&exec.workdir).with_environment(&variables);
    let evaluation = policy.evaluate(&command, options);
    let rule = evaluation.deciding_rule().map(|matched| matched.rule.origin.to_string());
    let verdict = match legacy {
        Some(legacy) => legacy.complete(by_rules(exec, &evaluation), &evaluation, &command, exec),
        None => by_rules(exec, &evaluation),
    };
    Judged { verdict, rule }
}

fn by_rules(exec: &Exec, evaluation: &Evaluation) -> Verdict {
    match (evaluation.decision(), evaluation.decided_by()) {
        (Decision::Allow, DecidedBy::Rule) => Verdict::Escalate,
        (Decision::Prompt, DecidedBy::Rule) => ask(exec, evaluation, Approved::Escalates),
        // Only a rule about the program itself lets it out: a script or wrapper whose parts are allowed looks their names
        // up later, where the asker decides what is found.
        (
            Decision::Allow,
            DecidedBy::Parts | DecidedBy::Heuristic | DecidedBy::IncompleteRules | DecidedBy::Nothing,
        ) => Verdict::Run,
        (
            Decision::Prompt,
            DecidedBy::Parts | DecidedBy::Heuristic | DecidedBy::IncompleteRules | DecidedBy::Nothing,
        ) => ask(exec, evaluation, Approved::Runs),
        (Decision::Forbidden, _) => Verdict::Deny { reason: forbidden(evaluation) },
    }
}

fn ask(exec: &Exec, evaluation: &Evaluation, approved: Approved) -> Verdict {
    let question = Question {
        program: exec.file.clone(),
        arguments: exec.arguments().iter().map(|argument| argument.as_encoded_bytes().to_vec()).collect(),
        workdir: exec.workdir.clone(),
        rule: evaluation.deciding_rule().cloned(),
        danger: reason(evaluation),
        identity: identity(exec, &asker(evaluation), approved),
        always: None,
    };
    Verdict::Ask { question: Box::new(question), approved }
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

fn forbidden(evaluation: &Evaluation) -> String {
    let mut reason = String::from("Execution forbidden by policy");
    if let Some(rule) = evaluation.deciding_rule() {
        append_rule(&mut reason, rule);
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
            if let Some(amendment) = &question.always {
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
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn exec(words: &[&str]) -> Exec {
        Exec {
            file: Path::new("/usr/bin").join(words[0]),
            argv: words.iter().map(OsString::from).collect(),
            env: Vec::new(),
            directory: None,
            workdir: "/work".into(),
            seen: None,
        }
    }

    fn judged(rules: &str, words: &[&str]) -> Verdict {
        let policy = Policy::from_text(Path::new("test.rules"), rules).expect("good rules");
        judge(&policy, &Options::default(), None, &exec(words)).verdict
    }

    const RULES: &str = r#"
prefix_rule(pattern=["git", "status"], decision="allow")
prefix_rule(pattern=["git", "push"], decision="prompt", justification="goes public")
prefix_rule(pattern=["shutdown"], decision="forbidden", justification="not yours")
"#;

    #[test]
    fn only_a_rule_escalates() {
        assert!(matches!(judged(RULES, &["git", "status"]), Verdict::Escalate));
        assert!(matches!(judged(RULES, &["git", "log"]), Verdict::Run));
    }

    #[test]
    fn a_rule_that_asks_escalates_and_the_heuristic_only_runs() {
        let Verdict::Ask { approved, question } = judged(RULES, &["git", "push"]) else {
            panic!("not asked")
        };
        assert_eq!(approved, Approved::Escalates);
        assert_eq!(
            question.message(),
            "Allow agent to run `/usr/bin/git push` in `/work`?\nReason: goes public\nRule: test.rules:3"
        );
        let Verdict::Ask { approved, .. } = judged(RULES, &["rm", "-rf", "x"]) else { panic!("not asked") };
        assert_eq!(approved, Approved::Runs);
    }

    #[test]
    fn a_denial_names_justification_file_and_line() {
        let Verdict::Deny { reason } = judged(RULES, &["shutdown", "now"]) else { panic!("not denied") };
        assert_eq!(reason, "Execution forbidden by policy: not yours (rule test.rules:4)");
    }

    #[test]
    fn a_denial_because_nobody_is_there_says_what_would_allow_it() {
        let Verdict::Ask { question, .. } = judged(RULES, &["rm", "-rf", "x"]) else { panic!("not asked") };
        let reason =
            unasked(&question, "the client cannot ask", Path::new("/home/u/.codex/rules/default.rules"));
        assert!(
            reason.ends_with(
                "but the client cannot ask; to allow it without asking, add a line like \
                 prefix_rule(pattern=[\"rm\", \"-rf\", \"x\"], decision=\"allow\") to /home/u/.codex/rules/default.rules"
            ),
            "{reason}"
        );
    }
}
