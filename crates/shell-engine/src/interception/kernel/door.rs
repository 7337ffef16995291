//! One call's door: what its thread cannot decide alone.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use escalation_protocol::handover::Outcome;
use tokio::net::UnixStream;
use tokio::sync::{Mutex, mpsc};

use super::messages::{Answer, CallNumber, Command, Event, Mailbox, Task};
use crate::interception::call::InterceptedCall;
use crate::interception::door::Door;
use crate::interception::wrapper::{Asker, Becomes, hold_known, refuse};
use crate::judgement::{Action, Exec};

/// One call's door. Dropping it fails whatever its processes are about to execute.
pub(crate) struct KernelDoor {
    mailbox: Mailbox,
    call: CallNumber,
    events: Mutex<mpsc::UnboundedReceiver<io::Result<Event>>>,
    /// No process of the call is left, and the thread knows that.
    is_over: AtomicBool,
}

impl KernelDoor {
    pub(super) fn new(
        mailbox: Mailbox,
        call: CallNumber,
        events: mpsc::UnboundedReceiver<io::Result<Event>>,
    ) -> KernelDoor {
        KernelDoor { mailbox, call, events: Mutex::new(events), is_over: AtomicBool::new(false) }
    }
}

impl Drop for KernelDoor {
    fn drop(&mut self) {
        if !*self.is_over.get_mut() {
            self.mailbox.send(Command::Leave { call: self.call });
        }
    }
}

impl Door for KernelDoor {
    type Event = Event;

    async fn next(&self) -> io::Result<Option<Event>> {
        match self.events.lock().await.recv().await {
            None if !self.mailbox.is_alive() => Err(io::Error::other("the thread that judges has ended")),
            None => {
                self.is_over.store(true, Ordering::Relaxed);
                Ok(None)
            }
            event => event.transpose(),
        }
    }

    fn hold(&self, event: Event, call: Arc<InterceptedCall>) -> impl Future<Output = ()> + Send + 'static {
        let (mailbox, number) = (self.mailbox.clone(), self.call);
        async move {
            let Event { task, weight: _weight } = event;
            match task {
                Task::Read(reading) => {
                    // When it is told nothing, its process waits until its call ends.
                    let _ = tokio::task::spawn_blocking(move || reading.read()).await;
                }
                Task::Judge(exec, waiting) => {
                    let runs =
                        call.judge.runs(&exec, &call.facts, || call.record.program(exec.lineage.place));
                    let runs = tokio::select! {
                        runs = runs => runs,
                        () = call.end.ended.cancelled() => return,
                    };
                    waiting.answer(if runs { Answer::Happens } else { Answer::Turns });
                }
                Task::Decide(exec, waiting) => {
                    let record = call.record.program(exec.lineage.place);
                    let action = tokio::select! {
                        action = call.judge(&exec, &record) => action,
                        () = call.end.ending.cancelled() => return,
                        () = waiting.is_moot() => return,
                    };
                    waiting.answer(match action {
                        Action::Run | Action::Try(_) => Answer::Happens,
                        Action::Deny { reason } => Answer::Refused(reason),
                        // Without the wrapper there is nothing to stand for it in here; it was said to stay.
                        Action::Escalate(_) => {
                            record.ended(Outcome::NotStarted(libc::EPERM.unsigned_abs()));
                            Answer::Fails(libc::EPERM)
                        }
                    });
                }
                Task::Lead { stream, refusal: Some(reason), .. } => {
                    let told = async { refuse(opened(stream)?, &reason).await.map_err(io::Error::other) };
                    if let Err(error) = told.await {
                        tracing::debug!(%error, "a wrapper was not told why");
                    }
                }
                Task::Lead { exec, stream, process, file, refusal: None, starting } => {
                    let allowed = Arc::clone(&exec);
                    let announce = Box::new(move || {
                        mailbox.send(Command::Allow { call: number, process, exec: allowed });
                    });
                    drop(starting);
                    if let Err(error) = lead(stream, exec, Becomes { file, announce }, &call).await {
                        tracing::debug!(%error, "a dialogue with a wrapper ended early");
                    }
                }
            }
        }
    }
}

async fn lead(
    stream: std::os::unix::net::UnixStream,
    exec: Arc<Exec>,
    becomes: Becomes,
    call: &InterceptedCall,
) -> io::Result<()> {
    let stream = opened(stream)?;
    hold_known(Asker { stream, exec, becomes: Some(becomes) }, call).await.map_err(io::Error::other)
}

fn opened(stream: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}
