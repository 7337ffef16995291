//! Text that comes from the agent, written so that a person sees what is there.

use std::fmt::Write;

/// Renders bytes for a human: what is not UTF-8, control characters, bidirectional controls and invisible characters are
/// written as escapes, so that nothing can hide, reorder or overwrite what stands beside it.
pub(crate) fn visible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                _ if hides(character) => {
                    let _ = write!(text, "\\u{{{:x}}}", u32::from(character));
                }
                _ => text.push(character),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Controls (C0, C1), and the characters of Unicode's `Bidi_Control`, `Default_Ignorable_Code_Point` and line-breaking
/// kinds that occur in texts meant to deceive ("Trojan Source", CVE-2021-42574), and spaces that are not the space.
pub(crate) fn hides(character: char) -> bool {
    character.is_control()
        || (character.is_whitespace() && character != ' ')
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        assert_eq!(visible("git commit -m 'Füße 漢字 🛑'".as_bytes()), "git commit -m 'Füße 漢字 🛑'");
    }

    #[test]
    fn what_hides_is_written_out() {
        assert_eq!(visible(b"a\x1b[2Kb\r\n\x07"), "a\\u{1b}[2Kb\\r\\n\\u{7}");
        assert_eq!(visible("x\u{202e}y\u{200b}z\u{a0}".as_bytes()), "x\\u{202e}y\\u{200b}z\\u{a0}");
        assert_eq!(visible(b"caf\xe9"), "caf\\xe9");
    }
}
