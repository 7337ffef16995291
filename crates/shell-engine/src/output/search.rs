//! Parts of an output that were not shown, asked for by offset, from the end, or by pattern.
//!
//! Everything here reads files and may take a while on large outputs; call it beside the runtime.

use std::collections::VecDeque;
use std::ops::Range;

use regex::Regex;

use super::budget::{ceiling_boundary, fitting, floor_boundary, json_length};
use super::recording::Recording;
use super::text::{self, Cleaned};

/// The longest line that is looked at in one piece; longer ones are searched and shown in pieces.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Bytes of the longest character as JSON, or of what stands for a byte that is not UTF-8: with less room, reading
/// would never go on.
const LONGEST_CHARACTER: usize = 6;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// What part is wanted.
#[derive(Clone, Debug)]
pub struct Query {
    /// Where to begin, in bytes.
    pub offset: u64,
    /// Bytes of text at most, as in [`super::Presentation`].
    pub limit: usize,
    /// Only so many lines, from the end.
    pub tail: Option<usize>,
    /// Only lines that match.
    pub grep: Option<Regex>,
    /// As in [`super::Presentation`].
    pub strip_ansi: bool,
}

/// The part that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The lines.
    pub text: String,
    /// Where the first of them begins.
    pub offset: u64,
    /// Where to go on; `None` at the end.
    pub next_offset: Option<u64>,
    /// Bytes that were printed so far.
    pub total: u64,
    /// Offsets within the part that are not kept any more.
    pub not_kept: Option<Range<u64>>,
    /// Bytes that are not UTF-8 and were written out.
    pub invalid: u64,
}

impl Recording {
    /// Reads a part of the output.
    ///
    /// # Errors
    ///
    /// When what is kept cannot be read.
    pub fn find(&self, query: &Query) -> std::io::Result<Found> {
        let mut lines = Lines::of(self, query.offset);
        let total = lines.total;
        let mut selection = Selection::new(query);
        let mut next_offset = None;
        while let Some(line) = lines.next()? {
            let cleaned = text::clean(&line.bytes, query.strip_ansi);
            if let Some(grep) = &query.grep
                && !grep.is_match(cleaned.text.trim_end_matches(['\n', '\r']))
            {
                continue;
            }
            if !selection.take(&line, cleaned) {
                next_offset = Some(line.offset + selection.cut);
                break;
            }
        }
        let not_kept = lines.skipped;
        Ok(Found { next_offset, total, not_kept, ..selection.finish(query.offset.min(total)) })
    }
}

/// Looks for the first line that matches, in an output that grows.
#[derive(Debug)]
pub struct Awaited {
    pattern: Regex,
    offset: u64,
}

impl Awaited {
    /// Looks from this offset on.
    #[must_use]
    pub fn new(pattern: Regex, offset: u64) -> Awaited {
        Awaited { pattern, offset }
    }

    /// Whether there is such a line now. What was looked at is not looked at again, but for a line that has no end yet.
    ///
    /// # Errors
    ///
    /// When what is kept cannot be read.
    pub fn has_come(&mut self, recording: &Recording) -> std::io::Result<bool> {
        let mut lines = Lines::of(recording, self.offset);
        while let Some(line) = lines.next()? {
            let cleaned = text::clean(&line.bytes, true);
            if self.pattern.is_match(cleaned.text.trim_end_matches(['\n', '\r'])) {
                return Ok(true);
            }
            if line.bytes.ends_with(b"\n") || line.bytes.len() >= MAX_LINE_BYTES - 3 {
                self.offset = line.offset + u64::try_from(line.bytes.len()).unwrap_or(u64::MAX);
            }
        }
        Ok(false)
    }
}

/// Lines that were chosen so far, within the limit.
struct Selection<'a> {
    query: &'a Query,
    chosen: VecDeque<(u64, String, u64)>,
    length: usize,
    /// Bytes of the line that did not fit which are shown all the same.
    cut: u64,
    /// The text of the line that was chosen last is its bytes.
    last_is_exact: bool,
}

