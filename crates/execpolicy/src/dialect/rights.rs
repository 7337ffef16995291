//! The arguments that say what a program gets: Starlark values → grants, with the words for what is wrong in them.

use starlark::values::dict::UnpackDictEntries;
use starlark::values::{UnpackValue, Value, ValueLike};

use super::arguments::Items;
use crate::decision::Decision;
use crate::errors::{RuleError, did_you_mean, nearest};
use crate::evaluator::{Tagged, fail};
use crate::rights::{Grants, HostPattern, Place, ProfileName, Run, Tool};
use crate::rule::RuleGrants;

/// The tag of `configured_hosts("…")`.
pub(super) const CONFIGURED_HOSTS: &str = "configured_hosts";

/// Most values of one member; nobody writes as many by hand.
const MOST_VALUES: usize = 1_000;

/// The members that grants have.
pub(super) const MEMBERS: &[&str] =
    &["read", "write", "hosts", "sockets", "devices", "env", "protected", "may_run", "tty", "stdin"];

fn bad(what: String) -> starlark::Error {
    fail(RuleError::Rule(what))
}

/// How a program runs that a rule with this decision lets run.
pub(super) fn run(word: Option<&str>, decision: Decision) -> starlark::Result<Option<Run>> {
    word.map(|word| way_to_run(word).and_then(|run| for_what_runs("run", decision).map(|()| run))).transpose()
}

pub(super) fn way_to_run(word: &str) -> starlark::Result<Run> {
    Run::from_word(word).ok_or_else(|| {
        let known = Run::ALL.map(Run::word);
        let meant = did_you_mean(nearest(word, &known));
        bad(format!("run is \"inside\", \"confined\", \"outside\" or \"unconfined\" (got `{word}`){meant}"))
    })
}

fn for_what_runs(what: &str, decision: Decision) -> starlark::Result<()> {
    match decision {
        Decision::Allow | Decision::Prompt => Ok(()),
        Decision::Forbidden => Err(bad(format!("{what} is for rules that allow or ask"))),
    }
}

pub(super) fn profile_name(name: &str) -> starlark::Result<ProfileName> {
    ProfileName::parse(name).map_err(bad)
}

/// The profile of a rule with this decision.
pub(super) fn profile(name: Option<&str>, decision: Decision) -> starlark::Result<Option<ProfileName>> {
    name.map(|name| profile_name(name).and_then(|name| for_what_runs("profile", decision).map(|()| name)))
        .transpose()
}

/// The grants of a rule with this decision: a profile's name, or a dictionary.
pub(super) fn rule_grants(
    value: Option<Value<'_>>,
    run: Option<Run>,
    decision: Decision,
) -> starlark::Result<Option<RuleGrants>> {
    let Some(value) = value else { return Ok(None) };
    for_what_runs("grants", decision)?;
    if run == Some(Run::Unconfined) {
        return Err(bad("what runs unconfined has everything; leave out its grants".into()));
    }
    if let Some(name) = value.unpack_str() {
        return Ok(Some(RuleGrants::OfProfile(profile_name(name)?)));
    }
    let Some(entries) = UnpackDictEntries::<Value<'_>, Value<'_>>::unpack_value(value)? else {
        let got = value.get_type();
        return Err(bad(format!("grants is the name of a profile, or a dictionary (got {got})")));
    };
    let mut members = Vec::new();
    for (name, value) in entries.entries {
        let name = name.unpack_str().ok_or_else(|| bad("the members of grants are strings".into()))?;
        members.push((name, value));
    }
    Ok(Some(RuleGrants::These(grants(members)?)))
}

/// Grants by their members.
pub(super) fn grants<'v>(
    members: impl IntoIterator<Item = (&'v str, Value<'v>)>,
) -> starlark::Result<Grants> {
    let mut grants = Grants::default();
    for (name, value) in members {
        match name {
            "read" => grants.read = places(name, value)?,
            "write" => grants.write = places(name, value)?,
            "sockets" => grants.sockets = places(name, value)?,
            "hosts" => hosts(&mut grants, value)?,
            "devices" => grants.devices = words(name, value, device)?,
            "env" => grants.env = words(name, value, variable)?,
            "protected" => grants.protected = words(name, value, protected)?,
            "may_run" => grants.may_run = words(name, value, program)?,
            "tty" => grants.tty = truth(name, value)?,
            "stdin" => grants.stdin = truth(name, value)?,
            other => {
                let meant = did_you_mean(nearest(other, MEMBERS));
                let known = MEMBERS.join(", ");
                return Err(bad(format!("grants have no member \"{other}\"; they have {known}{meant}")));
            }
        }
    }
    grants.refused().map_err(bad)?;
    Ok(grants)
}

