//! `requirements.toml`: rules that an administrator adds to everybody's. They can ask or forbid, never allow,
//! so they only ever tighten.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use crate::conditions::Conditions;
use crate::decision::Decision;
use crate::pattern::Element;
use crate::rights::Grants;
use crate::rule::{Origin, PrefixRule};

/// The file, as far as it concerns rules; other tables belong to others.
#[derive(Deserialize)]
struct Requirements {
    rules: Option<Rules>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    prefix_rules: Vec<Spanned<Rule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    pattern: Vec<Token>,
    decision: Option<String>,
    justification: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    token: Option<String>,
    any_of: Option<Vec<String>>,
}

/// Reads the rules of a requirements file.
///
/// # Errors
/// One sentence with the line, for the administrator.
pub(crate) fn read(file: &Path, text: &str) -> Result<Vec<PrefixRule>, String> {
    let requirements: Requirements =
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let Some(rules) = requirements.rules else { return Ok(Vec::new()) };
    if rules.prefix_rules.is_empty() {
        return Err("rules prefix_rules cannot be empty".to_owned());
    }
    let file: Arc<Path> = Arc::from(file);
    let mut read = Vec::new();
    for rule in rules.prefix_rules {
        let start = rule.span().start;
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let origin = Origin { file: file.clone(), line, column };
        read.extend(convert(rule.into_inner(), &origin).map_err(|what| format!("line {line}: {what}"))?);
    }
    Ok(read)
}

fn convert(rule: Rule, origin: &Origin) -> Result<Vec<PrefixRule>, String> {
    let decision = match rule.decision.as_deref() {
        Some("prompt") => Decision::Prompt,
        Some("forbidden") => Decision::Forbidden,
        Some("allow") => {
            return Err("rules prefix_rule decision cannot be allow: requirements only tighten".to_owned());
        }
        Some(other) => return Err(format!("invalid decision: {other}")),
        None => return Err("rules prefix_rule is missing a decision".to_owned()),
    };
    if rule.justification.as_deref().is_some_and(|text| text.trim().is_empty()) {
        return Err("justification cannot be empty".to_owned());
    }
    let pattern = rule.pattern.into_iter().map(element).collect::<Result<Vec<_>, _>>()?;
    if pattern.is_empty() {
        return Err("pattern cannot be empty".to_owned());
    }
    Ok(PrefixRule::for_each_program(pattern, |program, arguments| PrefixRule {
        program,
        arguments,
        conditions: Conditions::default(),
        decision,
        run: None,
        profile: None,
        grants: Grants::default(),
        overrides_prompt: false,
        justification: rule.justification.clone(),
        origin: origin.clone(),
    }))
}

fn element(token: Token) -> Result<Element, String> {
    let word = |word: String| {
        if word.trim().is_empty() {
            Err("tokens cannot be blank".to_owned())
        } else {
            Ok(Element::Word(word))
        }
    };
    match (token.token, token.any_of) {
        (Some(single), None) => word(single),
        (None, Some(words)) if words.is_empty() => Err("any_of cannot be empty".to_owned()),
        (None, Some(words)) => Ok(Element::AnyOf(words.into_iter().map(word).collect::<Result<_, _>>()?)),
        (Some(_), Some(_)) | (None, None) => Err("set exactly one of token and any_of".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::read;
    use crate::decision::Decision;

    #[test]
    fn rules_are_read_with_their_line() {
        let text = "[other]\nx = 1\n[rules]\nprefix_rules = [\n  { pattern = [{ token = \"rm\" }, { any_of = [\"-f\", \"-r\"] }], decision = \"forbidden\", justification = \"no\" },\n]\n";
        let rules = read(Path::new("/etc/codex/requirements.toml"), text).unwrap();
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].decision, Decision::Forbidden);
        assert_eq!(rules[0].origin.line, 5);
        assert_eq!(rules[0].to_string(), "prefix_rule([\"rm\", [\"-f\", \"-r\"]], \"forbidden\")");
        assert!(read(Path::new("x"), "[other]\n").unwrap().is_empty());
    }

    #[test]
    fn what_could_loosen_or_mislead_is_refused() {
        for (rule, expected) in [
            ("{ pattern = [{ token = \"rm\" }], decision = \"allow\" }", "only tighten"),
            ("{ pattern = [{ token = \"rm\" }] }", "missing a decision"),
            ("{ pattern = [{ token = \"rm\" }], decision = \"deny\" }", "invalid decision: deny"),
            ("{ pattern = [], decision = \"prompt\" }", "pattern cannot be empty"),
            ("{ pattern = [{ token = \" \" }], decision = \"prompt\" }", "blank"),
            ("{ pattern = [{ any_of = [] }], decision = \"prompt\" }", "any_of cannot be empty"),
            ("{ pattern = [{ token = \"a\", any_of = [\"b\"] }], decision = \"prompt\" }", "exactly one"),
            ("{ pattern = [{ }], decision = \"prompt\" }", "exactly one"),
            ("{ pattern = [{ tokn = \"a\" }], decision = \"prompt\" }", "unknown field"),
            (
                "{ pattern = [{ token = \"a\" }], decision = \"prompt\", justification = \"\" }",
                "justification",
            ),
        ] {
            let error = read(Path::new("x"), &format!("[rules]\nprefix_rules = [{rule}]\n")).unwrap_err();
            assert!(error.contains(expected), "{rule}: {error}");
        }
        assert!(read(Path::new("x"), "[rules]\nprefix_rules = []\n").is_err());
    }
}
