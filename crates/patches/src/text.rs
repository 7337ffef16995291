//! Texts as lines, with whatever ends each of them.

use std::borrow::Cow;

/// The lines of a text, each with what ends it.
pub(crate) fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// A line without what ends it.
pub(crate) fn body(line: &[u8]) -> &[u8] {
    match line.strip_suffix(b"\n") {
        Some(line) => without_return(line),
        None => line,
    }
}

/// A line without a carriage return at its end.
pub(crate) fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A text all of whose lines end with CRLF, with line feeds alone: it has come through something that writes them so, and says
/// nothing about the lines of files. Others stay as they are.
pub(crate) fn with_line_feeds(text: &[u8]) -> Cow<'_, [u8]> {
    let is_all = lines(text).iter().all(|line| line.ends_with(b"\r\n") || !line.ends_with(b"\n"));
    if !is_all || !text.contains(&b'\n') {
        return text.into();
    }
    let stripped = lines(text).into_iter().flat_map(|line| {
        let end: &[u8] = if line.ends_with(b"\n") { b"\n" } else { b"" };
        [body(line), end]
    });
    stripped.collect::<Vec<_>>().concat().into()
}

pub(crate) fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

/// What ends most lines of a text.
pub(crate) fn usual_end(lines: &[&[u8]]) -> &'static [u8] {
    let with_return = lines.iter().filter(|line| line.ends_with(b"\r\n")).count();
    if with_return * 2 > lines.len() { b"\r\n" } else { b"\n" }
}

/// Bytes at the beginning of a file that are looked at, as Git does.
const LOOKED_AT: usize = 8000;

/// Whether a file is none of text.
pub(crate) fn is_binary(content: &[u8]) -> bool {
    content.iter().take(LOOKED_AT).any(|byte| *byte == 0)
}

/// The mark of a byte order at the beginning of a text.
pub(crate) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// How far a line may differ from one that is looked for, from not at all to what editors and models change unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// Byte by byte.
    Same,
    /// But for white space at the end.
    Ends,
    /// But for white space around it.
    Around,
    /// But for typographic dashes, quotation marks and spaces, too.
    Typography,
}

/// The order in which they are tried.
pub(crate) const LIKENESSES: [Likeness; 4] =
    [Likeness::Same, Likeness::Ends, Likeness::Around, Likeness::Typography];

impl Likeness {
    /// What lines that are alike have in common.
    pub(crate) fn key(self, line: &[u8]) -> Cow<'_, [u8]> {
        let line = without_mark(line);
        match self {
            Likeness::Same => line.into(),
            Likeness::Ends => line.trim_ascii_end().into(),
            Likeness::Around => line.trim_ascii().into(),
            Likeness::Typography => plain(line).into_bytes().into(),
        }
    }
}

fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
}

/// A line in the characters of a typewriter.
fn plain(line: &[u8]) -> String {
    let plain = |character: char| match character {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
        other => other,
    };
    String::from_utf8_lossy(line).chars().map(plain).collect::<String>().trim().to_owned()
}
