//! The `shell` tool as clients see it: its description, its arguments, and what each argument's mistakes are called.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use super::result::ShellResult;
use crate::shell::{CallRequest, RequestError};

/// The tool's name.
pub(super) const NAME: &str = "shell";

/// Describes the tool.
pub(super) fn describe() -> Tool {
    let description = "Runs a shell command (Bash) and returns its output and exit code. \
        You MUST provide `workdir`, an absolute path.";
    Tool::new(NAME, description, input_schema())
        .with_title("Shell")
        .with_raw_output_schema(output_schema())
        .with_annotations(
            ToolAnnotations::with_title("Shell")
                .read_only(false)
                .destructive(true)
                .idempotent(false)
                .open_world(true),
        )
}

fn input_schema() -> Arc<JsonObject> {
    object(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ExecParams",
        "type": "object",
        "properties": {
            "command": {
                "type": "string",
                "description": "The bash string to execute."
            },
            "workdir": {
                "type": "string",
                "description": "The working directory to execute the command in. Must be an absolute path."
            },
            "timeout_ms": {
                "type": "integer",
                "minimum": 0,
                "description": "The timeout for the command in milliseconds. Defaults to 10000. Time that a person spends on approving does not count."
            },
            "login": {
                "type": "boolean",
                "description": "Launch Bash with -lc instead of -c: defaults to true."
            }
        },
        "required": ["command", "workdir"]
    }))
}

fn output_schema() -> Arc<JsonObject> {
    let mut schema = schemars::schema_for!(ShellResult).to_value();
    without_formats(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.insert("type".into(), "object".into());
    }
    object(schema)
}

/// Removes `"format": "uint64"` and the like, which are no formats of JSON Schema: clients warn of them.
fn without_formats(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.remove("format");
            object.values_mut().for_each(without_formats);
        }
        Value::Array(values) => values.iter_mut().for_each(without_formats),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn object(value: Value) -> Arc<JsonObject> {
    match value {
        Value::Object(object) => Arc::new(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Arc::default()
        }
    }
}

/// Why a call's arguments cannot be used; the texts are for the agent.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArgumentError {
    #[error("{name} is missing; example: {example}")]
    Missing { name: &'static str, example: Value },
    #[error("{name} must be {expected}, got {got}; example: {example}")]
    Type { name: &'static str, expected: &'static str, got: String, example: Value },
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Reads the arguments. Unknown ones are passed over, and `null` means absent, as the peer has it.
pub(super) fn read(
    arguments: Option<&JsonObject>,
    default_timeout: Duration,
) -> Result<CallRequest, ArgumentError> {
    let get =
        |name: &str| arguments.and_then(|arguments| arguments.get(name)).filter(|value| !value.is_null());
    let string = |name, example: Value| match get(name) {
        None => Err(ArgumentError::Missing { name, example }),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(wrong(name, "a string", other, example)),
    };
    let command = string("command", json!({"command": "ls -l", "workdir": "/home/user/project"}))?;
    let workdir = string("workdir", json!({"command": "ls -l", "workdir": "/home/user/project"}))?;
    let timeout = match get("timeout_ms") {
        None => default_timeout,
        Some(value) => Duration::from_millis(value.as_u64().ok_or_else(|| {
            wrong(
                "timeout_ms",
                "a whole number of milliseconds, 0 or more",
                value,
                json!({"timeout_ms": 60000}),
            )
        })?),
    };
    let login = match get("login") {
        None => true,
        Some(value) => {
            value.as_bool().ok_or_else(|| wrong("login", "true or false", value, json!({"login": false})))?
        }
    };
    Ok(CallRequest::new(command, PathBuf::from(workdir), timeout, login)?)
}

fn wrong(name: &'static str, expected: &'static str, got: &Value, example: Value) -> ArgumentError {
    let mut shown = got.to_string();
    if shown.len() > 80 {
        shown = format!("{}…", shown.chars().take(79).collect::<String>());
    }
    ArgumentError::Type { name, expected, got: shown, example }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn problem(arguments: Value) -> String {
        read(arguments.as_object(), TIMEOUT).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn the_peers_calls_are_understood() {
        for arguments in [
            json!({"command": "true", "workdir": "/"}),
            json!({"command": "true", "workdir": "/", "timeout_ms": null, "login": null, "unknown": 1}),
            json!({"command": "true", "workdir": "/", "timeout_ms": 0, "login": false}),
        ] {
            assert!(read(arguments.as_object(), TIMEOUT).is_ok(), "{arguments}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_argument_value_and_example() {
        assert!(
            problem(json!({"workdir": "/"}))
                .starts_with("command is missing; example: {\"command\":\"ls -l\"")
        );
        assert!(
            problem(json!({"command": ["ls"], "workdir": "/"}))
                .starts_with("command must be a string, got [\"ls\"]")
        );
        assert!(problem(json!({"command": "true"})).starts_with("workdir is missing"));
        for timeout in [json!(-1), json!(1.5), json!("5")] {
            let text = problem(json!({"command": "true", "workdir": "/", "timeout_ms": timeout}));
            assert!(text.starts_with("timeout_ms must be a whole number of milliseconds"), "{text}");
        }
        assert!(
            problem(json!({"command": "true", "workdir": "/", "login": "yes"}))
                .starts_with("login must be true or false")
        );
    }

    #[test]
    fn the_output_schema_describes_what_is_returned() {
        let tool = describe();
        let schema = Value::Object((*tool.output_schema.expect("has one")).clone());
        let required = schema["required"].as_array().expect("a list");
        for field in ["exit_code", "output", "duration", "timed_out"] {
            assert!(required.contains(&json!(field)), "{field} is missing in {schema}");
        }
    }
}
