//! The suite's tools that are commands of our `shell` tool, so that what the suite sees is what our server makes of them.

use rmcp::model::{CallToolRequestParams, JsonObject, Tool};
use serde_json::{Value, json};

/// What a person is asked about. The suite's person answers at once, and does not know our form; that means *once*.
pub(crate) const RULES: &str = r#"
prefix_rule(pattern = ["uname"], decision = "prompt", justification = "the suite is to be asked")
prefix_rule(pattern = ["id"], decision = "prompt", justification = "the suite is to be asked, too")
"#;

/// One of the suite's tools.
struct Command {
    name: &'static str,
    /// What the suite checks with it.
    about: &'static str,
    /// `None`: a call without a command.
    line: Option<&'static str>,
}

/// Clients are told of new output four times a second, and the suite wants to be told three times.
const SLOW: &str = "for step in 1 2 3 4 5; do echo \"step $step\"; sleep 0.4; done";

const COMMANDS: &[Command] = &[
    Command {
        name: "test_simple_text",
        about: "Returns text.",
        line: Some("echo This is a simple text response for testing."),
    },
    Command { name: "test_error_handling", about: "Fails, for lack of a command.", line: None },
    Command { name: "test_tool_with_progress", about: "Reports progress.", line: Some(SLOW) },
    Command {
        name: "test_tool_with_logging",
        about: "Sends messages to clients that asked for them.",
        line: Some(SLOW),
    },
    Command {
        name: "test_logging_tool",
        about: "Sends no messages to clients that did not ask for them.",
        line: Some("echo done"),
    },
    Command { name: "test_elicitation", about: "Asks for approval by a request.", line: Some("uname") },
    Command {
        name: "test_streaming_elicitation",
        about: "Asks for approval, without a request where there are none.",
        line: Some("uname"),
    },
    Command {
        name: "test_input_required_result_request_state",
        about: "Asks for approval by a result.",
        line: Some("uname && echo state-ok"),
    },
    Command {
        name: "test_input_required_result_tampered_state",
        about: "Refuses states that were tampered with.",
        line: Some("uname"),
    },
    Command {
        name: "test_input_required_result_multi_round",
        about: "Asks for approval twice.",
        line: Some("uname && id -u"),
    },
];

/// The tools, as they are listed.
pub(crate) fn describe() -> impl Iterator<Item = Tool> {
    COMMANDS.iter().map(|command| Tool::new(command.name, command.about, no_arguments()))
}

/// The schema of tools whose arguments do not matter.
pub(crate) fn no_arguments() -> JsonObject {
    JsonObject::from_iter([("type".to_owned(), Value::from("object"))])
}

/// The call of `shell` that a call of one of the suite's tools stands for.
pub(crate) fn translate(mut request: CallToolRequestParams) -> CallToolRequestParams {
    let Some(command) = COMMANDS.iter().find(|command| command.name == request.name) else {
        return request;
    };
    request.name = "shell".into();
    request.arguments = match command.line {
        Some(line) => json!({"command": line, "workdir": "/"}).as_object().cloned(),
        None => None,
    };
    request
}
