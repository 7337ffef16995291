//! Lines that are no message, or none that rmcp reads as it was meant: what the client is told, and under which id.

use rmcp::RoleServer;
use rmcp::model::{ClientRequest, ErrorCode, ErrorData, JsonRpcMessage, RequestId};
use rmcp::service::RxJsonRpcMessage;
use serde::Deserialize;

/// The request's id, if it asks for a list and its cursor is no string: rmcp takes parameters that it cannot read for
/// none.
pub(super) fn strange_cursor(message: &RxJsonRpcMessage<RoleServer>, line: &[u8]) -> Option<RequestId> {
    let JsonRpcMessage::Request(request) = message else { return None };
    let is_list = matches!(
        request.request,
        ClientRequest::ListToolsRequest(_)
            | ClientRequest::ListResourcesRequest(_)
            | ClientRequest::ListResourceTemplatesRequest(_)
    );
    if !is_list {
        return None;
    }
    let sent: serde_json::Value = serde_json::from_slice(line).ok()?;
    let cursor = sent.get("params")?.get("cursor")?;
    (!cursor.is_string() && !cursor.is_null()).then(|| request.id.clone())
}

/// Says what is wrong with a line that is no message, and to which request the answer belongs if that can be read.
pub(super) fn explain(line: &[u8], error: &serde_json::Error) -> (ErrorData, Option<RequestId>) {
    let error = match serde_json::from_slice::<serde_json::Value>(line) {
        Err(_) => {
            let text = format!("not a line of JSON: {error}{}", advice(error));
            ErrorData::new(ErrorCode::PARSE_ERROR, text, None)
        }
        Ok(_) => {
            let text = "not a JSON-RPC 2.0 request, notification or response (batches are not supported)";
            ErrorData::new(ErrorCode::INVALID_REQUEST, text, None)
        }
    };
    (error, id_of(line))
}

/// The id of a message, whatever is wrong with the rest of it: text that is no Unicode, numbers that are too large,
/// depth.
fn id_of(line: &[u8]) -> Option<RequestId> {
    // A struct would be read from an array, too.
    line.trim_ascii_start().strip_prefix(b"{")?;
    // All other members are skipped without being looked at.
    #[derive(Deserialize)]
    struct OnlyId {
        id: RequestId,
    }
    serde_json::from_slice::<OnlyId>(line).ok().map(|message| message.id)
}

/// What to send instead.
fn advice(error: &serde_json::Error) -> &'static str {
    let text = error.to_string();
    if text.contains("hex escape") {
        "; half of a surrogate pair is no character: leave it out, or have the command make the bytes ($'\\xNN')"
    } else if text.contains("unicode code point") {
        "; the line must be UTF-8: have the command make other bytes ($'\\xNN')"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_whatever_is_wrong_with_the_rest() {
        let deep = format!("{{\"params\":{}1{},\"id\":\"x\"}}", "[".repeat(500), "]".repeat(500));
        for (line, id) in [
            (&br#"{"params":"\ud99c","id":7}"#[..], Some(RequestId::Number(7))),
            (b"{\"params\":\"\xff\",\"id\":7}", Some(RequestId::Number(7))),
            (deep.as_bytes(), Some(RequestId::String("x".into()))),
            (b"{\"id\":7", None),
            (b"[7]", None),
            (b"{}", None),
        ] {
            assert_eq!(id_of(line), id, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn half_a_character_is_named() {
        let line = br#"{"id":1,"params":"echo \ud99c"}"#;
        let error = serde_json::from_slice::<serde_json::Value>(line).unwrap_err();
        let (told, id) = explain(line, &error);
        assert!(told.message.contains("surrogate"), "{}", told.message);
        assert_eq!(id, Some(RequestId::Number(1)));
    }
}
