//! The suite's tools that ask while their request stays open, as before 2026-07-28.

use rmcp::RoleServer;
use rmcp::model::{CallToolRequestParams, CallToolResult, CustomRequest, ErrorData, ServerRequest};
use rmcp::service::RequestContext;
use serde_json::{Value, json};

use crate::results;

/// Name and description.
pub(crate) const TOOLS: &[(&str, &str)] = &[
    ("test_elicitation", "Asks who somebody is"),
    ("test_elicitation_sep1034_defaults", "Asks with answers filled in"),
    ("test_elicitation_sep1330_enums", "Asks for choices of every kind"),
    ("test_streaming_elicitation", "Asks nothing of its own accord"),
];

pub(crate) async fn call(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let (message, properties, required) = match &*request.name {
        "test_elicitation" => {
            let message = request.arguments.as_ref().and_then(|arguments| arguments.get("message"));
            (message.cloned().unwrap_or_default(), user(), json!(["username", "email"]))
        }
        "test_elicitation_sep1034_defaults" => (json!("Is this right?"), defaults(), json!([])),
        "test_elicitation_sep1330_enums" => (json!("Which ones?"), choices(), json!([])),
        _ => return Ok(results::text("Nothing was asked.")),
    };
    let can_ask = context.client_capabilities().is_some_and(|client| client.elicitation.is_some());
    if !can_ask {
        return Err(ErrorData::invalid_request("the client cannot ask anybody (elicitation)", None));
    }
    let schema = json!({"type": "object", "properties": properties, "required": required});
    let asked = CustomRequest::new(
        "elicitation/create",
        Some(json!({"message": message, "requestedSchema": schema})),
    );
    let answer = context
        .peer
        .send_request(ServerRequest::CustomRequest(asked))
        .await
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    let answer = serde_json::to_value(answer).unwrap_or_default();
    let (action, content) = (answer["action"].as_str().unwrap_or("none"), &answer["content"]);
    Ok(results::text(match &*request.name {
        "test_elicitation" => format!("User response: action={action}, content={content}"),
        _ => format!("Elicitation completed: action={action}, content={content}"),
    }))
}

fn user() -> Value {
    json!({
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    })
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

fn choices() -> Value {
    let titled = |what: &str| {
        json!([
            {"const": "value1", "title": format!("First {what}")},
            {"const": "value2", "title": format!("Second {what}")},
            {"const": "value3", "title": format!("Third {what}")},
        ])
    };
    let options = json!(["option1", "option2", "option3"]);
    json!({
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled("Option")},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice")}},
    })
}
