//! Which tools a client is offered, and under which names: a model works best with those that it was trained on. No others are
//! answered.

use std::str::FromStr;

use rmcp::model::{CallToolRequestParams, JsonObject, Tool};
use serde_json::{Value, json};

use super::schema::object;
use super::{apply_patch, background, exec_tool, read_output, shell_tool, tools};
use shell_engine::config::{Limits, ResultFormat};
use shell_engine::output::Presentation;
use shell_engine::shell::Sessions;

/// Which tools a client is offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The names that it has for them.
    pub preset: Preset,
    /// Only these; `None`: all of the preset.
    pub names: Option<Vec<String>>,
}

/// Whose names and schemas tools have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// All tools of this server.
    #[default]
    All,
    /// `shell`, and what reads and ends what goes on.
    Plain,
    /// Those of Codex.
    Codex,
    /// Those of Claude Code.
    Claude,
}

/// A word that names no preset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no preset; these are: all, plain, codex, claude")]
pub struct UnknownPreset(String);

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(word: &str) -> Result<Preset, UnknownPreset> {
        match word {
            "all" => Ok(Preset::All),
            "plain" => Ok(Preset::Plain),
            "codex" => Ok(Preset::Codex),
            "claude" => Ok(Preset::Claude),
            _ => Err(UnknownPreset(word.to_owned())),
        }
    }
}

/// Claude Code's names.
const BASH: &str = "Bash";
const BASH_OUTPUT: &str = "BashOutput";
const KILL_SHELL: &str = "KillShell";

/// What Claude Code gives a command when its model says nothing, and the most, in milliseconds.
const CLAUDES_TIMEOUT: u64 = 120_000;
const CLAUDES_MOST: u64 = 600_000;

/// How long a command is watched that is to run in the background, in milliseconds.
const BACKGROUND_WAIT: u64 = 250;

impl Offer {
    /// Describes them.
    pub(super) fn tools(&self, limits: &Limits, format: ResultFormat) -> Vec<Tool> {
        let own = tools::all(limits, format).into_iter();
        let tools: Vec<Tool> = match self.preset {
            Preset::All | Preset::Plain | Preset::Codex => own.collect(),
            Preset::Claude => claudes(own),
        };
        tools.into_iter().filter(|tool| self.has(&tool.name)).collect()
    }

    /// The names of a preset.
    fn of_preset(&self) -> &'static [&'static str] {
        match self.preset {
            Preset::All => tools::NAMES,
            Preset::Plain => {
                &[shell_tool::NAME, read_output::NAME, apply_patch::NAME, background::LIST, background::KILL]
            }
            Preset::Codex => &[exec_tool::EXEC, exec_tool::WRITE, apply_patch::NAME],
            Preset::Claude => &[BASH, BASH_OUTPUT, KILL_SHELL],
        }
    }

    /// The names of the tools.
    pub(super) fn offered(&self) -> Vec<&'static str> {
        self.of_preset().iter().copied().filter(|name| self.has(name)).collect()
    }

    /// Whether there is such a tool.
    pub(super) fn has(&self, name: &str) -> bool {
        let is_wanted = |names: &Vec<String>| names.iter().any(|wanted| wanted == name);
        self.of_preset().contains(&name) && self.names.as_ref().is_none_or(is_wanted)
    }

    /// The names among those that are wanted which no tool has.
    #[must_use]
    pub fn unknown_names(&self) -> Vec<String> {
        self.names.iter().flatten().filter(|name| !self.of_preset().contains(&&***name)).cloned().collect()
    }
}

