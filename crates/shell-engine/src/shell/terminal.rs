//! The terminal of a call: its size, and what a person would see on it.
//!
//! The screen follows what is printed a little behind it. What programs ask a terminal (where its cursor is, what it is) is
//! answered as one would. Of a flood nobody could read more than its end, and only that is drawn. What is printed is hostile:
//! it can at most spoil its own screen.

use std::io;
use std::num::NonZeroU16;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::termios::Winsize;
use tokio::time::Instant;

use super::input::InputWriter;
use super::keys;
use crate::output::Recording;
use crate::sys::{other_end, reopen};

/// Rows and columns that a terminal may have: more than any person's.
const MOST_ROWS: u16 = 500;
const MOST_COLUMNS: u16 = 1000;

/// Bytes that are drawn at a time; when more wait, it is a flood.
const PIECE: u64 = 64 << 10;

/// Bytes of a flood's end that are drawn.
const FLOODS_END: u64 = 1 << 20;

/// How long a flood is let be.
const CALM: Duration = Duration::from_millis(50);

/// Moments of a recording that are kept; when there are more, every second one is forgotten.
const MOST_MOMENTS: usize = 1 << 16;

/// Sizes of a recording that are kept; of more, the last one.
const MOST_SIZES: usize = 1 << 10;

/// Answers that one piece of output gets at most, in bytes.
const MOST_ANSWERS: usize = 256;

/// How large a terminal is, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    rows: NonZeroU16,
    columns: NonZeroU16,
}

/// A size that no terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a terminal has from 1 to {MOST_ROWS} rows and from 1 to {MOST_COLUMNS} columns, not {rows} and {columns}"
)]
pub struct BadTerminalSize {
    rows: u64,
    columns: u64,
}

impl TerminalSize {
    /// So many rows and columns.
    ///
    /// # Errors
    ///
    /// When there are none of them, or too many.
    pub fn new(rows: u64, columns: u64) -> Result<TerminalSize, BadTerminalSize> {
        let within = |number: u64, most: u16| {
            u16::try_from(number).ok().filter(|number| *number <= most).and_then(NonZeroU16::new)
        };
        match (within(rows, MOST_ROWS), within(columns, MOST_COLUMNS)) {
            (Some(rows), Some(columns)) => Ok(TerminalSize { rows, columns }),
            (None, _) | (_, None) => Err(BadTerminalSize { rows, columns }),
        }
    }

    /// Rows.
    #[must_use]
    pub fn rows(self) -> u16 {
        self.rows.get()
    }

    /// Columns.
    #[must_use]
    pub fn columns(self) -> u16 {
        self.columns.get()
    }

    /// As the kernel is told.
    pub(super) fn winsize(self) -> Winsize {
        Winsize { ws_row: self.rows(), ws_col: self.columns(), ws_xpixel: 0, ws_ypixel: 0 }
    }
}

impl Default for TerminalSize {
    fn default() -> TerminalSize {
        TerminalSize { rows: vt100::Parser::DEFAULT_ROWS, columns: vt100::Parser::DEFAULT_COLS }
    }
}

/// What is on a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Its lines, without blanks at their ends and without blank lines at its end.
    pub text: String,
    /// Its size.
    pub size: TerminalSize,
    /// Row and column of the cursor, from 0; `None`: it is hidden.
    pub cursor: Option<(u16, u16)>,
}

/// The terminal of a call. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Terminal {
    inner: Arc<Inner>,
}

struct Inner {
    /// Our end.
    master: OwnedFd,
    recording: Recording,
    drawn: Mutex<Drawn>,
}

struct Drawn {
    parser: vt100::Parser<Answers>,
    size: TerminalSize,
    /// Up to where the output was drawn.
    offset: u64,
    started: Instant,
    /// When how much had been printed.
    moments: Vec<(Duration, u64)>,
    /// The least time between two moments.
    resolution: Duration,
    /// The size that it had at first, and the ones that it got: when, after how much was printed.
    first_size: TerminalSize,
    sizes: Vec<(Duration, u64, TerminalSize)>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Terminal").field("master", &self.master).finish_non_exhaustive()
    }
}

