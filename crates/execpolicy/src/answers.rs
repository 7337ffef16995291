//! Rules that a person added in answer to a question: they settle that question for good.
//!
//! The strictest rule wins, so an ordinary rule that allows cannot silence one that asks. One with
//! `overrides_prompt = True`, which is written when a person was asked and said *always*, does, within narrow
//! bounds: it silences only rules that ask (never one that forbids), that lie in the same folder (nobody's
//! answer overrules an administrator), that fit the command itself (not one inside it), that ask for no more
//! words than it does, and that have no conditions (these may speak about what follows).

use std::path::{Path, PathBuf};

use crate::decision::Decision;
use crate::evaluation::RuleMatch;

/// The rule that settles the questions of all others, if there is one.
pub(crate) fn settled(matches: &[RuleMatch]) -> Option<usize> {
    let asks = |one: &&RuleMatch| one.rule.decision > Decision::Allow;
    matches.iter().position(|answer| {
        answer.rule.overrides_prompt
            && answer.part == 0
            && matches.iter().any(|one| asks(&one))
            && matches.iter().filter(asks).all(|one| silences(answer, one))
    })
}

/// The folder that stands for all files of the same rank: a user's rules lie in `rules`; those that have words which
/// Codex does not know, and those of one project, in `shell-tool` beside it.
pub(crate) fn rank(file: &Path) -> Option<PathBuf> {
    let folder = file.parent()?;
    let above = |levels: usize| folder.ancestors().nth(levels);
    let is_of_shell_tool =
        |folder: Option<&Path>| folder.is_some_and(|folder| folder.ends_with("shell-tool"));
    if folder.ends_with("shell-tool/rules") {
        return Some(above(2)?.join("rules"));
    }
    if above(1).is_some_and(|above| above.ends_with("projects")) && is_of_shell_tool(above(2)) {
        return Some(above(3)?.join("rules"));
    }
    Some(folder.to_owned())
}

fn silences(answer: &RuleMatch, asking: &RuleMatch) -> bool {
    asking.rule.decision == Decision::Prompt
        && asking.part == 0
        && rank(&asking.rule.origin.file) == rank(&answer.rule.origin.file)
        && asking.rule.length() <= answer.rule.length()
        && asking.rule.conditions.is_empty()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use crate::amend::Amendment;
    use crate::{Command, DecidedBy, Decision, Options, Policy};

    fn decide(rules: &str, words: &[&str]) -> Decision {
        let policy = Policy::from_text(Path::new("/home/u/.codex/rules/default.rules"), rules).unwrap();
        let evaluation = policy.evaluate(&Command::from_words(words).unwrap(), &Options::default());
        if evaluation.decision() == Decision::Allow {
            assert_eq!(evaluation.decided_by(), DecidedBy::Rule, "{words:?}");
        }
        evaluation.decision()
    }

    #[test]
    fn an_answer_settles_its_question_and_no_other() {
        let words: Vec<OsString> = ["git", "push", "origin"].iter().map(OsString::from).collect();
        let line = Amendment::answer(&words).unwrap();
        assert!(line.line().ends_with(", overrides_prompt=True)"));
        let rules = format!("prefix_rule([\"git\", \"push\"], \"prompt\")\n{}\n", line.line());
        assert_eq!(decide(&rules, &["git", "push", "origin", "main"]), Decision::Allow);
        assert_eq!(decide(&rules, &["git", "push"]), Decision::Prompt);
        assert_eq!(decide(&rules, &["git", "push", "elsewhere"]), Decision::Prompt);
        let narrower = format!("{rules}prefix_rule([\"git\", \"push\", \"origin\", \"live\"], \"prompt\")\n");
        assert_eq!(decide(&narrower, &["git", "push", "origin", "live"]), Decision::Prompt);
        let forbidden = format!("{rules}prefix_rule([\"git\"], \"forbidden\", args_any=[\"--force\"])\n");
        assert_eq!(decide(&forbidden, &["git", "push", "origin", "--force"]), Decision::Forbidden);
        assert_eq!(decide(&forbidden, &["git", "push", "origin"]), Decision::Allow);
        let tail = format!("{rules}prefix_rule([\"git\"], \"prompt\", args_any=[\"--force\"])\n");
        assert_eq!(decide(&tail, &["git", "push", "origin", "--force"]), Decision::Prompt);
        let unmarked =
            "prefix_rule([\"git\", \"push\"], \"prompt\")\nprefix_rule([\"git\", \"push\", \"origin\"])\n";
        assert_eq!(decide(unmarked, &["git", "push", "origin"]), Decision::Prompt);
    }

    #[test]
    fn an_answer_does_not_reach_into_scripts_or_other_folders() {
        let answer = "prefix_rule([\"env\", \"git\"], \"allow\", overrides_prompt=True)\n";
        let rules = format!("prefix_rule([\"git\"], \"prompt\")\n{answer}");
        assert_eq!(decide(&rules, &["env", "git", "push"]), Decision::Prompt);
        let mine = "prefix_rule([\"git\", \"push\"], overrides_prompt=True)\n";
        let mut policy = Policy::empty();
        for (file, text) in
            [("/admin/a.rules", "prefix_rule([\"git\"], \"prompt\")\n"), ("/user/default.answers", mine)]
        {
            policy.add_text(Path::new(file), text, None).unwrap();
        }
        let push = Command::from_words(&["git", "push"]).unwrap();
        assert_eq!(policy.evaluate(&push, &Options::default()).decision(), Decision::Prompt);
    }

    #[test]
    fn a_users_answers_may_lie_in_the_folder_beside() {
        let decided = |asking: &str, answer: &str| {
            let mut policy = Policy::empty();
            policy.add_text(Path::new(asking), "prefix_rule([\"git\"], \"prompt\")\n", None).unwrap();
            policy
                .add_text(Path::new(answer), "prefix_rule([\"git\"], overrides_prompt=True)\n", None)
                .unwrap();
            let push = Command::from_words(&["git", "push"]).unwrap();
            policy.evaluate(&push, &Options::default()).decision()
        };
        for (asking, answer, expected) in [
            ("/h/.codex/rules/a.rules", "/h/.codex/shell-tool/rules/answers.rules", Decision::Allow),
            ("/h/.codex/rules/a.rules", "/h/.codex/shell-tool/projects/0a/answers.rules", Decision::Allow),
            ("/h/.codex/shell-tool/rules/a.rules", "/h/.codex/rules/default.answers", Decision::Allow),
            ("/etc/codex/rules/a.rules", "/h/.codex/shell-tool/rules/answers.rules", Decision::Prompt),
            ("/h/.codex/rules/a.rules", "/w/.codex/shell-tool/rules/answers.rules", Decision::Prompt),
            ("/h/.codex/rules/a.rules", "/h/.codex/shell-tool/answers.rules", Decision::Prompt),
        ] {
            assert_eq!(decided(asking, answer), expected, "{answer} to {asking}");
        }
    }
}
