//! The suite's tools that return questions, as since 2026-07-28. Their states are sealed as those of waiting commands are.

use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ErrorData, InputRequest, InputRequiredResult, RequestStateCodec,
    SealOptions,
};
use rmcp::service::RequestContext;
use serde_json::{Value, json};

use crate::results;

/// Name and description.
pub(crate) const TOOLS: &[(&str, &str)] = &[
    (ELICITATION, "Asks for a name, and greets"),
    (STATE, "Asks for a confirmation, with a state"),
    (MULTI_ROUND, "Asks for a name, then for a colour"),
    (TAMPERED, "Asks with a state that must come back as it was"),
    (CAPABILITIES, "Asks only what the client can be asked"),
];

const ELICITATION: &str = "test_input_required_result_elicitation";
const STATE: &str = "test_input_required_result_request_state";
const MULTI_ROUND: &str = "test_input_required_result_multi_round";
const TAMPERED: &str = "test_input_required_result_tampered_state";
const CAPABILITIES: &str = "test_input_required_result_capabilities";

/// How long a state is good for.
const LIFETIME: Duration = Duration::from_secs(60);

/// Keeps nothing but the key that states are sealed with.
pub(crate) struct Rounds {
    codec: RequestStateCodec,
}

impl Rounds {
    pub(crate) fn new() -> anyhow::Result<Rounds> {
        let mut key = [0; 32];
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut key)?;
        Ok(Rounds { codec: RequestStateCodec::try_new(key)? })
    }

    pub(crate) fn call(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let step = self.step(request)?;
        let answered = |question: &str, field: &str| -> Option<String> {
            let content = &request.input_responses.as_ref()?.get(question)?.get("content")?;
            match content.get(field)? {
                Value::String(text) => Some(text.clone()),
                Value::Bool(yes) => Some(yes.to_string()),
                Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
            }
        };
        match (&*request.name, step) {
            (CAPABILITIES, _) => Ok(capabilities(context)),
            (ELICITATION, _) => match answered("user_name", "name") {
                Some(name) => done(&format!("Hello, {name}!")),
                None => ask("user_name", &form("What is your name?", "name", "string"), None),
            },
            (MULTI_ROUND, Some(2)) => match answered("step2", "color") {
                Some(color) => done(&format!("{color} it is.")),
                None => self.ask_color(request),
            },
            (MULTI_ROUND, Some(_)) if answered("step1", "name").is_some() => self.ask_color(request),
            (MULTI_ROUND, _) => {
                let form = form("Step 1: What is your name?", "name", "string");
                ask("step1", &form, Some(self.seal(request, 1)?))
            }
            (_, Some(_)) if answered("confirm", "ok").is_some() => done("state-ok"),
            (_, _) => {
                let form = form("Please confirm", "ok", "boolean");
                ask("confirm", &form, Some(self.seal(request, 1)?))
            }
        }
    }

    fn ask_color(&self, request: &CallToolRequestParams) -> Result<CallToolResponse, ErrorData> {
        let form = form("Step 2: What is your favorite color?", "color", "string");
        ask("step2", &form, Some(self.seal(request, 2)?))
    }

    /// The step that the request's state names, if it brings one.
    fn step(&self, request: &CallToolRequestParams) -> Result<Option<u64>, ErrorData> {
        let Some(state) = &request.request_state else { return Ok(None) };
        let opened = self.codec.open_json_with(state, request.name.as_bytes());
        opened
            .map(Some)
            .map_err(|error| ErrorData::invalid_params(format!("requestState refused: {error}"), None))
    }

    fn seal(&self, request: &CallToolRequestParams, step: u64) -> Result<String, ErrorData> {
        let options = SealOptions::new().associated_data(request.name.as_bytes()).ttl(LIFETIME);
        self.codec
            .seal_json_with(&step, &options)
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))
    }
}

/// A question with one field.
fn form(message: &str, field: &str, kind: &str) -> Value {
    let schema = json!({"type": "object", "properties": {field: {"type": kind}}, "required": [field]});
    json!({"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}})
}

fn ask(name: &str, form: &Value, state: Option<String>) -> Result<CallToolResponse, ErrorData> {
    let request: InputRequest = serde_json::from_value(form.clone())
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(InputRequiredResult::new(Some([(name.to_owned(), request)].into()), state).into())
}

fn done(text: &str) -> Result<CallToolResponse, ErrorData> {
    Ok(results::text(text).into())
}

/// Asks for whatever the client has declared.
fn capabilities(context: &RequestContext<RoleServer>) -> CallToolResponse {
    let declared = context.client_capabilities().unwrap_or_default();
    let sampling = json!({
        "method": "sampling/createMessage",
        "params": {"messages": [{"role": "user", "content": {"type": "text", "text": "Hello?"}}], "maxTokens": 50},
    });
    let questions = [
        (declared.elicitation.is_some(), "form", form("Who is there?", "name", "string")),
        (declared.sampling.is_some(), "sample", sampling),
    ];
    let allowed = questions.into_iter().filter(|(declared, ..)| *declared);
    let requests =
        allowed.filter_map(|(_, name, form)| Some((name.to_owned(), serde_json::from_value(form).ok()?)));
    InputRequiredResult::new(Some(requests.collect()), None).into()
}
