//! The arguments of the language's functions: Starlark values → the domain's types, with the words that users
//! know from its errors.

use std::time::SystemTime;

use starlark::values::dict::UnpackDictEntries;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::{UnpackValue, Value, ValueLike};

use crate::conditions::EnvTest;
use crate::decision::Decision;
use crate::errors::RuleError;
use crate::evaluator::{Tagged, fail};
use crate::patch::PatchGlob;
use crate::pattern::{Element, Expression};

/// A list or tuple of anything.
pub(super) type Items<'v> = UnpackListOrTuple<Value<'v>>;

fn bad_rule(what: String) -> starlark::Error {
    fail(RuleError::Rule(what))
}

fn bad_pattern(what: String) -> starlark::Error {
    fail(RuleError::Pattern(what))
}

/// A pattern: one element for each position, at least one.
pub(super) fn pattern(values: &Items<'_>) -> starlark::Result<Vec<Element>> {
    if values.items.is_empty() {
        return Err(bad_pattern("pattern cannot be empty".into()));
    }
    values.items.iter().map(|value| element(*value)).collect()
}

/// One position: a string, an expression, or a list of these.
pub(super) fn element(value: Value<'_>) -> starlark::Result<Element> {
    if let Some(single) = single(value)? {
        return Ok(single);
    }
    let Some(list) = Items::unpack_value(value)? else {
        let got = value.get_type();
        return Err(bad_pattern(format!("pattern element must be a string or list of strings (got {got})")));
    };
    let mut alternatives: Vec<Element> =
        list.items.iter().map(|item| alternative(*item)).collect::<starlark::Result<_>>()?;
    match alternatives.len() {
        0 => Err(bad_pattern("pattern alternatives cannot be empty".into())),
        1 => Ok(alternatives.swap_remove(0)),
        _ => Ok(Element::AnyOf(alternatives)),
    }
}

fn alternative(value: Value<'_>) -> starlark::Result<Element> {
    single(value)?.ok_or_else(|| {
        bad_pattern(format!("pattern alternative must be a string (got {})", value.get_type()))
    })
}

fn single(value: Value<'_>) -> starlark::Result<Option<Element>> {
    if let Some(word) = value.unpack_str() {
        return Ok(Some(Element::Word(word.to_owned())));
    }
    match value.downcast_ref::<Tagged>() {
        Some(tagged) => Ok(Some(Element::Expression(expression(tagged).map_err(bad_pattern)?))),
        None => Ok(None),
    }
}

/// The tag of `glob("…")`; `regex("…")` is the other one.
pub(super) const GLOB: &str = "glob";
/// The tag of `regex("…")`.
pub(super) const REGEX: &str = "regex";

/// Compiles an expression.
///
/// # Errors
/// What is wrong with it.
pub(super) fn expression(value: &Tagged) -> Result<Expression, String> {
    if value.tag == GLOB { Expression::glob(&value.text) } else { Expression::regex(&value.text) }
}

/// The elements of `args_any` or `deny_args`.
pub(super) fn elements(values: Option<Items<'_>>) -> starlark::Result<Vec<Element>> {
    values.map_or_else(|| Ok(Vec::new()), |list| list.items.iter().map(|value| element(*value)).collect())
}

/// Ports of TCP, from 1 to 65535.
pub(super) fn ports(values: Option<Items<'_>>) -> starlark::Result<Vec<u16>> {
    let Some(values) = values else { return Ok(Vec::new()) };
    if values.items.is_empty() {
        return Err(bad_rule("ports cannot be an empty list".into()));
    }
    let port = |value: &Value<'_>| {
        let port = value.unpack_i32().and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0);
        port.ok_or_else(|| bad_rule(format!("ports must hold numbers from 1 to 65535 (got {value})")))
    };
    values.items.iter().map(port).collect()
}

/// Programs, each by its name or its full path (`by`, `not_by`).
pub(super) fn programs(what: &str, values: Option<Items<'_>>) -> starlark::Result<Vec<Element>> {
    if values.as_ref().is_some_and(|values| values.items.is_empty()) {
        return Err(bad_rule(format!("{what} cannot be an empty list")));
    }
    let programs = elements(values)?;
    let is_program = |word: &str| {
        let is_name = !word.contains('/') && !word.contains(char::is_whitespace) && !word.is_empty();
        is_name || (word.starts_with('/') && !word.ends_with('/'))
    };
    match programs.iter().flat_map(Element::literals).find(|word| !is_program(word)) {
        Some(word) => Err(bad_rule(format!(
            "{what} must hold programs, each by its name or its full path (got `{word}`)"
        ))),
        None => Ok(programs),
    }
}

/// Absolute paths as globs (`cwd`, `program_paths`); `~/` is the user's home folder.
pub(super) fn path_globs(
    what: &str,
    values: Option<Items<'_>>,
    home: Option<&str>,
) -> starlark::Result<Vec<Expression>> {
    let Some(values) = values else { return Ok(Vec::new()) };
    if values.items.is_empty() {
        return Err(bad_rule(format!("{what} cannot be an empty list")));
    }
    values.items.iter().map(|value| path_glob(what, *value, home)).collect()
}

fn path_glob(what: &str, value: Value<'_>, home: Option<&str>) -> starlark::Result<Expression> {
    let (text, expanded) = expanded(what, value, home)?;
    if !expanded.starts_with('/') && !expanded.starts_with("**/") {
        return Err(bad_rule(format!("{what} must hold absolute paths (got `{text}`)")));
    }
    glob_of_path(&expanded)
}

