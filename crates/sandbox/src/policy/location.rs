//! One path as it arrives in JSON: an absolute path or a `file://` URI. Rejects everything else.

use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// Longest part of a path that an error tells, in characters.
const LONGEST_TOLD: usize = 200;

/// Says why a text is not an absolute path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Neither absolute nor a URI.
    #[error("`{0}` is a relative path; give an absolute one")]
    Relative(String),
    /// A URI that does not name a file of this machine.
    #[error("`{0}` is not a file:// URI of this machine")]
    ForeignUri(String),
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("`{0}` has a broken percent escape")]
    BrokenEscape(String),
    /// A NUL byte, which no path can contain.
    #[error("the path contains a NUL byte")]
    Nul,
    /// `..` would make the text say one thing and the kernel do another.
    #[error("`{0}` contains `..`")]
    ParentComponent(String),
    /// Nothing at all.
    #[error("the path is empty")]
    Empty,
}

/// Reads an absolute path or a `file://` URI (RFC 8089; empty host or `localhost`).
///
/// # Errors
/// [`LocationError`] says what is wrong with the text.
pub fn absolute_path(text: &str) -> Result<PathBuf, LocationError> {
    let path = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => path_of_uri(text, rest)?,
        Some((scheme, _)) if !scheme.contains('/') => {
            return Err(LocationError::ForeignUri(beginning(text, LONGEST_TOLD)));
        }
        Some(_) | None => PathBuf::from(text),
    };
    check(&path, text)?;
    Ok(path)
}

fn path_of_uri(text: &str, rest: &str) -> Result<PathBuf, LocationError> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(LocationError::ForeignUri(beginning(text, LONGEST_TOLD)));
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut input = path.bytes();
    while let Some(byte) = input.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = (input.next().and_then(hexadecimal), input.next().and_then(hexadecimal));
        let (Some(high), Some(low)) = digits else {
            return Err(LocationError::BrokenEscape(beginning(text, LONGEST_TOLD)));
        };
        bytes.push(high << 4 | low);
    }
    Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

fn hexadecimal(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn check(path: &Path, text: &str) -> Result<(), LocationError> {
    if path.as_os_str().is_empty() {
        return Err(LocationError::Empty);
    }
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(LocationError::Nul);
    }
    if !path.is_absolute() {
        return Err(LocationError::Relative(beginning(text, LONGEST_TOLD)));
    }
    if path.components().any(|component| component == Component::ParentDir) {
        return Err(LocationError::ParentComponent(beginning(text, LONGEST_TOLD)));
    }
    Ok(())
}

/// Cuts a text that came from outside to a length fit for an error message.
pub(super) fn beginning(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_file_uris_are_read() {
        for (text, path) in [
            ("/repo", "/repo"),
            ("file:///repo", "/repo"),
            ("file://localhost/a%20b/%C3%A9", "/a b/é"),
            ("FILE:///x", "/x"),
            ("/odd/a://b", "/odd/a://b"),
        ] {
            assert_eq!(absolute_path(text), Ok(PathBuf::from(path)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "repo",
            "./repo",
            "~/repo",
            "/a/../etc",
            "file://host/repo",
            "http://x/y",
            "file:///%zz",
            "/a\0b",
        ] {
            assert!(absolute_path(text).is_err(), "{text:?} was accepted");
        }
        assert_eq!(absolute_path("file:///a%00b"), Err(LocationError::Nul));
    }
}
