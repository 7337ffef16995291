//! Text that comes from the agent, written so that a person sees what is there.

mod look_alikes;

use std::fmt::Write;

use look_alikes::mark_look_alikes;

/// More spaces than this in a row may push what follows out of view; they are counted instead.
const MOST_SPACES: usize = 16;

/// What a count of spaces begins with. In the text itself it is written out, so that it counts nothing.
const COUNT_SIGN: char = '\u{2039}';

/// Renders bytes for a human: what is not UTF-8, control characters, bidirectional controls and invisible characters are
/// written as escapes, so are letters that look like others where nobody expects them, and long runs of spaces as how many there
/// are, so that nothing can hide, reorder, overwrite, push away or be taken for what stands beside it.
pub fn visible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut spaces = 0;
    for chunk in bytes.utf8_chunks() {
        for character in mark_look_alikes(chunk.valid()).chars() {
            if character == ' ' {
                spaces += 1;
                continue;
            }
            push_spaces(&mut text, std::mem::take(&mut spaces));
            match character {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                _ if hides(character) || character == COUNT_SIGN => {
                    let _ = write!(text, "\\u{{{:x}}}", u32::from(character));
                }
                _ => text.push(character),
            }
        }
        if !chunk.invalid().is_empty() {
            push_spaces(&mut text, std::mem::take(&mut spaces));
        }
        push_invalid(&mut text, chunk.invalid());
    }
    push_spaces(&mut text, spaces);
    text
}

/// Writes bytes that are not UTF-8 as `\\xNN`.
pub(crate) fn push_invalid(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// The beginning of a text that is longer than so many characters, with a sign that there is more; else all of it.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

/// An error with all that caused it.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let _ = write!(text, ": {next}");
        cause = next.source();
    }
    text
}

fn push_spaces(text: &mut String, count: usize) {
    if count > MOST_SPACES {
        let _ = write!(text, " {COUNT_SIGN}{count} spaces\u{203a} ");
    } else {
        text.extend(std::iter::repeat_n(' ', count));
    }
}

/// Text as a code span of Markdown, whatever is in it: many clients show questions as Markdown, where text could load pictures,
/// lead elsewhere, or hide what follows.
#[must_use]
pub fn code(text: &str) -> String {
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// Text as it is where Markdown has nothing to say about it, else as code.
#[must_use]
pub fn inert(text: &str) -> String {
    // A path in one's home: what opens before a slash, after a blank, closes nowhere.
    let without_homes = text.strip_prefix("~/").unwrap_or(text).replace(" ~/", " ");
    let is_active = text.contains(['[', ']', '<', '*', '\\', '&', '|'])
        || without_homes.contains('~')
        || text.contains("__")
        || !is_balanced(text);
    if is_active { code(text) } else { text.to_owned() }
}

/// Whether text has only code spans of our own making: of one backtick each.
fn is_balanced(text: &str) -> bool {
    !text.contains("``") && text.matches('`').count().is_multiple_of(2)
}

/// Characters that mean nothing to anybody but to those who have agreed on it, or nothing at all: fonts draw what they like.
fn is_nobodys(character: char) -> bool {
    matches!(character, '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{f0000}'..)
        || u32::from(character) & 0xfffe == 0xfffe
}

/// Controls (C0, C1), and the characters of Unicode's `Bidi_Control`, `Default_Ignorable_Code_Point` and line-breaking
/// kinds that occur in texts meant to deceive ("Trojan Source", CVE-2021-42574), and spaces that are not the space.
pub(crate) fn hides(character: char) -> bool {
    character.is_control()
        || (character.is_whitespace() && character != ' ')
        || is_nobodys(character)
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffc}' | '\u{13430}'..='\u{1345f}' | '\u{16fe4}'
            | '\u{1d159}'
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
    fn what_pushes_away_or_covers_its_neighbours_is_counted_or_written_out() {
        assert_eq!(visible(format!("a{}b", " ".repeat(16)).as_bytes()), format!("a{}b", " ".repeat(16)));
        assert_eq!(visible(format!("a{}b ", " ".repeat(5000)).as_bytes()), "a ‹5000 spaces› b ");
        assert_eq!(visible("a \u{2039}40 spaces\u{203a} b".as_bytes()), "a \\u{2039}40 spaces\\u{203a} b");
        assert_eq!(visible("é\u{301}\u{323} x".as_bytes()), "é\u{301}\u{323} x");
        assert_eq!(visible("é\u{301}\u{301}\u{301}\u{302}".as_bytes()), "é\u{301}\u{301}\\u{301}\\u{302}");
    }

    #[test]
    fn nothing_in_code_is_markdown() {
        for (text, shown) in [("a b", "`a b`"), ("a`b", "`` a`b ``"), ("``", "``` `` ```"), ("", "``")] {
            assert_eq!(code(text), shown);
        }
        assert_eq!(inert("/home/u/CARGO_HOME is `x`"), "/home/u/CARGO_HOME is `x`");
        assert_eq!(inert("![x](http://y)"), "`![x](http://y)`");
        assert_eq!(inert("<!-- `x"), "`` <!-- `x ``");
    }

    #[test]
    fn what_hides_is_written_out() {
        assert_eq!(visible(b"a\x1b[2Kb\r\n\x07"), "a\\u{1b}[2Kb\\r\\n\\u{7}");
        assert_eq!(visible("x\u{202e}y\u{200b}z\u{a0}".as_bytes()), "x\\u{202e}y\\u{200b}z\\u{a0}");
        assert_eq!(visible(b"caf\xe9"), "caf\\xe9");
        for hidden in [
            "\u{13430}",
            "\u{fffc}",
            "\u{e000}",
            "\u{f8ff}",
            "\u{f0000}",
            "\u{10fffd}",
            "\u{fdd0}",
            "\u{1ffff}",
        ] {
            assert!(visible(hidden.as_bytes()).starts_with("\\u{"), "{hidden:?}");
        }
    }
}
