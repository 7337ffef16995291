//! What an examination found, as data and as text.

use std::fmt;

use serde::Serialize;

/// Everything that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The server's version.
    pub version: &'static str,
    /// Whether commands can run as asked for.
    pub usable: bool,
    /// The level in force when they do, such as `namespaces+landlock-7+seccomp`.
    pub sandbox: Option<String>,
    /// The stages, in the order in which a call goes through them.
    pub checks: Vec<Check>,
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
    /// What to know or to do about it.
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
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "shell-tool-mcp {}", self.version)?;
        for check in &self.checks {
            let mark = match (check.ok, check.optional) {
                (true, _) => "ok  ",
                (false, true) => "-   ",
                (false, false) => "FAIL",
            };
            let mut lines = check.found.lines();
            writeln!(formatter, "{mark} {:<12} {}", check.name, lines.next().unwrap_or_default())?;
            for line in lines.map(str::to_owned).chain(check.hints.iter().map(|hint| format!("→ {hint}"))) {
                writeln!(formatter, "     {:<12} {line}", "")?;
            }
        }
        match (&self.sandbox, self.usable) {
            (Some(level), true) => writeln!(formatter, "Commands can run here, in the sandbox: {level}"),
            (None, true) => writeln!(formatter, "Commands can run here."),
            (_, false) => writeln!(formatter, "Commands cannot run here as asked for; see FAIL above."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_stands_out_and_its_hints_are_below_it() {
        let report = Report {
            version: "1",
            usable: false,
            sandbox: None,
            checks: vec![
                Check::needed("bash", Ok("/x/bash".into())),
                Check::welcome("namespaces", Err("no".into())).with_hints(["do this".to_owned()]),
                Check::needed("sandbox", Err("first\nsecond".into())),
            ],
        };
        let text = report.to_string();
        for line in [
            "ok   bash         /x/bash",
            "-    namespaces   no",
            "→ do this",
            "FAIL sandbox      first",
            " second",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
