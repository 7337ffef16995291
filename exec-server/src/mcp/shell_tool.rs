//! The `shell` tool as clients see it: its description, its arguments, and what each argument's mistakes are called.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{JsonObject, MetaObject, Tool, ToolAnnotations};
use serde_json::json;

use super::arguments::{ArgumentError, Arguments};
use super::encoding::with_output_schema;
use super::permissions;
use super::publish;
use super::result::{ResultContext, ShellResult};
use super::schema::object;
use super::session_argument;
use super::waits;
use super::workdir::WorkdirBase;
use shell_engine::config::{DEFAULT_TOKENS, Limits, MAX_TOKENS, ResultFormat};
use shell_engine::output::Presentation;
use shell_engine::shell::{CallRequest, Input, Session, Sessions};

/// The tool's name.
pub(super) const NAME: &str = "shell";

/// Describes the tool.
pub(super) fn describe(limits: &Limits, format: ResultFormat) -> Tool {
    let description = "Runs a Bash command. Of a long output the beginning and the end are returned; `read_output` reads the rest. \
        Background processes live on (`background_list`).";
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
        "Milliseconds after which it is ended: give more for builds and tests. Defaults to {}.",
        limits.default_timeout.as_millis()
    );
    let tokens = format!("Tokens of output. Defaults to {}.", limits.output_tokens);
    let mut schema = json!({
        "type": "object",
        "properties": {
            "command": {
                "type": "string",
                "description": "The Bash code to run."
            },
            "workdir": {
                "type": "string",
                "description": "Where to run it. Defaults to the workspace."
            },
            "timeout_ms": {
                "type": "integer",
                "minimum": 0,
                "description": timeout
            },
            "yield_time_ms": {
                "type": "integer",
                "description": "Return after so long (250 to 30000); it goes on, with a session_id."
            },
            "keep": {
                "type": "boolean",
                "description": "Keep the shell for commands with session_id."
            },
            "session_id": {"type": "integer", "description": "Run it in this kept shell."},
            "login": {
                "type": "boolean",
                "description": "As a login shell. Defaults to true."
            },
            "max_output_tokens": {
                "type": "integer",
                "minimum": 0,
                "maximum": MAX_TOKENS,
                "description": tokens
            },
            "strip_ansi": {
                "type": "boolean",
                "description": "Defaults to true."
            }
        },
        "required": ["command"]
    });
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.extend(permissions::properties());
        properties.extend([publish::property(Some("Ports"))]);
    }
    object(schema)
}

/// The names of all arguments.
const KNOWN: &[&str] = &[
    "command",
    "workdir",
    "timeout_ms",
    waits::YIELD,
    "keep",
    "session_id",
    "login",
    "max_output_tokens",
    "strip_ansi",
];

/// A call as it is wanted.
pub(super) struct ShellArguments {
    /// What is to be run.
    pub(super) request: CallRequest,
    /// How its result is to be shown.
    pub(super) shown: ResultContext,
    /// The request returns after so long, and the command goes on.
    pub(super) wait: Option<Duration>,
    /// The first command of a shell that is kept.
    pub(super) first: Option<String>,
}

/// A command for a kept shell.
pub(super) struct KeptArguments {
    pub(super) session: Arc<Session>,
    pub(super) command: String,
    pub(super) shown: ResultContext,
    pub(super) wait: Option<Duration>,
}

/// Reads the arguments of a call that names a session; `None`: it names none.
pub(super) fn read_kept(
    given: Option<&JsonObject>,
    limits: &Limits,
    sessions: &Sessions,
) -> Result<Option<KeptArguments>, ArgumentError> {
    let arguments = Arguments::new(given);
    let Some(session) = session_argument::if_given(arguments, sessions)? else { return Ok(None) };
    let command = arguments.required("command", &json!({"command": "ls -l"}))?.to_owned();
    let mut notes: Vec<String> = arguments.unknown(KNOWN).into_iter().collect();
    if arguments.text("workdir", "/tmp")?.is_some() {
        notes.push("a kept shell stays in its folder: use cd; workdir changed nothing".to_owned());
    }
    let wait = waits::read(arguments, &waits::SHORT, &mut notes)?;
    let (timeout, _) = timeout(arguments, limits, &mut notes)?;
    let presentation = presentation(arguments, limits)?;
    let shown = ResultContext { presentation, timeout, notes, session: None, screen: false, record: false };
    Ok(Some(KeptArguments { session, command, shown, wait }))
}

