//! Which variables of a command reach a program that leaves the sandbox, as in sudo-rs: a short list of those by which
//! a program is told how to speak and no more. A list of the dangerous ones can never be complete.

use std::ffi::OsStr;

/// How an allowed variable is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// It is passed if it is the absolute path of a directory.
    Directory,
    /// It is passed if it is a small number.
    Count,
    /// It is passed unless its value may be a path or a format: it has `/`, `%` or `..`.
    NoPath,
    /// It is passed if it is the name of a time zone, which may have a `/` in it.
    TimeZone,
}

/// Names, where `*` stands for any text at the end.
const ROWS: &[(&[&str], Passage)] = &[
    // Kept up to date by the shell; programs verify them.
    (&["PWD", "OLDPWD"], Passage::Directory),
    (&["SHLVL"], Passage::Count),
    // How output looks.
    (&["COLUMNS", "LINES"], Passage::NoPath),
    (&["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "COLORTERM"], Passage::NoPath),
    // A path loads message catalogues, with formats for printf (sudo env_check).
    (&["LANG", "LANGUAGE", "LC_*"], Passage::NoPath),
    // A path names a time zone file to be parsed (sudo env_check).
    (&["TZ"], Passage::TimeZone),
    // That nobody can be asked.
    (&["CI", "DEBIAN_FRONTEND"], Passage::NoPath),
    // Switches that take yes or no.
    (&["GIT_TERMINAL_PROMPT", "GIT_OPTIONAL_LOCKS", "GIT_MERGE_AUTOEDIT", "GIT_ADVICE"], Passage::NoPath),
    (&["GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS"], Passage::NoPath),
    (&["GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS"], Passage::NoPath),
];

/// How a name is passed; `None` when it is not passed.
pub(super) fn passage(name: &[u8]) -> Option<Passage> {
    let row = ROWS.iter().find(|(names, _)| names.iter().any(|pattern| fits(pattern, name)));
    row.map(|(_, passage)| *passage)
}

/// Whether a name is one that a pattern stands for.
pub(super) fn fits(pattern: &str, name: &[u8]) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start.as_bytes()),
        None => name == pattern.as_bytes(),
    }
}

/// What every program outside gets, whatever the command or the user says: no editor, pager or terminal there obeys a
/// command.
pub(super) const NOBODY_THERE: &[(&str, &str)] = &[
    ("TERM", "dumb"),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    // A pager all the same starts no commands and opens no files (less(1)).
    ("LESSSECURE", "1"),
    ("EDITOR", "false"),
    ("VISUAL", "false"),
    ("GIT_EDITOR", "false"),
    ("GIT_SEQUENCE_EDITOR", "false"),
];

/// The editor that Git takes for none: it leaves a text as it is.
pub(super) const ALONE: &str = ":";

/// Whether a variable names an editor that leaves a text as it is, as commands do to go on with a rebase.
pub(super) fn leaves_the_text(name: &str, value: &OsStr) -> bool {
    name.ends_with("EDITOR")
        && [":", "true", "/bin/true", "/usr/bin/true"].iter().any(|known| value == *known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_editor_that_does_nothing_is_none() {
        for value in [":", "true", "/usr/bin/true"] {
            assert!(leaves_the_text("GIT_EDITOR", OsStr::new(value)), "{value}");
        }
        for (name, value) in
            [("GIT_EDITOR", "vi"), ("GIT_EDITOR", "./true"), ("GIT_EDITOR", "true; id"), ("PAGER", "true")]
        {
            assert!(!leaves_the_text(name, OsStr::new(value)), "{name}={value}");
        }
    }

    #[test]
    fn few_names_pass() {
        for name in ["PWD", "CI", "NO_COLOR", "LC_ALL", "GIT_TERMINAL_PROMPT"] {
            assert!(passage(name.as_bytes()).is_some(), "{name}");
        }
        // Of sudo's and glibc's lists, of reviews, and unknown ones.
        for name in [
            "LD_PRELOAD",
            "PATH",
            "IFS",
            "ENV",
            "GIT_DIR",
            "PYENV_VERSION",
            "TMUX",
            "NODE_ENV",
            "X",
            "lc_all",
            "CIX",
        ] {
            assert_eq!(passage(name.as_bytes()), None, "{name}");
        }
        assert!(NOBODY_THERE.iter().all(|(name, _)| passage(name.as_bytes()).is_none()));
    }
}
