//! One output: written by the reader of its pipe, looked at by everybody else.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;

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
    /// The exit code of the command, once its shell has ended.
    exit_code: OnceLock<i32>,
    /// Announces what changes in the fields above.
    changed: watch::Sender<()>,
}

impl Recording {
    pub(super) fn new(id: String, space: Arc<Space>) -> Recording {
        let inner = Inner {
            id,
            space,
            kept: Mutex::default(),
            open: AtomicBool::new(true),
            total: AtomicU64::new(0),
            exit_code: OnceLock::new(),
            changed: watch::Sender::new(()),
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
        drop(kept);
        self.inner.changed.send_replace(());
    }

    /// Nobody holds the pipe any more.
    pub(super) fn close(&self) {
        self.inner.open.store(false, Ordering::Release);
        self.inner.changed.send_replace(());
    }

    /// Its command has ended so; what it has started may still print.
    pub(crate) fn ended(&self, exit_code: i32) {
        let _ = self.inner.exit_code.set(exit_code);
        self.inner.changed.send_replace(());
    }

    /// The exit code of the command; `None` while its shell runs.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        self.inner.exit_code.get().copied()
    }

    /// Waits until this is so of the output, which is looked at again whenever something about it changes.
    pub async fn until(&self, is_so: impl Fn(&Recording) -> bool) {
        let mut changed = self.inner.changed.subscribe();
        while !is_so(self) {
            if changed.changed().await.is_err() {
                return; // Cannot be: this value holds the sender.
            }
        }
    }

    pub(super) fn move_to_file(&self) {
        self.kept().move_to_file(&self.inner.space);
    }

    /// The output as text that fits: all of it, or its beginning and its end. Reads files.
    #[must_use]
    pub fn view(&self, presentation: Presentation) -> View {
        self.view_between(0..self.total(), presentation)
    }

    /// The same for a part of it; what the view says of offsets is about the whole output.
    #[must_use]
    pub fn view_between(&self, part: Range<u64>, presentation: Presentation) -> View {
        let mut view = budget::fit(&self.windows(&part), presentation);
        if let Some(omitted) = &mut view.omitted {
            *omitted = omitted.start + part.start..omitted.end + part.start;
        }
        view
    }

    /// How far the output can be shown now without cutting a character in two that is being written.
    pub(crate) fn whole_characters(&self) -> u64 {
        let bytes = self.end(3);
        let total = self.total();
        let begun = bytes.iter().rposition(|byte| *byte >= 0xc0).and_then(|at| {
            let length = match bytes.get(at)? {
                0xc0..=0xdf => 2,
                0xe0..=0xef => 3,
                _ => 4,
            };
            let there = bytes.len() - at;
            (there < length).then_some(there)
        });
        total.saturating_sub(begun.and_then(|length| u64::try_from(length).ok()).unwrap_or(0))
    }

    /// The same without cutting an escape sequence in two either, as long as that is a short one.
    pub(crate) fn whole_sequences(&self) -> u64 {
        let total = self.total();
        let unfinished = text::unfinished_sequence(&self.end(text::LONGEST_SEQUENCE));
        let unfinished = u64::try_from(unfinished).unwrap_or_default();
        self.whole_characters().min(total.saturating_sub(unfinished))
    }

    /// All bytes that are kept, the gap left out; for embedders and tests.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let kept = self.kept();
        let ranges = kept.ranges();
        let read = |range: &Range<u64>| read_range(&kept, range.start, range.end);
        ranges.iter().map(read).collect::<Vec<_>>().concat()
    }

    /// Whether all of it is kept.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let kept = self.kept();
        kept.total() == 0 || kept.ranges().first().is_some_and(|range| *range == (0..kept.total()))
    }

    /// The first bytes between two offsets that are kept, at most so many, and where they begin; `None`: there are none.
    #[must_use]
    pub fn next_kept(&self, part: Range<u64>, most: usize) -> Option<(u64, Vec<u8>)> {
        let kept = self.kept();
        let next = |range: &Range<u64>| (range.start.max(part.start), range.end.min(part.end));
        let (start, end) = kept.ranges().iter().map(next).find(|(start, end)| start < end)?;
        let end = end.min(start.saturating_add(u64::try_from(most).unwrap_or(u64::MAX)));
        let bytes = read_range(&kept, start, end);
        (!bytes.is_empty()).then_some((start, bytes))
    }

    /// The bytes between two offsets, as far as they are kept.
    pub(crate) fn between(&self, part: Range<u64>) -> Vec<u8> {
        read_range(&self.kept(), part.start, part.end)
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

    /// The beginning and the end of a part; its total is that of the part.
    fn windows(&self, part: &Range<u64>) -> Windows {
        let kept = self.kept();
        let end = part.end.min(kept.total());
        let start = part.start.min(end);
        let total = end - start;
        let is_kept = kept.ranges().iter().any(|range| range.start <= start && end <= range.end);
        if is_kept && total <= 2 * WINDOW_BYTES {
            return Windows { head: read_range(&kept, start, end), tail: Vec::new(), total };
        }
        Windows {
            head: read_range(&kept, start, start + WINDOW_BYTES),
            tail: read_range(&kept, end.saturating_sub(WINDOW_BYTES).max(start), end),
            total,
        }
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, HeadAndTail> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kept bytes between two offsets; fewer when a gap begins before the second one.
fn read_range(kept: &HeadAndTail, start: u64, end: u64) -> Vec<u8> {
    if start >= end {
        return Vec::new();
    }
    let ranges = kept.ranges();
    let start = match ranges.last() {
        // A tail that is kept shorter than the window.
        Some(last) if end > last.start && !ranges.iter().any(|range| range.contains(&start)) => last.start,
        _ => start,
    };
    let mut bytes = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or_default()];
    match kept.read_at(start, &mut bytes) {
        Ok(read) => bytes.truncate(read),
        Err(error) => {
            tracing::error!(%error, "a command's kept output cannot be read");
            bytes.clear();
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::spool::Spool;
    use super::*;
    use crate::config::SpoolLimits;

    #[test]
    fn parts_follow_each_other() {
        let limits = SpoolLimits { per_output: 128 << 10, ..SpoolLimits::default() };
        let recording = Spool::new(limits).begin();
        let shown = |part| recording.view_between(part, Presentation::default()).text;
        recording.add("one\nzwei ü".as_bytes());
        assert_eq!((shown(0..4), shown(4..4), shown(4..11)), ("one\n".into(), "".into(), "zwei ü".into()));
        recording.add(&"界".as_bytes()[..2]);
        assert_eq!((recording.whole_characters(), recording.total()), (11, 13));
        recording.add("界 \u{1b}[3".as_bytes());
        assert_eq!((recording.whole_sequences(), recording.total()), (17, 20));
        recording.add(b"1mred");
        assert_eq!(recording.whole_sequences(), recording.total());
        // Beyond what is kept: the part's end is shown.
        let lines: String = (0..100_000).map(|number| format!("{number}\n")).collect();
        recording.add(lines.as_bytes());
        let total = recording.total();
        let view = recording.view_between(100_000..total, Presentation::default());
        assert!(view.text.ends_with("\n99999\n") && view.omitted.is_some_and(|gap| gap.start >= 100_000));
    }
}
