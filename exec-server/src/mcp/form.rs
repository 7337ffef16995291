//! The form that a client shows, and what its answer means.
//!
//! A client that only accepts or declines, as those of the first servers of this kind do, is understood: accepting
//! without content means *once*. Whatever is not exactly as it should be is a no.

use rmcp::RoleServer;
use rmcp::model::{ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, ProtocolVersion};
use rmcp::service::RequestContext;
use serde_json::{Value, json};

use shell_engine::approval::{Choice, OpenQuestion, Reply};
use shell_engine::config::ReasonField;
use shell_engine::visible::{code, visible};

/// Clients whose form was seen to work with a field for a reason, by the name that they give themselves. Elsewhere an
/// empty text field was seen to keep the form from being sent (Codex), or to be asked about as a second question
/// (goose, Copilot CLI).
const REASON_WORKS: &[&str] = &["claude-code"];

/// What a client's form has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Titles of choices are written as `oneOf` (since 2025-11-25), else as `enumNames`.
    titled: bool,
    /// There is a field for a reason.
    reason: bool,
}

impl Shape {
    /// For the client of this request.
    pub(super) fn of(context: &RequestContext<RoleServer>, reason: ReasonField) -> Shape {
        let works = || context.client_info().is_some_and(|client| REASON_WORKS.contains(&&*client.name));
        Shape {
            titled: context
                .protocol_version()
                .is_some_and(|version| version >= ProtocolVersion::V_2025_11_25),
            reason: match reason {
                ReasonField::Always => true,
                ReasonField::Never => false,
                ReasonField::Auto => works(),
            },
        }
    }
}

/// Makes the request.
pub(super) fn request(open: &OpenQuestion, shape: Shape) -> Result<ElicitRequest, serde_json::Error> {
    Ok(ElicitRequest::new(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: message(open),
        requested_schema: serde_json::from_value(schema(open, shape))?,
    }))
}

/// The question, and the rule that *always* would write: a form's titles may be cut off.
fn message(open: &OpenQuestion) -> String {
    let mut message = open.question.message();
    if let Some(line) = open.question.script_line() {
        message.push_str(&format!("\n{line}"));
    }
    for rule in &open.offers.always {
        let line = code(&visible(rule.line.as_bytes()));
        message.push_str(&format!("\n\"{}\" adds this rule: {line}", rule.choice.word()));
    }
    message
}

/// The form: what to do, and why where that can be asked. It has only what the specification's own types have: Codex
/// takes any other member, such as a title of the whole, for a form that it cannot show, and cancels.
fn schema(open: &OpenQuestion, shape: Shape) -> Value {
    let choices: Vec<(String, String)> =
        open.offers.choices().into_iter().map(|choice| (choice.word(), title(choice, open))).collect();
    let mut decision = json!({
        "type": "string",
        "title": "Decision",
        "description": "What to do",
        "default": Choice::Once.word(),
    });
    if shape.titled {
        let choice = |(word, title): &(String, String)| json!({"const": word, "title": title});
        decision["oneOf"] = choices.iter().map(choice).collect();
    } else {
        let (names, titles): (Vec<String>, Vec<String>) = choices.into_iter().unzip();
        decision["enum"] = json!(names);
        decision["enumNames"] = json!(titles);
    }
    let mut properties = json!({"decision": decision});
    if shape.reason {
        properties["reason"] =
            json!({"type": "string", "title": "Reason", "description": "Optional; the agent reads it"});
    }
    json!({"type": "object", "properties": properties, "required": ["decision"]})
}

fn title(choice: Choice, open: &OpenQuestion) -> String {
    match choice {
        Choice::Once => "Allow once".into(),
        Choice::Session if open.question.connection.is_some() => {
            "Allow connections there for this session".into()
        }
        Choice::Session => "Allow this exact command for this session".into(),
        Choice::Always | Choice::AlwaysFirst(_) => format!("Always allow {}", beginning(choice, open)),
        Choice::SessionFirst(_) => format!("Allow {} for this session", beginning(choice, open)),
        Choice::Project(_) => format!("Always allow {} in this project", beginning(choice, open)),
        Choice::Hour(_) => format!("Allow {} for one hour", beginning(choice, open)),
        Choice::Inside => "Allow once, inside the sandbox only".into(),
        Choice::Deny => "Deny".into(),
        Choice::End => "Deny, and end the call".into(),
    }
}

