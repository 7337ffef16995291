//! What the shell makes of single characters, where the grammar differs.

/// Control characters other than tab and newline, and spaces beyond ASCII: shells and the grammar disagree
/// about them.
pub(super) fn has_strange_characters(source: &[u8]) -> bool {
    match std::str::from_utf8(source) {
        Ok(text) => text.chars().any(|character| match character {
            '\n' | '\t' | ' ' => false,
            other => other.is_control() || other.is_whitespace() || is_invisible(other),
        }),
        Err(_) => true,
    }
}

/// Words that the shell knows only when they stand alone.
pub(super) fn is_reserved(kind: &str) -> bool {
    matches!(kind, "!" | "{" | "}" | "[[" | "]]" | "[" | "]")
        || kind.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Spaces and newlines, also escaped newlines, which join lines.
pub(super) fn is_space(mut text: &[u8]) -> bool {
    loop {
        text = match text {
            [] => return true,
            [b' ' | b'\t' | b'\n', rest @ ..] | [b'\\', b'\n', rest @ ..] => rest,
            _ => return false,
        }
    }
}

/// Index of the first newline that is not escaped.
pub(super) fn line_end(text: &[u8]) -> Option<usize> {
    let mut previous = b' ';
    text.iter().position(|byte| {
        let ends = *byte == b'\n' && previous != b'\\';
        previous = *byte;
        ends
    })
}

/// Zero-width and direction-changing characters.
pub(crate) fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
