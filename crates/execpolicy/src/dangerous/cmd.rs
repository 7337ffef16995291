//! `cmd.exe /c …`: its text is split as cmd does, then each command is looked at.

use super::launch::{LAUNCHERS, has_url, is_url_handler};
use super::{Danger, powershell};
use crate::command::Command;

/// Looks at what `cmd` is told to run.
pub(super) fn find(command: &Command<'_>) -> Option<Danger> {
    let words: Vec<String> = command.args().map(|arg| arg.to_string_lossy().to_lowercase()).collect();
    let at = words.iter().position(|word| is_run_switch(word))?;
    // The text may be glued to the switch: `/cdel`.
    let glued = words.get(at)?.get(2..).unwrap_or_default();
    let text = format!("{glued} {}", words.get(at + 1..).unwrap_or_default().join(" "));
    find_in_text(&text, 0)
}

/// `/c`, `/r`, `/k`, also with a dash.
fn is_run_switch(word: &str) -> bool {
    let mut characters = word.chars();
    matches!(characters.next(), Some('/' | '-')) && matches!(characters.next(), Some('c' | 'r' | 'k'))
}

/// Looks at each command of a text in small letters.
pub(super) fn find_in_text(text: &str, depth: u8) -> Option<Danger> {
    // A caret only escapes the next character; without it the words read as cmd reads them.
    let text = text.replace('^', "");
    text.split(['&', '|', '\n', '(', ')']).find_map(|one| segment(one, depth))
}

fn segment(text: &str, depth: u8) -> Option<Danger> {
    let words: Vec<&str> =
        text.split([' ', '\t', ',', ';', '=', '"', '@']).filter(|word| !word.is_empty()).collect();
    let (first, rest) = words.split_first()?;
    // Switches may be glued to the name and to each other: `rd/s/q`.
    let (name, glued) = first.split_at(first.find('/').unwrap_or(first.len()));
    let name = name.strip_suffix(".exe").unwrap_or(name);
    let has = |switch: &str| {
        std::iter::once(&glued)
            .chain(rest)
            .filter(|word| word.starts_with('/'))
            .any(|word| word.split('/').any(|one| one == switch))
    };
    let has_address = words.iter().any(|word| has_url(word));
    match name {
        "start" if has_address => Some(Danger::OpensUrl),
        "del" | "erase" if has("f") => Some(Danger::ForcedDelete),
        "rd" | "rmdir" if has("s") && has("q") => Some(Danger::ForcedDelete),
        "rundll32" if rest.iter().any(|word| is_url_handler(word)) => Some(Danger::OpensUrl),
        "powershell" | "pwsh" => powershell::find_in_text(&rest.join(" "), depth),
        other if LAUNCHERS.contains(&other) && has_address => Some(Danger::OpensUrl),
        // `cmd /c cmd /c del /f x`: the nested text is a part of this one.
        "cmd" | "call" | "start" => nested_command(rest, depth),
        _ => None,
    }
}

/// The command behind `cmd /c`, `call` or `start`, without recursion: the text decides how deep they nest.
fn nested_command(words: &[&str], depth: u8) -> Option<Danger> {
    let is_own =
        |word: &&&str| matches!(**word, "cmd" | "cmd.exe" | "call" | "start") || word.starts_with('/');
    let skipped = words.iter().take_while(is_own).count();
    let nested = words.get(skipped..).unwrap_or_default();
    if nested.is_empty() { None } else { segment(&nested.join(" "), depth) }
}
