//! From what was printed to text that can be read: one line at a time.
//!
//! What is not UTF-8 is written out as `\xNN` and counted; nothing is guessed. What a terminal would have acted on is
//! acted on: escape sequences vanish, and what was overwritten by a carriage return or a backspace is gone, so that of
//! a progress bar the last state is left.

use std::borrow::Cow;

use anstyle_parse::{DefaultCharAccumulator, Params, Parser, Perform};

use crate::visible::push_invalid;

/// The widest line that cursor movements make; what is printed may be longer.
const MAX_COLUMN: usize = 4096;

/// A line as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cleaned<'a> {
    pub(super) text: Cow<'a, str>,
    /// Bytes that are not UTF-8.
    pub(super) invalid: u64,
}

/// Cleans one line; its end (`\n`, `\r\n`) stays as it is. Without `strip`, only what is not UTF-8 is replaced.
pub(super) fn clean(line: &[u8], strip: bool) -> Cleaned<'_> {
    let (text, invalid) = match std::str::from_utf8(line) {
        Ok(text) => (Cow::Borrowed(text), 0),
        Err(_) => escape_invalid(line),
    };
    let body = text.strip_suffix('\n').map_or(&*text, |body| body.strip_suffix('\r').unwrap_or(body));
    if !strip || !body.chars().any(acts_on_a_terminal) {
        return Cleaned { text, invalid };
    }
    let mut screen = Screen::default();
    let mut parser = Parser::<DefaultCharAccumulator>::new();
    let mut buffer = [0; 4];
    for character in body.chars() {
        let bytes = match seven_bit(character) {
            Some(second) => &[0x1b, second][..],
            None => character.encode_utf8(&mut buffer).as_bytes(),
        };
        for byte in bytes {
            parser.advance(&mut screen, *byte);
        }
    }
    let end = text.get(body.len()..).unwrap_or_default();
    let cleaned = screen.line.iter().chain(&end.chars().collect::<Vec<_>>()).collect();
    Cleaned { text: Cow::Owned(cleaned), invalid }
}

fn acts_on_a_terminal(character: char) -> bool {
    matches!(character, '\x1b' | '\r' | '\x08' | '\x07') || seven_bit(character).is_some()
}

/// What follows ESC in the longer form of a control character that begins or ends a sequence (ECMA-48, section 5.3:
/// DCS, SOS, CSI, ST, OSC, PM, APC).
fn seven_bit(character: char) -> Option<u8> {
    match character {
        '\u{90}' | '\u{98}' | '\u{9b}'..='\u{9f}' => u8::try_from(u32::from(character) - 0x40).ok(),
        _ => None,
    }
}

/// The longest escape sequence that is waited for, in bytes.
pub(super) const LONGEST_SEQUENCE: u64 = 256;

/// Bytes at the end of a text that are the beginning of an escape sequence (ECMA-48, sections 5.3 to 5.6; ECMA-35, section 13).
pub(super) fn unfinished_sequence(end: &[u8]) -> usize {
    let Some(at) = end.iter().rposition(|byte| *byte == 0x1b) else { return 0 };
    let sequence = end.get(at + 1..).unwrap_or_default();
    let is_open = match sequence.split_first() {
        None => true,
        Some((b'[', rest)) => rest.iter().all(|byte| (0x20..0x40).contains(byte)),
        // Up to BEL or ST, which would be the last escape.
        Some((b']' | b'P' | b'X' | b'^' | b'_', rest)) => {
            !rest.iter().any(|byte| matches!(byte, 0x07 | b'\n'))
        }
        Some((0x20..=0x2f, rest)) => rest.iter().all(|byte| (0x20..0x30).contains(byte)),
        Some(_) => false,
    };
    if is_open { end.len() - at } else { 0 }
}

fn escape_invalid(line: &[u8]) -> (Cow<'_, str>, u64) {
    let mut text = String::with_capacity(line.len() * 2);
    let mut invalid = 0;
    for chunk in line.utf8_chunks() {
        text.push_str(chunk.valid());
        invalid += u64::try_from(chunk.invalid().len()).unwrap_or_default();
        push_invalid(&mut text, chunk.invalid());
    }
    (Cow::Owned(text), invalid)
}

/// One line of a terminal.
#[derive(Default)]
struct Screen {
    line: Vec<char>,
    column: usize,
}

impl Screen {
    fn erase_from(&mut self, column: usize) {
        self.line.truncate(column);
    }

    fn move_to(&mut self, column: usize) {
        self.column = column.min(MAX_COLUMN.max(self.line.len()));
    }
}

