//! How a tool's result is written: as JSON twice over, or as plain text.

use std::time::Duration;

use rmcp::model::{CallToolResult, ContentBlock, Tool};
use schemars::JsonSchema;
use serde::Serialize;

use super::schema::schema_of;
use shell_engine::config::ResultFormat;

/// A result that can be read without JSON.
pub(super) trait Plain {
    /// What a person would want to read.
    fn plain(&self) -> String;
}

/// Encodes a result, always as one text item: some clients lose what has more, or what is no text.
pub(super) fn encode<T: Serialize + Plain>(result: &T, format: ResultFormat) -> CallToolResult {
    match format {
        ResultFormat::Text => CallToolResult::success(vec![ContentBlock::text(result.plain())]),
        ResultFormat::Json => match serde_json::to_value(result) {
            Ok(value) => {
                // The same JSON to the byte: clients that compare the two show one of them only.
                let mut encoded = CallToolResult::success(vec![ContentBlock::text(value.to_string())]);
                encoded.structured_content = Some(value);
                encoded
            }
            Err(error) => problem(format!("the result cannot be encoded: {error}")),
        },
    }
}

/// Adds the schema of results that are structured.
pub(super) fn with_output_schema<T: JsonSchema>(tool: Tool, format: ResultFormat) -> Tool {
    match format {
        ResultFormat::Json => tool.with_raw_output_schema(schema_of::<T>()),
        ResultFormat::Text => tool,
    }
}

/// The tool could not do its work; the text reaches the agent.
pub(super) fn problem(text: impl Into<String>) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text.into())])
}

/// An output as it is, and a last line in brackets where there is something to say about it.
pub(super) fn with_status(output: &str, says: &[String]) -> String {
    if says.is_empty() {
        return output.to_owned();
    }
    let line_end = if output.is_empty() || output.ends_with('\n') { "" } else { "\n" };
    format!("{output}{line_end}[{}]", says.join(" · ").replace('\n', " "))
}

/// A time as people say it.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
