//! The list of accounts as root sees it inside, where the file of password hashes is hidden.
//!
//! Whoever becomes another user (`su`) looks in that file whether the account has expired, and gives up where it is not found;
//! but only for accounts whose line in `/etc/passwd` says that their hash is there (passwd(5)).

use std::fs;
use std::path::Path;

pub(super) const LIST: &str = "/etc/passwd";
/// What lies over it, among the session's own devices.
pub(super) const SHOWN: &str = ".passwd";
pub(super) const HASHES: &str = "/etc/shadow";
/// Those devices hold little. A longer list stays as it is.
const MOST_BYTES: u64 = 65_536;

/// Returns what the list says inside; nothing for whoever cannot read the hashes, and so becomes nobody else either.
pub(super) fn list() -> Option<String> {
    fs::File::open(HASHES).ok()?;
    let list = Path::new(LIST);
    let is_small = list.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() < MOST_BYTES);
    is_small.then(|| fs::read_to_string(list).ok().map(|text| without_hashes(&text)))?
}

/// Has accounts other than root's have no hash anywhere, which no password fits.
fn without_hashes(text: &str) -> String {
    let line = |line: &str| match line.split_once(":x:") {
        Some((name, rest)) if !name.contains(':') && name != "root" => format!("{name}:*:{rest}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_but_where_the_hash_is_changes() {
        let text =
            "root:x:0:0:root:/root:/bin/bash\ndev:x:1000:1000:a:x:/home/dev:/bin/sh\nold:!:1:1::/:/x\n";
        let shown =
            "root:x:0:0:root:/root:/bin/bash\ndev:*:1000:1000:a:x:/home/dev:/bin/sh\nold:!:1:1::/:/x\n";
        assert_eq!(super::without_hashes(text), shown);
    }
}
