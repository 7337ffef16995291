//! What a command prints: read to the end, kept within a bound, in the order in which it was written.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::task::JoinHandle;

/// Bytes that are kept of a command's output: the first and the last half.
const MAX_KEPT_BYTES: usize = 1 << 20;

/// How long output may still come when the shell has ended and somebody else holds the pipe: what was written before the
/// end is in the pipe already, this is for what a process substitution says last.
const LATE_OUTPUT: Duration = Duration::from_millis(50);

/// Reads one pipe until nobody holds its other end, even when the call is long over: a background process must not be
/// killed by a pipe that nobody reads.
pub(super) struct Output {
    kept: Arc<Mutex<Kept>>,
    reader: JoinHandle<()>,
}

impl Output {
    /// Starts to read. The returned descriptor is the end to write to, for standard output and standard error alike: one
    /// pipe is the only way to keep their order.
    pub(super) fn capture() -> io::Result<(Output, OwnedFd)> {
        let (read, write) = io::pipe()?;
        let read: OwnedFd = read.into();
        rustix::io::ioctl_fionbio(&read, true)?;
        let receiver = Receiver::from_owned_fd(read)?;
        let kept = Arc::new(Mutex::new(Kept::default()));
        let reader = tokio::spawn(read_all(receiver, Arc::clone(&kept)));
        Ok((Output { kept, reader }, write.into()))
    }

    /// What was printed, once the shell has ended: waits for the end of the pipe, but not for background processes that
    /// hold it.
    pub(super) async fn collect(mut self) -> Vec<u8> {
        let _ = tokio::time::timeout(LATE_OUTPUT, &mut self.reader).await;
        lock(&self.kept).text()
    }
}

async fn read_all(mut pipe: Receiver, kept: Arc<Mutex<Kept>>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) => return,
            Ok(length) => lock(&kept).add(buffer.get(..length).unwrap_or_default()),
            Err(error) => {
                tracing::error!(%error, "reading a command's output failed");
                return;
            }
        }
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first and the last bytes of a stream.
#[derive(Default)]
struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    omitted: u64,
}

impl Kept {
    fn add(&mut self, bytes: &[u8]) {
        let room = (MAX_KEPT_BYTES / 2).saturating_sub(self.head.len());
        let (first, rest) = bytes.split_at(bytes.len().min(room));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(MAX_KEPT_BYTES / 2);
        self.tail.drain(..excess);
        self.omitted += u64::try_from(excess).unwrap_or_default();
    }

    fn text(&self) -> Vec<u8> {
        let (first, second) = self.tail.as_slices();
        let marker = match self.omitted {
            0 => String::new(),
            omitted => format!("\n… {omitted} bytes omitted …\n"),
        };
        [&self.head, marker.as_bytes(), first, second].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_kept_whole() {
        let mut kept = Kept::default();
        kept.add(&vec![b'a'; MAX_KEPT_BYTES / 2 - 1]);
        kept.add(b"bc");
        assert_eq!(kept.text().len(), MAX_KEPT_BYTES / 2 + 1);
        assert!(kept.text().ends_with(b"abc"));
    }

    #[test]
    fn of_more_the_first_and_the_last_bytes_are_kept_and_the_gap_is_shown() {
        let mut kept = Kept::default();
        kept.add(b"first");
        for _ in 0..40 {
            kept.add(&vec![b'x'; 64 << 10]);
        }
        kept.add(b"last");
        let text = kept.text();
        let omitted = 5 + 40 * (64 << 10) + 4 - MAX_KEPT_BYTES;
        let marker = format!("… {omitted} bytes omitted …");
        assert!(text.starts_with(b"first") && text.ends_with(b"last"));
        assert!(String::from_utf8_lossy(&text).contains(&marker));
    }
}
