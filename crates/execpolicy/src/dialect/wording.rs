//! The evaluator's words for a mistake → words for the author of rules.

use super::api::ARGUMENTS;
use crate::errors::{Problem, did_you_mean, nearest};

/// Says an error of the evaluator in the language's own words, where it has any.
pub(super) fn reword(problem: Problem) -> Problem {
    let Some(words) = unknown_argument(&problem.message) else { return problem };
    let rendered = problem.rendered.replacen(&problem.message, &words, 1);
    Problem { message: words, rendered, ..problem }
}

/// "Found `x` extra named parameter(s) for call to f".
fn unknown_argument(message: &str) -> Option<String> {
    let given = message.strip_prefix("Found `")?.split('`').next()?;
    let (_, called) = message.split_once(" extra named parameter(s) for call to ")?;
    let (function, known) = ARGUMENTS.iter().find(|(name, _)| called.contains(name))?;
    let meant = did_you_mean(nearest(given, known));
    Some(format!("{function} has no argument \"{given}\"; it has {}{meant}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::dialect::read;

    #[test]
    fn a_mistyped_argument_is_answered_with_those_that_there_are() {
        let error = |text: &str| read(Path::new("x.rules"), text, None).expect_err(text);
        let problem = error("prefix_rule([\"a\"], desicion = \"allow\")");
        let expected = "prefix_rule has no argument \"desicion\"; it has pattern, decision, match";
        assert!(problem.message.starts_with(expected), "{problem}");
        assert!(problem.message.ends_with("did you mean \"decision\"?"), "{problem}");
        assert!(problem.rendered.starts_with(&format!("error: {}", problem.message)), "{problem}");
        let problem = error("host_executable(\"git\", paths = [], colour = 1)");
        assert!(problem.message.ends_with("\"colour\"; it has name, paths"), "{problem}");
        let problem = error("prefix_rul([\"a\"])");
        assert!(problem.message.contains("did you mean `prefix_rule`?"), "{problem}");
    }
}
