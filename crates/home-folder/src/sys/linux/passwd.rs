//! The lines of `/etc/passwd`, which are those of `getent passwd`, too (passwd(5)).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Finds the home folder of the first entry with this user ID.
pub(crate) fn home(entries: &[u8], user: u32) -> Option<PathBuf> {
    let user = user.to_string();
    let entry = entries
        .split(|byte| *byte == b'\n')
        .map(|line| line.split(|byte| *byte == b':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&user.as_bytes()))?;
    let home = PathBuf::from(OsStr::from_bytes(entry.get(5)?));
    home.is_absolute().then_some(home)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::home;

    const ENTRIES: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n\
        # 7:7\n\
        short:x:8\n\
        nowhere:x:9:9:::/bin/sh\n\
        relative:x:10:10::home:/bin/sh\n\
        ann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\n\
        twin:x:1000:1000::/home/twin:/bin/sh\n\
        odd:x:1001:1001::/home/\xff:/bin/sh";

    #[test]
    fn the_first_entry_of_a_user_names_the_home() {
        assert_eq!(home(ENTRIES, 0).as_deref(), Some(Path::new("/root")));
        assert_eq!(home(ENTRIES, 1000).as_deref(), Some(Path::new("/home/ann")));
        assert_eq!(home(ENTRIES, 1001).map(PathBuf::into_os_string).map(|name| name.len()), Some(7));
    }

    #[test]
    fn who_is_not_there_or_has_no_absolute_path_has_no_home() {
        for user in [7, 8, 9, 10, 100, 4242, u32::MAX] {
            assert_eq!(home(ENTRIES, user), None, "{user}");
        }
        assert_eq!(home(b"", 0), None);
    }
}
