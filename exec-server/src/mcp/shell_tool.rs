//! The `shell` tool as clients see it: its description, its arguments, and what each argument's mistakes are called.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{JsonObject, MetaObject, Tool, ToolAnnotations};
use serde_json::json;

use super::arguments::{ArgumentError, Arguments};
use super::encoding::with_output_schema;
use super::permissions;
use super::result::{ResultContext, ShellResult};
use super::schema::object;
use super::workdir::WorkdirBase;
use shell_engine::config::{DEFAULT_TOKENS, Limits, MAX_TOKENS, ResultFormat};
use shell_engine::output::Presentation;
use shell_engine::shell::CallRequest;

/// The tool's name.
pub(super) const NAME: &str = "shell";

/// Describes the tool.
pub(super) fn describe(limits: &Limits, format: ResultFormat) -> Tool {
    let description = "Runs a Bash command and returns its output and exit code. Of a long output the beginning and the end \
        are returned; `read_output` reads the rest. Processes that the command leaves in the background live on \
        (`background_list`).";
    let tool = Tool::new(NAME, description, input_schema(limits))
        .with_title("Shell")
        .with_annotations(
            ToolAnnotations::with_title("Shell")
                .read_only(false)
                .destructive(true)
                .idempotent(false)
                .open_world(true),
        )
        .with_meta(MetaObject(JsonObject::from_iter([(ALWAYS_LOAD.to_owned(), true.into())])));
    with_output_schema::<ShellResult>(tool, format)
}

/// Claude Code shows a model the names only of tools without it, until the model searches for them.
const ALWAYS_LOAD: &str = "anthropic/alwaysLoad";

fn input_schema(limits: &Limits) -> Arc<JsonObject> {
    let timeout = format!(
        "Milliseconds after which the command is ended: give more for builds and tests. Defaults to {}. Time in which a person is asked does not count.",
        limits.default_timeout.as_millis()
    );
    let tokens = format!("About how many tokens of output to return. Defaults to {}.", limits.output_tokens);
    let mut schema = json!({
        "type": "object",
        "properties": {
            "command": {
                "type": "string",
                "description": "The Bash code to run."
            },
            "workdir": {
                "type": "string",
                "description": "The folder to run it in; absolute, relative to the workspace, or beginning with ~. Defaults to the workspace."
            },
            "timeout_ms": {
                "type": "integer",
                "minimum": 0,
                "description": timeout
            },
            "login": {
                "type": "boolean",
                "description": "Run it in a login shell. Defaults to true."
            },
            "max_output_tokens": {
                "type": "integer",
                "minimum": 0,
                "maximum": MAX_TOKENS,
                "description": tokens
            },
            "strip_ansi": {
                "type": "boolean",
                "description": "Remove escape sequences and overwritten progress bars. Defaults to true."
            }
        },
        "required": ["command"]
    });
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.extend(permissions::properties());
    }
    object(schema)
}

/// The names of all arguments.
const KNOWN: &[&str] = &["command", "workdir", "timeout_ms", "login", "max_output_tokens", "strip_ansi"];

/// A call as it is wanted.
pub(super) struct ShellArguments {
    /// What is to be run.
    pub(super) request: CallRequest,
    /// How its result is to be shown.
    pub(super) shown: ResultContext,
}

