//! The tools that show and end the processes that commands have left in the background. The first also shows the calls whose
//! results may have reached nobody.

use rmcp::model::{CallToolResult, JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::arguments::{ArgumentError, Arguments, wrong};
use super::encoding::{Plain, encode, problem, with_output_schema, with_status};
use super::schema::object;
use shell_engine::config::ResultFormat;
use shell_engine::shell::{BackgroundCall, CallProcess, Ending, RecentCall, RunningCalls};

/// The name of the tool that shows them.
pub(super) const LIST: &str = "background_list";

/// The name of the tool that ends them.
pub(super) const KILL: &str = "background_kill";

/// Describes both tools.
pub(super) fn describe(format: ResultFormat) -> [Tool; 2] {
    let schema = |properties, required: &[&str]| {
        object(json!({"type": "object", "properties": properties, "required": required}))
    };
    let id = json!({"id": {"type": "string", "description": "The `id` of a call in `background_list`."}});
    let list = Tool::new(
        LIST,
        "Lists the processes that earlier `shell` commands have left running in the background, and commands whose results \
            may not have arrived (cancelled, or longer than 4 s). `read_output` reads what they print.",
        schema(json!({}), &[]),
    )
    .with_title("List background processes")
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
        schema(id, &["id"]),
    )
    .with_title("End background processes")
    .with_annotations(
        ToolAnnotations::with_title("End background processes")
            .read_only(false)
            .destructive(true)
            .idempotent(true)
            .open_world(false),
    );
    [with_output_schema::<Listed>(list, format), with_output_schema::<Killed>(kill, format)]
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
    processes: Vec<CallProcess>,
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
    ended: Vec<CallProcess>,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// Lists them.
pub(super) async fn list(
    given: Option<&JsonObject>,
    format: ResultFormat,
    running: &RunningCalls,
) -> CallToolResult {
    let notes = Arguments::new(given).unknown(&[]).into_iter().collect();
    let calls = running.background().await.into_iter().map(ListedCall::from).collect();
    let recent = running.recent().into_iter().map(ListedRecent::from).collect();
    encode(&Listed { calls, recent, notes }, format)
}

/// Ends those of one call.
pub(super) async fn kill(
    given: Option<&JsonObject>,
    format: ResultFormat,
    running: &RunningCalls,
) -> CallToolResult {
    let arguments = Arguments::new(given);
    let id = match arguments.required("id", &json!({"id": "1a2b3-4"})) {
        Ok(id) => id,
        Err(error) => return problem(error.to_string()),
    };
    match running.end_background(id).await {
        Some(ended) => {
            encode(&Killed { ended, notes: arguments.unknown(&["id"]).into_iter().collect() }, format)
        }
        None => problem(unknown_id(id, running).await.to_string()),
    }
}

async fn unknown_id(id: &str, running: &RunningCalls) -> ArgumentError {
    let calls = running.background().await;
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

impl Plain for Listed {
    /// A line for each call, with its processes below it; then one for each whose result may not have arrived.
    fn plain(&self) -> String {
        let mut text = String::new();
        for call in &self.calls {
            text.push_str(&format!("{}: {} (for {} s)\n", call.id, call.command, call.seconds));
            for process in &call.processes {
                text.push_str(&format!("  {process}\n"));
            }
            if call.total > call.processes.len() {
                text.push_str(&format!("  and {} more\n", call.total - call.processes.len()));
            }
        }
        for call in &self.recent {
            let how = call.exit_code.map_or("running".to_owned(), |code| format!("exit {code}"));
            text.push_str(&format!(
                "{}: {} ({how}, started {} s ago, {} bytes)\n",
                call.id, call.command, call.seconds, call.total_bytes
            ));
        }
        let nothing = text.is_empty().then(|| "nothing runs in the background".to_owned());
        with_status(&text, &nothing.into_iter().chain(self.notes.iter().cloned()).collect::<Vec<_>>())
    }
}

impl Plain for Killed {
    /// A line for each process.
    fn plain(&self) -> String {
        let mut text: String = self.ended.iter().map(|process| format!("ended {process}\n")).collect();
        if text.is_empty() {
            text.push_str("nothing was alive any more\n");
        }
        with_status(&text, &self.notes)
    }
}
