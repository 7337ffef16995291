//! `requirements.toml`: rules that an administrator adds to everybody's, and bounds on what any rule gives. The rules
//! can ask or forbid, never allow, so all of it only ever tightens.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use crate::conditions::Conditions;
use crate::decision::Decision;
use crate::pattern::Element;
use crate::rights::{Caps, HostPattern, Place, Run};
use crate::rule::{Origin, PrefixRule};

/// The file, as far as it concerns rules; other tables belong to others.
#[derive(Deserialize)]
struct Requirements {
    rules: Option<Rules>,
    #[serde(default)]
    shell_tool: Bounds,
}

/// `[shell_tool]`: what no rule, grant or answer gives.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    max_run: Option<Spanned<String>>,
    grant_hosts: Option<Spanned<Vec<String>>>,
    grant_paths: Option<Spanned<Vec<String>>>,
    deny_hosts: Option<Spanned<Vec<String>>>,
    deny_read: Option<Spanned<Vec<String>>>,
    deny_write: Option<Spanned<Vec<String>>>,
}

/// What an administrator's file says.
pub(crate) struct Read {
    pub(crate) rules: Vec<PrefixRule>,
    pub(crate) caps: Caps,
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

/// Reads a requirements file.
///
/// # Errors
/// One sentence with the line, for the administrator.
pub(crate) fn read(file: &Path, text: &str) -> Result<Read, String> {
    let requirements: Requirements =
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let caps = caps(requirements.shell_tool, text)?;
    let rules = requirements.rules.map_or_else(|| Ok(Vec::new()), |rules| read_rules(file, text, rules))?;
    Ok(Read { rules, caps })
}

fn caps(bounds: Bounds, text: &str) -> Result<Caps, String> {
    let max_run = bounds.max_run.map(|word| {
        one("max_run", &word, text, |word| {
            let known = Run::ALL.map(Run::word).join(", ");
            Run::from_word(word).ok_or_else(|| format!("`{word}` is none of {known}"))
        })
    });
    let places = |key, values| all(key, values, text, Place::parse);
    let hosts = |key, values| all(key, values, text, HostPattern::parse);
    Ok(Caps {
        max_run: max_run.transpose()?,
        grant_hosts: hosts("grant_hosts", bounds.grant_hosts)?,
        grant_paths: places("grant_paths", bounds.grant_paths)?,
        deny_hosts: hosts("deny_hosts", bounds.deny_hosts)?.unwrap_or_default(),
        deny_read: places("deny_read", bounds.deny_read)?.unwrap_or_default(),
        deny_write: places("deny_write", bounds.deny_write)?.unwrap_or_default(),
    })
}

fn all<T>(
    key: &str,
    values: Option<Spanned<Vec<String>>>,
    text: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<Vec<T>>, String> {
    let Some(values) = values else { return Ok(None) };
    let read = |value: &String| read(value).map_err(|what| at(key, values.span().start, text, &what));
    values.get_ref().iter().map(read).collect::<Result<_, _>>().map(Some)
}

fn one<T>(
    key: &str,
    value: &Spanned<String>,
    text: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T, String> {
    read(value.get_ref()).map_err(|what| at(key, value.span().start, text, &what))
}

fn at(key: &str, start: usize, text: &str, what: &str) -> String {
    let (line, _) = position(start, text);
    format!("line {line}: shell_tool {key}: {what}")
}

/// Line and column of a byte, from 1.
fn position(start: usize, text: &str) -> (usize, usize) {
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
}

fn read_rules(file: &Path, text: &str, rules: Rules) -> Result<Vec<PrefixRule>, String> {
    if rules.prefix_rules.is_empty() {
        return Err("rules prefix_rules cannot be empty".to_owned());
    }
    let file: Arc<Path> = Arc::from(file);
    let mut read = Vec::new();
    for rule in rules.prefix_rules {
        let (line, column) = position(rule.span().start, text);
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
        grants: None,
        input: None,
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
    use crate::rights::Run;

    #[test]
    fn rules_are_read_with_their_line() {
        let text = "[other]\nx = 1\n[rules]\nprefix_rules = [\n  { pattern = [{ token = \"rm\" }, { any_of = [\"-f\", \"-r\"] }], decision = \"forbidden\", justification = \"no\" },\n]\n";
        let rules = read(Path::new("/etc/codex/requirements.toml"), text).unwrap().rules;
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].decision, Decision::Forbidden);
        assert_eq!(rules[0].origin.line, 5);
        assert_eq!(rules[0].to_string(), "prefix_rule([\"rm\", [\"-f\", \"-r\"]], \"forbidden\")");
        let nothing = read(Path::new("x"), "[other]\n").unwrap();
        assert!(nothing.rules.is_empty() && nothing.caps.is_empty());
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
            let error = read(Path::new("x"), &format!("[rules]\nprefix_rules = [{rule}]\n")).err().unwrap();
            assert!(error.contains(expected), "{rule}: {error}");
        }
        assert!(read(Path::new("x"), "[rules]\nprefix_rules = []\n").is_err());
    }

    #[test]
    fn bounds_are_read_and_mistakes_in_them_named_with_their_line() {
        let bounds =
            |text: &str| read(Path::new("x"), &format!("[shell_tool]\n{text}\n")).map(|read| read.caps);
        let caps = bounds(
            "max_run = \"confined\"\ngrant_hosts = [\"*.example.org\"]\ndeny_read = [\"~/.aws\", \"$HOME/x\"]",
        )
        .unwrap();
        assert_eq!((caps.max_run, caps.deny_read.len()), (Some(Run::Confined), 2));
        for (text, expected) in [
            ("max_run = \"all\"", "line 2: shell_tool max_run: `all` is none of inside, confined"),
            ("\ndeny_read = [\"x\"]", "line 3: shell_tool deny_read: `x` is no absolute path"),
            ("grant_hosts = [\"https://x\"]", "`https://x` is no host: leave out scheme"),
            ("deny_raed = []", "unknown field"),
        ] {
            let error = bounds(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
