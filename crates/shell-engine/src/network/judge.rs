//! Decides about the connections of one sandbox.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use egress::{Attempt, Record, Verdict, Waiting};
use execpolicy::{Ancestry, Decision, Policy};
use sandbox::ByName;

use super::callers::{Call, Callers, Told};
use super::grounds::{Ground, Grounds, LOCALHOST, Reach};
use super::party::{Caller, Ended, Said, Wish};
use crate::config::Hosts;
use crate::rules::Rules;

/// The judge of one sandbox.
pub(super) struct SandboxJudge {
    pub(super) rules: Arc<Rules>,
    pub(super) hosts: Arc<Hosts>,
    pub(super) reach: Reach,
    /// Addresses and ports of this machine that are reached as such.
    pub(super) named: ByName,
    /// Others than its programs can connect, too: only what was announced is theirs.
    pub(super) only_announced: bool,
    pub(super) callers: Arc<Callers>,
    pub(super) known: Mutex<HashMap<u64, Known>>,
    /// The rules that were last looked at.
    pub(super) seen: Mutex<Arc<Policy>>,
}

/// What is known of a connection until its end.
#[derive(Clone, Default)]
pub(super) struct Known {
    call: Option<Call>,
    caller: Caller,
    refused: Option<String>,
    /// What would allow it, where that is not a rule.
    remedy: Option<&'static str>,
    /// A person has allowed it.
    by_person: bool,
    /// Who hears whether it comes about.
    is_made: Option<Sender<bool>>,
}