impl<'a> Selection<'a> {
    fn new(query: &'a Query) -> Selection<'a> {
        Selection { query, chosen: VecDeque::new(), length: 0, cut: 0, last_is_exact: true }
    }

    /// Takes a line; `false`: it does not fit, and nothing after it will.
    fn take(&mut self, line: &Line, cleaned: Cleaned<'_>) -> bool {
        let Query { limit, tail, .. } = *self.query;
        if let Some(tail) = tail {
            self.last_is_exact = cleaned.text.len() == line.bytes.len();
            self.push(line.offset, cleaned.text.into_owned(), cleaned.invalid);
            while self.chosen.len() > tail || (self.length > limit && self.chosen.len() > 1) {
                if let Some((_, text, _)) = self.chosen.pop_front() {
                    self.length -= json_length(&text);
                }
            }
            return true;
        }
        if self.length + json_length(&cleaned.text) <= limit {
            self.push(line.offset, cleaned.text.into_owned(), cleaned.invalid);
            return true;
        }
        if self.chosen.is_empty() {
            // Nothing would ever be shown of a line that is longer than the limit.
            let limit = limit.max(LONGEST_CHARACTER);
            let cut = floor_boundary(&cleaned.text, fitting(cleaned.text.chars(), limit));
            let text = cleaned.text.get(..cut).unwrap_or_default().to_owned();
            let exact = cleaned.text.len() == line.bytes.len();
            let bytes = if exact { cut } else { line.bytes.len() };
            self.cut = u64::try_from(bytes).unwrap_or(u64::MAX);
            self.push(line.offset, text, cleaned.invalid);
        }
        false
    }

    fn push(&mut self, offset: u64, text: String, invalid: u64) {
        self.length += json_length(&text);
        self.chosen.push_back((offset, text, invalid));
    }

    fn finish(self, nothing_at: u64) -> Found {
        let mut offset = self.chosen.front().map_or(nothing_at, |(offset, ..)| *offset);
        let invalid = self.chosen.iter().map(|(.., invalid)| invalid).sum();
        let mut text: String = self.chosen.into_iter().map(|(_, text, _)| text).collect();
        if self.query.tail.is_some() && self.length > self.query.limit {
            // One line alone, and of it the end.
            let shown = fitting(text.chars().rev(), self.query.limit);
            let cut = ceiling_boundary(&text, text.len() - shown);
            text.drain(..cut);
            if self.last_is_exact {
                offset += u64::try_from(cut).unwrap_or(u64::MAX);
            }
        }
        Found { text, offset, invalid, ..Found::default() }
    }
}

struct Line {
    offset: u64,
    bytes: Vec<u8>,
}

/// The kept lines from an offset on, up to what was printed when reading began.
struct Lines<'a> {
    recording: &'a Recording,
    /// Where the buffer begins.
    offset: u64,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were returned.
    used: usize,
    total: u64,
    skipped: Option<Range<u64>>,
}

impl Lines<'_> {
    fn of(recording: &Recording, offset: u64) -> Lines<'_> {
        let total = recording.total();
        Lines { recording, offset, buffer: Vec::new(), used: 0, total, skipped: None }
    }

    fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            let rest = self.buffer.get(self.used..).unwrap_or_default();
            let end = rest.iter().take(MAX_LINE_BYTES).position(|byte| *byte == b'\n');
            let length = match end {
                Some(at) => at + 1,
                None if rest.len() >= MAX_LINE_BYTES => whole_characters(rest, MAX_LINE_BYTES),
                None => {
                    if self.fill()? {
                        continue;
                    }
                    rest_length(&self.buffer, self.used)
                }
            };
            if length == 0 {
                return Ok(None);
            }
            let bytes = self.buffer.get(self.used..self.used + length).unwrap_or_default().to_vec();
            let offset = self.offset + u64::try_from(self.used).unwrap_or(u64::MAX);
            self.used += length;
            return Ok(Some(Line { offset, bytes }));
        }
    }

    /// Reads more; `false`: there is no more to the line in the buffer.
    fn fill(&mut self) -> std::io::Result<bool> {
        self.buffer.drain(..self.used);
        self.offset += u64::try_from(self.used).unwrap_or(u64::MAX);
        self.used = 0;
        let kept = self.recording.kept();
        let mut at = self.offset + u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        if at >= self.total {
            return Ok(false);
        }
        if let Some(range) = kept.ranges().into_iter().find(|range| range.end > at)
            && range.start > at
        {
            if !self.buffer.is_empty() {
                return Ok(false); // A line that breaks off at the gap.
            }
            self.skipped = Some(at..range.start);
            (at, self.offset) = (range.start, range.start);
        }
        let wanted = usize::try_from(self.total.saturating_sub(at)).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let before = self.buffer.len();
        self.buffer.resize(before + wanted, 0);
        let read = kept.read_at(at, self.buffer.get_mut(before..).unwrap_or_default())?;
        self.buffer.truncate(before + read);
        Ok(read > 0)
    }
}

