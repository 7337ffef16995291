//! Pipes, through which bytes go from one socket to another without being copied (splice(2)).

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What is moved at once: a pipe takes so many pieces of memory, however long they are.
const MOST_AT_ONCE: usize = 1 << 20;
/// What a pipe is made to take once so much has gone through it at once: the most that everybody may have (pipe(7),
/// `pipe-max-size`). A download is a third faster so than with a quarter of it.
const BUSY: usize = 16 << 10;
const OF_BUSY: usize = 1 << 20;
/// Such pipes at the same time: a quarter of what a user has of them (`pipe-user-pages-soft`) before new ones of all their
/// programs get small.
const MOST_LARGE: usize = 16;
/// Empty pipes that are kept for the next who needs one.
const MOST_IDLE: usize = 32;

static IDLE: Mutex<Vec<Pipe>> = Mutex::new(Vec::new());
static LARGE: AtomicUsize = AtomicUsize::new(0);

/// A pipe of which one connection's bytes are in.
#[derive(Debug)]
pub(crate) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    filled: usize,
    is_large: bool,
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if self.is_large {
            LARGE.fetch_sub(1, Ordering::Relaxed);
        }
    }
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

    /// Gives an empty one back; another is closed, with what is in it, and so is a large one, whose place others may want.
    pub(crate) fn give_back(self) {
        if self.is_large && LARGE.load(Ordering::Relaxed) >= MOST_LARGE {
            return;
        }
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        if self.filled == 0 && idle.len() < MOST_IDLE {
            // Large ones are taken first.
            let at = if self.is_large { idle.len() } else { 0 };
            idle.insert(at, self);
        }
    }

    /// Takes what there is out of a socket; zero at its end.
    pub(crate) fn fill(&mut self, from: impl AsFd) -> io::Result<usize> {
        let moved = splice(from, None, &self.writer, None, MOST_AT_ONCE, flags())?;
        self.filled += moved;
        if moved >= BUSY && !self.is_large {
            self.enlarge();
        }
        Ok(moved)
    }

    /// Makes it take more, if there may be one more that does; without, it is slower.
    fn enlarge(&mut self) {
        let taken = LARGE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |large| {
            (large < MOST_LARGE).then_some(large + 1)
        });
        if taken.is_ok() {
            self.is_large = true;
            // Where the kernel refuses it now, it would the next time.
            let _ = rustix::pipe::fcntl_setpipe_size(&self.writer, OF_BUSY);
        }
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
