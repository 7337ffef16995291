//! Reads which Unix sockets programs outside have bound, wherever they are: no table can know them all.
//!
//! `/proc/net/unix` has one line for each, but a name may hold anything, line breaks included, and whoever binds one
//! chooses it. So each name is tried alone and together with the lines that follow it, as far as an address reaches,
//! and counts where there is a socket.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// The longest name of an address, in bytes (unix(7), `sun_path`).
const LONGEST_NAME: usize = 108;

/// Unix sockets that have a name in the file system.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostSockets {
    /// Their files, and the sockets' own numbers.
    pub(crate) bound: BTreeMap<PathBuf, u64>,
    /// Names that lead to no file from here, because they are relative.
    pub(crate) lost: Vec<PathBuf>,
}

impl HostSockets {
    /// Lists those of this process's network namespace. Empty on systems that have no such list.
    ///
    /// # Errors
    /// When there is a list and it cannot be read.
    pub(crate) fn now() -> io::Result<HostSockets> {
        match fs::read("/proc/net/unix") {
            Ok(table) => Ok(HostSockets::read(&table)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HostSockets::default()),
            Err(error) => Err(error),
        }
    }

    fn read(table: &[u8]) -> HostSockets {
        let lines: Vec<&[u8]> = table.split(|byte| *byte == b'\n').collect();
        let mut found = HostSockets::default();
        for (at, line) in lines.iter().enumerate() {
            let Some((number, name)) = record(line) else { continue };
            // Abstract ones are in no file system.
            if name.is_empty() || name.starts_with(b"@") {
                continue;
            }
            if !name.starts_with(b"/") {
                found.lost.push(OsStr::from_bytes(name).into());
            }
            let following = lines.get(at + 1..).unwrap_or_default();
            for candidate in readings(name, following) {
                let path = PathBuf::from(OsStr::from_bytes(&candidate));
                if path.is_absolute() && is_socket(&path) {
                    found.bound.insert(path, number);
                }
            }
        }
        found
    }
}

/// Takes a line apart (`Num: RefCount Protocol Flags Type St Inode Path`, proc_net_unix(5)): the socket's number, and
/// what its name begins with, if it has one.
fn record(line: &[u8]) -> Option<(u64, &[u8])> {
    let at = line.iter().position(|byte| *byte == b':')?;
    let (slot, rest) = line.split_at_checked(at)?;
    if slot.is_empty() || !slot.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut rest = rest.strip_prefix(b": ")?;
    for digits in [8, 8, 8, 4, 2] {
        let (field, after) = rest.split_at_checked(digits)?;
        if !field.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        rest = after.strip_prefix(b" ")?;
    }
    let rest = rest.trim_ascii_start();
    let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let (number, name) = rest.split_at_checked(end)?;
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some((number, name.strip_prefix(b" ").unwrap_or_default()))
}

/// What a name may be: what stands in its line, and that with lines that follow.
fn readings(name: &[u8], following: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut all = vec![name.to_vec()];
    let mut longer = name.to_vec();
    for line in following {
        longer.push(b'\n');
        longer.extend_from_slice(line);
        if longer.len() > LONGEST_NAME {
            break;
        }
        all.push(longer.clone());
    }
    all
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_name_with_line_breaks_is_read_whole_also_where_it_looks_like_another_line() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let base = folder.path().canonicalize().unwrap();
        let plain = "0000000000000000: 00000002 00000000 00010000 0001 01 7 x";
        let names = ["agent.sock", "a\nb\n\nc", &format!("z\n{plain}")].map(|name| base.join(name));
        let _listeners = names.clone().map(|path| UnixListener::bind(path).unwrap());
        let found = HostSockets::now().unwrap();
        for path in &names {
            assert!(found.bound.contains_key(path), "{path:?}");
        }
    }

    #[test]
    fn however_many_there_are_each_is_found() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let base = folder.path().canonicalize().unwrap();
        let paths: Vec<PathBuf> = (0..500).map(|number| base.join(format!("{number}.sock"))).collect();
        let _listeners: Vec<UnixListener> =
            paths.iter().map(|path| UnixListener::bind(path).unwrap()).collect();
        let found = HostSockets::now().unwrap();
        assert!(paths.iter().all(|path| found.bound.contains_key(path)));
    }

    #[test]
    fn a_relative_name_is_told_and_an_abstract_one_is_not() {
        let line = |name: &str| format!("ffff: 00000002 00000000 00010000 0001 01 31 {name}\n");
        let table = [line("here.sock"), line("@abstract"), line("").trim_end().to_owned()].concat();
        let found = HostSockets::read(table.as_bytes());
        assert_eq!((found.lost, found.bound.len()), (vec!["here.sock".into()], 0));
    }
}