fn beginning(choice: Choice, open: &OpenQuestion) -> String {
    let rule = open.offers.always.iter().find(|rule| rule.choice == choice);
    let what = if open.question.connection.is_some() { "connections to" } else { "commands that start with" };
    format!("{what} {}", code(rule.map(|rule| rule.beginning.as_str()).unwrap_or_default()))
}

/// What an answer means.
pub(super) fn read(result: &ElicitResult) -> Reply {
    match result.action {
        ElicitationAction::Accept => read_content(result.content.as_ref()),
        ElicitationAction::Cancel => Reply::Closed,
        ElicitationAction::Decline => {
            Reply::Decided { choice: Choice::Deny, reason: result.content.as_ref().and_then(reason) }
        }
        // A later revision's.
        _ => not_understood("its action is none that is known"),
    }
}

/// Neither a yes nor a no: nothing is allowed by it, and the next channel is asked.
pub(super) fn not_understood(why: &str) -> Reply {
    Reply::Passed(format!("the client's answer could not be understood ({why})"))
}

/// A value of an answer, short and with everything in it visible.
fn shown(value: &Value) -> String {
    visible(value.to_string().chars().take(60).collect::<String>().as_bytes())
}

fn read_content(content: Option<&Value>) -> Reply {
    let decided = |choice, reason| Reply::Decided { choice, reason };
    let content = match content {
        None | Some(Value::Null) => return decided(Choice::Once, None),
        Some(content @ Value::Object(_)) => content,
        Some(other) => return not_understood(&format!("its content is {}", shown(other))),
    };
    // Accepting says yes, whatever a client fills in; but not where one of its own fields says no.
    let says_no =
        content.as_object().and_then(|fields| fields.iter().find(|(_, value)| **value == json!(false)));
    if let (None | Some(Value::Null), Some((field, _))) = (content.get("decision"), says_no) {
        let field = shown(&Value::String(field.clone()));
        return not_understood(&format!("its content has no decision, and {field} is false"));
    }
    let decision = content.get("decision").unwrap_or(&Value::Null);
    let choice = match decision {
        Value::Null => Some(Choice::Once),
        Value::String(word) => Choice::from_word(word),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let Some(choice) = choice else {
        return not_understood(&format!("its decision is {}", shown(decision)));
    };
    match content.get("reason") {
        None | Some(Value::Null | Value::String(_)) => decided(choice, reason(content)),
        // A no is one, whatever came with it.
        Some(_) if choice == Choice::Deny => decided(choice, None),
        Some(other) => not_understood(&format!("its reason is {}", shown(other))),
    }
}

fn reason(content: &Value) -> Option<String> {
    content.get("reason")?.as_str().map(str::to_owned)
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
        let content = json!({"name": "somebody", "confirm": true});
        assert_eq!(answer(json!({"action": "accept", "content": content})), decided(Choice::Once, None));
        let content = json!({"decision": "session", "reason": "ok"});
        assert_eq!(
            answer(json!({"action": "accept", "content": content})),
            decided(Choice::Session, Some("ok"))
        );
    }

    #[test]
    fn what_cannot_be_understood_is_said_to_be_that_and_no_yes() {
        for content in [
            json!({"decision": "Once"}),
            json!({"decision": "maybe"}),
            json!({"decision": "always:02"}),
            json!({"decision": true}),
            json!({"decision": 1}),
            json!({"decision": ["once"]}),
            json!({"decision": {"decision": "once"}}),
            json!({"decision": "once", "reason": 5}),
            json!("once"),
            json!(true),
            json!([]),
            json!({"approve": false}),
            json!({"decision": null, "allow": false}),
        ] {
            let reply = answer(json!({"action": "accept", "content": content}));
            let Reply::Passed(why) = reply else { panic!("{content}: {reply:?}") };
            assert!(why.starts_with("the client's answer could not be understood (its "), "{why}");
        }
        let long = json!({"decision": format!("\u{1b}[2K{}", "x".repeat(1000))});
        let Reply::Passed(why) = answer(json!({"action": "accept", "content": long})) else {
            panic!("passed")
        };
        assert!(why.len() < 150 && !why.contains('\u{1b}'), "{why}");
    }

    #[test]
    fn a_no_is_one() {
        for content in [json!({"decision": "deny"}), json!({"decision": "deny", "reason": 5})] {
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
