//! The suite's tools that are commands of our `shell` tool, so that what the suite sees is what our server makes of
//! them.
//!
//! Which command stands for which tool is written in `tests/conformance/commands.json`, for the bridge to the shipped
//! program goes by it, too.

use std::collections::BTreeMap;

use rmcp::model::{CallToolRequestParams, JsonObject, Tool};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a person is asked about.
pub(crate) const RULES: &str = include_str!("../../../tests/conformance/commands.rules");

/// The suite's tools by their names.
#[derive(Deserialize)]
pub(crate) struct Commands(BTreeMap<String, Command>);

#[derive(Deserialize)]
struct Command {
    /// What the suite checks with it.
    about: String,
    /// `None`: a call without a command.
    command: Option<String>,
}

impl Commands {
    pub(crate) fn load() -> serde_json::Result<Commands> {
        serde_json::from_str(include_str!("../../../tests/conformance/commands.json"))
    }

    /// The tools, as they are listed.
    pub(crate) fn describe(&self) -> impl Iterator<Item = Tool> {
        self.0.iter().map(|(name, command)| Tool::new(name.clone(), command.about.clone(), no_arguments()))
    }

    /// The call of `shell` that a call of one of the suite's tools stands for; any other call as it is.
    pub(crate) fn translate(&self, mut request: CallToolRequestParams) -> CallToolRequestParams {
        if let Some(Command { command, .. }) = self.0.get(&*request.name) {
            request.name = "shell".into();
            request.arguments = command
                .as_ref()
                .and_then(|line| json!({"command": line, "workdir": "/"}).as_object().cloned());
        }
        request
    }
}

/// The schema of tools whose arguments do not matter.
pub(crate) fn no_arguments() -> JsonObject {
    JsonObject::from_iter([("type".to_owned(), Value::from("object"))])
}
