//! Questions as JSON, and decisions as JSON, for the user's programs and servers.

use serde::Deserialize;
use serde_json::{Value, json};

use shell_engine::approval::{Choice, OfferedRule, OpenQuestion, Reply};

/// Bytes of a decision, which has a few hundred.
pub(super) const MAX_DECISION: usize = 64 << 10;

/// What comes back.
#[derive(Debug, Deserialize)]
struct Decision {
    decision: String,
    #[serde(default)]
    reason: Value,
}

/// Why what comes back is no decision.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoDecision {
    #[error("no decision as JSON")]
    NoJson(#[source] serde_json::Error),
    #[error("a decision that there is not")]
    Unknown,
}

/// Understands a decision.
pub(super) fn decision(answer: &[u8]) -> Result<Reply, NoDecision> {
    let said: Decision = serde_json::from_slice(answer).map_err(NoDecision::NoJson)?;
    // A list would be taken for the fields in their order.
    if !answer.trim_ascii_start().starts_with(b"{") {
        return Err(NoDecision::Unknown);
    }
    let choice = Choice::from_word(&said.decision).ok_or(NoDecision::Unknown)?;
    match said.reason {
        Value::String(reason) => Ok(Reply::Decided { choice, reason: Some(reason) }),
        Value::Null => Ok(Reply::Decided { choice, reason: None }),
        // A no is one, whatever came with it.
        _ if choice == Choice::Deny => Ok(Reply::Decided { choice, reason: None }),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Err(NoDecision::Unknown),
    }
}

/// The question as a program reads it. What is not UTF-8, or would not be seen as it is, is written out in `message`
/// and `command`; `arguments` has them as they are, as far as they are text.
pub(super) fn of(open: &OpenQuestion) -> Value {
    let question = &open.question;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let rule = question.rule.as_ref().map(|matched| {
        json!({
            "file": matched.rule.origin.file,
            "line": matched.rule.origin.line,
            "justification": matched.rule.justification,
        })
    });
    let offered = |rule: &OfferedRule| json!({"decision": rule.choice.word(), "begins_with": rule.beginning, "rule": rule.line});
    json!({
        "version": 1,
        "id": open.id.to_string(),
        "message": question.message(),
        "command": question.command_line(),
        "program": text(question.program.as_os_str().as_encoded_bytes()),
        "arguments": question.arguments.iter().map(|argument| text(argument)).collect::<Vec<_>>(),
        "workdir": text(question.workdir.as_os_str().as_encoded_bytes()),
        "rule": rule,
        "danger": question.danger,
        "choices": open.offers.choices().into_iter().map(Choice::word).collect::<Vec<_>>(),
        "always": open.offers.always.first().map(|rule| &rule.line),
        "rules": open.offers.always.iter().map(offered).collect::<Vec<_>>(),
    })
}
