//! Input that a caller writes to a program while it runs: which rules ask about it, or forbid it. Whoever writes it asks.

use crate::command::Command;
use crate::evaluate::{Nested, Options, rule_match};
use crate::evaluation::{RuleMatch, deciding};
use crate::policy::Policy;

impl Policy {
    /// Whether any rule asks about input or forbids it.
    #[must_use]
    pub fn restrains_input(&self) -> bool {
        !self.input_rules().is_empty()
    }

    /// The strictest rule that asks about input to this command, or to one inside it, or forbids it. Its decision is what it says
    /// of input. Like all rules that ask it is read widely: no other spelling of a path is a way around it.
    #[must_use]
    pub fn about_input(&self, command: &Command<'_>, options: &Options) -> Option<RuleMatch> {
        if self.input_rules().is_empty() {
            return None;
        }
        let mut matches = Vec::new();
        let mut hear = |command: &Command<'_>, part: usize| {
            let starts = command.argument_starts();
            for rule in self.input_rules() {
                if let Some(fit) = rule.program_fit(command, options.program_token, self.host_executables())
                    && let Some(start) = rule.fits_from(command, &starts)
                {
                    matches.push(rule_match(rule, fit, (command, start), part));
                }
            }
        };
        hear(command, 0);
        if options.nested == Nested::Judged {
            let evaluation = self.evaluate(command, options);
            for (part, words) in evaluation.commands().iter().enumerate().skip(1) {
                if let Some(command) = Command::from_words(words) {
                    hear(&command, part);
                }
            }
        }
        deciding(&matches).map(|index| matches.swap_remove(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Decision;
    use std::path::Path;

    fn about(rules: &str, words: &[&str]) -> Option<(Decision, Decision)> {
        let policy = Policy::from_text(Path::new("x.rules"), rules).expect("rules");
        let command = Command::from_words(words).expect("words");
        let options = Options::default();
        let about = policy.about_input(&command, &options)?;
        Some((policy.evaluate(&command, &options).decision(), about.rule.decision))
    }

    #[test]
    fn the_strictest_rule_about_input_counts_and_other_spellings_are_no_way_around_it() {
        let rules = "prefix_rule([\"python3\"], run=\"inside\", input=\"prompt\")\nprefix_rule([\"psql\", \"prod\"], \"prompt\", input=\"forbidden\")\n";
        let asks = Some((Decision::Allow, Decision::Prompt));
        assert_eq!(about(rules, &["python3", "-i"]), asks);
        assert_eq!(about(rules, &["/opt/../bin/python3"]).map(|(_, input)| input), Some(Decision::Prompt));
        assert_eq!(about(rules, &["env", "A=b", "python3"]).map(|(_, input)| input), Some(Decision::Prompt));
        assert_eq!(about(rules, &["psql", "prod"]), Some((Decision::Prompt, Decision::Forbidden)));
        assert_eq!(about(rules, &["psql", "test"]), None);
        assert_eq!(about("prefix_rule([\"cat\"], input=\"allow\")\n", &["cat"]), None);
    }

    #[test]
    fn what_never_runs_has_no_input() {
        let wrong = "prefix_rule([\"x\"], \"forbidden\", input=\"prompt\")\n";
        let error = Policy::from_text(Path::new("x.rules"), wrong).expect_err("a rule that means nothing");
        assert!(error.to_string().contains("input is for rules"), "{error}");
    }
}
