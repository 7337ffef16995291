//! The beginning and the end of an output, when all of it does not fit into an answer.
//!
//! Pure: windows of bytes in, text out. Cut between lines where that is possible without losing much, else between
//! characters; a line in the middle says how much is left out, and offsets say where that is.

use std::ops::Range;

use super::text::{self, Cleaned};
use crate::config::{BYTES_PER_TOKEN, DEFAULT_TOKENS, MAX_TOKENS};

/// Bytes at either end that are looked at for what to show: enough for the largest answer.
pub(super) const WINDOW_BYTES: u64 = MAX_TOKENS * BYTES_PER_TOKEN;

/// How an output is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presentation {
    /// Bytes of text, as a string of JSON: that is what a client counts, and a line's end is two of them.
    pub max_bytes: usize,
    /// Act on escape sequences and carriage returns as a terminal would, instead of showing them.
    pub strip_ansi: bool,
}

impl Presentation {
    /// Room for so many tokens.
    #[must_use]
    pub fn of_tokens(tokens: u64, strip_ansi: bool) -> Presentation {
        let bytes = tokens.min(MAX_TOKENS) * BYTES_PER_TOKEN;
        Presentation { max_bytes: usize::try_from(bytes).unwrap_or(usize::MAX), strip_ansi }
    }
}

impl Default for Presentation {
    fn default() -> Presentation {
        Presentation::of_tokens(DEFAULT_TOKENS, true)
    }
}

/// An output as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// What is shown.
    pub text: String,
    /// Bytes that were printed.
    pub total: u64,
    /// Offsets of what is not shown. Where it borders on a line that was rewritten, it may reach a little into what is.
    pub omitted: Option<Range<u64>>,
    /// Bytes of what is shown that are not UTF-8 and were written out.
    pub invalid: u64,
}

/// The bytes at the beginning and at the end. Without a tail, the head is all there is.
pub(super) struct Windows {
    pub(super) head: Vec<u8>,
    pub(super) tail: Vec<u8>,
    pub(super) total: u64,
}

/// Shows all of it if that fits, else its beginning and its end.
pub(super) fn fit(windows: &Windows, presentation: Presentation) -> View {
    let Windows { head, tail, total } = windows;
    let whole = tail.is_empty();
    if whole && let Some(part) = all(head, presentation) {
        return View { text: part.text, total: *total, omitted: None, invalid: part.invalid };
    }
    let room = presentation.max_bytes / 2;
    let first = beginning(head, room, presentation.strip_ansi);
    let last = end(if whole { head } else { tail }, room, presentation.strip_ansi);
    let start = number(first.bytes);
    let stop = total.saturating_sub(number(last.bytes)).max(start);
    let line_end = if first.text.is_empty() || first.text.ends_with('\n') { "" } else { "\n" };
    let text = format!("{}{line_end}… {} bytes omitted …\n{}", first.text, stop - start, last.text);
    View { text, total: *total, omitted: Some(start..stop), invalid: first.invalid + last.invalid }
}

/// Text, and how many of the window's bytes it stands for.
#[derive(Default)]
struct Part {
    text: String,
    bytes: usize,
    invalid: u64,
}

impl Part {
    /// Adds up what a piece of a line's text stands for: exact for a line that was not rewritten.
    fn add_cut(&mut self, piece: &str, text: &str, invalid: u64, line: usize) {
        let written_out = piece.match_indices("\\x").filter(|(at, _)| is_written_out(piece, *at)).count();
        let written_out = number(written_out).min(invalid);
        let is_exact = number(text.len()) == number(line) + 3 * invalid;
        self.bytes += match usize::try_from(written_out) {
            Ok(written_out) if is_exact => piece.len().saturating_sub(3 * written_out),
            Ok(_) | Err(_) => piece.len().saturating_mul(line) / text.len().max(1),
        };
        self.invalid += written_out;
    }
}

fn all(bytes: &[u8], presentation: Presentation) -> Option<Part> {
    let mut part = Part { bytes: bytes.len(), ..Part::default() };
    let mut length = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Cleaned { text, invalid } = text::clean(line, presentation.strip_ansi);
        length += json_length(&text);
        if length > presentation.max_bytes {
            return None;
        }
        part.text.push_str(&text);
        part.invalid += invalid;
    }
    Some(part)
}

