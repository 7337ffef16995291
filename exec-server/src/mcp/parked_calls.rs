//! Calls that wait for a client which has to come back (MCP 2026-07-28).
//!
//! The result that asks for input carries a sealed state. It names the call, is authenticated, expires, and is good for one
//! request with the very same arguments under the very same rules. A request that brings it resumes the call; a request
//! that brings anything else starts nothing.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use execpolicy::Policy;
use rmcp::model::{
    CallToolRequestParams, ErrorData, InputRequiredResult, RequestStateCodec, RequestStateError, SealOptions,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::client::ClientChannel;
use super::handle;
use super::result::ResultContext;
use super::writing::Writing;
use shell_engine::approval::nobody_answered;
use shell_engine::shell::{Call, CallOutcome, KeptCommand, Session};

/// Calls that wait at the same time; the one that has waited longest gives way. Open questions are limited long before.
const MOST: usize = 256;

/// A call, and how its client is asked.
#[derive(Clone)]
pub(super) struct Ticket {
    pub(super) call: Call,
    pub(super) client: Arc<ClientChannel>,
    /// How its result is to be shown.
    pub(super) shown: Arc<ResultContext>,
    /// It may go on when its request has returned.
    pub(super) going: Option<Going>,
}

/// A call that its caller comes back to, as one request sees it.
#[derive(Clone)]
pub(super) struct Going {
    pub(super) session: Arc<Session>,
    /// The request returns when the call has run for so long.
    pub(super) until: Duration,
    pub(super) form: Form,
    /// The request has started the call, which ends with it.
    pub(super) is_first: bool,
    /// The command of a kept shell that the request waits for, and when it is interrupted.
    pub(super) command: Option<(KeptCommand, Duration)>,
    /// What the request writes, while it may have to be asked about.
    pub(super) writing: Option<Arc<Writing>>,
    pub(super) asked: Instant,
}

/// Which tool's result is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// That of `shell`.
    Shell,
    /// That of `exec_command`.
    Exec,
    /// That of `apply_patch`.
    Patch,
}

impl Ticket {
    /// What its request had to write is written, and this is to be said about it.
    pub(super) fn is_written(&mut self, notes: Vec<String>) {
        let mut shown = (*self.shown).clone();
        shown.notes.extend(notes);
        self.shown = Arc::new(shown);
        if let Some(going) = &mut self.going {
            going.writing = None;
        }
    }

    /// Ends the call and waits for what it came to.
    pub(super) async fn end(&mut self) -> Option<Arc<CallOutcome>> {
        self.call.cancel();
        self.call.finished().await
    }
}

/// Completes when the request has waited long enough for a call that goes on without it; never for another one.
pub(super) async fn has_waited(call: &Call, going: Option<&Going>) {
    match going {
        // Until somebody has answered.
        Some(going) if going.writing.is_some() => std::future::pending().await,
        Some(going) => call.has_run_for(going.until).await,
        None => std::future::pending().await,
    }
}

/// The calls that wait for their client.
pub(super) struct ParkedCalls {
    codec: RequestStateCodec,
    timeout: Duration,
    /// The server's name, where there are others.
    server: Option<String>,
    parked: Mutex<Parked>,
}

#[derive(Default)]
struct Parked {
    next: u64,
    calls: HashMap<u64, Waiting>,
}

struct Waiting {
    ticket: Ticket,
    questions: Vec<String>,
    /// The rules that were in force when the questions were taken to the client.
    rules: Arc<Policy>,
    expiry: AbortHandle,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.expiry.abort();
    }
}

/// What a state says. Its number is used once, so a state that was used names nothing.
#[derive(Debug, Serialize, Deserialize)]
struct Sealed {
    number: u64,
    questions: Vec<String>,
}

