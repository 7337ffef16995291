//! The JSON of `policy check`, for programs: which rules matched, and what follows.

use serde::Serialize;

use crate::decision::Decision;
use crate::evaluation::{DecidedBy, Evaluation};

/// What `policy check` prints. Field names and shapes are those that scripts of Codex's users read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    matched_rules: Vec<Match>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Decision>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Match {
    #[serde(rename_all = "camelCase")]
    PrefixRuleMatch {
        matched_prefix: Vec<String>,
        decision: Decision,
        #[serde(skip_serializing_if = "Option::is_none")]
        resolved_program: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        justification: Option<String>,
    },
    HeuristicsRuleMatch {
        command: Vec<String>,
        decision: Decision,
    },
}

impl Report {
    /// Makes the report of an evaluation. `decision` is absent when neither a rule nor a heuristic decided.
    #[must_use]
    pub fn new(evaluation: &Evaluation) -> Self {
        let lossy = |words: &[std::ffi::OsString]| {
            words.iter().map(|word| word.to_string_lossy().into_owned()).collect()
        };
        let rules = evaluation.matches().iter().map(|one| Match::PrefixRuleMatch {
            matched_prefix: lossy(&one.matched_prefix),
            decision: one.rule.decision,
            resolved_program: one.resolved_program.as_ref().map(|path| path.to_string_lossy().into_owned()),
            justification: one.rule.justification.clone(),
        });
        let dangers = evaluation.dangers().iter().map(|one| Match::HeuristicsRuleMatch {
            command: lossy(&one.command),
            decision: Decision::Prompt,
        });
        let decided = match evaluation.decided_by() {
            DecidedBy::Rule | DecidedBy::Parts | DecidedBy::Heuristic | DecidedBy::IncompleteRules => true,
            DecidedBy::Nothing => false,
        };
        Self {
            matched_rules: rules.chain(dangers).collect(),
            decision: decided.then_some(evaluation.decision()),
        }
    }

    /// The report as JSON, on one line or indented.
    ///
    /// # Errors
    /// None in practice: the report is plain strings.
    pub fn to_json(&self, pretty: bool) -> serde_json::Result<String> {
        if pretty { serde_json::to_string_pretty(self) } else { serde_json::to_string(self) }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Report;
    use crate::{Command, Heuristics, Options, Policy, ProgramToken};

    fn check(rules: &str, line: &str) -> String {
        let policy = Policy::from_text(Path::new("x.rules"), rules).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let options = Options {
            program_token: ProgramToken::ResolvedPath,
            heuristics: Heuristics::NONE,
            ..Options::default()
        };
        Report::new(&policy.evaluate(&Command::from_words(&words).unwrap(), &options)).to_json(false).unwrap()
    }

    #[test]
    fn the_shapes_are_those_that_scripts_read() {
        assert_eq!(check("", "rm -rf x"), r#"{"matchedRules":[]}"#);
        assert_eq!(
            check("prefix_rule([\"git\", \"push\"], \"prompt\", justification = \"ask\")", "git push x"),
            r#"{"matchedRules":[{"prefixRuleMatch":{"matchedPrefix":["git","push"],"decision":"prompt","justification":"ask"}}],"decision":"prompt"}"#
        );
        assert_eq!(
            check("prefix_rule([\"git\"])", "/usr/bin/git x"),
            r#"{"matchedRules":[{"prefixRuleMatch":{"matchedPrefix":["git"],"decision":"allow","resolvedProgram":"/usr/bin/git"}}],"decision":"allow"}"#
        );
        assert_eq!(
            check("prefix_rule([\"git\"])\nhost_executable(\"git\", [\"/bin/git\"])", "/usr/bin/git x"),
            r#"{"matchedRules":[]}"#
        );
    }
}
