//! The suite's resources, beside the outputs of commands.

use rmcp::model::{ErrorData, ReadResourceResult, Resource};
use serde_json::{Value, json};

use crate::results::PNG;

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";

pub(crate) fn list() -> impl Iterator<Item = Resource> {
    let all = [
        json!({"uri": TEXT, "name": "text", "description": "A text", "mimeType": "text/plain"}),
        json!({"uri": BINARY, "name": "picture", "description": "A picture", "mimeType": "image/png"}),
    ];
    all.into_iter().filter_map(|resource| serde_json::from_value(resource).ok())
}

/// `None`: it is none of these.
pub(crate) fn read(uri: &str) -> Option<Result<ReadResourceResult, ErrorData>> {
    let content = match uri {
        TEXT => {
            json!({"uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource."})
        }
        BINARY => json!({"uri": uri, "mimeType": "image/png", "blob": PNG}),
        _ => {
            let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
            let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            json!({"uri": uri, "mimeType": "application/json", "text": data.to_string()})
        }
    };
    Some(result(&content))
}

fn result(content: &Value) -> Result<ReadResourceResult, ErrorData> {
    serde_json::from_value(json!([content]))
        .map(ReadResourceResult::new)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))
}