fn beginning(window: &[u8], room: usize, strip: bool) -> Part {
    let mut part = Part::default();
    let mut length = 0;
    for line in window.split_inclusive(|byte| *byte == b'\n') {
        let Cleaned { text, invalid } = text::clean(line, strip);
        let more = json_length(&text);
        if length + more <= room {
            if !line.ends_with(b"\n") {
                break; // The window's end, perhaps in the middle of a character.
            }
            length += more;
            part.text.push_str(&text);
            part.bytes += line.len();
            part.invalid += invalid;
            continue;
        }
        if length < room / 2 {
            let cut = floor_boundary(&text, fitting(text.chars(), room - length));
            part.add_cut(text.get(..cut).unwrap_or_default(), &text, invalid, line.len());
            part.text.push_str(text.get(..cut).unwrap_or_default());
        }
        break;
    }
    part
}

fn end(window: &[u8], room: usize, strip: bool) -> Part {
    let mut part = Part::default();
    let mut pieces: Vec<String> = Vec::new();
    let mut length = 0;
    let mut rest = window;
    while !rest.is_empty() {
        let body = rest.strip_suffix(b"\n").unwrap_or(rest);
        let begins = body.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (before, line) = rest.split_at(begins);
        let is_whole = begins > 0;
        let line = if is_whole { line } else { line.get(partial_character(line)..).unwrap_or_default() };
        let Cleaned { text, invalid } = text::clean(line, strip);
        let more = json_length(&text);
        if is_whole && length + more <= room {
            length += more;
            part.bytes += line.len();
            part.invalid += invalid;
            pieces.push(text.into_owned());
            rest = before;
            continue;
        }
        if length < room / 2 {
            let shown = fitting(text.chars().rev(), room - length);
            let cut = ceiling_boundary(&text, text.len() - shown);
            let piece = text.get(cut..).unwrap_or_default();
            part.add_cut(piece, &text, invalid, line.len());
            pieces.push(piece.to_owned());
        }
        break;
    }
    part.text = pieces.into_iter().rev().collect();
    part
}

/// Bytes at a window's beginning that continue a character from before it (RFC 3629, section 3).
fn partial_character(bytes: &[u8]) -> usize {
    bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count()
}

/// Whether a byte that is not UTF-8 is written out here, as `\xNN`.
fn is_written_out(text: &str, at: usize) -> bool {
    let written = text.as_bytes().get(at..at + 4);
    written.is_some_and(|written| {
        written.starts_with(b"\\x") && written.iter().skip(2).all(u8::is_ascii_hexdigit)
    })
}

/// Whether text may be cut here: between two characters, and not within what stands for one byte.
fn is_boundary(text: &str, at: usize) -> bool {
    text.is_char_boundary(at) && !(1..4).any(|back| back <= at && is_written_out(text, at - back))
}

pub(super) fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| is_boundary(text, *at)).unwrap_or(0)
}

pub(super) fn ceiling_boundary(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| is_boundary(text, *at)).unwrap_or(text.len())
}

/// Bytes of text as a string of JSON (RFC 8259, section 7, as serde_json writes it), without its quotation marks.
pub(super) fn json_length(text: &str) -> usize {
    text.bytes().map(|byte| json_bytes(char::from(byte)).max(1)).sum()
}

/// Bytes that are added to a string of JSON by a character that is escaped; 0 for any other.
fn json_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\x08' | '\x0c' => 2,
        '\0'..='\x1f' => 6,
        _ => 0,
    }
}

/// How many bytes of text the first of these characters are that fit into so many bytes of a string of JSON.
pub(super) fn fitting(characters: impl Iterator<Item = char>, room: usize) -> usize {
    let mut left = room;
    characters
        .map_while(|character| {
            left = left.checked_sub(json_bytes(character).max(character.len_utf8()))?;
            Some(character.len_utf8())
        })
        .sum()
}