impl ParkedCalls {
    /// No calls yet; each will wait for so long.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub(super) fn new(timeout: Duration, server: Option<&str>) -> std::io::Result<ParkedCalls> {
        let mut key = [0; 32];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
        let codec = RequestStateCodec::try_new(key).map_err(std::io::Error::other)?;
        Ok(ParkedCalls { codec, timeout, server: server.map(ToOwned::to_owned), parked: Mutex::default() })
    }

    /// Lets a call wait, and makes the result that takes its questions to the client; `None` when there are none any more.
    /// `rules` are in force now.
    pub(super) fn park(
        self: &Arc<Self>,
        ticket: &Ticket,
        request: &CallToolRequestParams,
        rules: &Arc<Policy>,
    ) -> Result<Option<InputRequiredResult>, ErrorData> {
        let broken = |error: &dyn std::error::Error| ErrorData::internal_error(error.to_string(), None);
        let requests = ticket.client.take_along().map_err(|error| broken(&error))?;
        if requests.is_empty() {
            return Ok(None);
        }
        let questions: Vec<String> = requests.keys().cloned().collect();
        let mut parked = self.parked();
        parked.next += 1;
        let number = parked.next;
        let sealed = Sealed { number, questions: questions.clone() };
        let binding = binding(request);
        let options = SealOptions::new().associated_data(&binding).ttl(self.timeout);
        let state = self.codec.seal_json_with(&sealed, &options).map_err(|error| broken(&error))?;
        let state = handle::named(self.server.as_deref(), state);
        if parked.calls.len() >= MOST
            && let Some(oldest) = parked.calls.keys().min().copied()
            && let Some(waiting) = parked.calls.remove(&oldest)
        {
            waiting.ticket.call.cancel();
        }
        let expiry = self.expire(number);
        parked
            .calls
            .insert(number, Waiting { ticket: ticket.clone(), questions, rules: Arc::clone(rules), expiry });
        drop(parked);
        Ok(Some(InputRequiredResult::new(Some(requests), Some(state))))
    }

    /// Finds the call that a request resumes, and passes its answers on.
    ///
    /// # Errors
    ///
    /// When the state is not one of ours for this very request, or was used, or is too old. Nothing runs then.
    pub(super) fn resume(
        &self,
        request: &CallToolRequestParams,
        state: &str,
        rules: &Arc<Policy>,
    ) -> Result<Ticket, ErrorData> {
        let refused = |why: &str| ErrorData::invalid_params(format!("requestState refused: {why}"), None);
        let own = self.server.as_deref();
        if let Some(whose) = handle::of_another(own, state) {
            return Err(refused(&whose));
        }
        let state = handle::unnamed(own, state);
        let sealed: Sealed = match self.codec.open_json_with(state, &binding(request)) {
            Ok(sealed) => sealed,
            Err(RequestStateError::Expired) => {
                return Err(refused(&format!("{}, so the command was ended", nobody_answered(self.timeout))));
            }
            Err(error) => {
                return Err(refused(&format!(
                    "{error}; if the server was started again since the question, call the tool anew"
                )));
            }
        };
        let mut parked = self.parked();
        let waiting =
            parked.calls.remove(&sealed.number).filter(|waiting| waiting.questions == sealed.questions);
        drop(parked);
        let Some(waiting) = waiting else {
            return Err(refused("it was used already, or its command has been ended"));
        };
        let ticket = waiting.ticket.clone();
        if !Arc::ptr_eq(&waiting.rules, rules) {
            ticket.client.end();
            ticket.call.cancel();
            return Err(refused("the rules have changed since the question was asked; call the tool anew"));
        }
        if let Some(responses) = &request.input_responses {
            ticket.client.answer(responses);
        }
        Ok(ticket)
    }

    /// Ends those that wait: nobody can come back any more.
    pub(super) fn give_up(&self, why: &str) {
        let waiting: Vec<Waiting> = self.parked().calls.drain().map(|(_, waiting)| waiting).collect();
        for waiting in waiting {
            waiting.ticket.client.give_up(why);
            waiting.ticket.client.end();
            waiting.ticket.call.cancel();
        }
    }

    /// Ends the call if nobody comes back for it in time.
    fn expire(self: &Arc<Self>, number: u64) -> AbortHandle {
        let parked_calls = Arc::clone(self);
        let expiring = tokio::spawn(async move {
            tokio::time::sleep(parked_calls.timeout).await;
            let waiting = parked_calls.parked().calls.remove(&number);
            if let Some(waiting) = waiting {
                let Ticket { call, client, going, .. } = waiting.ticket.clone();
                let why = nobody_answered(parked_calls.timeout);
                tracing::warn!("{why}");
                client.give_up(&why);
                if going.is_some_and(|going| !going.is_first) {
                    return; // The command goes on, without what was asked about.
                }
                // The programs that waited are refused before the rest is ended.
                tokio::task::yield_now().await;
                client.end();
                call.cancel();
            }
        });
        expiring.abort_handle()
    }

    fn parked(&self) -> MutexGuard<'_, Parked> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a state is bound to: the tool and all of its arguments, whatever the order of their names.
fn binding(request: &CallToolRequestParams) -> Vec<u8> {
    let arguments = request.arguments.clone().map_or(Value::Null, Value::Object);
    let bound = json!({"method": "tools/call", "name": request.name, "arguments": sorted(arguments)});
    bound.to_string().into_bytes()
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut members: Vec<(String, Value)> = object.into_iter().collect();
            members.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
            Value::Object(members.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}
