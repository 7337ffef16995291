//! Letters and signs that look like others: written out where nobody expects them.
//!
//! Which of them look alike is a list that is never complete, so kinds count instead: what people write beside Latin letters, and what
//! they write by itself. The rest is written out.

use std::fmt::Write;

/// Marks over or under one letter; more of them would cover the lines beside it.
const MOST_MARKS: usize = 2;

/// Writes out what may be taken for something else.
pub(super) fn mark_look_alikes(text: &str) -> String {
    let mut marked = String::with_capacity(text.len());
    let is_of_word = |character: char| {
        !character.is_ascii() || character.is_ascii_alphanumeric() || "-_.".contains(character)
    };
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|character| !is_of_word(character)).unwrap_or(rest.len());
        if end == 0 {
            marked.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        let (word, after) = rest.split_at(end);
        let is_joined = word.contains(|character: char| character.is_ascii_alphanumeric());
        for part in word.split_inclusive(['-', '_', '.']) {
            push_part(&mut marked, part, is_joined);
        }
        rest = after;
    }
    marked
}

/// Adds what stands between hyphens and dots; `is_joined`: it, or what it hangs together with, has ASCII letters or digits.
fn push_part(text: &mut String, part: &str, is_joined: bool) {
    let letters = || part.chars().filter(|character| character.is_alphabetic());
    let has_ascii = letters().any(|letter| letter.is_ascii());
    let is_alone = letters().nth(1).is_none();
    // By itself a letter of another alphabet is a word of its own (Russian has eight), but for Greek capitals.
    let may_deceive =
        is_joined || !is_alone || letters().any(|letter| ('\u{391}'..='\u{3a9}').contains(&letter));
    let all_alike = may_deceive && letters().next().is_some() && letters().all(is_look_alike);
    let (mut before, mut marks) = (None, 0);
    for character in part.chars() {
        let is_expected = match (character.is_ascii(), is_mark(character)) {
            (true, _) => true,
            (false, true) => {
                marks += 1;
                let on_a_letter =
                    before.is_some_and(|letter: char| letter.is_alphabetic() && !letter.is_ascii());
                on_a_letter && !has_ascii && marks <= MOST_MARKS
            }
            (false, false) if all_alike && is_look_alike(character) => false,
            (false, false) if has_ascii => stands_beside_ascii(character, before),
            (false, false) if is_joined => {
                stands_beside_ascii(character, before) || character.is_alphabetic() && is_written(character)
            }
            (false, false) => is_written(character),
        };
        if is_expected {
            text.push(character);
        } else {
            let _ = write!(text, "\\u{{{:x}}}", u32::from(character));
        }
        if !is_mark(character) {
            (before, marks) = (Some(character), 0);
        }
    }
}

/// What people write in one word with ASCII letters, and nobody takes for one: letters with accents, and those of East Asia but a few
/// strokes, and pictures.
fn stands_beside_ascii(character: char, before: Option<char>) -> bool {
    match character {
        // Multiplication, division, dotless i, kra, middle dots, long s.
        '\u{d7}' | '\u{f7}' | '\u{131}' | '\u{138}' | '\u{13f}' | '\u{140}' | '\u{149}' | '\u{17f}' => false,
        // Strokes that look like a hyphen, a bar or a slash; a kana that does.
        '\u{4e00}' | '\u{4e28}' | '\u{4e36}' | '\u{4e3f}' | '\u{30ce}' => false,
        // What makes a kana long.
        '\u{30fc}' => before.is_some_and(|kana| matches!(kana, '\u{3041}'..='\u{30fa}')),
        '\u{c0}'..='\u{17f}'
        | '\u{1e00}'..='\u{1eff}'
        | '\u{3001}'..='\u{3002}'
        | '\u{300c}'..='\u{300f}'
        | '\u{3041}'..='\u{3096}'
        | '\u{30a1}'..='\u{30fa}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{1f300}'..='\u{1faff}' => true,
        _ => false,
    }
}