fn number(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(output: &[u8], max_bytes: usize) -> View {
        let windows = Windows { head: output.to_vec(), tail: Vec::new(), total: number(output.len()) };
        fit(&windows, Presentation { max_bytes, strip_ansi: true })
    }

    #[test]
    fn what_fits_is_shown_whole() {
        let view = shown(b"one\ntwo", 8);
        assert_eq!((&*view.text, view.omitted), ("one\ntwo", None));
        assert_eq!(shown(b"", 0).text, "");
    }

    #[test]
    fn of_more_whole_lines_of_both_ends_are_shown() {
        let output: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        let view = shown(output.as_bytes(), 100);
        let omitted = view.omitted.expect("not all fits");
        let expected = format!(
            "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\n… {} bytes omitted …\nline 995\nline 996\nline 997\nline 998\nline 999\n",
            omitted.end - omitted.start
        );
        assert_eq!(view.text, expected);
        let (start, end) = (usize::try_from(omitted.start).unwrap(), usize::try_from(omitted.end).unwrap());
        assert!(output[..start].ends_with("line 5\n") && output[end..].starts_with("line 995\n"));
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let view = shown("ü".repeat(1000).as_bytes(), 21);
        assert_eq!(view.text, "üüüüü\n… 1980 bytes omitted …\nüüüüü");
        assert_eq!(view.omitted, Some(10..1990));
        let view = shown(format!("start\n{}\nend\n", "x".repeat(1000)).as_bytes(), 40);
        assert!(
            view.text.starts_with("start\nxxxxxxxxxxxxx\n…") && view.text.ends_with("xx\nend\n"),
            "{view:?}"
        );
    }

    #[test]
    fn a_progress_bar_that_collapses_needs_no_cut() {
        let bar: String = (0..10_000).map(|number| format!("\r{number} of 10000")).collect();
        assert_eq!(shown(format!("{bar}\ndone\n").as_bytes(), 40).text, "9999 of 10000\ndone\n");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_counted() {
        assert_eq!(shown(b"\xff\xfe\n", 100).invalid, 2);
        assert_eq!(shown(&[b"\xff\n".repeat(50), b"\xfe\n".repeat(50)].concat(), 28).invalid, 4);
    }

    #[test]
    fn what_stands_for_a_byte_is_not_cut_and_counts_once() {
        let view = shown(&b"\xff".repeat(1000), 21);
        assert_eq!(view.text, "\\xff\\xff\n… 996 bytes omitted …\n\\xff\\xff");
        assert_eq!((view.omitted, view.invalid), (Some(2..998), 4));
        let view = shown(&b"a\xe9".repeat(1000), 24);
        assert_eq!(view.text, "a\\xe9a\\xe9\n… 1992 bytes omitted …\na\\xe9a\\xe9");
        assert_eq!((view.omitted, view.invalid), (Some(4..1996), 4));
    }

    #[test]
    fn no_room_shows_only_how_much_there_was() {
        assert_eq!(shown(b"hello\n", 0).text, "… 6 bytes omitted …\n");
    }

    proptest! {
        #[test]
        fn whatever_is_printed_the_text_fits_and_offsets_are_in_order(
            output in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(0x1b), any::<u8>()], 0..400),
            window in 1_usize..200,
            max_bytes in 0_usize..120,
        ) {
            let total = number(output.len());
            let windows = if output.len() <= 2 * window {
                Windows { head: output.clone(), tail: Vec::new(), total }
            } else {
                Windows { head: output[..window].to_vec(), tail: output[output.len() - window..].to_vec(), total }
            };
            let view = fit(&windows, Presentation { max_bytes, strip_ansi: true });
            let marker = view.omitted.as_ref().map_or(0, |omitted| json_length(&format!("\n… {} bytes omitted …\n", omitted.end - omitted.start)));
            let length = serde_json::to_string(&view.text).expect("a string").len() - 2;
            prop_assert_eq!(length, json_length(&view.text));
            prop_assert!(length <= max_bytes + marker, "{} > {}", length, max_bytes);
            if let Some(omitted) = view.omitted {
                prop_assert!(omitted.start <= omitted.end && omitted.end <= total);
            }
        }
    }
}