/// The files of `patch_rule`: absolute, below the home folder, or relative to the folders that commands may write.
pub(super) fn patch_globs(values: &Items<'_>, home: Option<&str>) -> starlark::Result<Vec<PatchGlob>> {
    if values.items.is_empty() {
        return Err(bad_rule("paths cannot be an empty list".to_owned()));
    }
    let glob = |value: &Value<'_>| {
        let (text, expanded) = expanded("paths", *value, home)?;
        let plain = expanded.strip_prefix("./").unwrap_or(&expanded);
        if plain.is_empty() || plain.split('/').any(|part| part == "..") {
            return Err(bad_rule(format!("paths must name files or folders, without `..` (got `{text}`)")));
        }
        Ok(PatchGlob { is_absolute: plain.starts_with('/'), glob: glob_of_path(plain)? })
    };
    values.items.iter().map(glob).collect()
}

/// A path as it is written, and with the home folder for `~`.
fn expanded<'v>(what: &str, value: Value<'v>, home: Option<&str>) -> starlark::Result<(&'v str, String)> {
    let Some(text) = value.unpack_str() else {
        return Err(bad_rule(format!("{what} must hold strings (got {})", value.get_type())));
    };
    let expanded = match (text.strip_prefix("~/"), text == "~", home) {
        (Some(rest), _, Some(home)) => format!("{}/{rest}", globset::escape(home.trim_end_matches('/'))),
        (None, true, Some(home)) => globset::escape(home),
        (Some(_), _, None) | (None, true, None) => {
            return Err(bad_rule(format!("{what} `{text}` needs a home folder")));
        }
        (None, false, _) => text.to_owned(),
    };
    Ok((text, expanded))
}

fn glob_of_path(expanded: &str) -> starlark::Result<Expression> {
    // A folder is the same with and without a slash at its end.
    let trimmed = if expanded.len() > 1 { expanded.trim_end_matches('/') } else { expanded };
    Expression::glob(trimmed).map_err(bad_rule)
}

/// The conditions of `env`: `None` = not set, `True` = set, otherwise what the value must be.
pub(super) fn environment(
    values: Option<UnpackDictEntries<Value<'_>, Value<'_>>>,
) -> starlark::Result<Vec<(String, EnvTest)>> {
    let entries = values.map(|values| values.entries).unwrap_or_default();
    let test = |(name, value): (Value<'_>, Value<'_>)| {
        let name = name
            .unpack_str()
            .filter(|name| !name.is_empty() && !name.contains('='))
            .ok_or_else(|| bad_rule("env names must be non-empty strings without `=`".into()))?;
        let test = match value.unpack_bool() {
            Some(true) => EnvTest::Set,
            Some(false) => EnvTest::Unset,
            None if value.is_none() => EnvTest::Unset,
            None => EnvTest::Fits(element(value)?),
        };
        Ok((name.to_owned(), test))
    };
    entries.into_iter().map(test).collect()
}

pub(super) fn decision(word: &str) -> starlark::Result<Decision> {
    Decision::from_word(word).ok_or_else(|| fail(RuleError::Decision(word.to_owned())))
}

/// A time in UTC, as in `2026-11-30T18:00:00Z`.
pub(super) fn time(what: &str, text: Option<&str>) -> starlark::Result<Option<SystemTime>> {
    let read = |text| {
        humantime::parse_rfc3339(text)
            .map_err(|_| bad_rule(format!("{what} must be a time like 2026-11-30T18:00:00Z (got `{text}`)")))
    };
    text.map(read).transpose()
}

pub(super) fn justification(text: Option<&str>) -> starlark::Result<Option<String>> {
    match text {
        Some(text) if text.trim().is_empty() => Err(bad_rule("justification cannot be empty".into())),
        text => Ok(text.map(str::to_owned)),
    }
}

pub(super) fn strings<'v>(what: &str, values: &Items<'v>) -> starlark::Result<Vec<&'v str>> {
    let string = |value: &Value<'v>| {
        value
            .unpack_str()
            .ok_or_else(|| bad_rule(format!("{what} must hold strings (got {})", value.get_type())))
    };
    values.items.iter().map(string).collect()
}

pub(super) fn examples(values: Option<Items<'_>>) -> starlark::Result<Vec<Vec<String>>> {
    values.map_or_else(|| Ok(Vec::new()), |list| list.items.iter().map(|value| example(*value)).collect())
}

fn example(value: Value<'_>) -> starlark::Result<Vec<String>> {
    let invalid = |what: String| fail(RuleError::Example(what));
    if let Some(text) = value.unpack_str() {
        let words =
            shlex::split(text).ok_or_else(|| invalid("example string has invalid shell syntax".into()))?;
        if words.is_empty() {
            return Err(invalid("example cannot be an empty string".into()));
        }
        return Ok(words);
    }
    let Some(list) = Items::unpack_value(value)? else {
        return Err(invalid(format!(
            "example must be a string or list of strings (got {})",
            value.get_type()
        )));
    };
    if list.items.is_empty() {
        return Err(invalid("example cannot be an empty list".into()));
    }
    let word = |item: &Value<'_>| {
        item.unpack_str()
            .map(str::to_owned)
            .ok_or_else(|| invalid(format!("example tokens must be strings (got {})", item.get_type())))
    };
    list.items.iter().map(word).collect()
}
