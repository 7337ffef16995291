//! The commands that `find` and `fd` run on what they find.

/// Actions of find(1) that run a command up to `;` or `+`.
const ACTIONS: &[&str] = &["-exec", "-execdir", "-ok", "-okdir"];

/// The commands in find's arguments, as ranges of words.
pub(super) fn commands(arguments: &[&[u8]]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut index = 0;
    while let Some(argument) = arguments.get(index) {
        index += 1;
        if !ACTIONS.iter().any(|action| action.as_bytes() == *argument) {
            continue;
        }
        let begin = index;
        while arguments.get(index).is_some_and(|word| !matches!(*word, b";" | b"+")) {
            index += 1;
        }
        if begin < index {
            found.push(begin..index);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn every_action_is_found() {
        let line = ". -name x -exec rm -f {} ; -o -execdir cat {} + -ok";
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        assert_eq!(commands(&words), [4..7, 10..12]);
    }
}
