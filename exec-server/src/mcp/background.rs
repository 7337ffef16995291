//! The tools that show and end the processes that commands have left in the background. The first also shows the calls whose
//! results may have reached nobody.

use rmcp::model::{CallToolResult, JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::arguments::{ArgumentError, Arguments, wrong};
use super::encoding::{Plain, encode, problem, with_output_schema, with_status};
use super::handle;
use super::schema::object;
use shell_engine::config::ResultFormat;
use shell_engine::shell::{BackgroundCall, CallProcess, Ending, RecentCall, RunningCalls, Session, Shell};

/// The name of the tool that shows them.
pub(super) const LIST: &str = "background_list";

/// The name of the tool that ends them.
pub(super) const KILL: &str = "background_kill";

/// Describes both tools.
pub(super) fn describe(format: ResultFormat) -> [Tool; 2] {
    let schema = |properties, required: &[&str]| {
        object(json!({"type": "object", "properties": properties, "required": required}))
    };
    let id =
        json!({"id": {"type": "string", "description": "The `id` or `session_id` in `background_list`."}});
    let list = Tool::new(
        LIST,
        "Lists the processes that earlier commands have left running in the background, sessions with state, exit code and last \
            line, and commands whose results may not have arrived (cancelled, or longer than 4 s).",
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
        "Ends a session, or all processes that one command has left running in the background: SIGTERM, and SIGKILL half a second later.",
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
    /// The commands that go on, or have ended within the last hour.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sessions: Vec<ListedSession>,
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
    /// The exit code of its shell.
    exit_code: i32,
    /// The last line that was printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_line: Option<String>,
    /// Its processes, or the first of them.
    processes: Vec<CallProcess>,
    /// How many there are.
    total: usize,
}

/// A command that goes on, or has.
#[derive(Debug, Serialize, JsonSchema)]
struct ListedSession {
    /// What `write_stdin` and `background_kill` need.
    session_id: u32,
    /// What `read_output` needs.
    id: String,
    /// The beginning of the command.
    command: String,
    /// What it does: `running`, `waiting` (for a person's approval) or `ended`.
    state: &'static str,
    /// Its exit code, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    /// The last line that it has printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_line: Option<String>,
    /// Seconds since it has started.
    seconds: u64,
    /// Bytes that it has printed.
    total_bytes: u64,
}

impl ListedSession {
    fn of(session: &Session) -> ListedSession {
        let call = session.call();
        let state = match (call.has_ended(), call.is_waiting()) {
            (true, _) => "ended",
            (false, true) => "waiting",
            (false, false) => "running",
        };
        ListedSession {
            session_id: session.number(),
            id: call.output().id().to_owned(),
            command: session.command().to_owned(),
            state,
            exit_code: call.output().exit_code(),
            last_line: call.output().last_line(),
            seconds: session.age().as_secs(),
            total_bytes: call.output().total(),
        }
    }
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
pub(super) async fn list(given: Option<&JsonObject>, format: ResultFormat, shell: &Shell) -> CallToolResult {
    let running = shell.running();
    let sessions = shell.sessions().list_all();
    let notes = Arguments::new(given).unknown(&[]).into_iter().collect();
    let calls = running.background().await.into_iter().map(ListedCall::from).collect();
    let is_session =
        |call: &RecentCall| sessions.iter().any(|session| session.call().output().id() == call.output.id());
    let recent =
        running.recent().into_iter().filter(|call| !is_session(call)).map(ListedRecent::from).collect();
    let sessions = sessions.iter().map(|session| ListedSession::of(session)).collect();
    encode(&Listed { calls, sessions, recent, notes }, format)
}

/// Ends those of one call.
pub(super) async fn kill(given: Option<&JsonObject>, format: ResultFormat, shell: &Shell) -> CallToolResult {
    let running = shell.running();
    let arguments = Arguments::new(given);
    // A session's number is what most results name it by.
    let is_given = |name: &str| given.and_then(|given| given.get(name)).is_some_and(|value| !value.is_null());
    let name = if is_given("session_id") && !is_given("id") { "session_id" } else { "id" };
    let id = match arguments.required_name(name, &json!({"id": "1a2b3-4"})) {
        Ok(id) => id,
        Err(error) => return problem(error.to_string()),
    };
    let (id, sessions) = (&*id, shell.sessions());
    let session = id.parse().ok().and_then(|number| sessions.find(number)).or_else(|| sessions.of_output(id));
    // Whether its shell runs or has left something behind.
    let ended = match &session {
        Some(session) => running.end(session.call()).await,
        None => running.end_background(id).await,
    };
    match ended {
        Some(ended) => encode(
            &Killed { ended, notes: arguments.unknown(&["id", "session_id"]).into_iter().collect() },
            format,
        ),
        None => problem(unknown_id(id, running).await.to_string()),
    }
}

async fn unknown_id(id: &str, running: &RunningCalls) -> ArgumentError {
    if let Some(whose) = handle::of_another(running.server(), id) {
        return wrong("id", format!("a call of this server; {whose}"), &id.into(), &json!({"id": "ID"}));
    }
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
            exit_code: call.ending.exit_code(),
            last_line: call.output.last_line(),
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
        for session in &self.sessions {
            let ListedSession { session_id, id, command, state, seconds, .. } = session;
            let exit = session.exit_code.map_or_else(String::new, |code| format!(", exit {code}"));
            text.push_str(&format!(
                "session {session_id} ({id}): {command} ({state}{exit}, started {seconds} s ago)"
            ));
            text.extend(session.last_line.iter().map(|line| format!(": {line}")));
            text.push('\n');
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
