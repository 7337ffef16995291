//! Reads the JSON forms of a policy (`{"type":"workspace-write", …}`).
//!
//! Lenient where forms of different client versions differ (unknown fields are ignored, `null` means absent), strict
//! where leniency would widen: a known field of the wrong kind, an unknown type or a relative root is an error.

use super::location::{LocationError, absolute_path, beginning};
use super::mode::{Mode, Network, SandboxPolicy, UnknownMode, WorkspaceWrite};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// More writable roots than any client sends; each costs a mount and a Landlock rule.
const MAX_ROOTS: usize = 256;

/// Longest beginning of an unknown word that an error tells, in characters.
pub(super) const LONGEST_WORD: usize = 64;

/// Says which part of a policy or of a client's sandbox state cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A value of the wrong JSON kind.
    #[error("`{field}` must be {expected}")]
    Kind {
        /// The field's name, with its path from the top of the message.
        field: String,
        /// What would have been right.
        expected: &'static str,
    },
    /// `type` is missing.
    #[error("`{0}` has no `type`")]
    NoType(&'static str),
    /// `type` is not one of the modes.
    #[error(transparent)]
    Mode(#[from] UnknownMode),
    /// A word that is not in the list of allowed ones.
    #[error("`{field}` is `{found}`; expected {expected}")]
    Word {
        /// The field's name.
        field: &'static str,
        /// What was found, shortened.
        found: String,
        /// The words that would have been right.
        expected: &'static str,
    },
    /// A path is not usable.
    #[error("`{field}`: {source}")]
    Path {
        /// The field's name.
        field: &'static str,
        /// What is wrong with the path.
        source: LocationError,
    },
    /// A list is longer than anything sensible.
    #[error("`{field}` has more than {limit} entries")]
    TooMany {
        /// The field's name.
        field: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Neither a policy nor a profile was sent.
    #[error("neither `sandboxPolicy` nor `permissionProfile` is present")]
    Nothing,
}

impl SandboxPolicy {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`PolicyError`] names the field that is wrong.
    pub fn from_json(value: &Value) -> Result<Self, PolicyError> {
        let object = object(value, "sandboxPolicy")?;
        let name = text(object, "type")?.ok_or(PolicyError::NoType("sandboxPolicy"))?;
        Ok(match name.parse::<Mode>()? {
            Mode::DangerFullAccess => SandboxPolicy::DangerFullAccess,
            Mode::ReadOnly => SandboxPolicy::ReadOnly { network: boolean(object, "network_access")?.into() },
            Mode::ExternalSandbox => SandboxPolicy::ExternalSandbox {
                network: network_word(object.get("network_access"), "network_access")?,
            },
            Mode::WorkspaceWrite => SandboxPolicy::WorkspaceWrite(WorkspaceWrite {
                writable_roots: paths(object, "writable_roots")?,
                network: boolean(object, "network_access")?.into(),
                exclude_tmpdir_env_var: boolean(object, "exclude_tmpdir_env_var")?,
                exclude_slash_tmp: boolean(object, "exclude_slash_tmp")?,
            }),
        })
    }

    /// Writes the JSON form, for `doctor` and for results.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            SandboxPolicy::ReadOnly { network } => {
                serde_json::json!({"type": self.mode().name(), "network_access": network.is_enabled()})
            }
            SandboxPolicy::WorkspaceWrite(workspace) => serde_json::json!({
                "type": self.mode().name(),
                "writable_roots": workspace.writable_roots.iter().map(|root| root.to_string_lossy()).collect::<Vec<_>>(),
                "network_access": workspace.network.is_enabled(),
                "exclude_tmpdir_env_var": workspace.exclude_tmpdir_env_var,
                "exclude_slash_tmp": workspace.exclude_slash_tmp,
            }),
            SandboxPolicy::DangerFullAccess => serde_json::json!({"type": self.mode().name()}),
            SandboxPolicy::ExternalSandbox { network } => {
                serde_json::json!({"type": self.mode().name(), "network_access": network.name()})
            }
        }
    }
}

/// Returns the value as an object, or an error that names it.
pub(super) fn object<'a>(value: &'a Value, field: &str) -> Result<&'a Map<String, Value>, PolicyError> {
    value.as_object().ok_or_else(|| wrong_kind(field, "an object"))
}

/// Returns a text field; `None` when absent or null.
pub(super) fn text<'a>(object: &'a Map<String, Value>, field: &str) -> Result<Option<&'a str>, PolicyError> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| wrong_kind(field, "a string")),
    }
}

