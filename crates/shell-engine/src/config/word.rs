//! Options that take one of a few words.

/// A word that an option does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no {what}; there are {known}")]
pub struct UnknownWord {
    given: String,
    what: &'static str,
    known: String,
}

/// What a word means, of those that there are for `what`.
pub(super) fn meaning<T: Copy>(
    given: &str,
    what: &'static str,
    words: &[(&'static str, T)],
) -> Result<T, UnknownWord> {
    if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == given) {
        return Ok(*meaning);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let (last, others) = names.split_last().unwrap_or((&"none", &[]));
    Err(UnknownWord { given: given.to_owned(), what, known: format!("{} and {last}", others.join(", ")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_is_answered_with_those_that_there_are() {
        let read = |word| meaning(word, "door", &[("auto", 1), ("kernel", 2), ("wrapper", 3)]);
        assert_eq!(read("kernel"), Ok(2));
        let error = read("back\n").unwrap_err().to_string();
        assert_eq!(error, r#""back\n" is no door; there are auto, kernel and wrapper"#);
    }
}
