//! Whether a Git configuration names nothing that runs: that of a repository as `git init` and `git clone` make it. Pure.
//!
//! A list of what is harmless, not of what is not: Git gets new keys that name programs.

/// Keys that a new repository has, by section; `*` stands for any subsection.
const HARMLESS: &[(&str, &str, &[&str])] = &[
    (
        "core",
        "",
        &[
            "repositoryformatversion",
            "filemode",
            "bare",
            "logallrefupdates",
            "symlinks",
            "ignorecase",
            "precomposeunicode",
        ],
    ),
    ("extensions", "", &["objectformat", "refstorage", "partialclone", "compatobjectformat"]),
    ("remote", "*", &["url", "fetch", "tagopt", "promisor", "partialclonefilter"]),
    ("branch", "*", &["remote", "merge", "rebase"]),
    ("user", "", &["name", "email"]),
    ("init", "", &["defaultbranch"]),
];

/// Tells whether all that it says is known to run nothing. Whatever is not plain is taken to run something.
pub(super) fn is_harmless(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let mut section = None;
    text.split('\n').all(|line| {
        let line = line.trim_matches([' ', '\t']);
        if line.is_empty() || line.starts_with(['#', ';']) {
            return true;
        }
        if line.starts_with('[') {
            section = header(line);
            return section.is_some();
        }
        let Some((key, value)) = line.split_once('=') else { return false };
        section.is_some_and(|keys: &[&str]| {
            keys.contains(&key.trim().to_ascii_lowercase().as_str()) && is_plain(value.trim())
        })
    })
}

/// The keys of the section that a line opens.
fn header(line: &str) -> Option<&'static [&'static str]> {
    let inner = line.strip_prefix('[')?.strip_suffix(']')?;
    let (name, subsection) = match inner.split_once(' ') {
        None => (inner, ""),
        Some((name, rest)) => {
            rest.strip_prefix('"')?.strip_suffix('"').filter(|part| !part.contains(['"', '\\']))?;
            (name, "*")
        }
    };
    let known =
        HARMLESS.iter().find(|(section, sub, _)| name.eq_ignore_ascii_case(section) && *sub == subsection);
    known.map(|(_, _, keys)| *keys)
}

/// A value on one line, without quotes, that names no program as a remote helper (`helper::address`, gitremote-helpers(7)).
fn is_plain(value: &str) -> bool {
    !value.contains("::") && !value.contains(['"', '\\', '\r', '\0'])
}

#[cfg(test)]
mod tests {
    use super::is_harmless;

    #[test]
    fn a_new_repository_is_harmless() {
        let text = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n[remote \"origin\"]\n\turl = \
                    https://x.example/y.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n[branch \"main\"]\n\tremote = \
                    origin\n\tmerge = refs/heads/main\n";
        assert!(is_harmless(text.as_bytes()) && is_harmless(b""));
    }

    #[test]
    fn whatever_may_run_something_is_not() {
        for text in [
            "[core]\n\tfsmonitor = ./evil\n",
            "[core] fsmonitor = ./evil\n",
            "[core]\n\thooksPath = x\n",
            "[core]\n\tbare = false\\\n\tfsmonitor = x\n",
            "[include]\n\tpath = x\n",
            "[remote \"o\"]\n\turl = ext::sh -c evil\n",
            "[remote \"o\"]\n\tuploadpack = evil\n",
            "[remote]\n\turl = x\n",
            "[core \"x\"]\n\tbare = true\n",
            "[remote \"o\\\"]\n[core]\n",
            "[alias]\n\tst = !evil\n",
            "[filter \"x\"]\n\tsmudge = evil\n",
            "bare = true\n",
            "[core]\n\tbare\n",
            "[core]\r\n\tfsmonitor = x\r\n",
            "[core.x]\n\tbare = true\n",
        ] {
            assert!(!is_harmless(text.as_bytes()), "{text}");
        }
    }
}
