//! One output: written by the reader of its pipe, looked at by everybody else.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::budget::{self, Presentation, View, WINDOW_BYTES, Windows};
use super::head_and_tail::HeadAndTail;
use super::space::Space;
use super::text;

/// The longest last line that is shown while a command runs, in characters.
const MAX_LAST_LINE: usize = 200;

/// What one command printed so far. Clones are the same output.
#[derive(Clone, Debug)]
pub struct Recording {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: String,
    space: Arc<Space>,
    kept: Mutex<HeadAndTail>,
    open: AtomicBool,
    total: AtomicU64,
}

impl Recording {
    pub(super) fn new(id: String, space: Arc<Space>) -> Recording {
        let inner = Inner {
            id,
            space,
            kept: Mutex::default(),
            open: AtomicBool::new(true),
            total: AtomicU64::new(0),
        };
        Recording { inner: Arc::new(inner) }
    }

    /// What it is asked for by.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Bytes that were printed so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.inner.total.load(Ordering::Acquire)
    }

    /// Whether somebody may still print: a process holds the pipe.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.inner.open.load(Ordering::Acquire)
    }

    /// Why not all of it could be kept, if that is so although it should fit.
    #[must_use]
    pub fn no_file(&self) -> Option<String> {
        self.kept().no_file().map(str::to_owned)
    }

    pub(super) fn add(&self, bytes: &[u8]) {
        let mut kept = self.kept();
        kept.add(bytes, &self.inner.space);
        self.inner.total.store(kept.total(), Ordering::Release);
    }

    /// Nobody holds the pipe any more.
    pub(super) fn close(&self) {
        self.inner.open.store(false, Ordering::Release);
    }

    pub(super) fn move_to_file(&self) {
        self.kept().move_to_file(&self.inner.space);
    }

    /// The output as text that fits: all of it, or its beginning and its end. Reads files.
    #[must_use]
    pub fn view(&self, presentation: Presentation) -> View {
        budget::fit(&self.windows(), presentation)
    }

    /// All bytes that are kept, the gap left out; for embedders and tests.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let kept = self.kept();
        let ranges = kept.ranges();
        let read = |range: &std::ops::Range<u64>| read_range(&kept, range.start, range.end);
        ranges.iter().map(read).collect::<Vec<_>>().concat()
    }

    /// At most so many of the last bytes.
    pub fn end(&self, length: u64) -> Vec<u8> {
        let kept = self.kept();
        let end = kept.total();
        read_range(&kept, end.saturating_sub(length), end)
    }

    /// The last line that has something in it, while the command runs.
    #[must_use]
    pub fn last_line(&self) -> Option<String> {
        let bytes = self.end(4 << 10);
        let line = bytes.split(|byte| *byte == b'\n').map(|line| text::clean(line, true).text);
        let line = line.rev().find(|line| !line.trim().is_empty())?;
        Some(line.trim().chars().take(MAX_LAST_LINE).collect())
    }

    fn windows(&self) -> Windows {
        let kept = self.kept();
        let total = kept.total();
        let whole = kept.ranges().len() == 1 && total <= 2 * WINDOW_BYTES;
        if whole {
            return Windows { head: read_range(&kept, 0, total), tail: Vec::new(), total };
        }
        Windows {
            head: read_range(&kept, 0, WINDOW_BYTES),
            tail: read_range(&kept, total.saturating_sub(WINDOW_BYTES), total),
            total,
        }
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, HeadAndTail> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kept bytes between two offsets; fewer when a gap begins before the second one.
fn read_range(kept: &HeadAndTail, start: u64, end: u64) -> Vec<u8> {
    let start = match kept.ranges().last() {
        // A tail that is kept shorter than the window.
        Some(last) if start > 0 && end == last.end => start.max(last.start),
        _ => start,
    };
    let mut bytes = vec![0; usize::try_from(end - start).unwrap_or_default()];
    match kept.read_at(start, &mut bytes) {
        Ok(read) => bytes.truncate(read),
        Err(error) => {
            tracing::error!(%error, "a command's kept output cannot be read");
            bytes.clear();
        }
    }
    bytes
}
