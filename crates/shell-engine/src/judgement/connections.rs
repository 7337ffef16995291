//! The connections of one call: who is asked about them, and what its result and the record say of them.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use egress::Failure;
use execpolicy::Decision;
use execpolicy::amend::Amendment;
use tokio_util::sync::CancellationToken;

use crate::approval::{Answer, Approver, Identity, Question};
use crate::audit::{CallRecord, Connection};
use crate::network::{Ended, Party, Said, Wish};
use crate::time::Stopwatch;
use crate::visible::{code, shortened, visible};

/// Refusals of one call that are told apart; of more the number is told.
const MOST_TOLD: usize = 16;

/// The connections of one call.
pub(crate) struct CallConnections {
    approver: Arc<dyn Approver>,
    stopwatch: Stopwatch,
    cancel: CancellationToken,
    record: CallRecord,
    /// What was refused, in words, and how often.
    refused: Mutex<(BTreeMap<String, u64>, u64)>,
}

impl CallConnections {
    pub(crate) fn new(
        approver: Arc<dyn Approver>,
        stopwatch: Stopwatch,
        cancel: CancellationToken,
        record: CallRecord,
    ) -> CallConnections {
        CallConnections { approver, stopwatch, cancel, record, refused: Mutex::default() }
    }

    /// What was refused, a sentence each, with the smallest thing that would allow it.
    pub(crate) fn refusals(&self) -> Vec<String> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, more) = &*refused;
        let sentence = |(text, times): (&String, &u64)| match times {
            1 => text.clone(),
            times => format!("{text} ({times} times)"),
        };
        let more = (*more > 0).then(|| format!("{more} more connections were refused"));
        told.iter().map(sentence).chain(more).collect()
    }

    fn refuse(&self, text: String) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, more) = &mut *refused;
        if told.len() < MOST_TOLD || told.contains_key(&text) {
            *told.entry(text).or_default() += 1;
        } else {
            *more += 1;
        }
    }

    async fn inquire(&self, wish: &Wish) -> Said {
        let pause = self.stopwatch.pause();
        let answer = self.approver.ask(question(wish)).await;
        drop(pause);
        match answer {
            Answer::Approved { by, .. } => Said::Yes(format!("a person's answer ({by})")),
            Answer::Declined { reason, ends_call, .. } => {
                if ends_call {
                    self.cancel.cancel();
                }
                let reason = reason.map(|reason| format!(": {}", visible(reason.as_bytes())));
                Said::No(format!("a person said no{}", reason.unwrap_or_default()))
            }
            Answer::Cancelled { .. } => Said::No("the question was closed without an answer".to_owned()),
            Answer::Unanswered(why) => Said::No(format!("it needs a person's approval, and {why}")),
        }
    }
}

impl Party for CallConnections {
    fn ask<'p>(&'p self, wish: &'p Wish) -> Pin<Box<dyn Future<Output = Said> + Send + 'p>> {
        Box::pin(self.inquire(wish))
    }

    fn ended(&self, ended: &Ended) {
        let record = &ended.record;
        let program = shown(&ended.program);
        self.record.connection(Connection {
            call: String::new(),
            host: record.attempt.host.to_string(),
            port: record.attempt.port,
            program: program.clone(),
            allowed: record.allowed.clone(),
            refused: ended.refused.clone().or_else(|| record.failure.as_ref().map(ToString::to_string)),
            address: record.address.map(|address| address.to_string()),
            sent: record.sent,
            received: record.received,
            milliseconds: u64::try_from(record.duration.as_millis()).unwrap_or(u64::MAX),
        });
        if let Some(text) = told(ended, program.as_deref()) {
            self.refuse(text);
        }
    }
}

/// What the result says of a connection that was not made, or not to its end. What only could not be reached says so itself.
fn told(ended: &Ended, program: Option<&str>) -> Option<String> {
    let attempt = &ended.record.attempt;
    let (host, port) = (attempt.host.to_string(), attempt.port);
    let failure = ended.record.failure.as_ref()?;
    let by = program.map(|program| format!(" by {program}")).unwrap_or_default();
    let what = format!("the connection to {host}:{port}{by}");
    Some(match failure {
        Failure::Refused => {
            let why = ended.refused.clone().unwrap_or_else(|| failure.to_string());
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            format!(
                "{what} was refused: {why}. To allow it, a person can write network_rule(host=\"{bare}\", ports=[{port}], \
                 decision=\"allow\") into the rules, or start the server with --allow-host {host}:{port}"
            )
        }
        Failure::Address(address, _) => format!(
            "{what} was refused: {failure}. To allow it, a person can allow the address itself: --allow-host {}",
            std::net::SocketAddr::new(*address, port)
        ),
        Failure::OtherName(_) | Failure::Unreadable(_) | Failure::Revoked => {
            format!("{what} was ended: {failure}")
        }
        Failure::UnknownAddress | Failure::TooMany => format!("{what} was refused: {failure}"),
        Failure::Unresolved(_) | Failure::Unreachable(_) => format!("{what} failed: {failure}"),
    })
}

/// What a person is asked about a connection. A yes holds for the program's further connections there, too.
fn question(wish: &Wish) -> Question {
    let caller = &wish.caller;
    let place = format!("{}:{}", wish.host, wish.port);
    let identity = Identity::of([
        b"connection".as_slice(),
        place.as_bytes(),
        caller.program.as_os_str().as_encoded_bytes(),
    ]);
    let parents = caller.parents.iter().map(|parent| format!("Started by {}", code(parent)));
    let rule = wish.rule.iter().flat_map(|(origin, why)| {
        let why = why.as_ref().map(|why| format!("Reason: {}", visible(why.as_bytes())));
        why.into_iter().chain([format!("Rule: {}", visible(origin.as_bytes()))])
    });
    // A rule that asks would ask again.
    let always = match &wish.rule {
        Some(_) => Vec::new(),
        None => Amendment::host(&wish.host, wish.port, Decision::Allow).into_iter().collect(),
    };
    Question {
        program: caller.program.clone(),
        arguments: caller.argv.iter().skip(1).cloned().collect(),
        workdir: caller.workdir.clone(),
        rule: None,
        danger: None,
        identity,
        again: Some(identity),
        always,
        scoped: Vec::new(),
        cautions: Vec::new(),
        details: rule.chain(parents).collect(),
        line: None,
        failed: None,
        gives_more: false,
        connection: Some(place),
        once: false,
        subject: None,
    }
}

fn shown(program: &Path) -> Option<String> {
    let text = visible(program.as_os_str().as_encoded_bytes());
    (!text.is_empty()).then(|| shortened(&text, 300))
}