impl Perform for Screen {
    fn print(&mut self, character: char) {
        if self.line.len() < self.column {
            self.line.resize(self.column, ' ');
        }
        match self.line.get_mut(self.column) {
            Some(cell) => *cell = character,
            None => self.line.push(character),
        }
        self.column += 1;
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\r' => self.column = 0,
            0x08 => self.column = self.column.saturating_sub(1),
            0x07 => {}
            other => self.print(char::from(other)),
        }
    }

    /// The sequences that progress bars are made of (ECMA-48: EL, CHA, CUF, CUB).
    fn csi_dispatch(&mut self, params: &Params, _intermediates: &[u8], _ignore: bool, action: u8) {
        let parameter = params.iter().next().and_then(|values| values.first()).copied().unwrap_or(0);
        let distance = usize::from(parameter.max(1));
        match (action, parameter) {
            (b'K', 0) => self.erase_from(self.column),
            (b'K', 2) => self.erase_from(0),
            (b'G', _) => self.move_to(distance - 1),
            (b'C', _) => self.move_to(self.column + distance),
            (b'D', _) => self.move_to(self.column.saturating_sub(distance)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(line: &str) -> String {
        clean(line.as_bytes(), true).text.into_owned()
    }

    #[test]
    fn ordinary_lines_pass_through_unchanged() {
        for line in ["", "\n", "plain\n", "tab\there", "Füße 漢字 🛑\n", "dos\r\n", "nul\0nul\n"] {
            assert_eq!(clean(line.as_bytes(), true), Cleaned { text: Cow::Borrowed(line), invalid: 0 });
        }
    }

    #[test]
    fn what_is_not_utf8_is_written_out_and_counted() {
        let cleaned = clean(b"caf\xe9 \xff\xfe\xf0\x9f\n", true);
        assert_eq!((&*cleaned.text, cleaned.invalid), ("caf\\xe9 \\xff\\xfe\\xf0\\x9f\n", 5));
    }

    #[test]
    fn escape_sequences_vanish() {
        assert_eq!(cleaned("\x1b[1;31mred\x1b[0m and \x1b[38;5;200mpink\x1b[m\n"), "red and pink\n");
        assert_eq!(cleaned("\x1b]0;a title\x07text\x1b]8;;http://x/\x1b\\link\x1b]8;;\x1b\\"), "textlink");
        assert_eq!(cleaned("\x1bPdevice control\x1b\\kept\x1b(B"), "kept");
        assert_eq!(cleaned("unfinished \x1b[12"), "unfinished ");
        assert_eq!(
            cleaned("\u{9b}31mred\u{9b}0m \u{9d}8;;http://x/\u{9c}link\u{9d}8;;\u{9c}\n"),
            "red link\n"
        );
        assert_eq!(cleaned("ding\x07 a\tb \x1b[1mü漢\x1b[0m\0"), "ding a\tb ü漢\0");
    }

    #[test]
    fn of_a_progress_bar_the_last_state_is_left() {
        assert_eq!(cleaned(" 10%\r 50%\r100%\n"), "100%\n");
        assert_eq!(cleaned("downloading 9 of 10\rdone\x1b[K\r\n"), "done\r\n");
        assert_eq!(cleaned("abcdef\rxy"), "xycdef");
        assert_eq!(cleaned("|\x08/\x08-\x08\\\x08ok\n"), "ok\n");
        assert_eq!(cleaned("\x1b[2K\x1b[1Gstep 1\x1b[2K\x1b[1Gstep 2\n"), "step 2\n");
        assert_eq!(cleaned("a\x1b[3Cb\x1b[2Dc"), "a  cb");
    }

    #[test]
    fn without_stripping_only_what_is_not_utf8_is_replaced() {
        let cleaned = clean(b"\x1b[1mbold\r\xff\n", false);
        assert_eq!((&*cleaned.text, cleaned.invalid), ("\x1b[1mbold\r\\xff\n", 1));
    }

    #[test]
    fn the_beginning_of_a_sequence_is_told_from_a_whole_one() {
        for (end, length) in [
            ("", 0),
            ("plain", 0),
            ("a\x1b", 1),
            ("a\x1b[", 2),
            ("a\x1b[38;5", 6),
            ("a\x1b[38;5m", 0),
            ("a\x1b[m text", 0),
            ("a\x1b[3\n", 0),
            ("a\x1b]0;title", 9),
            ("a\x1b]0;title\x07", 0),
            ("a\x1b]0;title\x1b", 1),
            ("a\x1b]0;title\x1b\\", 0),
            ("a\x1b(", 2),
            ("a\x1b(B", 0),
            ("a\x1b7", 0),
        ] {
            assert_eq!(unfinished_sequence(end.as_bytes()), length, "{end:?}");
        }
    }

    #[test]
    fn hostile_cursor_movements_cost_little() {
        assert!(cleaned("\x1b[65535Gx\x1b[65535C\x1b[65535Cy").chars().count() <= 2 * MAX_COLUMN);
    }
}
