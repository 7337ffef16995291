//! The connections of one call: who is asked about them, and what its result and the record say of them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use egress::Failure;
use execpolicy::Decision;
use execpolicy::amend::Amendment;
use execpolicy::rights::HostPattern;
use tokio_util::sync::CancellationToken;

use crate::approval::{Answer, Approver, Identity, Question};
use crate::audit::{CallRecord, Connection};
use crate::network::{Ended, Party, Said, UNNAMED, Wish, place, to_allow};
use crate::time::Stopwatch;
use crate::visible::{code, shortened, visible};

/// Rules for more than one host that are offered.
const MOST_PATTERNS: usize = 2;
/// Refusals of one call that are told apart; of more the number is told.
const MOST_TOLD: usize = 16;

/// The connections of one call.
pub(crate) struct CallConnections {
    approver: Arc<dyn Approver>,
    stopwatch: Stopwatch,
    cancel: CancellationToken,
    /// The call has ended; what it has left behind may still connect.
    ended: CancellationToken,
    record: CallRecord,
    /// What was refused, in words, and how often.
    refused: Mutex<(BTreeMap<String, u64>, u64)>,
    /// What of it need not be guessed from the command's output.
    known: Mutex<KnownRefusals>,
}

/// What is known of connections that were refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownRefusals {
    /// An address without a way to it was among them.
    pub(crate) no_way: bool,
    /// Their ports.
    pub(crate) ports: BTreeSet<u16>,
}

