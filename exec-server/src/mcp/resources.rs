//! Outputs as resources: `shell://output/<id>`, and what was on terminals: `shell://recording/<id>`.

use rmcp::model::{ErrorData, ReadResourceResult, Resource, ResourceContents, ResourceTemplate};

use shell_engine::config::MAX_TOKENS;
use shell_engine::output::{Presentation, Recording, Spool};
use shell_engine::shell::{Session, Sessions};

const PREFIX: &str = "shell://output/";
const CAST_PREFIX: &str = "shell://recording/";

/// The type of recordings.
const CAST_TYPE: &str = "application/x-asciicast";

/// Bytes of a terminal's output that a recording has; of a longer one the beginning.
const MOST_CAST: u64 = 8 << 20;

/// Where commands run.
pub(super) const SESSION: &str = "shell://session";

/// What commands run in, for lists.
pub(super) fn session() -> Resource {
    Resource::new(SESSION, "session")
        .with_title("Where commands run")
        .with_description(
            "Workspace, repositories (branch, commit, changes), sandbox, door, shell and limits, as JSON.",
        )
        .with_mime_type("application/json")
}

/// One output, for lists and links.
pub(super) fn describe(recording: &Recording) -> Resource {
    Resource::new(format!("{PREFIX}{}", recording.id()), format!("output {}", recording.id()))
        .with_title("Output of a command")
        .with_description("What a command printed; with terminal escape sequences removed.")
        .with_mime_type("text/plain")
        .with_size(recording.total())
}

/// What is kept now.
pub(super) fn list(outputs: &Spool, sessions: &Sessions) -> Vec<Resource> {
    let terminals = sessions.list_all().into_iter().filter(|session| session.has_terminal());
    let casts = terminals.map(|session| describe_cast(&session));
    std::iter::once(session()).chain(outputs.list().iter().map(describe)).chain(casts).collect()
}

/// The recording of a session's terminal, by its output.
pub(super) fn cast_uri(output: &Recording) -> String {
    format!("{CAST_PREFIX}{}", output.id())
}

fn describe_cast(session: &Session) -> Resource {
    let output = session.call().output();
    Resource::new(cast_uri(output), format!("recording {}", output.id()))
        .with_title("Recording of a terminal")
        .with_description("What was on a session's terminal, and when (asciicast, version 2).")
        .with_mime_type(CAST_TYPE)
}

/// The output that a resource is, while it is kept.
pub(super) fn output(uri: &str, outputs: &Spool, sessions: &Sessions) -> Option<Recording> {
    let id = uri.strip_prefix(PREFIX)?;
    outputs.find(id).or_else(|| Some(sessions.of_output(id)?.call().output().clone()))
}

/// That a resource is not there.
pub(super) fn unknown(uri: &str) -> ErrorData {
    let text = format!("no output {uri:?} is kept; resources/list names those that are");
    ErrorData::resource_not_found(text, Some(serde_json::json!({"uri": uri})))
}

/// How resources are named.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    let output = ResourceTemplate::new(format!("{PREFIX}{{id}}"), "output")
        .with_title("Output of a command")
        .with_description("The output with the `output_id` of a `shell` result, while it is kept.")
        .with_mime_type("text/plain");
    let cast = ResourceTemplate::new(format!("{CAST_PREFIX}{{id}}"), "recording")
        .with_title("Recording of a terminal")
        .with_description(
            "What was on the terminal of the session with this `output_id` (asciicast, version 2).",
        )
        .with_mime_type(CAST_TYPE);
    vec![output, cast]
}

/// Reads one: all of it, or the beginning and the end of a large one; of a recording the beginning.
pub(super) async fn read(
    uri: &str,
    outputs: &Spool,
    sessions: &Sessions,
) -> Result<ReadResourceResult, ErrorData> {
    let broken = |error: tokio::task::JoinError| ErrorData::internal_error(error.to_string(), None);
    if let Some(id) = uri.strip_prefix(CAST_PREFIX) {
        let session = sessions.of_output(id).filter(|session| session.has_terminal());
        let session = session.ok_or_else(|| unknown(uri))?;
        let cast = tokio::task::spawn_blocking(move || session.call().asciicast(0, MOST_CAST)).await;
        let (cast, _) = cast.map_err(broken)?.ok_or_else(|| unknown(uri))?;
        let contents = ResourceContents::text(cast, uri).with_mime_type(CAST_TYPE);
        return Ok(ReadResourceResult::new(vec![contents]));
    }
    let recording = output(uri, outputs, sessions).ok_or_else(|| unknown(uri))?;
    let presentation = Presentation::of_tokens(MAX_TOKENS, true);
    let view = tokio::task::spawn_blocking(move || recording.view(presentation)).await;
    Ok(ReadResourceResult::new(vec![ResourceContents::text(view.map_err(broken)?.text, uri)]))
}
