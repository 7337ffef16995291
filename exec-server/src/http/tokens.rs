//! Tokens that are written down in a file, and whom each stands for.
//!
//! A line is `NAME TOKEN`, or `NAME:TOKEN`; then what he may do, if that is not just to run commands
//! (`shell:run shell:approve`). A line with a token alone names nobody.

use std::collections::HashMap;

use super::principal::{Identity, Principal, Scope, Scopes, Way};
use super::secret::Sealed;

/// A token that is shorter than this can be guessed, in bytes.
const SHORT: usize = 16;

/// Whom tokens stand for. The tokens themselves are not kept.
pub(super) struct Tokens(HashMap<Sealed, Principal>);

impl Tokens {
    /// Reads a file's text.
    ///
    /// # Errors
    ///
    /// When a line is not understood; no token is in the words.
    pub(super) fn read(text: &str) -> Result<Tokens, String> {
        let mut tokens = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (token, principal) =
                read_line(line).map_err(|problem| format!("line {number}: {problem}"))?;
            if token.len() < SHORT {
                tracing::warn!(line = number, "the token is so short that it can be guessed");
            }
            if tokens.insert(Sealed::of(token.as_bytes()), principal).is_some() {
                return Err(format!("line {number}: the token is there twice"));
            }
        }
        if tokens.is_empty() {
            return Err("there is no token in it".into());
        }
        Ok(Tokens(tokens))
    }

    /// Whom a token stands for.
    pub(super) fn find(&self, token: &str) -> Option<Principal> {
        self.0.get(&Sealed::of(token.as_bytes())).cloned()
    }
}

fn read_line(line: &str) -> Result<(&str, Principal), &'static str> {
    let (first, rest) =
        line.split_once(|letter: char| letter == ':' || letter.is_whitespace()).unwrap_or((line, ""));
    let mut words = rest.split([' ', '\t', ',']).filter(|word| !word.is_empty());
    let (name, token) = match words.next() {
        Some(token) => (first.to_owned(), token),
        None => (format!("token-{}", Sealed::of(first.as_bytes()).short()), first),
    };
    let is_token = token.bytes().all(|byte| byte.is_ascii_graphic());
    let identity =
        Identity::new(Way::Token, &name).filter(|_| is_token).ok_or("neither NAME TOKEN nor TOKEN")?;
    let words: Vec<&str> = words.collect();
    let scopes = if words.is_empty() {
        Scopes::NONE.with(Scope::Run)
    } else {
        Scopes::of_words(words.iter().copied())
    };
    if words.iter().any(|word| Scopes::of_words([*word]) == Scopes::NONE) {
        return Err("what he may do must be of shell:run, shell:approve, shell:admin");
    }
    Ok((token, Principal { identity, scopes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_who_may_do_what() {
        let text = "# a remark\n\nann AAAAAAAAAAAAAAAAAAAA\nbob:BBBBBBBBBBBBBBBBBBBB shell:approve, shell:run\nCCCCCCCCCCCCCCCCCCCCCC==\n";
        let tokens = Tokens::read(text).unwrap();
        let ann = tokens.find("AAAAAAAAAAAAAAAAAAAA").unwrap();
        assert_eq!(
            (&*ann.identity.name, ann.scopes.has(Scope::Run), ann.scopes.has(Scope::Approve)),
            ("ann", true, false)
        );
        let bob = tokens.find("BBBBBBBBBBBBBBBBBBBB").unwrap();
        assert!(bob.identity.name == "bob" && bob.scopes.has(Scope::Approve) && bob.scopes.has(Scope::Run));
        let nameless = tokens.find("CCCCCCCCCCCCCCCCCCCCCC==").unwrap();
        assert!(nameless.identity.name.starts_with("token-"));
        for stranger in ["", "ann", "AAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA"] {
            assert!(tokens.find(stranger).is_none(), "{stranger}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named_without_the_token() {
        for (text, problem) in [
            ("", "no token"),
            ("ann secretsecretsecret shell:rum", "line 1: what he may do"),
            ("ann secretsecretsecret\nbob secretsecretsecret", "line 2: the token is there twice"),
        ] {
            let error = Tokens::read(text).err().unwrap();
            assert!(error.contains(problem) && !error.contains("secretsecret"), "{error}");
        }
    }
}
