//! Pipes, through which bytes go from one socket to another without being copied (splice(2)).

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// What is moved at once: a pipe takes so many pieces of memory, however long they are.
const MOST_AT_ONCE: usize = 1 << 20;
/// What a pipe is made to take once so much has gone through it at once. Small pieces are many.
const BUSY: usize = 16 << 10;
const OF_BUSY: usize = 256 << 10;
/// Empty pipes that are kept for the next who needs one.
const MOST_IDLE: usize = 32;

static IDLE: Mutex<Vec<Pipe>> = Mutex::new(Vec::new());

/// A pipe of which one connection's bytes are in.
#[derive(Debug)]
pub(crate) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    filled: usize,
    is_large: bool,
}

impl Pipe {
    /// Takes an empty one.
    pub(crate) fn take() -> io::Result<Pipe> {
        if let Some(pipe) = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(pipe);
        }
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Pipe { reader, writer, filled: 0, is_large: false })
    }

    /// Gives an empty one back; another is closed, with what is in it.
    pub(crate) fn give_back(self) {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        if self.filled == 0 && idle.len() < MOST_IDLE {
            idle.push(self);
        }
    }

    /// Takes what there is out of a socket; zero at its end.
    pub(crate) fn fill(&mut self, from: impl AsFd) -> io::Result<usize> {
        let moved = splice(from, None, &self.writer, None, MOST_AT_ONCE, flags())?;
        self.filled += moved;
        if moved >= BUSY && !self.is_large {
            // A user has only so much of this (pipe(7), `pipe-user-pages-soft`); without, it is a little slower.
            let _ = rustix::pipe::fcntl_setpipe_size(&self.writer, OF_BUSY);
            self.is_large = true;
        }
        Ok(moved)
    }

    /// Puts as much into a socket as it takes; true when nothing is left.
    pub(crate) fn drain(&mut self, into: impl AsFd) -> io::Result<bool> {
        if self.filled > 0 {
            let moved = splice(&self.reader, None, into, None, self.filled, flags())?;
            self.filled = self.filled.saturating_sub(moved);
        }
        Ok(self.filled == 0)
    }
}

fn flags() -> SpliceFlags {
    SpliceFlags::MOVE | SpliceFlags::NONBLOCK
}