fn items<'v>(name: &str, value: Value<'v>) -> starlark::Result<Items<'v>> {
    let Some(items) = Items::unpack_value(value)? else {
        return Err(bad(format!("{name} must be a list of strings (got {})", value.get_type())));
    };
    if items.items.len() > MOST_VALUES {
        return Err(bad(format!("{name} has more than {MOST_VALUES} values")));
    }
    Ok(items)
}

fn words<T: PartialEq>(
    name: &str,
    value: Value<'_>,
    read: impl Fn(&str) -> Result<T, String>,
) -> starlark::Result<Vec<T>> {
    let mut all = Vec::new();
    for item in items(name, value)?.items {
        let text = item
            .unpack_str()
            .ok_or_else(|| bad(format!("{name} must hold strings (got {})", item.get_type())))?;
        let word = read(text).map_err(|what| bad(format!("{name}: {what}")))?;
        if !all.contains(&word) {
            all.push(word);
        }
    }
    Ok(all)
}

fn places(name: &str, value: Value<'_>) -> starlark::Result<Vec<Place>> {
    words(name, value, Place::parse)
}

fn hosts(grants: &mut Grants, value: Value<'_>) -> starlark::Result<()> {
    for item in items("hosts", value)?.items {
        match (item.unpack_str(), item.downcast_ref::<Tagged>()) {
            (Some(text), _) => {
                grants.hosts.push(HostPattern::parse(text).map_err(|what| bad(format!("hosts: {what}")))?);
            }
            (None, Some(tagged)) if tagged.tag == CONFIGURED_HOSTS => {
                grants.configured_hosts.extend(Tool::from_word(&tagged.text));
            }
            (None, _) => {
                return Err(bad(format!("hosts must hold strings (got {})", item.get_type())));
            }
        }
    }
    Ok(())
}

/// The tool of `configured_hosts("…")`.
pub(super) fn tool(word: &str) -> starlark::Result<Tool> {
    Tool::from_word(word).ok_or_else(|| {
        let known = Tool::ALL.map(Tool::word);
        let meant = did_you_mean(nearest(word, &known));
        bad(format!("configured_hosts knows {} (got `{word}`){meant}", known.join(", ")))
    })
}

fn truth(name: &str, value: Value<'_>) -> starlark::Result<bool> {
    value.unpack_bool().ok_or_else(|| bad(format!("{name} is True or False (got {})", value.get_type())))
}

fn device(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("/dev/").unwrap_or_default();
    if name.is_empty() || name.split('/').any(|part| ["", ".", ".."].contains(&part)) {
        return Err(format!("`{text}` is no device; it begins with /dev/"));
    }
    Ok(text.to_owned())
}

fn variable(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('*').unwrap_or(text);
    let is_good = |character: char| character.is_ascii_alphanumeric() || character == '_';
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) || !name.chars().all(is_good)
    {
        return Err(format!("`{text}` is no name of a variable; a * may stand at its end"));
    }
    Ok(text.to_owned())
}

fn protected(text: &str) -> Result<String, String> {
    let is_bad = |part: &str| ["", ".", ".."].contains(&part);
    if text.starts_with('~') || text.split('/').any(is_bad) {
        return Err(format!(
            "`{text}` is no protected name; .git/config, .git/hooks, .vscode and the like are"
        ));
    }
    Ok(text.to_owned())
}

fn program(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && !text.contains('/') && !text.contains(char::is_whitespace);
    let is_path = Place::parse(text).is_ok() && !text.ends_with('/') && text.contains('/');
    if is_name || is_path {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no program; it is a name, or a path that begins with `/`, `~/` or `$NAME`"))
}
