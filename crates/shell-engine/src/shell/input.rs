//! What a call's command is given to read while it runs.
//!
//! A program may read late, or never: what is written waits here, up to a bound, and holds up nobody.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use crate::judgement::InputRefused;
use crate::sys::watch_writable;

/// Bytes that may wait for a program to read them.
const MOST_WAITING: usize = 16 << 20;

/// Why nothing can be written to a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// It was started without an input, or that was ended.
    #[error("its standard input is closed")]
    Closed,
    /// It has ended.
    #[error("it has ended")]
    Ended,
    /// It does not read.
    #[error("it does not read: {waiting} bytes wait for it already, and at most {MOST_WAITING} may")]
    Full {
        /// Bytes that wait.
        waiting: usize,
    },
    /// A rule or a person says no.
    #[error(transparent)]
    Refused(#[from] InputRefused),
}

/// Writes to one descriptor what a program reads from its other end. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct InputWriter {
    /// `None`: it was closed.
    queue: Arc<Mutex<Option<mpsc::UnboundedSender<Vec<u8>>>>>,
    waiting: Arc<AtomicUsize>,
}

impl InputWriter {
    /// Writes to this descriptor from now on, as fast as somebody reads.
    pub(super) fn start(descriptor: OwnedFd) -> io::Result<InputWriter> {
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        let descriptor = watch_writable(descriptor)?;
        let (queue, queued) = mpsc::unbounded_channel();
        let waiting = Arc::<AtomicUsize>::default();
        tokio::spawn(write_all(descriptor, queued, Arc::clone(&waiting)));
        Ok(InputWriter { queue: Arc::new(Mutex::new(Some(queue))), waiting })
    }

    /// Hands bytes over.
    pub(super) fn write(&self, bytes: Vec<u8>) -> Result<(), WriteError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = &*queue else { return Err(WriteError::Closed) };
        let length = bytes.len();
        let fits = |waiting: usize| waiting.checked_add(length).filter(|sum| *sum <= MOST_WAITING);
        self.waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, fits)
            .map_err(|waiting| WriteError::Full { waiting })?;
        sender.send(bytes).map_err(|_| WriteError::Closed)
    }

    /// Whether it was not closed.
    pub(super) fn is_open(&self) -> bool {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Bytes that wait here.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Ends the input after what waits.
    pub(super) fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

async fn write_all(
    descriptor: AsyncFd<OwnedFd>,
    mut queued: mpsc::UnboundedReceiver<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
) {
    while let Some(bytes) = queued.recv().await {
        let mut rest: &[u8] = &bytes;
        while !rest.is_empty() {
            let Ok(mut ready) = descriptor.writable().await else { return };
            match rustix::io::write(descriptor.get_ref(), rest) {
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    waiting.fetch_sub(written, Ordering::AcqRel);
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                // Nobody can read it any more. What still comes is dropped with the queue.
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[tokio::test]
    async fn what_nobody_reads_waits_up_to_a_bound() {
        let (mut read, write) = io::pipe().unwrap();
        let writer = InputWriter::start(write.into()).unwrap();
        writer.write(vec![b'x'; MOST_WAITING]).unwrap();
        assert!(matches!(writer.write(vec![b'y'; MOST_WAITING]), Err(WriteError::Full { .. })));
        let reader = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; MOST_WAITING];
            read.read_exact(&mut bytes).unwrap();
            (bytes, read)
        });
        let (bytes, mut read) = reader.await.unwrap();
        assert!(bytes.iter().all(|byte| *byte == b'x'));
        writer.write(b"end".to_vec()).unwrap();
        writer.close();
        assert_eq!(writer.write(b"more".to_vec()), Err(WriteError::Closed));
        let rest = tokio::task::spawn_blocking(move || {
            let mut rest = String::new();
            read.read_to_string(&mut rest).map(|_| rest)
        });
        assert_eq!(rest.await.unwrap().unwrap(), "end");
        assert_eq!(writer.waiting(), 0);
    }
}
