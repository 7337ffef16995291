//! PowerShell's `-Command`: its text is split into words as PowerShell does, then each pipeline element is
//! looked at.

use super::launch::{LAUNCHERS, has_url, is_url_handler};
use super::{Danger, cmd};
use crate::command::Command;

/// How deep `powershell cmd /c powershell …` is followed.
const MAX_DEPTH: u8 = 4;
/// Commands that open what they are given.
const OPENERS: &[&str] = &[
    "start-process", // hands an address to the default browser
    "saps",          // alias of Start-Process
    "start",         // alias of Start-Process
    "invoke-item",   // opens with whatever is registered for it
    "ii",            // alias of Invoke-Item
];
/// What opens an address as a part of a longer word.
const OPENERS_INSIDE: &[&str] = &[
    "start-process",     // `iex(Start-Process…)`
    "invoke-item",       // the same
    "shellexecute",      // a method of the shell's COM object, and of Win32 through P/Invoke
    "shell.application", // that COM object
];
/// Commands that delete; with `-Force` also what is hidden or read-only.
const DELETERS: &[&str] = &[
    "remove-item", // the command itself
    "ri",          // its aliases
    "rm",
    "del",
    "erase",
    "rd",
    "rmdir",
];

/// Looks at what PowerShell is told to run.
pub(super) fn find(command: &Command<'_>) -> Option<Danger> {
    let words: Vec<String> = command.args().map(|arg| arg.to_string_lossy().to_lowercase()).collect();
    find_in_text(&words.join(" "), 0)
}

/// Looks at a text in small letters. PowerShell's own options are words like others, and harmless.
pub(super) fn find_in_text(text: &str, depth: u8) -> Option<Danger> {
    let elements = split(text);
    let has_address = elements.iter().flatten().any(|word| has_url(word));
    elements.iter().find_map(|words| element(words, has_address, depth))
}

fn element(words: &[String], has_address: bool, depth: u8) -> Option<Danger> {
    let any =
        |list: &[&str]| words.iter().any(|word| list.contains(&word.strip_suffix(".exe").unwrap_or(word)));
    let opens =
        any(OPENERS) || words.iter().any(|word| OPENERS_INSIDE.iter().any(|name| word.contains(name)));
    let url_handler = any(&["rundll32"]) && words.iter().any(|word| is_url_handler(word));
    if (has_address && (opens || any(LAUNCHERS))) || url_handler {
        return Some(Danger::OpensUrl);
    }
    if any(DELETERS) && words.iter().any(|word| is_force(word)) {
        return Some(Danger::ForcedDelete);
    }
    if any(&["cmd"]) && depth < MAX_DEPTH { cmd_inside(words, depth) } else { None }
}

/// `cmd /c …` as a command of PowerShell.
fn cmd_inside(words: &[String], depth: u8) -> Option<Danger> {
    let at = words.iter().position(|word| matches!(word.as_str(), "/c" | "/r" | "/k" | "-c"))?;
    cmd::find_in_text(&words.get(at + 1..)?.join(" "), depth + 1)
}

/// `-Force`, abbreviated as PowerShell allows, and with a value (`-Force:$true`).
fn is_force(word: &str) -> bool {
    let name = word.split(':').next().unwrap_or(word);
    name.len() >= 3 && "-force".starts_with(name) && !word.ends_with("$false")
}

/// Splits a text into pipeline elements and these into words, without quotes and backticks.
fn split(text: &str) -> Vec<Vec<String>> {
    let mut elements = vec![Vec::new()];
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    let end_word = |word: &mut String, elements: &mut Vec<Vec<String>>| {
        if let (false, Some(words)) = (word.is_empty(), elements.last_mut()) {
            words.push(std::mem::take(word));
        }
    };
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (Some('\''), other) => word.push(other),
            (_, '`') => word.extend(characters.next()),
            // Spaces inside double quotes still end a word: a quoted script is a script.
            (_, ' ' | '\t' | '(' | ')' | '{' | '}' | ',') => end_word(&mut word, &mut elements),
            (Some(_), other) => word.push(other),
            (None, '\'' | '"') => quote = Some(character),
            (None, ';' | '|' | '&' | '\n' | '\r') => {
                end_word(&mut word, &mut elements);
                elements.push(Vec::new());
            }
            (None, other) => word.push(other),
        }
    }
    end_word(&mut word, &mut elements);
    elements
}
