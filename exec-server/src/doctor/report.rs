//! What an examination found, as data and as text.

use std::fmt;

use serde::Serialize;

/// The longest text, in lines: what people read through, and paste.
const MOST_LINES: usize = 30;
/// Lines of one check's finding; the first ones say what it is about.
const MOST_LINES_FOUND: usize = 4;
/// Pieces of advice that are left out only when all else is as short as it can be.
const ADVICE_KEPT: usize = 3;

/// Everything that was looked at. Nothing in it is private: no names of users and hosts, no home, no text of rules, no
/// values of variables.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The server's version.
    pub version: &'static str,
    /// Whether commands can run as asked for.
    pub usable: bool,
    /// The level in force when they do, such as `namespaces+landlock-7+seccomp`.
    pub sandbox: Option<String>,
    /// Facts about the machine, by name.
    pub machine: serde_json::Value,
    /// The same in a few lines, each with its name.
    #[serde(skip)]
    pub facts: Vec<(&'static str, String)>,
    /// The stages, in the order in which a call goes through them.
    pub checks: Vec<Check>,
    /// What to do next, for more of the sandbox or for any; one sentence each.
    pub to_do: Vec<String>,
}

/// One thing that was tried.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it is as it must be.
    pub ok: bool,
    /// Whether commands can run without it.
    pub optional: bool,
    /// What was found.
    pub found: String,
    /// What to know about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

impl Check {
    /// Something that commands cannot do without.
    pub(super) fn needed(name: &'static str, found: Result<String, String>) -> Check {
        let ok = found.is_ok();
        Check { name, ok, optional: false, found: found.unwrap_or_else(|error| error), hints: Vec::new() }
    }

    /// Something that is better to have.
    pub(super) fn welcome(name: &'static str, found: Result<String, String>) -> Check {
        Check { optional: true, ..Check::needed(name, found) }
    }

    pub(super) fn with_hints(mut self, hints: impl IntoIterator<Item = String>) -> Check {
        self.hints.extend(hints);
        self
    }

    /// The lines of it; `None` in place of the mark on all but the first.
    fn lines(&self, most: Most) -> Vec<String> {
        let mark = match (self.ok, self.optional) {
            (true, _) => "ok",
            (false, true) => "-",
            (false, false) => "FAIL",
        };
        let mut found = self.found.lines().take(most.found);
        let mut lines = vec![line(mark, self.name, found.next().unwrap_or_default())];
        lines.extend(found.map(|text| line("", "", text)));
        lines.extend(some_of(&self.hints, most.hints).iter().map(|hint| line("", "", &format!("- {hint}"))));
        lines
    }
}

/// How much is written of what there can be any number of.
#[derive(Clone, Copy)]
struct Most {
    /// Lines of each check's finding.
    found: usize,
    /// Hints of each check.
    hints: usize,
    /// Sentences of what to do.
    advice: usize,
}

/// The first ones, and how many there are beside.
fn some_of(all: &[String], most: usize) -> Vec<String> {
    let mut some: Vec<String> = all.iter().take(most).cloned().collect();
    if all.len() > most {
        some.push(format!("and {} more, see --json", all.len() - most));
    }
    some
}

fn line(mark: &str, name: &str, text: &str) -> String {
    format!("{mark:<4} {name:<11} {text}").trim_end().to_owned()
}

impl Report {
    fn lines(&self, most: Most) -> Vec<String> {
        let mut lines = vec![format!("shell-tool-mcp {}", self.version)];
        lines.extend(self.facts.iter().map(|(name, fact)| line("", name, fact)));
        lines.extend(self.checks.iter().flat_map(|check| check.lines(most)));
        lines.extend(some_of(&self.to_do, most.advice).iter().map(|advice| format!("→ {advice}")));
        lines.push(match (&self.sandbox, self.usable) {
            (Some(level), true) => format!("Commands can run here, in the sandbox: {level}"),
            (None, true) => "Commands can run here.".to_owned(),
            (_, false) => "Commands cannot run here as asked for; see FAIL above.".to_owned(),
        });
        lines
    }
}

/// Writes it in at most `MOST_LINES` lines: what there is to know beyond that is left out first.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut most = Most { found: MOST_LINES_FOUND, hints: MOST_LINES, advice: MOST_LINES };
        while self.lines(most).len() > MOST_LINES {
            match most {
                Most { hints: 1.., .. } => most.hints -= 1,
                Most { advice, .. } if advice > ADVICE_KEPT => most.advice -= 1,
                Most { found: 2.., .. } => most.found -= 1,
                Most { advice: 1.., .. } => most.advice -= 1,
                Most { .. } => break,
            }
        }
        self.lines(most).iter().try_for_each(|line| writeln!(formatter, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(checks: Vec<Check>, to_do: &[&str]) -> Report {
        Report {
            version: "1",
            usable: false,
            sandbox: None,
            machine: serde_json::Value::Null,
            facts: vec![("system", "Linux".into())],
            checks,
            to_do: to_do.iter().map(|advice| (*advice).to_owned()).collect(),
        }
    }

    #[test]
    fn a_failure_stands_out_and_what_to_do_comes_last() {
        let checks = vec![
            Check::needed("bash", Ok("/x/bash".into())),
            Check::welcome("namespaces", Err("no".into())).with_hints(["because".to_owned()]),
            Check::needed("sandbox", Err("first\nsecond".into())),
        ];
        let text = report(checks, &["do this"]).to_string();
        for line in [
            "     system      Linux\n",
            "ok   bash        /x/bash\n",
            "-    namespaces  no\n",
            "                 - because\n",
            "FAIL sandbox     first\n",
            "                 second\n→ do this\n",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn however_much_was_found_it_stays_a_page() {
        let many = |number: usize| (0..number).map(|index| format!("hint {index}"));
        let long = "line\n".repeat(40);
        let checks = vec![
            Check::needed("trial", Err(long)),
            Check::needed("sandbox", Ok("x".into())).with_hints(many(50)),
            Check::needed("other", Ok("x".into())).with_hints(many(3)),
        ];
        let text = report(checks, &["do this"; 6]).to_string();
        assert!(text.lines().count() <= MOST_LINES, "{text}");
        assert!(text.contains("hint 2") && text.contains("more, see --json"), "{text}");
    }

    #[test]
    fn however_much_is_to_do_it_stays_a_page() {
        let long = "first\nsecond\nthird\nfourth\n";
        let checks = ["a", "b", "c", "d", "e", "f"].map(|name| Check::needed(name, Err(long.into())));
        let mut report = report(checks.into(), &["do this"; 20]);
        for _ in 0..2 {
            let text = report.to_string();
            assert!(text.lines().count() <= MOST_LINES, "{text}");
            assert!(text.contains("→ do this\n→ and "), "{text}");
            assert_eq!(text.matches("FAIL").count(), 7, "{text}");
            report.facts = vec![("fact", "x".into()); 9];
        }
    }
}
