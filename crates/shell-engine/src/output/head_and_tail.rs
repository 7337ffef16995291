//! The bytes that are kept of one output: all of them while they fit, else the first and the last half of what fits.
//!
//! A short output stays in memory. A longer one goes into a file; when that cannot be written any more (the
//! limit for all, a full disk) it comes back into memory, where less fits. Offsets are always those of the whole
//! output.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::space::{Reservation, Space};

/// Bytes that are kept in memory before a file is used.
const IN_MEMORY: u64 = 64 << 10;

/// Bytes that are kept in memory when there can be no file.
const WITHOUT_FILE: u64 = 512 << 10;

/// What is kept of one output.
#[derive(Debug)]
pub(super) struct HeadAndTail {
    medium: Medium,
    capacity: u64,
    total: u64,
    /// Why there is no file although there should be one.
    no_file: Option<String>,
}

#[derive(Debug)]
enum Medium {
    Memory(Vec<u8>),
    File { file: File, part: Reservation },
}

impl Default for HeadAndTail {
    fn default() -> HeadAndTail {
        HeadAndTail { medium: Medium::Memory(Vec::new()), capacity: IN_MEMORY, total: 0, no_file: None }
    }
}

impl HeadAndTail {
    /// Adds what was printed next.
    pub(super) fn add(&mut self, bytes: &[u8], space: &Arc<Space>) {
        if self.total + length(bytes) > self.capacity && matches!(self.medium, Medium::Memory(_)) {
            self.move_to_file(space);
        }
        if let Err(error) = self.append(bytes) {
            self.move_to_memory(&error);
            // Memory takes everything.
            let _ = self.append(bytes);
        }
    }

    /// Moves what is in memory into a file, if that was not tried before.
    pub(super) fn move_to_file(&mut self, space: &Arc<Space>) {
        if self.no_file.is_some() || !matches!(self.medium, Medium::Memory(_)) {
            return;
        }
        let moved = space
            .new_file()
            .and_then(|(file, part)| self.copy_to(Medium::File { file, part }, space.per_output()));
        match moved {
            Ok(kept) => *self = kept,
            Err(error) => self.move_to_memory(&error),
        }
    }

    /// Moves the first and the last bytes back into memory, because the file cannot take more.
    fn move_to_memory(&mut self, error: &io::Error) {
        tracing::warn!(%error, "a command's output cannot be kept whole");
        let memory = Medium::Memory(Vec::new());
        match self.copy_to(memory, WITHOUT_FILE) {
            Ok(kept) => *self = kept,
            Err(error) => {
                tracing::error!(%error, "a command's kept output cannot be read back");
                *self = HeadAndTail { capacity: WITHOUT_FILE, ..HeadAndTail::default() };
            }
        }
        self.no_file = Some(error.to_string());
    }

    /// The same output in another medium.
    fn copy_to(&self, medium: Medium, capacity: u64) -> io::Result<HeadAndTail> {
        let mut copy = HeadAndTail { medium, capacity, total: self.total, no_file: self.no_file.clone() };
        for range in copy.ranges() {
            let mut at = range.start;
            while at < range.end {
                let mut piece = vec![0; usize_of((range.end - at).min(IN_MEMORY))];
                let read = self.read_at(at, &mut piece)?;
                if read == 0 {
                    break;
                }
                let piece = piece.get(..read).unwrap_or_default();
                copy.put(at, piece)?;
                at += length(piece);
            }
        }
        Ok(copy)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Of more than fits, what would be written over at once is passed by.
        let half = self.half();
        let end = self.total + length(bytes);
        let head = half.saturating_sub(self.total).min(length(bytes));
        let tail = end.saturating_sub(self.capacity - half).max(self.total + head);
        let (first, _) = bytes.split_at(usize_of(head));
        let last = bytes.get(usize_of(tail - self.total)..).unwrap_or_default();
        self.put(self.total, first)?;
        self.put(tail, last)?;
        self.total = end;
        Ok(())
    }

    /// Writes bytes that have this offset in the output.
    fn put(&mut self, offset: u64, mut bytes: &[u8]) -> io::Result<()> {
        let mut offset = offset;
        while !bytes.is_empty() {
            let (place, room) = self.place(offset);
            let (piece, rest) = bytes.split_at(bytes.len().min(usize_of(room)));
            self.medium.write(place, piece)?;
            offset += length(piece);
            bytes = rest;
        }
        Ok(())
    }

    /// Where an offset of the output is in the medium, and how many bytes follow there without a break.
    fn place(&self, offset: u64) -> (u64, u64) {
        let half = self.half();
        match offset.checked_sub(half) {
            None => (offset, half - offset),
            Some(beyond) => {
                let turn = self.capacity - half;
                let within = beyond % turn;
                (half + within, turn - within)
            }
        }
    }