/// Our tools by Claude Code's names, with its schemas; what they return is the same.
fn claudes(own: impl Iterator<Item = Tool>) -> Vec<Tool> {
    let described = |tool: Tool| {
        let (name, description, properties, required) = match &*tool.name {
            shell_tool::NAME => (
                BASH,
                "Runs a Bash command and returns its output and exit code. With run_in_background it goes on; BashOutput reads \
                    its output by the session_id.",
                json!({
                    "command": {"type": "string", "description": "The command to execute"},
                    "timeout": {"type": "number", "description": "Milliseconds, up to 600000. Defaults to 120000."},
                    "description": {"type": "string", "description": "What it does, in 5-10 words"},
                    "run_in_background": {"type": "boolean"}
                }),
                json!(["command"]),
            ),
            read_output::NAME => (
                BASH_OUTPUT,
                "Returns what a background command has printed since the last time, and its exit code when it has ended.",
                json!({
                    "bash_id": {"type": "string", "description": "The session_id of a result of Bash"},
                    "filter": {"type": "string", "description": "Only lines that match this regular expression"}
                }),
                json!(["bash_id"]),
            ),
            background::KILL => (
                KILL_SHELL,
                "Ends a background command.",
                json!({"shell_id": {"type": "string", "description": "The session_id of a result of Bash"}}),
                json!(["shell_id"]),
            ),
            _ => return None,
        };
        let schema = json!({"type": "object", "properties": properties, "required": required});
        let mut tool = tool;
        tool.name = name.into();
        tool.description = Some(description.into());
        tool.input_schema = object(schema);
        Some(tool)
    };
    own.filter_map(described).collect()
}

/// A call by another client's name for a tool, as one by ours.
pub(super) fn translated(request: CallToolRequestParams, sessions: &Sessions) -> CallToolRequestParams {
    let given = request.arguments.clone().unwrap_or_default();
    let text = |name: &str| given.get(name).cloned().unwrap_or(Value::Null);
    let (name, arguments) = match &*request.name {
        BASH => {
            let mut ours = JsonObject::from_iter([("command".to_owned(), text("command"))]);
            if given.get("run_in_background") == Some(&Value::Bool(true)) {
                ours.insert("yield_time_ms".into(), BACKGROUND_WAIT.into());
            } else {
                let timeout = given.get("timeout").and_then(Value::as_f64).filter(|timeout| *timeout >= 0.0);
                let timeout = timeout.and_then(|timeout| format!("{timeout:.0}").parse().ok());
                ours.insert("timeout_ms".into(), timeout.unwrap_or(CLAUDES_TIMEOUT).min(CLAUDES_MOST).into());
            }
            ours.extend(given.into_iter().filter(|(name, _)| {
                !matches!(name.as_str(), "command" | "timeout" | "description" | "run_in_background")
            }));
            (shell_tool::NAME, ours)
        }
        BASH_OUTPUT => {
            let id = as_text(text("bash_id"));
            let number = id.as_str().and_then(|id| id.parse().ok());
            let session = number.and_then(|number| sessions.find(number));
            // What is read now is not read again.
            let from = session.map(|session| {
                let from = session.taken();
                let _ = session.take_output(Presentation { max_bytes: 0, strip_ansi: true });
                from
            });
            let mut ours = JsonObject::from_iter([("id".to_owned(), id)]);
            ours.extend(from.map(|from| ("offset".to_owned(), from.into())));
            ours.extend(given.get("filter").map(|filter| ("grep".to_owned(), filter.clone())));
            (read_output::NAME, ours)
        }
        KILL_SHELL => {
            (background::KILL, JsonObject::from_iter([("id".to_owned(), as_text(text("shell_id")))]))
        }
        _ => return request,
    };
    let mut request = request;
    request.name = name.into();
    request.arguments = Some(arguments);
    request
}

/// A number as the text that is meant.
fn as_text(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::String(number.to_string()),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(offer: &Offer) -> Vec<String> {
        let tools = offer.tools(&Limits::default(), ResultFormat::Json);
        tools.iter().map(|tool| tool.name.to_string()).collect()
    }

    #[test]
    fn a_preset_has_the_names_that_its_models_know() {
        let of = |preset| names(&Offer { preset, names: None });
        assert_eq!(of(Preset::Claude), [BASH, BASH_OUTPUT, KILL_SHELL]);
        assert!(of(Preset::Codex).starts_with(&["exec_command".into(), "write_stdin".into()]));
        assert!(!of(Preset::Plain).contains(&"exec_command".to_owned()));
        let some = Offer { preset: Preset::All, names: Some(vec!["shell".into(), "read_output".into()]) };
        assert_eq!(names(&some), ["shell", "read_output"]);
        for preset in [Preset::All, Preset::Plain, Preset::Codex, Preset::Claude] {
            let offer = Offer { preset, names: None };
            let mut offered = offer.offered();
            let mut described = names(&offer);
            offered.sort_unstable();
            described.sort_unstable();
            assert_eq!(described, offered);
        }
        assert_eq!(Offer { preset: Preset::Claude, ..some }.unknown_names(), ["shell", "read_output"]);
    }
}
