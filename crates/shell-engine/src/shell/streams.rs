//! The descriptors that a call's shell starts with, and our ends of them.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use super::input::InputWriter;
use super::kept::KeptShell;
use super::request::Input;
use super::terminal::{self, Terminal};
use crate::output::{Output, Spool};
use crate::sandboxes::Sandbox;

/// Our ends, and theirs.
pub(super) struct Streams {
    pub(super) output: Output,
    /// `None`: nothing can be written.
    pub(super) input: Option<InputWriter>,
    pub(super) terminal: Option<Terminal>,
    pub(super) kept: Option<KeptShell>,
    pub(super) theirs: Theirs,
    /// Counts the bytes that were written and that nobody has read.
    pub(super) unread: Option<Unread>,
}

/// Counts bytes.
pub(super) type Unread = Box<dyn Fn() -> usize + Send + Sync>;

/// What the shell gets.
pub(super) struct Theirs {
    /// Its standard input.
    pub(super) input: OwnedFd,
    /// Its standard output and standard error.
    pub(super) output: OwnedFd,
    /// Both are a terminal.
    pub(super) are_terminal: bool,
    /// Where its commands come from.
    pub(super) commands: Option<OwnedFd>,
}

impl Streams {
    /// Makes them; what the shell prints is recorded from now on.
    pub(super) fn make(spool: &Spool, input: Input, sandbox: &Sandbox) -> io::Result<Streams> {
        let size = match input {
            Input::Nothing => return Streams::of_pipes(spool, None, File::open("/dev/null")?.into()),
            Input::Written => {
                let (read, write) = io::pipe()?;
                let (read, writer) = (OwnedFd::from(read), InputWriter::start(write.into())?);
                // Of the end that is read: its input ends when nobody has the other.
                let (theirs, waits) = (read.try_clone()?, writer.clone());
                let mut streams = Streams::of_pipes(spool, Some(writer), read)?;
                streams.unread = Some(Box::new(move || waits.waiting() + held(&theirs)));
                return Ok(streams);
            }
            Input::Commands => {
                let mut streams = Streams::of_pipes(spool, None, File::open("/dev/null")?.into())?;
                let (kept, commands) = KeptShell::start(streams.output.catch_up())?;
                streams.kept = Some(kept);
                streams.theirs.commands = Some(commands);
                return Ok(streams);
            }
            Input::Terminal(size) => size,
        };
        let (ours, theirs) = terminal::open(size, sandbox.session().terminals())?;
        let output = Output::read(ours.try_clone()?, spool)?;
        let input = InputWriter::start(ours.try_clone()?)?;
        let terminal = Terminal::start(ours, output.recording(), size, input.clone());
        let theirs =
            Theirs { input: theirs.try_clone()?, output: theirs, are_terminal: true, commands: None };
        let (master, waits) = (terminal.clone(), input.clone());
        let unread: Unread = Box::new(move || waits.waiting() + master.held());
        let (input, terminal, unread) = (Some(input), Some(terminal), Some(unread));
        Ok(Streams { output, input, terminal, kept: None, theirs, unread })
    }

    fn of_pipes(spool: &Spool, input: Option<InputWriter>, theirs: OwnedFd) -> io::Result<Streams> {
        let (output, their_output) = Output::capture(spool)?;
        let theirs = Theirs { input: theirs, output: their_output, are_terminal: false, commands: None };
        Ok(Streams { output, input, terminal: None, kept: None, theirs, unread: None })
    }
}

/// Bytes that can be read from a descriptor.
pub(super) fn held(descriptor: &OwnedFd) -> usize {
    let held = rustix::io::ioctl_fionread(descriptor).ok();
    held.and_then(|held| usize::try_from(held).ok()).unwrap_or_default()
}