fn rest_length(buffer: &[u8], used: usize) -> usize {
    buffer.len().saturating_sub(used)
}

/// A length at most `at` that ends between two characters, if the bytes are UTF-8 there.
fn whole_characters(bytes: &[u8], at: usize) -> usize {
    let continues = |at: &usize| bytes.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (at.saturating_sub(3)..=at).rev().find(|at| !continues(at)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::super::spool::Spool;
    use super::*;
    use crate::config::SpoolLimits;

    fn printed(output: &[u8]) -> Recording {
        let limits = SpoolLimits { per_output: 256 << 10, ..SpoolLimits::default() };
        let recording = Spool::new(limits).begin();
        recording.add(output);
        recording
    }

    fn query() -> Query {
        Query { offset: 0, limit: 40_000, tail: None, grep: None, strip_ansi: true }
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let output: String = (0..9000).map(|number| format!("line {number}\n")).collect();
        let recording = printed(output.as_bytes());
        let (mut offset, mut text) = (0, String::new());
        loop {
            let found = recording.find(&Query { offset, limit: 1000, ..query() }).unwrap();
            assert_eq!((found.offset, found.total), (offset, u64::try_from(output.len()).unwrap()));
            assert!(found.text.len() <= 1000 && found.text.ends_with('\n'));
            text.push_str(&found.text);
            match found.next_offset {
                Some(next) => offset = next,
                None => break,
            }
        }
        assert!(text == output, "something is missing or twice");
    }

    #[test]
    fn a_line_longer_than_the_limit_is_read_piece_by_piece() {
        let output = format!("{}\nend\n", "ü".repeat(100_000));
        let recording = printed(output.as_bytes());
        let (mut offset, mut text) = (0, String::new());
        while let found = recording.find(&Query { offset, limit: 30_001, ..query() }).unwrap()
            && let Some(next) = found.next_offset
        {
            assert!(next > offset);
            text.push_str(&found.text);
            offset = next;
        }
        text.push_str(&recording.find(&Query { offset, ..query() }).unwrap().text);
        assert!(text == output);
    }

    #[test]
    fn with_the_smallest_limit_reading_goes_on() {
        let output = "\u{1}\u{10ffff}\n\n\"";
        let recording = printed(output.as_bytes());
        let (mut offset, mut text) = (0, String::new());
        while let found = recording.find(&Query { offset, limit: 1, ..query() }).unwrap()
            && let Some(next) = found.next_offset
        {
            assert!(next > offset);
            text.push_str(&found.text);
            offset = next;
        }
        assert_eq!(text, output);
    }

    #[test]
    fn the_last_lines_and_the_matching_ones_are_found() {
        let output: String = (0..20_000).map(|number| format!("\x1b[1mline\x1b[0m {number}\n")).collect();
        let recording = printed(output.as_bytes());
        let found = recording.find(&Query { tail: Some(2), ..query() }).unwrap();
        assert_eq!((&*found.text, found.next_offset), ("line 19998\nline 19999\n", None));
        let grep = Some(Regex::new(r" 1\d\d$").unwrap());
        let found = recording.find(&Query { grep: grep.clone(), ..query() }).unwrap();
        assert_eq!(found.text.lines().count(), 100);
        let found = recording.find(&Query { grep, limit: 32, ..query() }).unwrap();
        assert_eq!(found.text, "line 100\nline 101\nline 102\n");
        assert!(
            output[usize::try_from(found.next_offset.unwrap()).unwrap()..]
                .starts_with("\x1b[1mline\x1b[0m 103\n")
        );
    }

    #[test]
    fn what_is_not_kept_is_said() {
        let line = "0123456789abcde\n";
        let recording = printed(line.repeat(100_000).as_bytes());
        let found = recording.find(&Query { offset: 100_000, limit: 1 << 20, ..query() }).unwrap();
        let not_kept = found.not_kept.expect("a gap");
        assert_eq!(not_kept, 128 << 10..1_600_000 - (128 << 10));
        assert_eq!(found.text.len(), (128 << 10) - 100_000 + (128 << 10));
        let found = recording.find(&Query { offset: 500_000, limit: 17, ..query() }).unwrap();
        assert_eq!((found.offset, &*found.text), (not_kept.end, line));
    }

    #[test]
    fn beyond_the_end_there_is_nothing() {
        let found = printed(b"short").find(&Query { offset: 1 << 40, ..query() }).unwrap();
        assert_eq!((&*found.text, found.offset, found.next_offset, found.total), ("", 5, None, 5));
    }
}