/// What people write in words of their own: scripts of today, punctuation and signs of ordinary text.
fn is_written(character: char) -> bool {
    match character {
        // One and two dots, and slashes.
        '\u{2024}' | '\u{2025}' | '\u{2044}' | '\u{ff0d}' | '\u{ff0f}' => false,
        // Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic.
        '\u{a1}'..='\u{17f}'
        | '\u{370}'..='\u{52f}'
        | '\u{531}'..='\u{6ff}'
        // India and South East Asia, Georgian, Ethiopian.
        | '\u{900}'..='\u{eff}'
        | '\u{10d0}'..='\u{10ff}'
        | '\u{1200}'..='\u{137f}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{1e00}'..='\u{1fff}'
        // Punctuation, currencies, number and trade mark, arrows, signs and pictures.
        | '\u{2010}'..='\u{205e}'
        | '\u{20a0}'..='\u{20bf}'
        | '\u{2116}'
        | '\u{2122}'
        | '\u{2190}'..='\u{21ff}'
        | '\u{2300}'..='\u{23ff}'
        | '\u{25a0}'..='\u{27bf}'
        | '\u{1f300}'..='\u{1faff}'
        // East Asia, with its punctuation, but not its forms of ASCII's letters.
        | '\u{2e80}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{ff01}'..='\u{ff0e}'
        | '\u{ff1a}'..='\u{ff20}'
        | '\u{ff3b}'..='\u{ff40}'
        | '\u{ff5b}'..='\u{ff9f}'
        | '\u{20000}'..='\u{3ffff}' => true,
        _ => false,
    }
}

/// Letters of scripts of today that are drawn like Latin ones (Unicode's `confusables.txt`): a word of nothing else is one in Latin
/// letters to who reads it.
fn is_look_alike(character: char) -> bool {
    "аеіјорсухѕһԁԛԝӏАВЕІЈКМНОРСТУХЅԌԚԜӀαγικνορυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧոսօհցքՕՏ".contains(character)
}

/// Unicode's blocks of combining marks.
fn is_mark(character: char) -> bool {
    matches!(character,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_stays() {
        for text in [
            "Привет, мир: отчёт.docx, файл1.txt",
            "'Ω и α — naïve'",
            "中文（文字）, 修复API错误, APIサーバー",
            "3 – 4 → 5 ✓ 🛑 № 1 …",
            "Füße café Việt",
            "Й и\u{306}",
        ] {
            assert_eq!(mark_look_alikes(text), text);
        }
    }

    #[test]
    fn what_is_not_expected_is_written_out() {
        for character in [
            '\u{430}', '\u{217c}', '\u{2024}', '\u{1c3}', '\u{2013}', '\u{399}', '\u{2160}', '\u{2c9f}',
            '\u{1d0f}', '\u{a731}', '\u{13aa}', '\u{a4d0}', '\u{2134}', '\u{338}', '\u{301}', '\u{20e3}',
            '\u{2215}', '\u{ff47}', '\u{2019}', '\u{2044}',
        ] {
            let escaped = format!("\\u{{{:x}}}", u32::from(character));
            for (text, shown) in [
                (format!("a{character}b"), format!("a{escaped}b")),
                (format!("git pu{character}"), format!("git pu{escaped}")),
                (format!("/x/{character}bin"), format!("/x/{escaped}bin")),
            ] {
                assert_eq!(mark_look_alikes(&text), shown);
            }
        }
        for (text, shown) in [
            ("\u{440}\u{430}\u{443}", "\\u{440}\\u{430}\\u{443}"),
            ("x-\u{430}", "x-\\u{430}"),
            ("\u{399}", "\\u{399}"),
            ("\u{13aa}\u{13a2}", "\\u{13aa}\\u{13a2}"),
            ("\u{2160}", "\\u{2160}"),
            ("=\u{338}", "=\\u{338}"),
            ("rm \u{2014}force", "rm \\u{2014}force"),
            ("1\u{2024}2", "1\\u{2024}2"),
        ] {
            assert_eq!(mark_look_alikes(text), shown);
        }
    }
}
