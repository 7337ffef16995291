//! Questions in the suite's own words: our server asks for approvals only, in words of its own (`commands` has those).
//! What passes here is rmcp's doing, not ours.

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, ErrorData,
    InputRequest, InputRequests, InputRequiredResult, InputResponses, Prompt, ServerRequest, Tool,
};
use rmcp::service::RequestContext;
use serde_json::{Value, json};

use crate::commands::no_arguments;

/// A prompt that asks before it answers.
const PROMPT: &str = "test_input_required_result_prompt";

const TOOLS: [(&str, &str); 9] = [
    ("test_sampling", "Asks the client's model by a request."),
    ("test_elicitation_sep1034_defaults", "Asks by a form with defaults."),
    ("test_elicitation_sep1330_enums", "Asks by a form with choices of all kinds."),
    ("test_input_required_result_elicitation", "Asks for a name by a result."),
    ("test_input_required_result_sampling", "Asks the client's model by a result."),
    ("test_input_required_result_list_roots", "Asks for the client's roots by a result."),
    ("test_input_required_result_multiple_inputs", "Asks for everything by one result."),
    ("test_input_required_result_capabilities", "Asks for what the client can answer, by a result."),
    ("test_missing_capability", "Refuses clients without a model."),
];

pub(crate) fn tools() -> impl Iterator<Item = Tool> {
    TOOLS.iter().map(|(name, about)| Tool::new(*name, *about, no_arguments()))
}

pub(crate) fn prompts() -> [Prompt; 1] {
    [Prompt::new(PROMPT, Some("Asks before it answers."), None)]
}

/// What the tool of this name comes to; `None` if there is none.
pub(crate) async fn call(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let form = match &*request.name {
        "test_missing_capability" => {
            let refused = require(context, &["sampling"]);
            return Some(refused.map(|()| text("the client can be asked").into()));
        }
        "test_sampling" => return Some(by_request(sampling("Test prompt for sampling"), context).await),
        "test_elicitation_sep1034_defaults" => form_with_defaults(),
        "test_elicitation_sep1330_enums" => form_with_choices(),
        _ => return by_result(request, context),
    };
    Some(by_request(elicitation("Please answer", form), context).await)
}

/// Asks while the client's request stays open, as the revisions before 2026-07-28 do.
async fn by_request(
    question: Value,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let request: ServerRequest = decode(question)?;
    let answer = context.peer.send_request(request).await;
    let answer = answer.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    let answer = serde_json::to_string(&answer);
    Ok(text(answer.map_err(|error| ErrorData::internal_error(error.to_string(), None))?).into())
}

/// Asks by the result; the client calls again, with the answers.
fn by_result(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let name = || ("user_name", elicitation("What is your name?", string("name")));
    let model = |question| ("model", sampling(question));
    let roots = || ("client_roots", json!({"method": "roots/list"}));
    let questions = match &*request.name {
        "test_input_required_result_elicitation" => vec![name()],
        "test_input_required_result_sampling" => vec![model("What is the capital of France?")],
        "test_input_required_result_list_roots" => vec![roots()],
        "test_input_required_result_multiple_inputs" => vec![name(), model("Generate a greeting"), roots()],
        "test_input_required_result_capabilities" => {
            let mut questions = vec![name(), model("Generate a greeting"), roots()];
            questions.retain(|(_, question)| require(context, &[needs(question)]).is_ok());
            questions
        }
        _ => return None,
    };
    Some(ask(questions, request.input_responses.as_ref(), context).map(|asked| match asked {
        Asked::Open(result) => result.into(),
        Asked::Answered(answers) => text(format!("answered: {answers:?}")).into(),
    }))
}

/// What the prompt of this name asks first; `None` if there is none that does.
pub(crate) fn prompt(
    name: &str,
    responses: Option<&InputResponses>,
    context: &RequestContext<RoleServer>,
) -> Option<Result<Asked, ErrorData>> {
    let question = || elicitation("What context should the prompt use?", string("context"));
    (name == PROMPT).then(|| ask(vec![("user_context", question())], responses, context))
}

/// What came of asking by a result.
pub(crate) enum Asked {
    Open(InputRequiredResult),
    Answered(Vec<Value>),
}

/// Finds the answers to all questions, or asks them (anew).
fn ask(
    questions: Vec<(&str, Value)>,
    responses: Option<&InputResponses>,
    context: &RequestContext<RoleServer>,
) -> Result<Asked, ErrorData> {
    let needs: Vec<&str> = questions.iter().map(|(_, question)| needs(question)).collect();
    require(context, &needs)?;
    let answer = |key| responses?.get(key).filter(|answer| answer.is_object()).cloned();
    let answers: Option<Vec<Value>> = questions.iter().map(|(key, _)| answer(*key)).collect();
    if let Some(answers) = answers {
        return Ok(Asked::Answered(answers));
    }
    let mut requests = InputRequests::new();
    for (key, question) in questions {
        requests.insert(key.to_owned(), decode::<InputRequest>(question)?);
    }
    // The answers say all that there is to know, so nothing is read from the state.
    Ok(Asked::Open(InputRequiredResult::new(Some(requests), Some("asked".into()))))
}

/// The capability that a client needs to answer this question.
fn needs(question: &Value) -> &'static str {
    match question.get("method").and_then(Value::as_str) {
        Some("sampling/createMessage") => "sampling",
        Some("roots/list") => "roots",
        _ => "elicitation",
    }
}

/// Refuses clients that have not declared all of these capabilities.
fn require(context: &RequestContext<RoleServer>, capabilities: &[&str]) -> Result<(), ErrorData> {
    let declared = serde_json::to_value(context.client_capabilities()).unwrap_or_default();
    let missing: serde_json::Map<String, Value> = capabilities
        .iter()
        .filter(|capability| declared.get(**capability).is_none())
        .map(|capability| ((*capability).to_owned(), json!({})))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing: ClientCapabilities = decode(Value::Object(missing))?;
    Err(ErrorData::missing_required_client_capability(missing))
}

fn sampling(question: &str) -> Value {
    let message = json!({"role": "user", "content": {"type": "text", "text": question}});
    json!({"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": 100}})
}

fn elicitation(message: &str, properties: Value) -> Value {
    let schema = json!({"type": "object", "properties": properties});
    json!({"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}})
}

fn string(name: &str) -> Value {
    json!({name: {"type": "string"}})
}

fn form_with_defaults() -> Value {
    json!({
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    })
}

fn form_with_choices() -> Value {
    let titled = json!([
        {"const": "value1", "title": "First"},
        {"const": "value2", "title": "Second"},
        {"const": "value3", "title": "Third"},
    ]);
    let plain = json!(["option1", "option2", "option3"]);
    json!({
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    })
}

fn text(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn decode<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}
