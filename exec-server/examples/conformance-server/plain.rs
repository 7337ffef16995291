//! Tools of the suite whose features our server does not have. They return what the suite wants to see, by rmcp's types
//! alone: that they pass says that the transport works, and nothing about our server.

use rmcp::RoleServer;
use rmcp::model::ElicitRequest;
use rmcp::model::{
    CallToolResult, ClientCapabilities, ContentBlock, ElicitRequestParams, ElicitationSchema, ErrorData,
    ResourceContents, ServerRequest,
};
use rmcp::service::RequestContext;
use serde_json::{Value, json};

/// Their names.
pub(crate) const NAMES: [&str; 7] = [
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_missing_capability",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
];

/// One pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
/// No samples.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

/// Calls one of them.
pub(crate) async fn call(
    name: &str,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let resource = || ContentBlock::resource(ResourceContents::text("embedded", "test://embedded-resource"));
    let image = || ContentBlock::image(PNG, "image/png");
    let content = match name {
        "test_image_content" => vec![image()],
        "test_audio_content" => vec![ContentBlock::audio(WAV, "audio/wav")],
        "test_embedded_resource" => vec![resource()],
        "test_multiple_content_types" => vec![ContentBlock::text("text"), image(), resource()],
        "test_missing_capability" => {
            let mut wanted = ClientCapabilities::default();
            wanted.sampling = Some(Default::default());
            return Err(ErrorData::missing_required_client_capability(wanted));
        }
        "test_elicitation_sep1034_defaults" => return ask(defaults(), context).await,
        _ => return ask(enums(), context).await,
    };
    Ok(CallToolResult::success(content))
}

/// Shows a form, and returns what came back.
async fn ask(properties: Value, context: &RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
    let broken = |error: &dyn std::fmt::Display| ErrorData::internal_error(error.to_string(), None);
    let schema = json!({"type": "object", "properties": properties, "required": []});
    let schema: ElicitationSchema = serde_json::from_value(schema).map_err(|error| broken(&error))?;
    let request = ElicitRequest::new(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: "Please fill in".into(),
        requested_schema: schema,
    });
    let answer = context.peer.send_request(ServerRequest::ElicitRequest(request)).await;
    let answer = answer.map_err(|error| broken(&error))?;
    Ok(CallToolResult::success(vec![ContentBlock::text(format!("Elicitation completed: {answer:?}"))]))
}

fn defaults() -> Value {
    json!({
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    })
}

fn enums() -> Value {
    let titled = json!([{"const": "value1", "title": "First"}, {"const": "value2", "title": "Second"}]);
    let options = json!(["option1", "option2", "option3"]);
    json!({
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["One", "Two"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    })
}
