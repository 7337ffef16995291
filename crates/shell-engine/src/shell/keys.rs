//! What a terminal's keyboard sends (xterm's, which programs expect of `TERM=xterm-256color`).
//!
//! Keys go by the names that Vim's documentation has for them: `<C-c>`, `<Up>`, `<Enter>`; `<lt>` is `<` itself.

/// What keys with names of their own send.
const NAMED: &[(&str, &str)] = &[
    ("enter", "\r"),
    ("return", "\r"),
    ("cr", "\r"),
    ("tab", "\t"),
    ("s-tab", "\x1b[Z"),
    ("esc", "\x1b"),
    ("escape", "\x1b"),
    ("space", " "),
    ("bs", "\x7f"),
    ("backspace", "\x7f"),
    ("del", "\x1b[3~"),
    ("delete", "\x1b[3~"),
    ("insert", "\x1b[2~"),
    ("pageup", "\x1b[5~"),
    ("pagedown", "\x1b[6~"),
    ("f1", "\x1bOP"),
    ("f2", "\x1bOQ"),
    ("f3", "\x1bOR"),
    ("f4", "\x1bOS"),
    ("f5", "\x1b[15~"),
    ("f6", "\x1b[17~"),
    ("f7", "\x1b[18~"),
    ("f8", "\x1b[19~"),
    ("f9", "\x1b[20~"),
    ("f10", "\x1b[21~"),
    ("f11", "\x1b[23~"),
    ("f12", "\x1b[24~"),
    ("lt", "<"),
];

/// Keys whose sequence depends on the mode that a program has set (DECCKM): its last letter.
const CURSOR: &[(&str, char)] =
    &[("up", 'A'), ("down", 'B'), ("right", 'C'), ("left", 'D'), ("home", 'H'), ("end", 'F')];

const PASTE_BEGINS: &str = "\x1b[200~";
const PASTE_ENDS: &str = "\x1b[201~";

/// Longer names are text.
const LONGEST_NAME: usize = 16;

/// Text as it is typed: a line's end is the Enter key.
pub(super) fn typed(text: &str) -> Vec<u8> {
    text.replace("\r\n", "\r").replace('\n', "\r").into_bytes()
}

/// Keys by their names, and text between them.
pub(super) fn named(text: &str, application: bool) -> Vec<u8> {
    let mut sent = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        sent.extend(typed(before));
        match key_at(from, application) {
            Some((key, length)) => {
                sent.extend(key);
                rest = from.get(length..).unwrap_or_default();
            }
            None => {
                sent.push(b'<');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    sent.extend(typed(rest));
    sent
}

/// Whether a text is nothing but names of keys.
pub(super) fn are_names(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, length)) = key_at(rest, false) {
        rest = rest.get(length..).unwrap_or_default();
    }
    rest.is_empty() && !text.is_empty()
}

/// Text as it is pasted: a program that knows of pasting (`bracketed`) is told where it begins and ends, and nothing in the text
/// ends it.
pub(super) fn pasted(text: &str, bracketed: bool) -> Vec<u8> {
    if !bracketed {
        return typed(text);
    }
    let mut text = text.to_owned();
    while text.contains(PASTE_ENDS) {
        text = text.replace(PASTE_ENDS, "");
    }
    [PASTE_BEGINS.as_bytes(), &typed(&text), PASTE_ENDS.as_bytes()].concat()
}

/// The key that a text begins with the name of, and the name's length.
fn key_at(text: &str, application: bool) -> Option<(Vec<u8>, usize)> {
    let name = text.strip_prefix('<')?;
    let end = name.find('>').filter(|end| (1..=LONGEST_NAME).contains(end))?;
    let key = key(&name.get(..end)?.to_ascii_lowercase(), application)?;
    Some((key, end + 2))
}

fn key(name: &str, application: bool) -> Option<Vec<u8>> {
    if let Some((_, sequence)) = NAMED.iter().find(|(known, _)| *known == name) {
        return Some(sequence.as_bytes().to_vec());
    }
    if let Some((_, letter)) = CURSOR.iter().find(|(known, _)| *known == name) {
        let begin = if application { "\x1bO" } else { "\x1b[" };
        return Some(format!("{begin}{letter}").into_bytes());
    }
    let (modifier, rest) = name.split_once('-')?;
    match (modifier, rest.as_bytes()) {
        ("c", [letter @ b'a'..=b'z']) => Some(vec![letter - b'a' + 1]),
        ("c", [sign @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => Some(vec![sign & 0x1f]),
        ("c", b"space") => Some(vec![0]),
        ("m" | "a", _) => {
            let plain = match rest.len() {
                1 => rest.as_bytes().to_vec(),
                _ => key(rest, application)?,
            };
            Some([b"\x1b".as_slice(), &plain].concat())
        }
        // xterm's parameter of a modified key.
        ("c" | "s", _) => {
            let (_, letter) = CURSOR.iter().find(|(known, _)| *known == rest)?;
            let parameter = if modifier == "c" { 5 } else { 2 };
            Some(format!("\x1b[1;{parameter}{letter}").into_bytes())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_send_what_a_keyboard_sends() {
        for (names, sent) in [
            ("<C-c>", "\x03"),
            ("<c-D>", "\x04"),
            ("<Up><Down>", "\x1b[A\x1b[B"),
            ("<Enter><Tab><Esc>", "\r\t\x1b"),
            ("ihello<Esc>:wq<Enter>", "ihello\x1b:wq\r"),
            ("a<lt>b<c<unknown>", "a<b<c<unknown>"),
            ("<M-x><A-Enter>", "\x1bx\x1b\r"),
            ("<C-Left><S-Tab>", "\x1b[1;5D\x1b[Z"),
            ("line\nnext\r\n", "line\rnext\r"),
            ("<", "<"),
        ] {
            assert_eq!(named(names, false), sent.as_bytes(), "{names}");
        }
        assert_eq!(named("<Up>", true), b"\x1bOA");
    }

    #[test]
    fn a_text_is_names_only_when_nothing_else_is_in_it() {
        assert!(are_names("<C-c>") && are_names("<Up><Enter>"));
        assert!(!are_names("") && !are_names("<b>") && !are_names("x<Enter>") && !are_names("<Enter>\n"));
    }

    #[test]
    fn nothing_that_is_pasted_ends_the_pasting() {
        assert_eq!(pasted("a\nb", false), b"a\rb");
        assert_eq!(pasted("a\nb", true), b"\x1b[200~a\rb\x1b[201~");
        let inside = "x\x1b[20\x1b[201~1~rm -rf /\n";
        let sent = String::from_utf8(pasted(inside, true)).unwrap();
        assert_eq!(sent.matches(PASTE_ENDS).count(), 1);
        assert!(sent.ends_with(PASTE_ENDS));
    }
}