    fn half(&self) -> u64 {
        self.capacity / 2
    }

    /// Bytes that were printed.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The offsets that are kept: one range, or two with a gap between them.
    pub(super) fn ranges(&self) -> Vec<Range<u64>> {
        if self.total <= self.capacity {
            return std::iter::once(0..self.total).collect();
        }
        let half = self.half();
        vec![0..half, self.total - (self.capacity - half)..self.total]
    }

    /// Reads from this offset on; fewer bytes than asked for at the end of a kept range, none outside.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let ranges = self.ranges();
        let Some(range) = ranges.iter().find(|range| range.contains(&offset)) else { return Ok(0) };
        let wanted = length(buffer).min(range.end - offset);
        let mut read = 0;
        while read < wanted {
            let (place, room) = self.place(offset + read);
            let piece = room.min(wanted - read);
            let into = buffer.get_mut(usize_of(read)..usize_of(read + piece)).unwrap_or_default();
            self.medium.read(place, into)?;
            read += piece;
        }
        Ok(usize_of(read))
    }

    /// Why not more is kept than fits into memory, if a file should have taken it.
    pub(super) fn no_file(&self) -> Option<&str> {
        self.no_file.as_deref()
    }
}

impl Medium {
    fn write(&mut self, place: u64, bytes: &[u8]) -> io::Result<()> {
        match self {
            Medium::Memory(memory) => {
                let (start, end) = (usize_of(place), usize_of(place) + bytes.len());
                if memory.len() < end {
                    memory.resize(end, 0);
                }
                memory.get_mut(start..end).unwrap_or_default().copy_from_slice(bytes);
                Ok(())
            }
            Medium::File { file, part } => {
                part.cover(place + length(bytes))?;
                file.write_all_at(bytes, place)
            }
        }
    }

    fn read(&self, place: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Medium::Memory(memory) => {
                let start = usize_of(place);
                let kept = memory.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.copy_from_slice(kept);
                Ok(())
            }
            Medium::File { file, .. } => file.read_exact_at(buffer, place),
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Only for numbers that were compared with lengths in memory.
fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SpoolLimits;

    const CAPACITY: u64 = 256 << 10;

    fn space(total: u64) -> Arc<Space> {
        let limits = SpoolLimits { per_output: CAPACITY, total, outputs: 4 };
        Arc::new(Space::new(limits, Box::new(|| false)))
    }

    /// Bytes whose values tell their offsets.
    fn pattern(range: Range<u64>) -> Vec<u8> {
        range.map(|offset| u8::try_from(offset % 251).unwrap()).collect()
    }

    fn check(kept: &HeadAndTail, total: u64, expected: &[Range<u64>]) {
        assert_eq!(kept.total(), total);
        assert_eq!(kept.ranges(), expected);
        for range in kept.ranges() {
            let mut bytes = vec![0; usize_of(range.end - range.start) + 10];
            let read = kept.read_at(range.start, &mut bytes).unwrap();
            assert!(bytes[..read] == pattern(range), "wrong bytes are kept");
        }
    }

    #[test]
    fn what_fits_is_kept_whole_in_memory_and_then_in_a_file() {
        let space = space(1 << 20);
        let mut kept = HeadAndTail::default();
        for end in [1, 10, IN_MEMORY, IN_MEMORY + 1, CAPACITY] {
            let start = kept.total();
            kept.add(&pattern(start..end), &space);
            check(&kept, end, std::slice::from_ref(&(0..end)));
            assert_eq!(matches!(kept.medium, Medium::File { .. }), end > IN_MEMORY);
        }
    }

    #[test]
    fn of_more_the_first_and_the_last_bytes_are_kept_however_they_come() {
        for step in [1 << 12, 100_003, 3 << 20] {
            let space = space(1 << 20);
            let mut kept = HeadAndTail::default();
            let total = 5 * CAPACITY + 12_345;
            while kept.total() < total {
                let start = kept.total();
                kept.add(&pattern(start..(start + step).min(total)), &space);
            }
            check(&kept, total, &[0..CAPACITY / 2, total - CAPACITY / 2..total]);
            let mut none = [0; 10];
            assert_eq!(kept.read_at(CAPACITY / 2, &mut none).unwrap(), 0, "the gap is empty");
        }
    }

    #[test]
    fn beyond_the_limit_of_the_space_memory_keeps_what_it_can() {
        let space = space(CAPACITY / 2);
        let mut kept = HeadAndTail::default();
        let total = 3 << 20;
        while kept.total() < total {
            let start = kept.total();
            kept.add(&pattern(start..start + 4096), &space);
        }
        assert!(kept.no_file().is_some_and(|why| why.contains("limit")), "{:?}", kept.no_file());
        check(&kept, total, &[0..WITHOUT_FILE / 2, total - WITHOUT_FILE / 2..total]);
    }
}
