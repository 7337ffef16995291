//! The suite's tools that only return something.

use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{CallToolResult, ClientCapabilities, ContentBlock, ErrorData, ProgressNotificationParam};
use rmcp::service::RequestContext;
use serde_json::{Value, json};

/// A red pixel.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";
/// No sound at all.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

/// Name and description.
pub(crate) const TOOLS: &[(&str, &str)] = &[
    ("test_simple_text", "Returns a text"),
    ("test_error_handling", "Fails"),
    ("test_tool_with_progress", "Reports progress, and ends"),
    ("test_tool_with_logging", "Logs, and ends"),
    ("test_image_content", "Returns a picture"),
    ("test_audio_content", "Returns a sound"),
    ("test_embedded_resource", "Returns a resource"),
    ("test_multiple_content_types", "Returns a text, a picture and a resource"),
    ("test_missing_capability", "Needs a client that can be asked for samples"),
    ("test_logging_tool", "Says nothing that nobody asked for"),
];

pub(crate) async fn call(
    name: &str,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let text = |text: &str| json!({"type": "text", "text": text});
    let image = json!({"type": "image", "data": PNG, "mimeType": "image/png"});
    let resource = |uri: &str, mime: &str, text: &str| json!({"type": "resource", "resource": {"uri": uri, "mimeType": mime, "text": text}});
    let content = match name {
        "test_error_handling" => {
            let text = text("This tool intentionally returns an error for testing");
            return Ok(CallToolResult::error(blocks(vec![text])?));
        }
        "test_missing_capability" => {
            let can_sample = context.client_capabilities().is_some_and(|client| client.sampling.is_some());
            if !can_sample {
                return Err(ErrorData::missing_required_client_capability(sampling()));
            }
            vec![text("The client can be asked for samples.")]
        }
        "test_tool_with_progress" => {
            progress(context).await;
            vec![text("Reported.")]
        }
        "test_tool_with_logging" => {
            log(context).await;
            vec![text("Logged.")]
        }
        "test_image_content" => vec![image],
        "test_audio_content" => vec![json!({"type": "audio", "data": WAV, "mimeType": "audio/wav"})],
        "test_embedded_resource" => {
            vec![resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")]
        }
        "test_multiple_content_types" => {
            let json = r#"{"test":"data","value":123}"#;
            vec![
                text("Multiple content types test:"),
                image,
                resource("test://mixed-content-resource", "application/json", json),
            ]
        }
        _ => vec![text("This is a simple text response for testing.")],
    };
    Ok(CallToolResult::success(blocks(content)?))
}

fn blocks(content: Vec<Value>) -> Result<Vec<ContentBlock>, ErrorData> {
    serde_json::from_value(Value::Array(content))
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// A result of one text.
pub(crate) fn text(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn sampling() -> ClientCapabilities {
    serde_json::from_value(json!({"sampling": {}})).unwrap_or_default()
}

async fn progress(context: &RequestContext<RoleServer>) {
    let Some(token) = context.meta.get_progress_token() else { return };
    for done in [0.0, 50.0, 100.0] {
        let told = ProgressNotificationParam::new(token.clone(), done).with_total(100.0);
        // A client that is gone wants no report.
        let _ = context.peer.notify_progress(told).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[expect(deprecated, reason = "the older revision has it")]
async fn log(context: &RequestContext<RoleServer>) {
    for words in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
        let message =
            rmcp::model::LoggingMessageNotificationParam::new(rmcp::model::LoggingLevel::Info, json!(words));
        // A client that is gone wants no message.
        let _ = context.peer.notify_logging_message(message).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
