//! What a caller asks for beyond what commands may do, in the words of Codex's tool: `sandbox_permissions`,
//! `additional_permissions`, `justification`. Nothing is given by it: it raises a question.

use rmcp::model::JsonObject;
use serde_json::{Map, Value, json};
use shell_engine::AskedFor;

use super::arguments::{ArgumentError, Arguments, wrong};

/// The names of these arguments.
pub(super) const NAMES: [&str; 3] = ["sandbox_permissions", "additional_permissions", "justification"];

/// The words of `sandbox_permissions`.
const WORDS: [&str; 3] = ["use_default", "with_additional_permissions", "require_escalated"];

/// Places and hosts of one list; nobody reads more in a question.
const MOST: usize = 32;

/// Describes the arguments, in few words: every request to a model carries them.
pub(super) fn properties() -> Map<String, Value> {
    let forms = "{network: {enabled, hosts}, file_system: {read, write}}";
    let properties = json!({
        "sandbox_permissions": {"type": "string", "enum": WORDS},
        "additional_permissions": {"type": "object", "description": forms},
        "justification": {"type": "string"}
    });
    match properties {
        Value::Object(properties) => properties,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// Reads what is asked for; `None`: nothing.
pub(super) fn read(given: Option<&JsonObject>) -> Result<Option<AskedFor>, ArgumentError> {
    let arguments = Arguments::new(given);
    let word = arguments.text("sandbox_permissions", "with_additional_permissions")?.unwrap_or("use_default");
    if !WORDS.contains(&word) {
        let expected = format!("one of {}", WORDS.join(", "));
        let example = json!({"sandbox_permissions": "with_additional_permissions"});
        return Err(wrong("sandbox_permissions", expected, &json!(word), &example));
    }
    let mut asked = AskedFor::default();
    asked.justification = arguments.text("justification", "the tests fetch a fixture")?.map(str::to_owned);
    asked.outside = word == "require_escalated";
    if let Some(permissions) = given.and_then(|given| given.get("additional_permissions")) {
        permissions_into(permissions, &mut asked).map_err(|expected| {
            let example = json!({"additional_permissions": {"network": {"enabled": true, "hosts": ["packages.example.org"]}, "file_system": {"write": ["~/.npm"]}}});
            wrong("additional_permissions", expected, permissions, &example)
        })?;
    }
    let asks = asked.asks_for_something();
    if word == WORDS[1] && !asks {
        let expected = "given with this sandbox_permissions: what the command needs beyond the sandbox";
        let permissions =
            given.and_then(|given| given.get("additional_permissions")).cloned().unwrap_or_default();
        let example = json!({"additional_permissions": {"network": {"hosts": ["packages.example.org"]}}});
        return Err(wrong("additional_permissions", expected, &permissions, &example));
    }
    Ok(asks.then_some(asked))
}

fn permissions_into(permissions: &Value, asked: &mut AskedFor) -> Result<(), String> {
    let object = |value: &Value, what: &str, known: &[&str]| -> Result<Map<String, Value>, String> {
        let object = match value {
            Value::Null => Map::new(),
            Value::Object(object) => object.clone(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(format!("an object ({what})"));
            }
        };
        match object.keys().find(|key| !known.contains(&key.as_str())) {
            Some(_) => Err(format!("an object ({what}) with no other members than {}", known.join(", "))),
            None => Ok(object),
        }
    };
    let member = |object: &Map<String, Value>, name: &str| object.get(name).cloned().unwrap_or_default();
    let all = object(permissions, "permissions", &["network", "file_system"])?;
    let network = object(&member(&all, "network"), "network", &["enabled", "hosts"])?;
    let files = object(&member(&all, "file_system"), "file_system", &["read", "write"])?;
    let enabled = match member(&network, "enabled") {
        Value::Null => None,
        Value::Bool(enabled) => Some(enabled),
        Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            return Err("an object whose network.enabled is true or false".to_owned());
        }
    };
    let hosts = strings(&member(&network, "hosts"), "network.hosts")?;
    if enabled != Some(false) {
        let everywhere = hosts.is_empty() && enabled == Some(true);
        asked
            .hosts(hosts, everywhere)
            .map_err(|what| format!("an object whose network.hosts are hosts ({what})"))?;
    }
    let (read, write) = (member(&files, "read"), member(&files, "write"));
    let (read, write) = (strings(&read, "file_system.read")?, strings(&write, "file_system.write")?);
    asked.places(read, write).map_err(|what| format!("an object whose file_system has paths ({what})"))
}

fn strings(value: &Value, what: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("an object whose {what} is a list of at most {MOST} strings");
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(values) if values.len() <= MOST => {
            values.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            Err(wrong())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &Value) -> Result<Option<String>, String> {
        let read = read(value.as_object()).map_err(|error| error.to_string())?;
        Ok(read.map(|asked| asked.rights().in_words()))
    }

    #[test]
    fn what_is_asked_for_is_read_as_codex_writes_it() {
        for (given, expected) in [
            (json!({}), None),
            (json!({"justification": "x"}), None),
            (json!({"sandbox_permissions": "use_default", "additional_permissions": {}}), None),
            (json!({"additional_permissions": {"network": {"enabled": false}}}), None),
            (
                json!({"additional_permissions": {"network": {"enabled": true}}}),
                Some("inside the sandbox, with the network to every host"),
            ),
            (
                json!({"additional_permissions": {"network": {"hosts": ["a.test:443"]}, "file_system": {"read": ["/srv/a"], "write": ["~/.npm"]}}}),
                Some(
                    "inside the sandbox, with the network to a.test:443, reading /srv/a, and writing ~/.npm",
                ),
            ),
        ] {
            assert_eq!(asked(&given), Ok(expected.map(str::to_owned)), "{given}");
        }
        let outside = asked(&json!({"sandbox_permissions": "require_escalated"})).unwrap().unwrap();
        assert!(outside.starts_with("outside the sandbox"), "{outside}");
    }

    #[test]
    fn mistakes_are_named_with_an_example() {
        for (given, expected) in [
            (json!({"sandbox_permissions": "all"}), "sandbox_permissions must be one of use_default"),
            (json!({"additional_permissions": 1}), "additional_permissions must be an object"),
            (json!({"additional_permissions": {"net": {}}}), "no other members than network, file_system"),
            (
                json!({"additional_permissions": {"network": {"enabled": 1}}}),
                "network.enabled is true or false",
            ),
            (
                json!({"additional_permissions": {"network": {"hosts": ["https://x"]}}}),
                "`https://x` is no host",
            ),
            (json!({"additional_permissions": {"file_system": {"write": ["x"]}}}), "`x` is no absolute path"),
            (json!({"additional_permissions": {"file_system": {"write": ["/"]}}}), "gives all that is there"),
            (json!({"additional_permissions": {"file_system": {"read": "x"}}}), "list of at most 32 strings"),
            (json!({"justification": 1}), "justification must be a string"),
        ] {
            let error = asked(&given).unwrap_err();
            assert!(error.contains(expected) && error.contains("example: "), "{given}: {error}");
        }
    }
}
