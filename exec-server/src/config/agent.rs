//! The environment that suits a program which reads output instead of a person.

/// Variables that keep programs from colours, pagers and other languages; as agents of this kind have always set them. The
/// user's own settings come before them.
pub(crate) const AGENT_VARIABLES: &[(&str, &str)] = &[
    ("NO_COLOR", "1"),
    ("TERM", "dumb"),
    ("COLORTERM", ""),
    ("LANG", "C.UTF-8"),
    ("LC_CTYPE", "C.UTF-8"),
    ("LC_ALL", "C.UTF-8"),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("GH_PAGER", "cat"),
];
