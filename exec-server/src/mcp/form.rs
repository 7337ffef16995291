//! The form that a client shows, and what its answer means.
//!
//! A client that only accepts or declines, as those of the first servers of this kind do, is understood: accepting without
//! content means *once*. Whatever is not exactly as it should be is a no.

use rmcp::model::{ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, ProtocolVersion};
use serde_json::{Value, json};

use crate::approval::{Choice, OpenQuestion, Reply};

/// Makes the request for a client of this revision.
pub(super) fn request(
    open: &OpenQuestion,
    version: Option<&ProtocolVersion>,
) -> Result<ElicitRequest, serde_json::Error> {
    let titled = version.is_some_and(|version| *version >= ProtocolVersion::V_2025_11_25);
    Ok(ElicitRequest::new(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: message(open),
        requested_schema: serde_json::from_value(schema(open, titled))?,
    }))
}

/// The question, and the rule that *always* would write: a form's titles may be cut off.
fn message(open: &OpenQuestion) -> String {
    let mut message = open.question.message();
    if let Some(line) = &open.offers.always {
        message
            .push_str(&format!("\n\"always\" adds this rule: {}", crate::approval::visible(line.as_bytes())));
    }
    message
}

/// The form: what to do, and why. Clients up to 2025-06-18 know titles of choices as `enumNames`, later ones as `oneOf`.
fn schema(open: &OpenQuestion, titled: bool) -> Value {
    let choices: Vec<(&str, String)> =
        open.offers.choices().into_iter().map(|choice| (choice.word(), title(choice, open))).collect();
    let mut decision = json!({
        "type": "string",
        "title": "Decision",
        "description": "What to do. Accepting without a choice allows it once",
        "default": Choice::Once.word(),
    });
    let (names, titles): (Vec<&str>, Vec<&String>) =
        choices.iter().map(|(word, title)| (*word, title)).unzip();
    if titled {
        let choice = |(word, title): &(&str, String)| json!({"const": word, "title": title});
        decision["oneOf"] = choices.iter().map(choice).collect();
    } else {
        decision["enum"] = json!(names);
        decision["enumNames"] = json!(titles);
    }
    json!({
        "type": "object",
        "title": "Execution Permission Request",
        "properties": {
            "decision": decision,
            "reason": {
                "type": "string",
                "description": "Optional reason for allowing or denying execution"
            }
        }
    })
}

fn title(choice: Choice, open: &OpenQuestion) -> String {
    match choice {
        Choice::Once => "Allow once".into(),
        Choice::Session => "Allow this exact command for this session".into(),
        Choice::Always => {
            format!("Always allow commands that start with `{}`", open.question.command_line())
        }
        Choice::Deny => "Deny".into(),
    }
}

/// What an answer means.
pub(super) fn read(result: &ElicitResult) -> Reply {
    match result.action {
        ElicitationAction::Accept => read_content(result.content.as_ref()),
        ElicitationAction::Cancel => Reply::Closed,
        ElicitationAction::Decline => {
            Reply::Decided { choice: Choice::Deny, reason: result.content.as_ref().and_then(reason) }
        }
        // A later revision's: not a clear yes.
        _ => Reply::Decided { choice: Choice::Deny, reason: None },
    }
}

fn read_content(content: Option<&Value>) -> Reply {
    let decided = |choice, reason| Reply::Decided { choice, reason };
    let content = match content {
        None | Some(Value::Null) => return decided(Choice::Once, None),
        Some(content @ Value::Object(_)) => content,
        Some(_) => return decided(Choice::Deny, None),
    };
    let choice = match content.get("decision") {
        None | Some(Value::Null) => Some(Choice::Once),
        Some(Value::String(word)) => Choice::from_word(word),
        Some(_) => None,
    };
    decided(choice.unwrap_or(Choice::Deny), reason(content))
}

fn reason(content: &Value) -> Option<String> {
    content.get("reason")?.as_str().map(str::trim).filter(|reason| !reason.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(value: Value) -> Reply {
        read(&serde_json::from_value(value).expect("an answer"))
    }

    fn decided(choice: Choice, reason: Option<&str>) -> Reply {
        Reply::Decided { choice, reason: reason.map(str::to_owned) }
    }

    #[test]
    fn a_clear_yes_is_one() {
        assert_eq!(answer(json!({"action": "accept"})), decided(Choice::Once, None));
        assert_eq!(answer(json!({"action": "accept", "content": null})), decided(Choice::Once, None));
        assert_eq!(answer(json!({"action": "accept", "content": {}})), decided(Choice::Once, None));
        let content = json!({"decision": "session", "reason": " ok "});
        assert_eq!(
            answer(json!({"action": "accept", "content": content})),
            decided(Choice::Session, Some("ok"))
        );
    }

    #[test]
    fn everything_else_is_a_no() {
        for content in [
            json!({"decision": "deny"}),
            json!({"decision": "Once"}),
            json!({"decision": "maybe"}),
            json!({"decision": true}),
            json!({"decision": ["once"]}),
            json!("once"),
            json!(true),
            json!([]),
        ] {
            let reply = answer(json!({"action": "accept", "content": content}));
            assert_eq!(reply, decided(Choice::Deny, None), "{content}");
        }
        assert_eq!(
            answer(json!({"action": "decline", "content": {"decision": "once", "reason": "no"}})),
            decided(Choice::Deny, Some("no"))
        );
        assert_eq!(answer(json!({"action": "cancel", "content": {"decision": "once"}})), Reply::Closed);
    }
}