impl Terminal {
    /// Draws what this records, which comes from our end, until nobody has the other end any more.
    pub(super) fn start(
        master: OwnedFd,
        recording: &Recording,
        size: TerminalSize,
        input: InputWriter,
    ) -> Terminal {
        let drawn = Drawn {
            parser: parser(size),
            size,
            offset: 0,
            started: Instant::now(),
            moments: Vec::new(),
            resolution: Duration::from_millis(10),
            first_size: size,
            sizes: Vec::new(),
        };
        let inner = Inner { master, recording: recording.clone(), drawn: Mutex::new(drawn) };
        let terminal = Terminal { inner: Arc::new(inner) };
        let watched = Arc::downgrade(&terminal.inner);
        let recording = recording.clone();
        tokio::spawn(async move {
            let mut seen = 0;
            loop {
                recording.until(|recording| recording.total() > seen || !recording.is_open()).await;
                let was_open = recording.is_open();
                let is_flood = recording.total() - seen > PIECE;
                seen = recording.total();
                let Some(inner) = watched.upgrade() else { return };
                let terminal = Terminal { inner };
                if is_flood {
                    drop(terminal);
                    tokio::time::sleep(CALM).await;
                } else if let Some(answers) = terminal.catch_up(PIECE) {
                    // A program that asks and does not read the answers gets no more of them.
                    let _ = input.write(answers);
                }
                if !was_open {
                    return;
                }
            }
        });
        terminal
    }

    /// Makes it larger or smaller; programs are told (SIGWINCH).
    pub(super) fn resize(&self, size: TerminalSize) -> io::Result<()> {
        let mut drawn = self.drawn();
        rustix::termios::tcsetwinsize(&self.inner.master, size.winsize())?;
        drawn.resized(size, self.inner.recording.total());
        let parser = &mut drawn.parser;
        let resized = catch_unwind(AssertUnwindSafe(|| parser.set_size(size.rows, size.columns)));
        if resized.is_err() {
            drawn.parser = self::parser(size);
        }
        Ok(())
    }

    /// Bytes that were typed, and that nobody has read. They are at the other end.
    pub(super) fn held(&self) -> usize {
        let held = other_end(&self.inner.master).and_then(|theirs| Ok(rustix::io::ioctl_fionread(theirs)?));
        held.ok().and_then(|held| usize::try_from(held).ok()).unwrap_or_default()
    }

