//! Outputs as resources: `shell://output/<id>`.

use rmcp::model::{ErrorData, ReadResourceResult, Resource, ResourceContents, ResourceTemplate};

use shell_engine::config::MAX_TOKENS;
use shell_engine::output::{Presentation, Recording, Spool};

const PREFIX: &str = "shell://output/";

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
pub(super) fn list(outputs: &Spool) -> Vec<Resource> {
    std::iter::once(session()).chain(outputs.list().iter().map(describe)).collect()
}

/// How resources are named.
pub(super) fn template() -> ResourceTemplate {
    ResourceTemplate::new(format!("{PREFIX}{{id}}"), "output")
        .with_title("Output of a command")
        .with_description("The output with the `output_id` of a `shell` result, while it is kept.")
        .with_mime_type("text/plain")
}

/// Reads one: all of it, or the beginning and the end of a large one.
pub(super) async fn read(outputs: &Spool, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let Some(recording) = uri.strip_prefix(PREFIX).and_then(|id| outputs.find(id)) else {
        let text = format!("no output {uri:?} is kept; resources/list names those that are");
        return Err(ErrorData::resource_not_found(text, Some(serde_json::json!({"uri": uri}))));
    };
    let presentation = Presentation::of_tokens(MAX_TOKENS, true);
    let view = tokio::task::spawn_blocking(move || recording.view(presentation)).await;
    let view = view.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(ReadResourceResult::new(vec![ResourceContents::text(view.text, uri)]))
}
