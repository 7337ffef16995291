//! What a message costs beyond its bytes: each value in it takes memory of its own, and what a client says at its beginning
//! is kept as long as its session.

use std::borrow::Cow;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

/// The most values that a message may have.
const MOST_VALUES: usize = 16 << 10;

/// The most values of a message that is kept.
const MOST_KEPT_VALUES: usize = 2048;

/// The longest message that is kept, in bytes.
pub(super) const MOST_KEPT_BYTES: usize = 64 << 10;

/// What a value takes at most, in bytes: an object with one member.
const VALUE: usize = 700;

/// Why a message is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum TooMuch {
    #[error("a message may have {MOST_VALUES} values")]
    Values,
    #[error("what a client says of itself may have {MOST_KEPT_BYTES} bytes and {MOST_KEPT_VALUES} values")]
    Kept,
}

impl IntoResponse for TooMuch {
    fn into_response(self) -> Response {
        (StatusCode::PAYLOAD_TOO_LARGE, format!("{self}\n")).into_response()
    }
}

/// Refuses a message that would take more memory than its length says, or is kept although it is large.
pub(super) fn check(message: &[u8]) -> Result<(), TooMuch> {
    let values = values(message);
    if values > MOST_VALUES {
        return Err(TooMuch::Values);
    }
    if (values > MOST_KEPT_VALUES || message.len() > MOST_KEPT_BYTES) && is_kept(message) {
        return Err(TooMuch::Kept);
    }
    Ok(())
}

/// What a text of JSON takes in memory, at most.
pub(super) fn of(text: &[u8]) -> usize {
    text.len().saturating_add(values(text).saturating_mul(VALUE))
}

/// How many values there are in a text of JSON.
fn values(text: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' | b',' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

/// Whether a message is kept after it is answered. One in which that can be read in two ways is.
fn is_kept(message: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Message<'m> {
        #[serde(borrow)]
        method: Option<Cow<'m, str>>,
    }
    match serde_json::from_slice::<Message<'_>>(message) {
        Ok(Message { method }) => matches!(method.as_deref(), Some("initialize" | crate::mcp::STATE_UPDATE)),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_wherever_they_are_and_text_is_none() {
        for (text, expected) in [
            (r#"1"#, 1),
            (r#"{"a":1,"b":[1,2,{}]}"#, 6 + 1),
            (r#""{[,\"{[,""#, 1),
            (r#"{"a\\":"b\\","c":","}"#, 3),
        ] {
            assert_eq!(values(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_kept_may_have_less_than_what_is_not() {
        let said = |method: &str, text: &str| {
            check(format!(r#"{{"method":"{method}","params":{text}}}"#).as_bytes()).is_ok()
        };
        let long = format!("\"{}\"", "x".repeat(MOST_KEPT_BYTES));
        let many = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
        for method in ["initialize", r"initi\u0061lize", "codex/sandbox-state/update", r#"x","method":"y"#] {
            assert!(said(method, "{}") || method.contains(','), "{method}");
            assert!(!said(method, &long) && !said(method, &many(MOST_KEPT_VALUES)), "{method}");
        }
        assert!(said("tools/call", &long) && said("tools/call", &many(MOST_KEPT_VALUES)));
        assert!(!said("tools/call", &many(MOST_VALUES)));
    }
}
