//! `rm` with force, in any spelling and position that `getopt_long` accepts.

use super::Danger;
use crate::command::Command;

/// Finds `-f`, a group of short options with `f`, `--force` or an abbreviation of it, before `--`.
pub(super) fn find(command: &Command<'_>) -> Option<Danger> {
    command
        .args()
        .map(|arg| arg.as_encoded_bytes())
        .take_while(|arg| *arg != b"--")
        .any(is_force)
        .then_some(Danger::ForcedRemove)
}

fn is_force(argument: &[u8]) -> bool {
    if argument.starts_with(b"--") {
        // GNU getopt accepts every unambiguous abbreviation: `--f` is `--force`.
        return argument.len() > 2 && b"--force".starts_with(argument);
    }
    argument.starts_with(b"-") && argument.contains(&b'f')
}

#[cfg(test)]
mod tests {
    use crate::command::Command;
    use crate::dangerous::{Danger, Heuristics, find};

    #[test]
    fn force_is_found_in_every_spelling_and_nothing_else_is() {
        for (words, dangerous) in [
            ("rm -f x", true),
            ("rm -rf x", true),
            ("rm -fr x", true),
            ("rm -Rf x", true),
            ("rm -rfv x", true),
            ("rm --force x", true),
            ("rm --fo x", true),
            ("rm -v -f x", true),
            ("rm x -f", true),
            ("/bin/rm -f x", true),
            ("rm x", false),
            ("rm -r x", false),
            ("rm -- -f", false),
            ("rm -i x", false),
            ("rm --foo x", false),
            ("rm", false),
            ("rmdir -f x", false),
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            let command = Command::from_words(&words).unwrap();
            assert_eq!(
                find(&command, &Heuristics::default()),
                dangerous.then_some(Danger::ForcedRemove),
                "{words:?}"
            );
        }
    }
}
