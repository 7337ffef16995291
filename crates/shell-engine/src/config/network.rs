//! Which hosts may be reached by name: what was typed and written, besides rules.

use execpolicy::Decision;
use execpolicy::rights::HostPattern;
use serde::Deserialize;

/// `[shell_tool.network]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkTable {
    /// Hosts that may be reached, `HOST`, `HOST:PORT` or `*.HOST`.
    #[serde(default)]
    allow: Vec<String>,
    /// Hosts that may not, whatever else is said.
    #[serde(default)]
    deny: Vec<String>,
    /// What becomes of all others.
    default: Option<DefaultWord>,
}

/// The words of `default`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DefaultWord {
    Allow,
    Prompt,
    Forbidden,
}

/// Which hosts may be reached by name, besides what rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// Hosts that may be reached.
    pub(crate) allow: Vec<HostPattern>,
    /// Hosts that may not, whatever else is said.
    pub(crate) deny: Vec<HostPattern>,
    /// What becomes of those that nothing speaks about.
    pub(crate) default: Decision,
    /// Whether anything was said.
    pub(crate) said: bool,
}

/// What is said about hosts is no host.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct BadHost {
    /// Where it is said.
    place: &'static str,
    /// What is wrong with it.
    problem: String,
}

impl Hosts {
    pub(super) fn new(typed: &[String], table: Option<&NetworkTable>) -> Result<Hosts, BadHost> {
        let read = |place: &'static str, texts: &[String]| {
            let parsed = texts.iter().map(|text| HostPattern::parse(text));
            parsed.collect::<Result<Vec<_>, _>>().map_err(|problem| BadHost { place, problem })
        };
        let mut allow = read("--allow-host", typed)?;
        let said = !typed.is_empty() || table.is_some();
        let table = table.cloned().unwrap_or_default();
        allow.extend(read("allow in [shell_tool.network] of the configuration file", &table.allow)?);
        let deny = read("deny in [shell_tool.network] of the configuration file", &table.deny)?;
        let default = match table.default {
            Some(DefaultWord::Allow) => Decision::Allow,
            // Where nobody can be asked, that is a no.
            Some(DefaultWord::Prompt) | None => Decision::Prompt,
            Some(DefaultWord::Forbidden) => Decision::Forbidden,
        };
        Ok(Hosts { allow, deny, default, said })
    }
}
