//! Cuts what comes from inside the sandbox to a size that a record can bear.

use std::ffi::OsString;

use sha2::{Digest, Sha256};

use super::event::Cut;
use super::line::hexadecimal;
use crate::visible::push_invalid;

/// Bytes of a path, a reason or a person's words that are kept.
const MAX_TEXT: usize = 4 << 10;

/// Bytes of one argument that are kept.
const MAX_ARGUMENT: usize = 1 << 10;

/// Bytes of an argument vector that are kept.
pub(super) const MAX_ARGV: usize = 4 << 10;

/// Arguments that are kept.
const MAX_ARGUMENTS: usize = 128;

/// The beginning of a text, as UTF-8; other bytes are written `\xNN`.
pub(super) fn text(bytes: &[u8]) -> String {
    beginning(bytes, MAX_TEXT).0
}

/// Bytes of an argument vector that are not worth a hash instead.
pub(super) const SHORT_ARGV: usize = 128;

/// Bytes of an argument vector.
pub(super) fn length(argv: &[OsString]) -> usize {
    argv.iter().map(|argument| argument.len() + 1).sum()
}

/// An argument vector by its hash alone; a short one as it is.
pub(super) fn hashed(arguments: &[OsString]) -> (Vec<String>, Option<Cut>) {
    if length(arguments) <= SHORT_ARGV { argv(arguments) } else { (Vec::new(), Some(fingerprint(arguments))) }
}

/// The beginning of an argument vector, and what is missing.
pub(super) fn argv(argv: &[OsString]) -> (Vec<String>, Option<Cut>) {
    let mut kept = Vec::with_capacity(argv.len().min(MAX_ARGUMENTS));
    let mut room = MAX_ARGV;
    let mut whole = argv.len() <= MAX_ARGUMENTS;
    for argument in argv.iter().take(MAX_ARGUMENTS) {
        if room == 0 {
            whole = false;
            break;
        }
        let bytes = argument.as_encoded_bytes();
        let (text, all) = beginning(bytes, MAX_ARGUMENT.min(room));
        room = room.saturating_sub(bytes.len().max(1));
        whole &= all;
        kept.push(text);
    }
    let cut = (!whole).then(|| fingerprint(argv));
    (kept, cut)
}

fn fingerprint(argv: &[OsString]) -> Cut {
    let mut hash = Sha256::new();
    let mut bytes = 0;
    for argument in argv {
        hash.update(argument.as_encoded_bytes());
        hash.update([0]);
        bytes += argument.len();
    }
    Cut { arguments: argv.len() as u64, bytes: bytes as u64, sha256: hexadecimal(&hash.finalize()) }
}

/// The hash of a text.
pub(super) fn sha256(text: &[u8]) -> String {
    hexadecimal(&Sha256::digest(text))
}

fn beginning(bytes: &[u8], limit: usize) -> (String, bool) {
    let kept = bytes.get(..limit).unwrap_or(bytes);
    let mut text = String::with_capacity(kept.len());
    for chunk in kept.utf8_chunks() {
        text.push_str(chunk.valid());
        push_invalid(&mut text, chunk.invalid());
    }
    let whole = kept.len() == bytes.len();
    if !whole {
        text.push('…');
    }
    (text, whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ones_are_whole_and_long_ones_are_cut_with_a_fingerprint() {
        let short: Vec<OsString> = ["git", "log", ""].map(OsString::from).into();
        assert_eq!(argv(&short), (vec!["git".into(), "log".into(), String::new()], None));

        let long: Vec<OsString> = vec!["x".repeat(3000).into(), "y".into()];
        let (kept, cut) = argv(&long);
        assert_eq!(kept, [format!("{}…", "x".repeat(MAX_ARGUMENT)), "y".into()]);
        assert_eq!(cut.map(|cut| (cut.arguments, cut.bytes)), Some((2, 3001)));

        for many in [vec![OsString::new(); 1_000_000], vec!["z".repeat(1000).into(); 500]] {
            let (kept, cut) = argv(&many);
            assert!(kept.len() <= MAX_ARGUMENTS && kept.iter().map(String::len).sum::<usize>() <= 5000);
            assert_eq!(cut.map(|cut| cut.arguments), Some(many.len() as u64));
        }
    }

    #[test]
    fn what_is_not_utf8_stays_readable() {
        assert_eq!(text(b"caf\xe9 \xff"), "caf\\xe9 \\xff");
    }
}
