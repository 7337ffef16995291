//! Walks a wrapper's own arguments up to the command inside.

use super::table::Wrapper;
use crate::shell::is_harmless;

/// Where the command inside begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CommandStart {
    /// Index of its first word.
    pub(super) index: usize,
    /// Whether every option before it is known.
    pub(super) certain: bool,
    /// Whether words or options before it change the environment or the folder.
    pub(super) changes_environment: bool,
    /// Whether they may change what the command is or does.
    pub(super) harmless: bool,
}

impl CommandStart {
    /// A command that begins at this index for sure, and gets what the one around it has.
    pub(super) fn at(index: usize) -> CommandStart {
        CommandStart { index, certain: true, changes_environment: false, harmless: true }
    }
}

/// Finds the first word of the command inside; `None` when the wrapper runs none.
pub(super) fn command_start(wrapper: &Wrapper, arguments: &[&[u8]]) -> Option<CommandStart> {
    let mut start = CommandStart::at(0);
    while let Some(argument) = arguments.get(start.index) {
        if wrapper.instead.split_whitespace().any(|option| option.as_bytes() == *argument) {
            return None;
        }
        if *argument == b"--" {
            start.index += 1;
            break;
        }
        // `env -` is `env -i`.
        if wrapper.assignments && *argument == b"-" {
            start.index += 1;
            continue;
        }
        if argument.len() < 2 || !argument.starts_with(b"-") {
            break;
        }
        start.changes_environment |= wrapper.assignments;
        start.index += 1;
        match value_follows(wrapper, argument) {
            Some(true) => start.index += 1,
            Some(false) => {}
            None => start.certain = false,
        }
    }
    if wrapper.assignments {
        while let Some(name) = arguments.get(start.index).and_then(|argument| assigned_name(argument)) {
            start.changes_environment = true;
            start.harmless &= is_harmless(name);
            start.index += 1;
        }
    }
    start.index += wrapper.operands;
    (start.index < arguments.len()).then_some(start)
}

/// Whether an option takes the next word as its value; `None` when the option is not known.
fn value_follows(wrapper: &Wrapper, option: &[u8]) -> Option<bool> {
    if let Some(long) = option.strip_prefix(b"--") {
        let name = long.split(|byte| *byte == b'=').next().unwrap_or(long);
        let name = std::str::from_utf8(name).ok()?;
        let has_value = long.contains(&b'=');
        let has = |list: &str| list.split_whitespace().any(|known| known == name);
        let has_longer = |list: &str| list.split_whitespace().any(|known| known.starts_with(name));
        // `getopt_long` accepts abbreviations; an exact name goes first.
        return match () {
            () if has(wrapper.long_values) => Some(!has_value),
            () if has(wrapper.long_flags) => Some(false),
            () if has_longer(wrapper.long_values) => Some(!has_value),
            () => has_longer(wrapper.long_flags).then_some(false),
        };
    }
    let group = option.get(1..)?;
    for (index, letter) in group.iter().enumerate() {
        let letter = char::from(*letter);
        if wrapper.values.contains(letter) {
            return Some(index + 1 == group.len());
        }
        if !wrapper.flags.contains(letter) {
            return None;
        }
    }
    Some(false)
}

/// The name in `NAME=value`.
pub(super) fn assigned_name(word: &[u8]) -> Option<&[u8]> {
    let end = word.iter().position(|byte| *byte == b'=')?;
    let name = word.get(..end)?;
    let valid = !name.is_empty() && !name.contains(&b'/');
    valid.then_some(name)
}
