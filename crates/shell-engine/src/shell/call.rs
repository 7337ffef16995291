//! A call, as those see it who have started it or attach to it.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::admission::Turn;
use super::input::{InputWriter, WriteError};
use super::kept::{CommandError, KeptCommand, KeptShell};
use super::keys;
use super::outcome::CallOutcome;
use super::terminal::{Screen, Terminal, TerminalSize};
use crate::interception::InterceptedCall;
use crate::judgement::{Asking, CallFacts, DecisionRecord, Decisions, Permit, Script};
use crate::network::Publications;
use crate::output::{Recording, Spool};
use crate::sandboxes::{Process, Signal};
use crate::time::Stopwatch;

/// A call that takes so long may be given up: openai-agents and AutoGen wait for five seconds by default.
pub(super) const LONG: Duration = Duration::from_secs(4);

/// How long it is said where the output of a long call stays.
const ANNOUNCED: Duration = Duration::from_secs(1);

/// What is typed on a terminal.
#[derive(Clone, Copy, Debug)]
pub enum Typed<'a> {
    /// Text; a line's end is the Enter key. Nothing but names of keys means the keys.
    Text(&'a str),
    /// Keys by their names (`<C-c>`, `<Up>`), and text between them.
    Keys(&'a str),
    /// Text that is pasted.
    Paste(&'a str),
}

/// A running or finished call. Clones are the same call; dropping them does not end it.
#[derive(Clone, Debug)]
pub struct Call {
    pub(super) outcome: watch::Receiver<Option<Arc<CallOutcome>>>,
    pub(super) cancel: CancellationToken,
    pub(super) stopwatch: Stopwatch,
    pub(super) output: Recording,
    pub(super) outputs: Spool,
    pub(super) started: Instant,
    pub(super) announced: Arc<OnceLock<Instant>>,
    /// Whoever keeps the call owns it.
    pub(super) shell: Weak<Process>,
    /// What its programs are judged by; gone with the last of them.
    pub(super) intercepted: Weak<InterceptedCall>,
    pub(super) input: Option<InputWriter>,
    pub(super) terminal: Option<Terminal>,
    pub(super) kept: Option<KeptShell>,
    pub(super) script: Script,
    pub(super) turn: Arc<Mutex<Option<Turn>>>,
    pub(super) decisions: Decisions,
    pub(super) sandbox: Arc<str>,
    pub(super) published: Option<Arc<Publications>>,
}

impl Call {
    /// What was printed so far.
    #[must_use]
    pub fn output(&self) -> &Recording {
        &self.output
    }

    /// Says once, when the call takes so long that its client may give it up, where its output stays. `None` before and
    /// after.
    #[must_use]
    pub fn announcement(&self) -> Option<String> {
        let announced = || *self.announced.get_or_init(Instant::now);
        if self.started.elapsed() < LONG || announced().elapsed() >= ANNOUNCED {
            return None;
        }
        self.outputs.keep(&self.output);
        let id = self.output.id();
        Some(format!(
            "if this call is given up, background_list names it and read_output has its output ({id})"
        ))
    }

    /// Whether a person is being asked at the moment.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.stopwatch.is_paused()
    }

    /// Waits for the call's end. `None`: the call's task itself broke.
    pub async fn finished(&mut self) -> Option<Arc<CallOutcome>> {
        self.outcome.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Whether its shell has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.outcome.borrow().is_some()
    }

    /// Time that has counted so far, and time in which a person was asked.
    #[must_use]
    pub fn times(&self) -> (Duration, Duration) {
        self.stopwatch.read()
    }

    /// How long it may run, if there is an end to that.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.stopwatch.limit()
    }

    /// Completes when it has run for so long; time in which a person is asked does not count.
    pub async fn has_run_for(&self, time: Duration) {
        self.stopwatch.counted(time).await;
    }

    /// Ports that have been published since this was last asked, a sentence each.
    #[must_use]
    pub fn news_of_ports(&self) -> Vec<String> {
        self.published.iter().flat_map(|published| published.news()).collect()
    }

    /// What was decided about its programs so far.
    #[must_use]
    pub fn decisions(&self) -> Vec<DecisionRecord> {
        self.decisions.read().0
    }

    /// What is in force of its sandbox, in one word.
    #[must_use]
    pub fn sandbox(&self) -> &str {
        &self.sandbox
    }

    /// Lets another command start in its place: it goes on for nobody knows how long.
    pub fn give_up_turn(&self) {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Bytes that were written to its standard input and that it has not read.
    #[must_use]
    pub fn unread_input(&self) -> usize {
        self.input.as_ref().map_or(0, InputWriter::waiting)
    }

    /// Writes to its standard input, where it may wait until it is read. Takes as long as a person does whom
    /// a rule asks about input to what runs in it; `text` is what the caller has given, which the person is shown. Dropping the future writes nothing.
    ///
    /// # Errors
    ///
    /// When it has none, has ended, or does not read, or a rule or a person says no.
    pub async fn write(&self, text: &str, bytes: Vec<u8>) -> Result<(), WriteError> {
        let input = self.input.as_ref().filter(|input| input.is_open()).ok_or(WriteError::Closed)?;
        let intercepted = || self.intercepted.upgrade().ok_or(WriteError::Ended);
        let (facts, record) = {
            let call = intercepted()?;
            (Arc::clone(&call.facts), call.record.clone())
        };
        let CallFacts { approver, stopwatch, cancel, readers, .. } = &*facts;
        let asking = Asking { approver: &**approver, stopwatch, cancel };
        let permit = readers.permit(text, asking, &record).await?;
        if self.has_ended() {
            return Err(WriteError::Ended);
        }
        input.write(bytes)?;
        permit.used(text, &record);
        Ok(())
    }

    /// Whether its shell is kept for commands.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Gives its kept shell a command.
    ///
    /// # Errors
    ///
    /// When it is not kept, has ended, runs one, or it is none.
    pub fn run(&self, command: &str) -> Result<KeptCommand, CommandError> {
        let kept = self.kept.as_ref().ok_or(CommandError::NotKept)?;
        if self.has_ended() {
            return Err(CommandError::Ended);
        }
        let running = kept.run(command)?;
        if let Some(call) = self.intercepted.upgrade() {
            // Each program that it executes is judged.
            Permit::of_command().used(command, &call.record);
        }
        self.script.replace(command);
        Ok(running)
    }

    /// The command that its kept shell runs, or has run last.
    #[must_use]
    pub fn last_command(&self) -> Option<KeptCommand> {
        self.kept.as_ref()?.last()
    }

    /// Whether it has a terminal.
    #[must_use]
    pub fn has_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// What is on its terminal now; `None`: it has none. May read files.
    #[must_use]
    pub fn screen(&self) -> Option<Screen> {
        Some(self.terminal.as_ref()?.screen())
    }

    /// Makes its terminal larger or smaller.
    ///
    /// # Errors
    ///
    /// When it has none.
    pub fn resize(&self, size: TerminalSize) -> io::Result<()> {
        self.terminal.as_ref().ok_or(io::ErrorKind::Unsupported)?.resize(size)
    }

    /// The bytes that its terminal sends for what is typed; as they are, where it has none.
    #[must_use]
    pub fn keyboard(&self, typed: &Typed<'_>) -> Vec<u8> {
        match (&self.terminal, typed) {
            (Some(terminal), Typed::Text(text)) if keys::are_names(text) => terminal.keys(text),
            (Some(terminal), Typed::Text(text)) => terminal.typed(text),
            (Some(terminal), Typed::Keys(text)) => terminal.keys(text),
            (Some(terminal), Typed::Paste(text)) => terminal.pasted(text),
            (None, Typed::Text(text) | Typed::Keys(text) | Typed::Paste(text)) => text.as_bytes().to_vec(),
        }
    }

    /// What its terminal has shown, from an offset of its output on, as asciicast (version 2), and where to go on; `None`: it
    /// has no terminal. Reads files.
    #[must_use]
    pub fn asciicast(&self, from: u64, limit: u64) -> Option<(String, u64)> {
        Some(self.terminal.as_ref()?.asciicast(from, limit))
    }

    /// Ends its standard input.
    pub fn close_input(&self) {
        if let Some(input) = &self.input {
            input.close();
        }
    }

    /// Sends SIGINT to its shell and the programs that this has started in its own group, as `Ctrl-C` would.
    pub fn interrupt(&self) {
        if let Some(shell) = self.shell.upgrade() {
            shell.signal_group(Signal::SIGINT);
        }
    }

    /// Ends the call with all its processes. [`finished`](Self::finished) tells when that is done.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }
}
