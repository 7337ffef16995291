//! Calls whose shell has ended and whose processes have not: which they are, and ending them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::process::{Process, Remaining};

/// Characters of a command that are remembered.
const MAX_COMMAND: usize = 200;

/// How long processes may take to be gone when they are ended: the longest grace, and what killing takes.
const PATIENCE: Duration = Duration::from_secs(65);

/// A process that lives on when its call has returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BackgroundProcess {
    /// Its number, as commands in the same sandbox see it.
    pub pid: i32,
    /// Its command line, or the beginning of it.
    pub command: String,
}

/// A call that has left processes behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackgroundCall {
    /// The id of its output.
    pub id: String,
    /// The beginning of its command.
    pub command: String,
    /// Time since its shell has ended.
    pub age: Duration,
    /// The first of its processes.
    pub processes: Vec<BackgroundProcess>,
    /// How many there are.
    pub total: usize,
}

/// The calls of one server that have left processes behind. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct Background {
    calls: Arc<Mutex<Vec<Left>>>,
}

#[derive(Clone, Debug)]
struct Left {
    id: String,
    command: String,
    since: Instant,
    /// Whoever keeps the call owns it; when nothing is left of the call, nobody does.
    process: Weak<Process>,
    cancel: CancellationToken,
}

impl Background {
    /// Remembers a call; `cancel` ends it.
    pub(super) fn add(&self, id: &str, command: &str, process: &Arc<Process>, cancel: CancellationToken) {
        let mut calls = self.calls();
        calls.retain(|left| left.process.strong_count() > 0);
        calls.push(Left {
            id: id.to_owned(),
            command: command.chars().take(MAX_COMMAND).collect(),
            since: Instant::now(),
            process: Arc::downgrade(process),
            cancel,
        });
    }

    /// The calls that still have processes, oldest first.
    pub async fn list(&self) -> Vec<BackgroundCall> {
        let known = self.calls().clone();
        let mut calls = Vec::new();
        for left in known {
            let Some(process) = left.process.upgrade() else { continue };
            let remaining = process.alive().await;
            if remaining.total > 0 {
                calls.push(BackgroundCall {
                    id: left.id,
                    command: left.command,
                    age: left.since.elapsed(),
                    total: remaining.total,
                    processes: named(remaining),
                });
            }
        }
        calls
    }

    /// Ends all processes of a call and returns those that were alive; `None`: there is no such call any more.
    pub async fn end(&self, id: &str) -> Option<Vec<BackgroundProcess>> {
        let left = self.calls().iter().find(|left| left.id == id).cloned()?;
        let process = left.process.upgrade()?;
        let remaining = process.alive().await;
        left.cancel.cancel();
        if tokio::time::timeout(PATIENCE, process.gone()).await.is_err() {
            tracing::error!(id, "background processes do not end");
        }
        Some(named(remaining))
    }

    fn calls(&self) -> MutexGuard<'_, Vec<Left>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn named(remaining: Remaining) -> Vec<BackgroundProcess> {
    let listed = remaining.listed.into_iter();
    listed.map(|(pid, command)| BackgroundProcess { pid, command: without_wrapper(command) }).collect()
}

/// A program that is just being judged shows as its wrapper (`…/execve-wrapper FILE ARGV0 ARG…`).
fn without_wrapper(command: String) -> String {
    let mut words = command.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some(wrapper), Some(_), Some(program)) if wrapper.ends_with("/execve-wrapper") => program.to_owned(),
        _ => command,
    }
}
