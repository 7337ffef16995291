//! Which variables a script may set without changing what its commands are or do.

/// Names in capitals that only affect how programs speak.
const HARMLESS: &[&str] = &[
    "CI",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLORTERM",
    "COLUMNS",
    "DEBUG",
    "FORCE_COLOR",
    "LANG",
    "LANGUAGE",
    "LINES",
    "NO_COLOR",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "TERM",
    "TZ",
    "VERBOSE",
];

/// Names in small letters that programs obey.
const OBEYED: &[&str] = &[
    "all_proxy",
    "cdpath",
    "fpath",
    "ftp_proxy",
    "http_proxy",
    "https_proxy",
    "manpath",
    "module_path",
    "no_proxy",
    "path",
];

/// Whether setting a variable leaves later commands as they are: a script's own name in small letters, or a
/// known one.
pub(crate) fn is_harmless(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    if HARMLESS.contains(&name) || name.starts_with("LC_") {
        return true;
    }
    let own = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && name.bytes().any(|byte| byte.is_ascii_lowercase());
    own && !OBEYED.contains(&name) && !name.starts_with("npm_config_")
}

#[cfg(test)]
mod tests {
    use super::is_harmless;

    #[test]
    fn only_names_that_change_no_command_are_harmless() {
        for name in ["i", "file_name", "LANG", "LC_ALL", "NO_COLOR"] {
            assert!(is_harmless(name.as_bytes()), "{name}");
        }
        for name in [
            "PATH",
            "LD_PRELOAD",
            "BASH_ENV",
            "IFS",
            "GIT_SSH_COMMAND",
            "https_proxy",
            "path",
            "Path",
            "_",
            "",
        ] {
            assert!(!is_harmless(name.as_bytes()), "{name}");
        }
    }
}
