//! `policy explain`, for people: what was decided about a command, by which rule on which line, and what
//! would change it.

use std::ffi::OsString;
use std::fmt::Write as _;

use crate::amend::Amendment;
use crate::command::Command;
use crate::decision::Decision;
use crate::evaluate::Options;
use crate::evaluation::{DecidedBy, Evaluation, RuleMatch, typed};
use crate::policy::Policy;
use crate::rule::ProgramToken;

/// Most rules that are listed as near misses.
const MAX_NEAR_MISSES: usize = 5;

impl Policy {
    /// Judges a command and describes the judgement in a few lines of text, each ended by a newline.
    #[must_use]
    pub fn explain(&self, command: &Command<'_>, options: &Options) -> String {
        let evaluation = self.evaluate(command, options);
        let mut text = String::new();
        let whole = evaluation.commands().first().map(|words| typed(words)).unwrap_or_default();
        line(&mut text, &format!("command:  {whole}"));
        line(&mut text, &format!("decision: {}", verdict(&evaluation)));
        for (index, words) in evaluation.commands().iter().enumerate() {
            self.describe_part(&mut text, &evaluation, index, words);
        }
        if let Some(doubt) = evaluation.doubt() {
            line(
                &mut text,
                &format!("note: rules that allow the commands inside do not allow the whole: {doubt}"),
            );
        }
        self.describe_rights(&mut text, &evaluation, options);
        line(&mut text, &format!("\nto change it: {}", advice(&evaluation)));
        text
    }

    fn describe_part(&self, text: &mut String, evaluation: &Evaluation, index: usize, words: &[OsString]) {
        let heading = if index == 0 { "rules for the whole command" } else { "rules for the command inside" };
        line(text, &format!("\n{heading}: {}", typed(words)));
        let deciding = evaluation.deciding_rule();
        let mut any = false;
        for one in evaluation.matches().iter().filter(|one| one.part == index) {
            any = true;
            let mark = if deciding.is_some_and(|deciding| std::ptr::eq(deciding, one)) { ">" } else { " " };
            line(text, &format!("{mark} {}", describe(one)));
        }
        for danger in evaluation.dangers().iter().filter(|danger| danger.command == words) {
            any = true;
            line(text, &format!("> looks dangerous: {}", danger.danger));
        }
        if !any {
            line(text, "  none");
            self.describe_near_misses(text, words);
        }
    }

    /// What the program gets, member by member, and where that comes from.
    fn describe_rights(&self, text: &mut String, evaluation: &Evaluation, options: &Options) {
        let rights = evaluation.rights();
        let Some(origin) = &rights.origin else { return };
        line(text, &format!("\nrights: {}", rights.way_in_words()));
        if let Some(why) = rights.why() {
            line(text, &format!("  because the rule at {origin} {why}"));
        }
        for member in rights.members() {
            line(text, &format!("  {member}"));
        }
        let bounds = self.caps().in_words();
        if rights.is_capped {
            line(text, "  less than the rule gives, for an administrator bounds it");
        }
        for bound in bounds {
            line(text, &format!("  never: {bound}"));
        }
        let differing = self.differing_rights(evaluation, options);
        if !differing.is_empty() {
            line(text, "  of these the smaller rights count:");
            for one in differing {
                let place = one.origin.as_ref().map(ToString::to_string).unwrap_or_default();
                line(text, &format!("    {place} gives: {}", one.in_words()));
            }
        }
    }

    /// Rules for the same program whose arguments or conditions do not fit.
    fn describe_near_misses(&self, text: &mut String, words: &[OsString]) {
        let Some(command) = Command::from_words(words) else { return };
        let hosts = self.host_executables();
        let near: Vec<_> = self
            .rules()
            .filter(|rule| rule.program_fit(&command, ProgramToken::Basename, hosts).is_some())
            .collect();
        for rule in near.iter().take(MAX_NEAR_MISSES) {
            line(text, &format!("  does not fit: {rule} at {}", rule.origin));
        }
        if near.len() > MAX_NEAR_MISSES {
            line(text, &format!("  and {} more for this program", near.len() - MAX_NEAR_MISSES));
        }
    }
}

fn line(text: &mut String, content: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{content}");
}

fn verdict(evaluation: &Evaluation) -> String {
    let source = match evaluation.decided_by() {
        DecidedBy::Rule => "by a rule",
        DecidedBy::Parts => "by rules for the commands inside it",
        DecidedBy::Heuristic => "no rule speaks about it, and it looks dangerous",
        DecidedBy::IncompleteRules => "some rule files could not be read",
        // Nothing is decided: to say *allow* would promise the rights that a rule gives.
        DecidedBy::Nothing => return "none (runs inside the sandbox)".into(),
    };
    format!("{} ({source})", evaluation.decision())
}

fn describe(one: &RuleMatch) -> String {
    let why = one.rule.justification.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{} at {}{why}", one.rule, one.rule.origin)
}

fn advice(evaluation: &Evaluation) -> String {
    match (evaluation.decided_by(), evaluation.deciding_rule()) {
        (DecidedBy::IncompleteRules, _) => "mend the rule files that could not be read".to_owned(),
        (_, Some(one)) if one.rule.decision > Decision::Allow => {
            let remedy = format!("remove or narrow the rule at {}", one.rule.origin);
            match one.rule.decision {
                Decision::Prompt => {
                    format!(
                        "{remedy}; one that allows does not outweigh it, unless it says overrides_prompt=True"
                    )
                }
                Decision::Allow | Decision::Forbidden => format!("{remedy}; no other rule outweighs it"),
            }
        }
        (_, Some(one)) => {
            format!(
                "remove or narrow the rule at {}, or add a rule that says prompt or forbidden",
                one.rule.origin
            )
        }
        (by, None) => {
            let words = evaluation.commands().first().cloned().unwrap_or_default();
            // What looks dangerous is not what to propose more rights for.
            let is_danger = by == DecidedBy::Heuristic;
            let all = match is_danger {
                true => "a rule can let it run inside, unasked, or forbid it",
                false => "a rule can let it out of the sandbox, have it asked about or forbid it",
            };
            let rule = if is_danger { Amendment::inside(&words) } else { Amendment::allow(&words) };
            match rule {
                Ok(amendment) => format!("{all}, for instance {}", amendment.line()),
                Err(error) => format!("{all}; one that allows it must be narrower ({error})"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{Command, Options, Policy};

    #[test]
    fn an_explanation_names_rule_line_and_remedy() {
        let rules = "prefix_rule([\"ls\"])\nprefix_rule([\"git\", [\"push\", \"pull\"]], \"prompt\", justification = \"ask me\")\n";
        let policy = Policy::from_text(Path::new("/r/x.rules"), rules).unwrap();
        let words = ["bash", "-lc", "ls && git push"];
        let text = policy.explain(&Command::from_words(&words).unwrap(), &Options::default());
        for expected in [
            "decision: prompt (by rules for the commands inside it)",
            "  prefix_rule([\"ls\"], \"allow\") at /r/x.rules:1\n",
            "> prefix_rule([\"git\", [\"push\", \"pull\"]], \"prompt\") at /r/x.rules:2: ask me\n",
            "to change it: remove or narrow the rule at /r/x.rules:2",
        ] {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
        let words = ["git", "status"];
        let text = policy.explain(&Command::from_words(&words).unwrap(), &Options::default());
        assert!(text.contains("does not fit: prefix_rule([\"git\""), "{text}");
        assert!(text.contains("prefix_rule(pattern=[\"git\", \"status\"], decision=\"allow\")"), "{text}");
    }
}
