//! The argument `session_id`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::arguments::{ArgumentError, Arguments, wrong};
use shell_engine::shell::{Session, Sessions};

/// The session that is meant.
pub(super) fn required(arguments: Arguments<'_>, sessions: &Sessions) -> Result<Arc<Session>, ArgumentError> {
    if_given(arguments, sessions)?.ok_or_else(|| ArgumentError::Missing {
        name: "session_id",
        example: json!({"session_id": 1234, "chars": ""}).to_string(),
    })
}

/// The session that is meant, if one is.
pub(super) fn if_given(
    arguments: Arguments<'_>,
    sessions: &Sessions,
) -> Result<Option<Arc<Session>>, ArgumentError> {
    let Some(number) = arguments.number("session_id", "a session", u64::MAX, 1234)? else { return Ok(None) };
    let found = u32::try_from(number).ok().and_then(|number| sessions.find(number));
    found.map(Some).ok_or_else(|| {
        let running: Vec<u32> =
            sessions.list_all().iter().filter(|one| !one.call().has_ended()).map(|one| one.number()).collect();
        let expected = match running.is_empty() {
            true => "the session_id of a result; no session runs, and none that has ended within the hour has this one"
                .to_owned(),
            false => format!("the session_id of a result; these run: {running:?}"),
        };
        let example = json!({"session_id": running.first().copied().unwrap_or(1234)});
        wrong("session_id", expected, &Value::from(number), &example)
    })
}