    /// What is on it now. May read files.
    pub(super) fn screen(&self) -> Screen {
        self.catch_up(FLOODS_END);
        let drawn = self.drawn();
        let screen = drawn.parser.screen();
        let rows = screen.rows(0, drawn.size.columns());
        let lines: Vec<String> = rows.map(|row| row.trim_end().to_owned()).collect();
        let filled = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |at| at + 1);
        Screen {
            text: lines.get(..filled).unwrap_or_default().join("\n"),
            size: drawn.size,
            cursor: (!screen.hide_cursor()).then(|| screen.cursor_position()),
        }
    }

    /// What a keyboard would send for this text.
    pub(super) fn typed(&self, text: &str) -> Vec<u8> {
        keys::typed(text)
    }

    /// What a keyboard would send for keys by their names, with text between them.
    pub(super) fn keys(&self, text: &str) -> Vec<u8> {
        self.catch_up(PIECE);
        keys::named(text, self.drawn().parser.screen().application_cursor())
    }

    /// What a terminal would send when this is pasted.
    pub(super) fn pasted(&self, text: &str) -> Vec<u8> {
        self.catch_up(PIECE);
        keys::pasted(text, self.drawn().parser.screen().bracketed_paste())
    }

    /// A recording of the output between two offsets, as asciicast (version 2), with its header when it is the first part.
    /// Reads files.
    pub(super) fn asciicast(&self, from: u64, limit: u64) -> (String, u64) {
        self.catch_up(PIECE);
        let (moments, first_size, sizes) = {
            let drawn = self.drawn();
            (drawn.moments.clone(), drawn.first_size, drawn.sizes.clone())
        };
        let recording = &self.inner.recording;
        let end = recording.whole_characters().min(from.saturating_add(limit));
        let mut cast = String::new();
        if from == 0 {
            let (width, height) = (first_size.columns(), first_size.rows());
            let header = serde_json::json!({"version": 2, "width": width, "height": height});
            cast.push_str(&format!("{header}\n"));
        }
        let is_seen = |offset: u64| offset >= from && (offset < end || end == recording.total());
        let moments = moments.into_iter().filter(|(_, total)| *total > from);
        let moments = moments.map(|(time, total)| (total.min(end), time, None));
        let sizes = sizes.into_iter().filter(|(_, offset, _)| is_seen(*offset));
        let sizes = sizes.map(|(time, offset, size)| (offset, time, Some(size)));
        let mut marks: Vec<_> = moments.chain(sizes).chain([(end, Duration::ZERO, None)]).collect();
        marks.sort_by_key(|(offset, _, size)| (*offset, size.is_some()));
        let (mut at, mut latest) = (from, Duration::ZERO);
        for (until, time, size) in marks {
            latest = latest.max(time);
            let seconds = latest.as_secs_f64();
            let bytes = recording.between(at..until);
            // An incomplete character waits for its rest.
            let whole = if until == end { bytes.len() } else { whole_characters(&bytes) };
            let text = String::from_utf8_lossy(bytes.get(..whole).unwrap_or_default());
            if !text.is_empty() {
                cast.push_str(&format!("{}\n", serde_json::json!([seconds, "o", text])));
            }
            at = if bytes.is_empty() { at.max(until) } else { at + u64::try_from(whole).unwrap_or(0) };
            if let Some(size) = size {
                let size = format!("{}x{}", size.columns(), size.rows());
                cast.push_str(&format!("{}\n", serde_json::json!([seconds, "r", size])));
            }
        }
        (cast, end)
    }

    /// Draws what was printed since, or the end of it. Returns what programs are to be answered.
    fn catch_up(&self, most: u64) -> Option<Vec<u8>> {
        let mut drawn = self.drawn();
        let total = self.inner.recording.total();
        if total <= drawn.offset {
            return None;
        }
        drawn.note(total);
        let from = drawn.offset.max(total.saturating_sub(most.max(PIECE)));
        drawn.offset = total;
        let bytes = self.inner.recording.between(from..total);
        let parser = &mut drawn.parser;
        let processed = catch_unwind(AssertUnwindSafe(|| parser.process(&bytes)));
        if processed.is_err() {
            tracing::warn!("what a command printed could not be drawn; its screen begins anew");
            drawn.parser = self::parser(drawn.size);
        }
        let answers = std::mem::take(&mut drawn.parser.callbacks_mut().bytes);
        (!answers.is_empty()).then_some(answers)
    }

    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        self.inner.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drawn {
    /// Notes a new size, after so much was printed.
    fn resized(&mut self, size: TerminalSize, total: u64) {
        self.size = size;
        if self.sizes.len() >= MOST_SIZES {
            self.sizes.pop();
        }
        self.sizes.push((self.started.elapsed(), total, size));
    }

    /// Notes when so much had been printed.
    fn note(&mut self, total: u64) {
        let now = self.started.elapsed();
        match self.moments.last_mut() {
            Some((time, last)) if now.saturating_sub(*time) < self.resolution => *last = total,
            _ => self.moments.push((now, total)),
        }
        if self.moments.len() >= MOST_MOMENTS {
            let mut count = 0_usize;
            self.moments.retain(|_| {
                count += 1;
                count.is_multiple_of(2)
            });
            self.resolution *= 2;
        }
    }
}

fn parser(size: TerminalSize) -> vt100::Parser<Answers> {
    vt100::Parser::new_with_callbacks(size.rows, size.columns, 0, Answers::default())
}

fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Ok(_) | Err(_) => bytes.len(),
    }
}

/// What programs ask a terminal, answered.
#[derive(Default)]
struct Answers {
    bytes: Vec<u8>,
}

impl vt100::Callbacks for Answers {
    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        first: Option<u8>,
        second: Option<u8>,
        parameters: &[&[u16]],
        last: char,
    ) {
        if self.bytes.len() > MOST_ANSWERS {
            return;
        }
        let parameter = parameters.first().and_then(|values| values.first()).copied().unwrap_or(0);
        let answer = match (first, second, last, parameter) {
            // Device attributes: a VT220 with colours. The second kind: its version.
            (None, None, 'c', 0) => "\x1b[?62;22c".to_owned(),
            (Some(b'>'), None, 'c', 0) => "\x1b[>1;10;0c".to_owned(),
            // It works; where the cursor is.
            (None, None, 'n', 5) => "\x1b[0n".to_owned(),
            (None, None, 'n', 6) => {
                let (row, column) = screen.cursor_position();
                format!("\x1b[{};{}R", u32::from(row) + 1, u32::from(column) + 1)
            }
            _ => return,
        };
        self.bytes.extend(answer.bytes());
    }
}