impl SandboxJudge {
    async fn decide(&self, attempt: &Attempt) -> Verdict {
        let told = self.callers.told(attempt.program, attempt.inside).await;
        if told.is_none() && self.only_announced {
            return Verdict::Refuse;
        }
        let Told { call, caller, is_made } = told.unwrap_or_else(|| self.callers.untold());
        let policy = self.rules.current().await;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&policy);
        let ground = self.ground(&policy, attempt, &caller.ancestry);
        let mut known = Known { call, caller, is_made, ..Known::default() };
        let verdict = match ground.decision {
            Decision::Allow => Verdict::Allow(ground.by),
            Decision::Forbidden => {
                known.refused = Some(with_justification(&ground));
                known.remedy = ground.remedy;
                Verdict::Refuse
            }
            Decision::Prompt => {
                known.remedy = ground.remedy;
                let rule = ground.rule.as_ref().map(|(origin, _)| format!(" (the rule {origin} asks)"));
                match ask(attempt, &known, ground).await {
                    Said::Yes(by) => {
                        known.by_person = true;
                        Verdict::Allow(by)
                    }
                    Said::No(why) => {
                        known.refused = Some(why + &rule.unwrap_or_default());
                        Verdict::Refuse
                    }
                }
            }
        };
        self.known().insert(attempt.number, known);
        verdict
    }

    fn grounds<'g>(&'g self, policy: &'g Policy) -> Grounds<'g> {
        Grounds { policy, hosts: &self.hosts, reach: &self.reach }
    }

    fn ground(&self, policy: &Policy, attempt: &Attempt, programs: &Ancestry) -> Ground {
        let grounds = self.grounds(policy);
        match &attempt.host {
            // What leads nowhere where the sandbox has a network of its own.
            egress::Host::Address(address) if !self.is_named(*address, attempt.port) => Ground::unnamed(),
            egress::Host::Address(address) if address.is_loopback() => {
                grounds.decide_localhost(attempt.port, programs)
            }
            egress::Host::Name(_) | egress::Host::Address(_) => {
                grounds.decide(&host(attempt), attempt.port, programs)
            }
        }
    }

    fn is_named(&self, address: IpAddr, port: u16) -> bool {
        match address.is_loopback() {
            true => self.named.host_ports.contains(&port),
            false => self.named.addresses.contains(&address),
        }
    }

    /// Whether a connection that is open may stay, by other rules than those that it was judged by.
    pub(super) fn may_stay(&self, policy: &Policy, attempt: &Attempt) -> bool {
        let known = self.known().get(&attempt.number).cloned().unwrap_or_default();
        match self.ground(policy, attempt, &known.caller.ancestry).decision {
            Decision::Allow => true,
            Decision::Prompt => known.by_person,
            Decision::Forbidden => false,
        }
    }

    /// The file of the program that has made a connection, where that is known.
    pub(super) fn program_of(&self, attempt: &Attempt) -> PathBuf {
        self.known().get(&attempt.number).map(|known| known.caller.program.clone()).unwrap_or_default()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl egress::Judge for SandboxJudge {
    fn judge<'j>(&'j self, attempt: &'j Attempt) -> Waiting<'j, Verdict> {
        Box::pin(self.decide(attempt))
    }

    fn grants_address(&self, attempt: &Attempt, address: IpAddr) -> bool {
        let policy = Arc::clone(&self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        // One that was meant as such was judged as such.
        let is_meant = match &attempt.host {
            egress::Host::Name(_) => false,
            egress::Host::Address(meant) => *meant == address || meant.is_loopback() && address.is_loopback(),
        };
        is_meant || self.grounds(&policy).grants_address(address, attempt.port)
    }

    fn share(&self, program: SocketAddr, inside: SocketAddr) -> Waiting<'_, Option<u64>> {
        Box::pin(async move {
            let told = self.callers.share(program, inside).await;
            told.or_else(|| (!self.only_announced).then(|| self.callers.untold_share()))
        })
    }

    fn opened(&self, attempt: &Attempt) {
        let is_made = self.known().get_mut(&attempt.number).and_then(|known| known.is_made.take());
        // Who does not wait for it any more does not hear it.
        let _ = is_made.map(|is_made| is_made.send(true));
    }

    fn ended(&self, record: &Record) {
        let known = self.known().remove(&record.attempt.number);
        let known = known.unwrap_or_else(|| {
            // It did not come as far as being judged.
            let Told { call, caller, is_made } = self.callers.of(record.attempt.program);
            Known { call, caller, is_made, ..Known::default() }
        });
        let Known { call, caller, refused, remedy, is_made, .. } = known;
        let _ = is_made.map(|is_made| is_made.send(false));
        let ended = Ended {
            record: record.clone(),
            host: host(&record.attempt),
            program: caller.program,
            refused,
            remedy,
        };
        if let Some(party) = call.and_then(|call| call.party.upgrade()) {
            party.ended(&ended);
        }
    }
}

/// The host as rules name it.
pub(super) fn host(attempt: &Attempt) -> String {
    match &attempt.host {
        egress::Host::Name(name) => name.to_string(),
        egress::Host::Address(address) if address.is_loopback() => LOCALHOST[0].to_owned(),
        egress::Host::Address(address) => address.to_string(),
    }
}

/// Asks the call's own way, in its own runtime. When the connection is given up, so is the question.
async fn ask(attempt: &Attempt, known: &Known, ground: Ground) -> Said {
    let Some(call) = &known.call else {
        return Said::No(format!(
            "{}, and it is not known which call it belongs to, so nobody was asked",
            ground.by
        ));
    };
    let wish =
        Wish { host: host(attempt), port: attempt.port, caller: known.caller.clone(), rule: ground.rule };
    let party = call.party.clone();
    let asked = call.runtime.spawn(async move {
        match party.upgrade() {
            Some(party) => party.ask(&wish).await,
            None => Said::No("its call has ended".to_owned()),
        }
    });
    let mut withdrawn = Withdraw(Some(asked));
    let said = match &mut withdrawn.0 {
        Some(asked) => asked.await,
        None => return Said::No("its call has ended".to_owned()),
    };
    withdrawn.0 = None;
    said.unwrap_or_else(|_| Said::No("its call has ended".to_owned()))
}

/// Withdraws a question with whoever waits for its answer.
struct Withdraw(Option<tokio::task::JoinHandle<Said>>);

impl Drop for Withdraw {
    fn drop(&mut self) {
        if let Some(asked) = &self.0 {
            asked.abort();
        }
    }
}

fn with_justification(ground: &Ground) -> String {
    match &ground.rule {
        Some((origin, Some(why))) => format!("the rule {origin} forbids it: {why}"),
        Some((origin, None)) => format!("the rule {origin} forbids it"),
        None => ground.by.clone(),
    }
}