/// Reads `"restricted"` or `"enabled"`; absent and null mean restricted, a boolean is refused.
pub(super) fn network_word(value: Option<&Value>, field: &'static str) -> Result<Network, PolicyError> {
    const EXPECTED: &str = "`restricted` or `enabled`";
    match value {
        None | Some(Value::Null) => Ok(Network::Restricted),
        Some(value) => match value.as_str() {
            Some("restricted") => Ok(Network::Restricted),
            Some("enabled") => Ok(Network::Enabled),
            Some(other) => {
                Err(PolicyError::Word { field, found: beginning(other, LONGEST_WORD), expected: EXPECTED })
            }
            None => Err(wrong_kind(field, EXPECTED)),
        },
    }
}

pub(super) fn wrong_kind(field: &str, expected: &'static str) -> PolicyError {
    PolicyError::Kind { field: field.to_owned(), expected }
}

fn boolean(object: &Map<String, Value>, field: &str) -> Result<bool, PolicyError> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| wrong_kind(field, "true or false")),
    }
}

fn paths(object: &Map<String, Value>, field: &'static str) -> Result<Vec<PathBuf>, PolicyError> {
    let list = match object.get(field) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(value) => value.as_array().ok_or_else(|| wrong_kind(field, "a list of absolute paths"))?,
    };
    if list.len() > MAX_ROOTS {
        return Err(PolicyError::TooMany { field, limit: MAX_ROOTS });
    }
    list.iter()
        .map(|item| {
            let text = item.as_str().ok_or_else(|| wrong_kind(field, "a list of absolute paths"))?;
            absolute_path(text).map_err(|source| PolicyError::Path { field, source })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<SandboxPolicy, PolicyError> {
        SandboxPolicy::from_json(&value)
    }

    #[test]
    fn the_four_forms_are_read_and_unknown_fields_ignored() {
        assert_eq!(read(json!({"type":"danger-full-access","x":1})), Ok(SandboxPolicy::DangerFullAccess));
        assert_eq!(
            read(json!({"type":"read-only","access":{"type":"full"},"network_access":null})),
            Ok(SandboxPolicy::of_mode(Mode::ReadOnly))
        );
        assert_eq!(
            read(json!({"type":"external-sandbox","network_access":"enabled"})),
            Ok(SandboxPolicy::ExternalSandbox { network: Network::Enabled })
        );
        let full = json!({"type":"workspace-write","writable_roots":["/a","file:///b%20c"],"network_access":true,
            "exclude_tmpdir_env_var":true,"exclude_slash_tmp":true,"read_access":"later"});
        assert_eq!(
            read(full),
            Ok(SandboxPolicy::WorkspaceWrite(WorkspaceWrite {
                writable_roots: vec!["/a".into(), "/b c".into()],
                network: Network::Enabled,
                exclude_tmpdir_env_var: true,
                exclude_slash_tmp: true,
            }))
        );
    }

    #[test]
    fn missing_fields_default_to_the_strict_side() {
        assert_eq!(read(json!({"type":"workspace-write"})), Ok(SandboxPolicy::of_mode(Mode::WorkspaceWrite)));
        assert_eq!(
            read(json!({"type":"external-sandbox"})),
            Ok(SandboxPolicy::of_mode(Mode::ExternalSandbox))
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (value, expected) in [
            (
                json!({"type":"workspace-write","writable_roots":["rel"]}),
                "`writable_roots`: `rel` is a relative",
            ),
            (json!({"type":"workspace-write","writable_roots":"/a"}), "`writable_roots` must be a list"),
            (
                json!({"type":"workspace-write","network_access":"yes"}),
                "`network_access` must be true or false",
            ),
            (
                json!({"type":"external-sandbox","network_access":true}),
                "`network_access` must be `restricted`",
            ),
            (json!({"type":"external-sandbox","network_access":"some"}), "`network_access` is `some`"),
            (json!({"type":"full"}), "unknown sandbox mode `full`"),
            (json!({}), "has no `type`"),
            (json!("read-only"), "must be an object"),
        ] {
            let error = read(value.clone()).unwrap_err().to_string();
            assert!(error.contains(expected), "{value}: {error}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for mode in Mode::ALL {
            let policy = SandboxPolicy::of_mode(mode);
            assert_eq!(read(policy.to_json()), Ok(policy));
        }
    }
}