/// Makes a terminal of this size: our end, and theirs. `place`: where a sandbox's own are made.
pub(super) fn open(size: TerminalSize, place: Option<&OwnedFd>) -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::fs::OFlags;
    use rustix::pty::{OpenptFlags, grantpt, openpt, unlockpt};
    let own = place.and_then(|place| reopen(place, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC));
    let master = match own {
        Some(master) => master.into(),
        None => {
            let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
            grantpt(&master)?;
            master
        }
    };
    unlockpt(&master)?;
    let slave = other_end(&master)?;
    rustix::termios::tcsetwinsize(slave.as_fd(), size.winsize())?;
    Ok((master, slave))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SpoolLimits;
    use crate::output::Spool;

    fn drawn(bytes: &[u8], size: TerminalSize) -> (Terminal, Recording) {
        let recording = Spool::new(SpoolLimits::default()).finished(bytes);
        let (master, _slave) = open(size, None).unwrap();
        let input = InputWriter::start(master.try_clone().unwrap()).unwrap();
        (Terminal::start(master, &recording, size, input), recording)
    }

    #[test]
    fn only_sizes_that_terminals_have_are_taken() {
        assert_eq!(TerminalSize::new(24, 80), Ok(TerminalSize::default()));
        for (rows, columns) in [(0, 0), (0, 80), (24, 0), (24, 10_000), (u64::MAX, 80)] {
            assert!(TerminalSize::new(rows, columns).is_err(), "{rows} x {columns}");
        }
    }

    #[tokio::test]
    async fn the_screen_is_what_a_person_would_see() {
        let printed = b"  0%\r 50%\r100%\r\nnext\x1b[2;10Hthere\x1b[?25l\x1b[4;1H\x1b[31mred\x1b[m  ";
        let (terminal, _recording) = drawn(printed, TerminalSize::default());
        let screen = terminal.screen();
        assert_eq!(screen.text, "100%\nnext     there\n\nred");
        assert_eq!(screen.cursor, None);
    }

    #[tokio::test]
    async fn of_a_flood_the_end_is_drawn() {
        let size = TerminalSize::new(3, 20).unwrap();
        let printed: String = (0..1_000_000).map(|number| format!("{number}\r\n")).collect();
        let (terminal, _recording) = drawn(format!("{printed}end").as_bytes(), size);
        assert_eq!(terminal.screen().text, "999998\n999999\nend");
    }

    #[tokio::test]
    async fn hostile_output_spoils_its_own_screen_at_most() {
        let sizes = [TerminalSize::new(1, 1).unwrap(), TerminalSize::new(500, 1000).unwrap()];
        for size in sizes {
            let printed = "\x1b[99999;99999H\x1b[65535L\x1b[65535@\x1b[65535P\x1b[2;1r\x1b[?1049h\u{fe0f}界\x1b[65535S\x1b[6n\x1b[c";
            let (terminal, _recording) = drawn(printed.repeat(50).as_bytes(), size);
            assert!(terminal.screen().text.len() < 1 << 21);
            terminal.resize(TerminalSize::new(2, 2).unwrap()).unwrap();
            assert_eq!(terminal.screen().size.rows(), 2);
        }
    }

    #[tokio::test]
    async fn a_recording_has_its_sizes_where_they_changed() {
        let (terminal, _recording) = drawn(b"one\r\ntwo\r\n", TerminalSize::default());
        terminal.drawn().resized(TerminalSize::new(30, 100).unwrap(), 5);
        terminal.resize(TerminalSize::new(10, 20).unwrap()).unwrap();
        let (cast, _) = terminal.asciicast(0, 1 << 20);
        let mut lines = cast.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let header = lines.next().unwrap();
        assert_eq!((&header["width"], &header["height"]), (&80.into(), &24.into()));
        let events: Vec<_> = lines.collect();
        let shown: Vec<_> =
            events.iter().map(|event| (event[1].as_str().unwrap(), event[2].as_str().unwrap())).collect();
        assert_eq!(shown, [("o", "one\r\n"), ("r", "100x30"), ("o", "two\r\n"), ("r", "20x10")]);
        assert!(events.is_sorted_by_key(|event| event[0].as_f64()));
    }

    #[tokio::test]
    async fn a_recording_has_all_that_was_printed() {
        let (terminal, recording) = drawn("one\r\nzwei ü\r\n".as_bytes(), TerminalSize::default());
        let (cast, end) = terminal.asciicast(0, 1 << 20);
        assert_eq!(end, recording.total());
        let mut lines = cast.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        assert_eq!(lines.next().unwrap()["width"], 80);
        let text: String = lines.map(|event| event[2].as_str().unwrap().to_owned()).collect();
        assert_eq!(text, "one\r\nzwei ü\r\n");
    }
}