impl CallConnections {
    pub(crate) fn new(
        approver: Arc<dyn Approver>,
        stopwatch: Stopwatch,
        cancel: CancellationToken,
        ended: CancellationToken,
        record: CallRecord,
    ) -> CallConnections {
        CallConnections {
            approver,
            stopwatch,
            cancel,
            ended,
            record,
            refused: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// What is known of connections that were refused.
    pub(crate) fn known_refusals(&self) -> KnownRefusals {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of a refusal, which needs no guess then.
    fn note(&self, port: u16, no_way: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.no_way |= no_way;
        if known.ports.len() < MOST_TOLD {
            known.ports.insert(port);
        }
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

    /// Takes note of hosts that a program is granted and does not reach.
    pub(crate) fn reaches_nobody(&self, hosts: &[HostPattern], why: &str) {
        let hosts: Vec<String> = hosts.iter().map(|host| visible(host.to_string().as_bytes())).collect();
        self.refuse(format!(
            "a program that is granted {} did not reach it: no host can be reached by name here ({}); a person can grant \
             hosts = [\"*\"], which is the whole network",
            hosts.join(", "),
            visible(why.as_bytes())
        ));
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

    /// Asks whether ports of a command may be published.
    pub(crate) async fn may_publish(&self, ports: &[u16], exec: (PathBuf, &str), workdir: &Path) -> bool {
        let pause = self.stopwatch.pause();
        let answer = self.approver.ask(publishing(ports, exec, workdir)).await;
        drop(pause);
        let why = match answer {
            Answer::Approved { .. } => return true,
            Answer::Declined { .. } => "a person said no".to_owned(),
            Answer::Cancelled { .. } => "the question was closed without an answer".to_owned(),
            Answer::Unanswered(why) => format!("it needs a person's approval, and {why}"),
        };
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        self.refuse(format!(
            "not published: {}: {why}. A person can start the server with --publish {}",
            ports.join(", "),
            ports.join(" --publish ")
        ));
        false
    }

    async fn inquire(&self, wish: &Wish) -> Said {
        let pause = self.stopwatch.pause();
        let answer = self.approver.ask(question(wish, self.ended.is_cancelled())).await;
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
            host: ended.host.clone(),
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
            self.note(record.attempt.port, false);
            self.refuse(text);
        }
    }

    fn has_no_way(&self, to: SocketAddr, program: &Path) {
        let (host, program) = (to.ip().to_string(), shown(program));
        self.record.connection(Connection {
            call: String::new(),
            host: host.clone(),
            port: to.port(),
            program: program.clone(),
            allowed: None,
            refused: Some(UNNAMED.to_owned()),
            address: None,
            sent: 0,
            received: 0,
            milliseconds: 0,
        });
        let by = program.map(|program| format!(" by {program}")).unwrap_or_default();
        self.refuse(format!(
            "the connection to {to}{by} was refused: {UNNAMED}. {}",
            to_allow(&host, to.port())
        ));
        self.note(to.port(), true);
    }
}

/// What the result says of a connection that was not made, or not to its end. What only could not be reached says so itself.
fn told(ended: &Ended, program: Option<&str>) -> Option<String> {
    let (host, port) = (&ended.host, ended.record.attempt.port);
    let place = place(host, port);
    let failure = ended.record.failure.as_ref()?;
    let by = program.map(|program| format!(" by {program}")).unwrap_or_default();
    let what = format!("the connection to {place}{by}");
    Some(match failure {
        Failure::Refused => {
            let why = ended.refused.clone().unwrap_or_else(|| failure.to_string());
            if let Some(remedy) = ended.remedy {
                return Some(format!("{what} was refused: {why}. {remedy}"));
            }
            format!("{what} was refused: {why}. {}", to_allow(host, port))
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

/// Patterns of other kinds of names that belong to whom a host does: all below its parents, the nearest first, up to the name
/// that somebody has registered. Above, names are everybody's.
fn all_below(host: &str) -> Vec<String> {
    let Some(registered) = psl::domain_str(host).filter(|_| host.parse::<IpAddr>().is_err()) else {
        return Vec::new();
    };
    let parents = host.match_indices('.').filter_map(|(at, _)| host.get(at + 1..));
    let owned = parents.take_while(|parent| parent.len() >= registered.len());
    owned.take(MOST_PATTERNS).map(|parent| format!("*.{parent}")).collect()
}

/// What a person is asked about a connection. A yes holds for further connections there, too, until the call has ended.
fn question(wish: &Wish, has_ended: bool) -> Question {
    let caller = &wish.caller;
    let place = place(&wish.host, wish.port);
    // Whoever may connect can do it for all programs of the sandbox, so all of them wait for one answer.
    let identity = Identity::of([b"connection".as_slice(), place.as_bytes()]);
    let parents = caller.parents.iter().map(|parent| format!("Started by {}", code(parent)));
    let rule = wish.rule.iter().flat_map(|(origin, why)| {
        let why = why.as_ref().map(|why| format!("Reason: {}", visible(why.as_bytes())));
        why.into_iter().chain([format!("Rule: {}", visible(origin.as_bytes()))])
    });
    // A rule that asks would ask again.
    let always = match &wish.rule {
        Some(_) => Vec::new(),
        None => {
            let all = std::iter::once(wish.host.clone()).chain(all_below(&wish.host));
            all.filter_map(|host| Amendment::host(&host, wish.port, Decision::Allow).ok()).collect()
        }
    };
    let whose = match has_ended {
        false => "A yes lets every program of the command connect there.",
        true => "Its call has ended, so a yes to this once is one to this connection.",
    };
    Question {
        program: caller.program.clone(),
        arguments: caller.argv.iter().skip(1).cloned().collect(),
        workdir: caller.workdir.clone(),
        rule: None,
        danger: None,
        identity,
        again: (!has_ended).then(|| identity.with([b"by its call".as_slice()])),
        always,
        scoped: Vec::new(),
        cautions: Vec::new(),
        details: rule.chain(parents).chain([whose.to_owned()]).collect(),
        line: None,
        failed: None,
        gives_more: false,
        connection: Some(place),
        once: false,
        subject: None,
    }
}

/// What a person is asked about ports that are to be published.
fn publishing(ports: &[u16], (shell, command): (PathBuf, &str), workdir: &Path) -> Question {
    let places: Vec<String> = ports.iter().map(|port| code(&format!("http://127.0.0.1:{port}"))).collect();
    let text: Vec<String> = ports.iter().map(ToString::to_string).collect();
    let identity =
        Identity::of(std::iter::once("publish").chain(text.iter().map(String::as_str)).map(str::as_bytes));
    let whom = "Whatever listens there in the sandbox can then be opened by programs of this machine, and by no others."
        .to_owned();
    Question {
        program: shell,
        arguments: vec![b"-c".to_vec(), command.as_bytes().to_vec()],
        workdir: workdir.to_owned(),
        rule: None,
        danger: None,
        identity,
        again: Some(identity),
        always: Vec::new(),
        scoped: Vec::new(),
        cautions: Vec::new(),
        details: vec![whom],
        line: None,
        gives_more: false,
        failed: None,
        connection: None,
        once: false,
        subject: Some(format!("publish the command's {}", places.join(", "))),
    }
}

fn shown(program: &Path) -> Option<String> {
    let text = visible(program.as_os_str().as_encoded_bytes());
    (!text.is_empty()).then(|| shortened(&text, 300))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_for_all_below_a_name_stay_below_what_somebody_registered() {
        for (host, expected) in [
            ("files.example.org", &["*.example.org"][..]),
            ("a.b.example.co.uk", &["*.b.example.co.uk", "*.example.co.uk"]),
            ("a.b.c.d.example.org", &["*.b.c.d.example.org", "*.c.d.example.org"]),
            ("example.org", &[]),
            ("ann.github.io", &[]),
            ("x.ann.github.io", &["*.ann.github.io"]),
            ("co.uk", &[]),
            ("localhost", &[]),
            ("10.1.2.3", &[]),
            ("fd00::1", &[]),
        ] {
            assert_eq!(all_below(host), expected, "{host}");
        }
    }
}
