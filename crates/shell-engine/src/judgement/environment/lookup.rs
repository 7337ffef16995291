//! Finds the row that speaks of a variable.

use super::table::{ROWS, Row};

/// The row for a name, if there is one.
pub(super) fn row(name: &[u8]) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.names.iter().any(|pattern| fits(pattern.as_bytes(), name)))
}

fn fits(pattern: &[u8], name: &[u8]) -> bool {
    if let Some(end) = pattern.strip_prefix(b"*") {
        let start = name.len().checked_sub(end.len());
        return start.and_then(|start| name.get(start..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end));
    }
    if let Some(start) = pattern.strip_suffix(b"*") {
        return name.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    }
    pattern.eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::super::table::Care;
    use super::*;

    /// sudo's `initial_badenv_table`, and glibc's `UNSECURE_ENVVARS`.
    const DELETED_BY_OTHERS: &[&str] = &[
        "IFS",
        "CDPATH",
        "LOCALDOMAIN",
        "RES_OPTIONS",
        "HOSTALIASES",
        "NLSPATH",
        "PATH_LOCALE",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "LD_AUDIT",
        "LD_DEBUG_OUTPUT",
        "_RLD_LIST",
        "SHLIB_PATH",
        "LDR_PRELOAD",
        "LIBPATH",
        "AUTHSTATE",
        "DYLD_INSERT_LIBRARIES",
        "KRB5_CONFIG",
        "KRB5_KTNAME",
        "VAR_ACE",
        "USR_ACE",
        "DLC_ACE",
        "TERMINFO",
        "TERMINFO_DIRS",
        "TERMPATH",
        "TERMCAP",
        "ENV",
        "BASH_ENV",
        "PS4",
        "GLOBIGNORE",
        "BASHOPTS",
        "SHELLOPTS",
        "JAVA_TOOL_OPTIONS",
        "PERLIO_DEBUG",
        "PERLLIB",
        "PERL5LIB",
        "PERL5OPT",
        "PERL5DB",
        "FPATH",
        "NULLCMD",
        "READNULLCMD",
        "ZDOTDIR",
        "TMPPREFIX",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONINSPECT",
        "PYTHONUSERBASE",
        "RUBYLIB",
        "RUBYOPT",
        "GCONV_PATH",
        "GETCONF_DIR",
        "GLIBC_TUNABLES",
        "LOCPATH",
        "MALLOC_TRACE",
        "NIS_PATH",
        "RESOLV_HOST_CONF",
        "TMPDIR",
        "TZDIR",
    ];

    /// What the issue that asked for this table names.
    const DELETED_BY_US: &[&str] = &[
        "BASH_FUNC_ls%%",
        "PROMPT_COMMAND",
        "NODE_OPTIONS",
        "GIT_SSH_COMMAND",
        "GIT_EXTERNAL_DIFF",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_KEY_0",
        "GIT_EXEC_PATH",
        "GIT_TEMPLATE_DIR",
        "GIT_DIR",
        "PAGER",
        "GIT_PAGER",
        "EDITOR",
        "VISUAL",
        "LESSOPEN",
        "SSH_ASKPASS",
        "HTTP_PROXY",
        "https_proxy",
        "PATH",
        "HOME",
        "XDG_CONFIG_HOME",
        "RUSTC_WRAPPER",
        "CARGO_HOME",
        "npm_config_script_shell",
        "MAKEFLAGS",
        "RSYNC_RSH",
        "TAR_OPTIONS",
        "KUBECONFIG",
        "DOCKER_HOST",
        "SOMETHING_UNKNOWN_COMMAND",
        "UNKNOWN_OPTS",
        "GIT_AUTHOR_NAME",
        "GIT_COMMITTER_DATE",
    ];

    /// What a review got through: files that a program writes or trusts, options, and libraries that it loads.
    const DELETED_SINCE: &[&str] = &[
        "SSLKEYLOGFILE",
        "ZIP",
        "OMP_TOOL_LIBRARIES",
        "OCL_ICD_FILENAMES",
        "HSA_TOOLS_LIB",
        "HOMEBREW_CURL_PATH",
        "RPM_CONFIGDIR",
        "LIBVIRT_DEFAULT_URI",
        "NIX_REMOTE",
        "GVIMINIT",
        "COVERAGE_PROCESS_START",
        "PYTEST_ADDOPTS",
        "SENDMAIL",
        "RSH",
        "MAILRC",
        "REGISTRY_AUTH_FILE",
        "LLVM_PROFILE_FILE",
        "GDBHISTFILE",
        "DEBUGINFOD_URLS",
        "XML_CATALOG_FILES",
    ];

    #[test]
    fn what_others_delete_is_dangerous_here_too() {
        for name in DELETED_BY_OTHERS.iter().chain(DELETED_BY_US).chain(DELETED_SINCE) {
            assert_eq!(row(name.as_bytes()).map(|row| row.care), Some(Care::Dangerous), "{name}");
        }
    }

    #[test]
    fn what_is_harmless_passes() {
        for name in ["GIT_ADVICE", "NO_COLOR", "PWD", "CI"] {
            assert_eq!(row(name.as_bytes()).map(|row| row.care), Some(Care::Harmless), "{name}");
        }
        for name in ["LANG", "LC_ALL", "TERM", "TZ"] {
            assert_eq!(row(name.as_bytes()).map(|row| row.care), Some(Care::NoPath), "{name}");
        }
        for name in ["X", "GREETING", "MY_VERSION", "BUILD_NUMBER"] {
            assert!(row(name.as_bytes()).is_none(), "{name}");
        }
    }

    #[test]
    fn every_row_has_names_and_a_reason() {
        for row in ROWS {
            assert!(!row.names.is_empty() && !row.reason.is_empty());
        }
    }
}