/// The timeout, and whether one was asked for or is the most there is.
fn timeout(
    arguments: Arguments<'_>,
    limits: &Limits,
    notes: &mut Vec<String>,
) -> Result<(Duration, bool), ArgumentError> {
    let most = limits.max_timeout.unwrap_or(Duration::MAX);
    let timeout = arguments.number("timeout_ms", "milliseconds", u64::MAX, 60_000)?;
    let has_timeout = timeout.is_some() || limits.max_timeout.is_some();
    let timeout = match timeout {
        None => limits.default_timeout.min(most),
        Some(milliseconds) if Duration::from_millis(milliseconds) > most => {
            let text =
                format!("the timeout was lowered to {} ms, the most that the user allows", most.as_millis());
            notes.push(text);
            most
        }
        Some(milliseconds) => Duration::from_millis(milliseconds),
    };
    Ok((timeout, has_timeout))
}

fn presentation(arguments: Arguments<'_>, limits: &Limits) -> Result<Presentation, ArgumentError> {
    let tokens = arguments.number("max_output_tokens", "tokens", MAX_TOKENS, DEFAULT_TOKENS)?;
    Ok(Presentation::of_tokens(
        tokens.unwrap_or(limits.output_tokens),
        arguments.flag("strip_ansi")?.unwrap_or(true),
    ))
}

/// Reads the arguments. Unknown ones are passed over and named in a note.
pub(super) fn read(
    given: Option<&JsonObject>,
    limits: &Limits,
    base: &WorkdirBase,
) -> Result<ShellArguments, ArgumentError> {
    let arguments = Arguments::new(given);
    let command = arguments.required("command", &json!({"command": "ls -l"}))?;
    let known = [KNOWN, &permissions::NAMES, &[publish::NAME]].concat();
    let mut notes: Vec<String> = arguments.unknown(&known).into_iter().collect();
    let workdir = base.workdir(arguments.text("workdir", "/home/user/project")?);
    notes.extend(workdir.note);
    // One that goes on is ended when somebody says so.
    let (timeout, has_timeout) = timeout(arguments, limits, &mut notes)?;
    let login = arguments.flag("login")?.unwrap_or(true);
    let presentation = presentation(arguments, limits)?;
    let wait = waits::read(arguments, &waits::SHORT, &mut notes)?;
    let request = CallRequest::new(command, workdir.folder, timeout, login)?;
    let request = request.asking_for(permissions::read(given)?).publishing(publish::read(given)?);
    let request = if wait.is_some() && !has_timeout { request.without_timeout() } else { request };
    if arguments.flag("keep")?.unwrap_or(false) {
        let first = Some(command.to_owned());
        let request = request.without_timeout().with_input(Input::Commands);
        let shown =
            ResultContext { presentation, timeout, notes, session: None, screen: false, record: false };
        return Ok(ShellArguments { request, shown, wait: Some(wait.unwrap_or(Duration::MAX)), first });
    }
    Ok(ShellArguments {
        first: None,
        request,
        shown: ResultContext { presentation, timeout, notes, session: None, screen: false, record: false },
        wait,
    })
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
        for field in ["output", "duration", "timed_out"] {
            assert!(required.contains(&json!(field)), "{field} is missing in {schema}");
        }
        for field in ["exit_code", "notes", "decisions", "denials", "invalid_bytes"] {
            assert!(!required.contains(&json!(field)), "{field} is left out when there is nothing to say");
        }
    }
}
