//! One line of the log: its number, the hash of the line before, the time, the server, and what happened.

use std::io;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::ser::{CompactFormatter, Formatter};
use sha2::{Digest, Sha256};

use super::event::Event;
use crate::visible::hides;

/// Bytes that no line reaches: what a record keeps is bounded (see `bounded`), and escapes make it six times as long at
/// most.
pub(super) const MAX_LINE: usize = 512 << 10;

/// What the next line refers to: the newest line's number and hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) number: u64,
    pub(super) hash: String,
}

impl Head {
    /// Where a log begins.
    pub(super) fn genesis() -> Head {
        Head { number: 0, hash: "0".repeat(64) }
    }

    /// The head after a line (without its newline). `None`: it is not a line of ours.
    pub(super) fn after(line: &[u8]) -> Option<Head> {
        let link: HashLink = serde_json::from_slice(line).ok()?;
        Some(Head { number: link.n, hash: hash(line) })
    }
}

/// What ties a line to the one before it.
#[derive(Deserialize)]
pub(super) struct HashLink {
    pub(super) n: u64,
    pub(super) previous: String,
    /// Of a run: the last line of the log of decisions when it was written.
    pub(super) after: Option<u64>,
}

/// A line, to be written.
#[derive(Serialize)]
struct Written<'a> {
    n: u64,
    previous: &'a str,
    time: &'a str,
    server: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
    #[serde(flatten)]
    event: &'a Event,
}

/// A line, as read.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) n: u64,
    pub(super) time: String,
    pub(super) server: u32,
    #[serde(flatten)]
    pub(super) event: Event,
}

/// Appends the line that follows `head`, and moves `head` on to it. `after`: that one of the other log was there.
pub(super) fn push(
    buffer: &mut Vec<u8>,
    head: &mut Head,
    time: SystemTime,
    after: Option<u64>,
    event: &Event,
) -> serde_json::Result<()> {
    let start = buffer.len();
    let n = head.number + 1;
    let time = humantime::format_rfc3339_millis(time).to_string();
    let line = Written { n, previous: &head.hash, time: &time, server: std::process::id(), after, event };
    line.serialize(&mut serde_json::Serializer::with_formatter(&mut *buffer, Plain(CompactFormatter)))?;
    let hash = hash(buffer.get(start..).unwrap_or_default());
    buffer.push(b'\n');
    *head = Head { number: n, hash };
    Ok(())
}

/// The hash that the next line carries: of the line's bytes, without the newline.
pub(super) fn hash(line: &[u8]) -> String {
    hexadecimal(&Sha256::digest(line))
}

/// Two digits for each byte.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |index: u8| char::from(DIGITS[usize::from(index & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// JSON in which characters that deceive a reader of the file are escaped too, not only the controls below U+0020.
struct Plain(CompactFormatter);

impl Formatter for Plain {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, hidden)) = rest.char_indices().find(|(_, character)| hides(*character)) {
            let (plain, from) = rest.split_at(at);
            self.0.write_string_fragment(writer, plain)?;
            for unit in hidden.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = from.get(hidden.len_utf8()..).unwrap_or_default();
        }
        self.0.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_carries_the_hash_of_the_one_before_and_hides_nothing() {
        let mut buffer = Vec::new();
        let mut head = Head::genesis();
        let version = "a\u{202e}b\u{e0041}\n".to_owned();
        let event = Event::Started { version, sandbox: None };
        let time = SystemTime::UNIX_EPOCH;
        push(&mut buffer, &mut head, time, None, &event).expect("encoded");
        push(&mut buffer, &mut head, time, None, &Event::Lost { decisions: 3 }).expect("encoded");
        let text = String::from_utf8(buffer).expect("UTF-8");
        let (first, second) = text.trim_end().split_once('\n').expect("two lines");
        assert!(first.starts_with(&format!("{{\"n\":1,\"previous\":\"{}\"", "0".repeat(64))), "{first}");
        assert!(first.contains(r#""version":"a\u202eb\udb40\udc41\n""#), "{first}");
        assert!(second.contains(&hash(first.as_bytes())), "{second}");
        assert_eq!(Head::after(second.as_bytes()), Some(head));
        let line: Line = serde_json::from_str(first).expect("read back");
        assert_eq!((line.n, line.event), (1, event));
        assert_eq!(line.time, "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn the_hash_is_sha_256_in_hexadecimal() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(hash(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
