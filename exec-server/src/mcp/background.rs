//! The tools that show and end the processes that commands have left in the background. The first also shows the calls whose
//! results may have reached nobody.

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::arguments::{ArgumentError, Arguments, wrong};
use super::result::problem;
use super::schema::{object, schema_of};
use crate::shell::{Background, BackgroundCall, BackgroundProcess, Ending, RecentCall, Shell};

/// The name of the tool that shows them.
pub(super) const LIST: &str = "background_list";

/// The name of the tool that ends them.
pub(super) const KILL: &str = "background_kill";

/// Describes both tools.
pub(super) fn describe() -> [Tool; 2] {
    let schema = |title: &str, properties, required: &[&str]| {
        object(json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": title,
            "type": "object",
            "properties": properties,
            "required": required
        }))
    };
    let id = json!({"id": {"type": "string", "description": "The `id` of a call in `background_list`."}});
    let list = Tool::new(
        LIST,
        "Lists the processes that earlier `shell` commands have left running in the background, and commands whose results \
            may not have arrived (cancelled, or longer than 4 s). `read_output` reads what they print.",
        schema("BackgroundListParams", json!({}), &[]),
    )
    .with_title("List background processes")
    .with_raw_output_schema(schema_of::<Listed>())
    .with_annotations(
        ToolAnnotations::with_title("List background processes")
            .read_only(true)
            .destructive(false)
            .idempotent(true)
            .open_world(false),
    );
    let kill = Tool::new(
        KILL,
        "Ends all processes that one `shell` command has left running in the background: SIGTERM, and SIGKILL half a second later.",
        schema("BackgroundKillParams", id, &["id"]),
    )
    .with_title("End background processes")
    .with_raw_output_schema(schema_of::<Killed>())
    .with_annotations(
        ToolAnnotations::with_title("End background processes")
            .read_only(false)
            .destructive(true)
            .idempotent(true)
            .open_world(false),
    );
    [list, kill]
}

/// What runs in the background.
#[derive(Debug, Serialize, JsonSchema)]
struct Listed {
    /// The calls that have left processes, oldest first.
    calls: Vec<ListedCall>,
    /// The commands whose results may not have arrived: the client has cancelled them, or may have stopped waiting.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recent: Vec<ListedRecent>,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// A call that has left processes.
#[derive(Debug, Serialize, JsonSchema)]
struct ListedCall {
    /// What `background_kill` and `read_output` need.
    id: String,
    /// The beginning of the command.
    command: String,
    /// Seconds since its shell has ended.
    seconds: u64,
    /// Its processes, or the first of them.
    processes: Vec<BackgroundProcess>,
    /// How many there are.
    total: usize,
}

/// A command whose result may not have arrived.
#[derive(Debug, Serialize, JsonSchema)]
struct ListedRecent {
    /// What `read_output` needs.
    id: String,
    /// The beginning of the command.
    command: String,
    /// Its exit code, as `shell` tells it: 124 when it has timed out, 130 when it was cancelled; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    /// Seconds since it has started.
    seconds: u64,
    /// Bytes that it has printed.
    total_bytes: u64,
}

/// What was ended.
#[derive(Debug, Serialize, JsonSchema)]
struct Killed {
    /// The processes that were alive, or the first of them.
    ended: Vec<BackgroundProcess>,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// Lists them.
pub(super) async fn list(given: Option<&JsonObject>, shell: &Shell) -> CallToolResult {
    let notes = Arguments::new(given).unknown(&[]).into_iter().collect();
    let calls = shell.background().list().await.into_iter().map(ListedCall::from).collect();
    let recent = shell.recent().list().into_iter().map(ListedRecent::from).collect();
    encode(&Listed { calls, recent, notes })
}

/// Ends those of one call.
pub(super) async fn kill(given: Option<&JsonObject>, background: &Background) -> CallToolResult {
    let arguments = Arguments::new(given);
    let id = match arguments.required("id", &json!({"id": "1a2b3-4"})) {
        Ok(id) => id,
        Err(error) => return problem(error.to_string()),
    };
    match background.end(id).await {
        Some(ended) => encode(&Killed { ended, notes: arguments.unknown(&["id"]).into_iter().collect() }),
        None => problem(unknown_id(id, background).await.to_string()),
    }
}

async fn unknown_id(id: &str, background: &Background) -> ArgumentError {
    let calls = background.list().await;
    let ids: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
    let expected = if ids.is_empty() {
        "the id of a call with background processes; there is none".to_owned()
    } else {
        format!("the id of a call with background processes; these are {}", ids.join(", "))
    };
    wrong("id", expected, &id.into(), &json!({"id": ids.first().unwrap_or(&"1a2b3-4")}))
}

impl From<BackgroundCall> for ListedCall {
    fn from(call: BackgroundCall) -> ListedCall {
        ListedCall {
            id: call.id,
            command: call.command,
            seconds: call.age.as_secs(),
            processes: call.processes,
            total: call.total,
        }
    }
}

impl From<RecentCall> for ListedRecent {
    fn from(call: RecentCall) -> ListedRecent {
        ListedRecent {
            id: call.output.id().to_owned(),
            command: call.command,
            exit_code: call.ending.map(Ending::exit_code),
            seconds: call.age.as_secs(),
            total_bytes: call.output.total(),
        }
    }
}

fn encode(result: &impl Serialize) -> CallToolResult {
    match (serde_json::to_string(result), serde_json::to_value(result)) {
        (Ok(text), Ok(structured)) => {
            let mut encoded = CallToolResult::success(vec![ContentBlock::text(text)]);
            encoded.structured_content = Some(structured);
            encoded
        }
        (Err(error), _) | (_, Err(error)) => problem(format!("the result cannot be encoded: {error}")),
    }
}
