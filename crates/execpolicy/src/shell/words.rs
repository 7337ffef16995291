//! One word of a script → the bytes that the program gets, as far as the text alone tells.

use tree_sitter::Node;

/// A word of a command in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word without quotes and escapes; as written, but for the quotes around it, when it is not certain.
    pub bytes: Vec<u8>,
    /// Whether the program gets exactly these bytes as exactly one word.
    pub certain: bool,
}

/// Reads the word that a node stands for.
pub(super) fn read(node: Node<'_>, source: &[u8]) -> Word {
    match decode(node, source) {
        Some(bytes) => Word { bytes, certain: true },
        None => Word { bytes: as_written(node, source), certain: false },
    }
}

/// An uncertain word without the quotes around it: in `sh -c "rm $x"` what stands inside is a script again.
fn as_written(node: Node<'_>, source: &[u8]) -> Vec<u8> {
    let text = text(node, source);
    let quoted = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
    match quoted {
        Some(inside) if node.kind() == "string" => {
            let mut plain = Vec::with_capacity(inside.len());
            let mut bytes = inside.iter().peekable();
            while let Some(byte) = bytes.next() {
                match (byte, bytes.peek()) {
                    (b'\\', Some(b'"' | b'\\')) => plain.extend(bytes.next()),
                    (byte, _) => plain.push(*byte),
                }
            }
            plain
        }
        Some(_) | None => text.to_vec(),
    }
}

/// Reads a word without quotes.
pub(super) fn read_unquoted(text: &[u8]) -> Word {
    match unquoted(text) {
        Some(bytes) => Word { bytes, certain: true },
        None => Word { bytes: text.to_vec(), certain: false },
    }
}

/// The text of a node; empty when the tree does not belong to the text.
pub(super) fn text<'s>(node: Node<'_>, source: &'s [u8]) -> &'s [u8] {
    source.get(node.byte_range()).unwrap_or_default()
}

fn decode(node: Node<'_>, source: &[u8]) -> Option<Vec<u8>> {
    if node.has_error() {
        return None;
    }
    let text = text(node, source);
    match node.kind() {
        "command_name" => decode(node.child(0)?, source),
        "word" | "number" | "test_operator" => unquoted(text),
        "raw_string" => Some(text.strip_prefix(b"'")?.strip_suffix(b"'")?.to_vec()),
        "string" => double_quoted(node, text),
        "ansi_c_string" => ansi_c(text.strip_prefix(b"$'")?.strip_suffix(b"'")?),
        "concatenation" => concatenation(node, source),
        _ if !node.is_named() => unquoted(text),
        _ => None,
    }
}

/// Parts that follow each other without a gap.
fn concatenation(node: Node<'_>, source: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    let mut position = node.start_byte();
    let mut cursor = node.walk();
    for child in node.children(&mut cursor) {
        if child.start_byte() != position {
            return None;
        }
        position = child.end_byte();
        // An unquoted brace or bracket is a part of its own here, and begins an expansion.
        if matches!(text(child, source), b"{" | b"[") {
            return None;
        }
        whole.extend(decode(child, source)?);
    }
    (position == node.end_byte()).then_some(whole)
}

/// A word without quotes: `None` when the shell would expand it.
fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next()? {
                b'\n' => {}
                escaped => plain.push(*escaped),
            },
            // A home folder, at the beginning or behind `=` and `:`.
            b'~' => return None,
            // These end a word, whatever the grammar thinks.
            b' ' | b'\t' | b'\n' | b';' | b'|' | b'&' | b'<' | b'>' | b'(' | b')' => return None,
            b'*' | b'?' | b'[' | b'{' | b'$' | b'`' | b'"' | b'\'' => {
                // `[` and `{` alone are words: the test command, a literal brace.
                if text.len() > 1 || matches!(byte, b'*' | b'?' | b'$' | b'`' | b'"' | b'\'') {
                    return None;
                }
                plain.push(*byte);
            }
            byte => plain.push(*byte),
        }
    }
    Some(plain)
}

fn double_quoted(node: Node<'_>, text: &[u8]) -> Option<Vec<u8>> {
    let mut cursor = node.walk();
    if node.named_children(&mut cursor).any(|child| child.kind() != "string_content") {
        return None;
    }
    let inside = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut plain = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'`' => return None,
            // A dollar that begins an expansion would be a node of its own, unless the grammar overlooked it.
            b'$' if bytes.peek().is_some_and(|next| {
                matches!(next, b'(' | b'{' | b'[' | b'_') || next.is_ascii_alphanumeric()
            }) =>
            {
                return None;
            }
            b'\\' => match bytes.next()? {
                b'\n' => {}
                escaped @ (b'$' | b'`' | b'"' | b'\\') => plain.push(*escaped),
                other => plain.extend([b'\\', *other]),
            },
            byte => plain.push(*byte),
        }
    }
    Some(plain)
}

/// `$'…'`: the escapes of bash(1), QUOTING; `None` for those that are not needed to understand a script.
fn ansi_c(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            plain.push(*byte);
            continue;
        }
        let (escape, after) = rest.split_first()?;
        rest = after;
        let (radix, digits) = match escape {
            b'n' | b't' | b'r' | b'\\' | b'\'' | b'"' | b'?' => {
                plain.push(match escape {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    other => *other,
                });
                continue;
            }
            b'x' => (16, leading_digits(rest, 16, 2)),
            b'0'..=b'7' => {
                // The first digit belongs to the number.
                rest = text.get(text.len() - rest.len() - 1..)?;
                (8, leading_digits(rest, 8, 3))
            }
            _ => return None,
        };
        let (number, after) = rest.split_at_checked(digits)?;
        let value = u32::from_str_radix(std::str::from_utf8(number).ok()?, radix).ok()?;
        match u8::try_from(value & 0xff).ok()? {
            // The shell ends the word here.
            0 => return None,
            byte => plain.push(byte),
        }
        rest = after;
    }
    Some(plain)
}

fn leading_digits(text: &[u8], radix: u32, most: usize) -> usize {
    text.iter().take(most).take_while(|byte| char::from(**byte).is_digit(radix)).count()
}