/// Reads the arguments. Unknown ones are passed over and named in a note.
pub(super) fn read(
    given: Option<&JsonObject>,
    limits: &Limits,
    base: &WorkdirBase,
) -> Result<ShellArguments, ArgumentError> {
    let arguments = Arguments::new(given);
    let command = arguments.required("command", &json!({"command": "ls -l"}))?;
    let known = [KNOWN, &permissions::NAMES].concat();
    let mut notes: Vec<String> = arguments.unknown(&known).into_iter().collect();
    let workdir = base.workdir(arguments.text("workdir", "/home/user/project")?);
    notes.extend(workdir.note);
    let most = limits.max_timeout.unwrap_or(Duration::MAX);
    let timeout = match arguments.number("timeout_ms", "milliseconds", u64::MAX, 60_000)? {
        None => limits.default_timeout.min(most),
        Some(milliseconds) if Duration::from_millis(milliseconds) > most => {
            let text =
                format!("the timeout was lowered to {} ms, the most that the user allows", most.as_millis());
            notes.push(text);
            most
        }
        Some(milliseconds) => Duration::from_millis(milliseconds),
    };
    let login = arguments.flag("login")?.unwrap_or(true);
    let tokens = arguments.number("max_output_tokens", "tokens", MAX_TOKENS, DEFAULT_TOKENS)?;
    let presentation = Presentation::of_tokens(
        tokens.unwrap_or(limits.output_tokens),
        arguments.flag("strip_ansi")?.unwrap_or(true),
    );
    let request = CallRequest::new(command, workdir.folder, timeout, login)?;
    let request = request.asking_for(permissions::read(given)?);
    Ok(ShellArguments { request, shown: ResultContext { presentation, timeout, notes, session: None } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::workdir::ToldWorkdir;
    use serde_json::Value;

    fn understood(arguments: &Value) -> Result<ShellArguments, ArgumentError> {
        let limits = Limits { max_timeout: Some(Duration::from_secs(60)), ..Limits::default() };
        read(arguments.as_object(), &limits, &WorkdirBase::new("/".into(), None, ToldWorkdir::default()))
    }

    fn problem(arguments: Value) -> String {
        understood(&arguments).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn the_peers_calls_are_understood() {
        for arguments in [
            json!({"command": "true", "workdir": "/"}),
            json!({"command": "true"}),
            json!({"command": "true", "workdir": null}),
            json!({"command": "true", "workdir": "/", "timeout_ms": null, "login": null, "unknown": 1}),
            json!({"command": "true", "workdir": "/", "timeout_ms": 0, "login": false}),
        ] {
            assert!(understood(&arguments).is_ok(), "{arguments}");
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
        assert!(
            problem(json!({"command": "true", "workdir": 1})).starts_with("workdir must be a string, got 1")
        );
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
    fn what_was_changed_or_ignored_is_noted() {
        let call = |more: Value| {
            let mut arguments = json!({"command": "true", "workdir": "/"});
            arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            understood(&arguments).unwrap().shown
        };
        assert_eq!(call(json!({"timeout_ms": 60_000})).notes, [""; 0]);
        let [note] = &call(json!({"timeout_ms": 60_001})).notes[..] else { panic!("one note") };
        assert!(note.contains("60000 ms"), "{note}");
        let [note] = &call(json!({"cwd": "/"})).notes[..] else { panic!("one note") };
        assert!(note.contains("cwd") && note.contains("workdir"), "{note}");
        let presentation = call(json!({"max_output_tokens": 5, "strip_ansi": false})).presentation;
        assert_eq!(presentation, Presentation { max_bytes: 20, strip_ansi: false });
        assert!(
            problem(json!({"command": "true", "workdir": "/", "max_output_tokens": -1}))
                .starts_with("max_output_tokens must be a whole number of tokens, from 0 to")
        );
    }

    #[test]
    fn the_output_schema_describes_what_is_returned() {
        let tool = describe(&Limits::default(), ResultFormat::Json);
        let schema = Value::Object((*tool.output_schema.expect("has one")).clone());
        assert!(!schema.to_string().contains("Codex"), "words of the source: {schema}");
        let required = schema["required"].as_array().expect("a list");
        for field in ["exit_code", "output", "duration", "timed_out"] {
            assert!(required.contains(&json!(field)), "{field} is missing in {schema}");
        }
        for field in ["notes", "decisions", "denials", "invalid_bytes"] {
            assert!(!required.contains(&json!(field)), "{field} is left out when there is nothing to say");
        }
    }
}
