//! What a legacy policy adds to the rules: it forbids always, and speaks where no rule does. It lets nothing out of the
//! sandbox.

use std::ffi::OsString;
use std::path::PathBuf;

use execpolicy::legacy::LegacyPolicy;
use execpolicy::{Command, DecidedBy, Evaluation};

use super::exec::Exec;
use super::fingerprint::{Placement, identity};
use super::verdict::{Approved, Unasked, Verdict};
use crate::approval::Question;
use crate::rules::{LegacyVerdict, judge_by_legacy};

/// A legacy policy, and where known programs may write without being asked about.
pub(super) struct Legacy<'a> {
    pub(super) policy: &'a LegacyPolicy,
    pub(super) writable: &'a [PathBuf],
}

impl Legacy<'_> {
    /// Completes what the rules say.
    pub(super) fn complete(
        &self,
        by_rules: Verdict,
        evaluation: &Evaluation,
        exec: &Exec,
        variables: &[(OsString, OsString)],
    ) -> Verdict {
        let command =
            Command::new(&exec.file, exec.arguments()).with_cwd(&exec.workdir).with_environment(variables);
        let rules_speak = match evaluation.decided_by() {
            DecidedBy::Rule | DecidedBy::Parts | DecidedBy::IncompleteRules => true,
            DecidedBy::Heuristic | DecidedBy::Nothing => false,
        };
        // Paths of a folder that cannot be opened lead nowhere that could be checked.
        let cwd = Some(exec.workdir.as_path()).filter(|workdir| !workdir.as_os_str().is_empty());
        match judge_by_legacy(self.policy, &command, cwd, self.writable) {
            LegacyVerdict::Deny { reason } => Verdict::Deny {
                reason: format!("Execution forbidden by policy: {reason} (the legacy policy)"),
            },
            LegacyVerdict::Run if !rules_speak => Verdict::Run { why_inside: None },
            LegacyVerdict::Prompt { reason } if !rules_speak => {
                let identity = identity(exec, &reason, Placement::Inside);
                let question = Question {
                    program: exec.file.clone(),
                    arguments: exec
                        .arguments()
                        .iter()
                        .map(|argument| argument.as_encoded_bytes().to_vec())
                        .collect(),
                    workdir: exec.workdir.clone(),
                    rule: None,
                    danger: Some(format!("{reason} (the legacy policy)")),
                    identity,
                    again: None,
                    always: Vec::new(),
                    scoped: Vec::new(),
                    cautions: Vec::new(),
                    details: Vec::new(),
                    line: None,
                    connection: None,
                    once: false,
                    subject: None,
                    failed: None,
                    gives_more: false,
                };
                let approved = Approved::Runs { why_inside: None };
                Verdict::Ask { question: Box::new(question), approved, unasked: Unasked::Denies }
            }
            LegacyVerdict::Run | LegacyVerdict::Prompt { .. } | LegacyVerdict::NoOpinion => by_rules,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;
    use std::sync::Arc;

    use execpolicy::legacy::default_policy;
    use execpolicy::{Options, Policy};
    use sandbox::{Mode, Plan};

    use super::super::executes::Executed;
    use super::super::let_run::LetRun;
    use super::*;
    use crate::judgement::by_rules::{Grounds, judge};
    use crate::judgement::environment::Environment;
    use crate::judgement::trust::Trust;
    use crate::programs::Programs;

    const FORBIDDING: &str = "forbid_program_regex(\"^shutdown$\", \"not yours\")\n";

    fn judged(legacy: &LegacyPolicy, rules: &str, words: &[&str]) -> Verdict {
        let folder = tempfile::tempdir().expect("a folder");
        let words: Vec<String> =
            words.iter().map(|word| word.replace("HERE", &folder.path().to_string_lossy())).collect();
        let exec = Exec {
            file: Path::new("/usr/bin").join(&words[0]),
            argv: words.iter().map(OsString::from).collect(),
            env: Vec::new(),
            directory: None,
            workdir: "/work".into(),
            seen: None,
            opened: None,
            first_line: None,
            starter: crate::judgement::Starter::Shell,
            below: None,
            kept_inside: None,
            runs_as: None,
            lineage: crate::judgement::Lineage::default(),
            is_far: false,
            reads_input: false,
        };
        let policy = Policy::from_text(Path::new("test.rules"), rules).expect("good rules");
        let writable = [folder.path().to_owned()];
        let legacy = Legacy { policy: legacy, writable: &writable };
        let grounds = Grounds {
            policy: &policy,
            options: &Options::default(),
            legacy: Some(legacy),
            trust: &Trust::new(
                Arc::new(Programs::new(OsStr::new("/usr/bin"))),
                Arc::new(Plan::unenforced(Mode::DangerFullAccess, true.into())),
            ),
            environment: &Environment::new(Arc::default(), &[]),
            let_run: &LetRun::default(),
            executed: &Executed::default(),
        };
        judge(&grounds, &exec).verdict
    }

    #[test]
    fn it_speaks_where_no_rule_does() {
        let policy = default_policy().expect("a good policy");
        assert!(matches!(judged(&policy, "", &["ls", "-l"]), Verdict::Run { why_inside: None }));
        assert!(matches!(
            judged(&policy, "", &["cp", "/etc/passwd", "HERE/x"]),
            Verdict::Run { why_inside: None }
        ));
        let Verdict::Ask { question, approved, .. } = judged(&policy, "", &["cp", "/etc/passwd", "/root/x"])
        else {
            panic!("not asked")
        };
        assert!(matches!(approved, Approved::Runs { .. }));
        assert!(question.message().contains("is not in a writable folder"), "{}", question.message());
        let allowed = "prefix_rule([\"cp\"])\n";
        // A rule allows it; which file it is, is another question.
        assert!(matches!(
            judged(&policy, allowed, &["cp", "/etc/passwd", "/root/x"]),
            Verdict::Run { why_inside: Some(_) }
        ));
        // What it does not know is as if it were not there.
        assert!(matches!(judged(&policy, "", &["rm", "x"]), Verdict::Run { why_inside: None }));
        assert!(matches!(judged(&policy, "", &["rm", "-f", "x"]), Verdict::Ask { .. }));
    }

    #[test]
    fn what_it_forbids_no_rule_allows_and_what_a_rule_forbids_it_does_not_allow() {
        let policy = LegacyPolicy::from_text(Path::new("x.policy"), FORBIDDING).expect("a good policy");
        let Verdict::Deny { reason } = judged(&policy, "prefix_rule([\"shutdown\"])\n", &["shutdown"]) else {
            panic!("not denied")
        };
        assert_eq!(reason, "Execution forbidden by policy: not yours (the legacy policy)");
        assert!(matches!(
            judged(&policy, "prefix_rule([\"reboot\"])\n", &["reboot"]),
            Verdict::Run { why_inside: Some(_) }
        ));
        let policy = default_policy().expect("a good policy");
        let rules = "prefix_rule([\"ls\"], \"forbidden\")\n";
        assert!(matches!(judged(&policy, rules, &["ls"]), Verdict::Deny { .. }));
    }
}
