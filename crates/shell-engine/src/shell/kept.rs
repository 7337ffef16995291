//! A shell that is kept: it is given commands one by one, and tells how each has ended.
//!
//! The patched Bash executes what comes over a descriptor of its own (`bash-patches/0003-kept-shell.patch`) and answers with
//! the token that came with it, which no script gets to see. What was printed until then is the command's output.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::input::{InputWriter, WriteError};
use crate::output::CatchUp;
use crate::sys::{NEW_SOCKET, watch_readable};

/// The number that the descriptor has in the shell, and the variable that names it.
pub(super) const NUMBER: RawFd = 239;
pub(super) const VARIABLE: &str = "BASH_KEPT_SHELL_FD";

const TOKEN_BYTES: usize = 16;
const ANSWER_BYTES: usize = TOKEN_BYTES + 4;

/// The longest command, in bytes.
const MAX_COMMAND_BYTES: usize = 10 << 20;

/// How a command of a kept shell has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandEnd {
    /// Its exit code.
    pub exit_code: i32,
    /// How much the shell had printed by then, in bytes.
    pub printed: u64,
}

/// Why a kept shell does not take a command.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It runs one.
    #[error(
        "its last command has not ended; wait for it (write_stdin with empty chars), or interrupt it (\"\\u0003\")"
    )]
    Busy,
    /// It is no command.
    #[error("a command has a NUL character at byte {at}, which no shell can be given")]
    Nul {
        /// Where, in bytes.
        at: usize,
    },
    /// It is too long.
    #[error("a command is {length} bytes long and at most {MAX_COMMAND_BYTES} are accepted")]
    TooLong {
        /// Its length, in bytes.
        length: usize,
    },
    /// The shell has ended, or was replaced (`exec`).
    #[error("its shell has ended")]
    Ended,
    /// It is no kept shell.
    #[error("it is no kept shell: a command runs in it")]
    NotKept,
    /// The system gave no random numbers.
    #[error("it cannot be given a token")]
    Token(#[source] io::Error),
}

/// A command of a kept shell. Clones are the same.
#[derive(Clone, Debug)]
pub struct KeptCommand {
    kept: KeptShell,
    number: u64,
}

/// A kept shell. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct KeptShell {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    commands: InputWriter,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Commands so far.
    count: u64,
    /// The token of the one that runs.
    running: Option<[u8; TOKEN_BYTES]>,
    /// The end of the last one that has ended, and its number.
    ended: Option<(u64, CommandEnd)>,
    /// Nobody listens any more.
    is_gone: bool,
}

impl KeptShell {
    /// Makes the stream: our end, and the shell's.
    pub(super) fn start(output: CatchUp) -> io::Result<(KeptShell, OwnedFd)> {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, NEW_SOCKET, None)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        let commands = InputWriter::start(ours.try_clone()?)?;
        let answers = watch_readable(ours)?;
        let inner = Inner { commands, state: Mutex::default(), changed: watch::Sender::new(()) };
        let kept = KeptShell { inner: Arc::new(inner) };
        tokio::spawn(kept.clone().listen(answers, output));
        Ok((kept, theirs))
    }

    /// Gives the shell a command.
    pub(super) fn run(&self, command: &str) -> Result<KeptCommand, CommandError> {
        if let Some(at) = command.bytes().position(|byte| byte == 0) {
            return Err(CommandError::Nul { at });
        }
        let length = command.len();
        let size = u32::try_from(length).ok().filter(|_| length <= MAX_COMMAND_BYTES);
        let size = size.ok_or(CommandError::TooLong { length })?;
        let mut token = [0; TOKEN_BYTES];
        let random = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut token));
        random.map_err(CommandError::Token)?;
        let mut state = self.state();
        if state.is_gone {
            return Err(CommandError::Ended);
        }
        if state.running.is_some() {
            return Err(CommandError::Busy);
        }
        let message = [size.to_le_bytes().as_slice(), &token, command.as_bytes()].concat();
        self.inner.commands.write(message).map_err(|error| match error {
            WriteError::Closed | WriteError::Ended | WriteError::Refused(_) => CommandError::Ended,
            WriteError::Full { .. } => CommandError::Busy,
        })?;
        state.running = Some(token);
        state.count += 1;
        Ok(KeptCommand { kept: self.clone(), number: state.count })
    }

    /// The command that runs, or has run last.
    pub(super) fn last(&self) -> Option<KeptCommand> {
        let number = self.state().count;
        (number > 0).then(|| KeptCommand { kept: self.clone(), number })
    }

    /// Hears of ends, until nobody tells them any more.
    async fn listen(self, answers: AsyncFd<OwnedFd>, output: CatchUp) {
        let mut answer = [0; ANSWER_BYTES];
        let mut filled = 0;
        while let Ok(mut ready) = answers.readable().await {
            match rustix::io::read(answers.get_ref(), answer.get_mut(filled..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
            if filled == ANSWER_BYTES {
                filled = 0;
                self.take(&answer, &output).await;
            }
        }
        self.state().is_gone = true;
        self.inner.changed.send_replace(());
    }

    /// Takes an answer; one without the token is nobody's.
    async fn take(&self, answer: &[u8; ANSWER_BYTES], output: &CatchUp) {
        let (token, status) = answer.split_at(TOKEN_BYTES);
        let is_ours = |running: &[u8; TOKEN_BYTES]| running == token;
        if !self.state().running.as_ref().is_some_and(is_ours) {
            tracing::warn!("something besides a kept shell has said that its command has ended");
            return;
        }
        let exit_code = i32::from_le_bytes(status.try_into().unwrap_or_default());
        let printed = output.now().await.unwrap_or(u64::MAX);
        let mut state = self.state();
        state.running = None;
        state.ended = Some((state.count, CommandEnd { exit_code, printed }));
        drop(state);
        self.inner.changed.send_replace(());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptCommand {
    /// Waits for its end; without end when the shell ends with it, or was replaced by it.
    pub async fn ended(&self) -> CommandEnd {
        let mut changed = self.kept.inner.changed.subscribe();
        loop {
            if let Some(end) = self.end() {
                return end;
            }
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// How many commands its shell had been given with it.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// How it has ended; `None`: it has not.
    #[must_use]
    pub fn end(&self) -> Option<CommandEnd> {
        let ended = self.kept.state().ended;
        ended.filter(|(number, _)| *number >= self.number).map(|(_, end)| end)
    }
}
