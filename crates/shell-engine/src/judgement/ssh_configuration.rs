//! Configurations that a confined `ssh` is told to read: it prints the words that it does not understand, so one that commands can
//! write, or that is a key, would show the user's keys.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::exec::Exec;
use super::trust::Trust;
use crate::programs::open;

/// Options of ssh(1) that take a value.
const WITH_VALUE: &[u8] = b"bceilmopBDEFIJLOPQRSWw";

/// Bytes of a configuration that are read.
const MOST: u64 = 64 << 10;

/// What every private key that ssh reads has in its first line.
const KEY: &[u8] = b"PRIVATE KEY-----";

/// The configuration that would show keys, if one is named.
pub(super) fn shows_keys(exec: &Exec, trust: &Trust) -> Option<PathBuf> {
    if exec.file.file_name().is_none_or(|name| name != "ssh") {
        return None;
    }
    let named = configurations(exec.arguments()).into_iter().map(|file| exec.workdir.join(file));
    named.into_iter().find(|file| {
        let is_written = trust.may_be_written(file) || trust.is_steered(file, |_| false);
        is_written || has_key(file)
    })
}

fn has_key(file: &Path) -> bool {
    let mut bytes = Vec::new();
    let read = open(file).and_then(|file| file.take(MOST).read_to_end(&mut bytes).ok());
    read.is_some() && bytes.windows(KEY.len()).any(|window| window == KEY)
}

/// What `-F` names, before the command that is to run elsewhere.
fn configurations(arguments: &[OsString]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut words = arguments.iter().map(|word| word.as_bytes());
    let mut has_host = false;
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix(b"-").filter(|letters| !letters.is_empty()) else {
            // What follows the host's options is the command.
            if std::mem::replace(&mut has_host, true) {
                break;
            }
            continue;
        };
        let Some(at) = letters.iter().position(|letter| WITH_VALUE.contains(letter)) else { continue };
        let attached = letters.get(at + 1..).unwrap_or_default();
        let value = if attached.is_empty() { words.next().unwrap_or_default() } else { attached };
        if letters.get(at) == Some(&b'F') {
            found.push(PathBuf::from(std::ffi::OsStr::from_bytes(value)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_found_wherever_ssh_takes_them() {
        for (line, expected) in [
            ("-F a host", &["a"][..]),
            ("-Fa host", &["a"]),
            ("-vF a -p 22 host -F b uptime", &["a", "b"]),
            ("-oA=B -i -F host grep -F x", &[]),
            ("host grep -F x", &[]),
            ("-p 22 host", &[]),
            ("-F", &[""]),
        ] {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(configurations(&arguments), expected, "{line}");
        }
    }
}
