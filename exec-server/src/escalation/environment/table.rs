//! Which variables change what a program *does*, with the reason for each row.
//!
//! The standard of care are sudo's lists of variables that it removes or checks (sudoers(5), `env_delete` and `env_check`)
//! and the variables that glibc ignores in programs with more rights (`unsecvars.h`); the rest is what interpreters, tools
//! and their families are known to obey. Unknown names pass, unless they end as names of programs, files and options do.

/// How a changed variable is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// It is passed.
    Harmless,
    /// It is passed unless its value may be a path or a format: it has `/`, `%` or `..`.
    NoPath,
    /// It is dropped.
    Dangerous,
}

/// One row: names, in any case of letters; `*` stands for any text at the beginning or at the end.
pub(super) struct Row {
    pub(super) names: &'static [&'static str],
    pub(super) care: Care,
    pub(super) reason: &'static str,
}

const fn harmless(names: &'static [&'static str], reason: &'static str) -> Row {
    Row { names, care: Care::Harmless, reason }
}

const fn no_path(names: &'static [&'static str], reason: &'static str) -> Row {
    Row { names, care: Care::NoPath, reason }
}

const fn dangerous(names: &'static [&'static str], reason: &'static str) -> Row {
    Row { names, care: Care::Dangerous, reason }
}

/// The first row that fits decides.
pub(super) const ROWS: &[Row] = &[
    // What a shell itself changes all the time, and what says how output looks.
    harmless(
        &["PWD", "OLDPWD", "SHLVL", "_", "COLUMNS", "LINES"],
        "kept up to date by the shell; programs verify them",
    ),
    harmless(
        &["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "COLORTERM", "LS_COLORS"],
        "colours of output",
    ),
    harmless(
        &["CI", "DEBIAN_FRONTEND", "NODE_ENV", "SOURCE_DATE_EPOCH"],
        "modes that programs have by design",
    ),
    harmless(
        &[
            "GIT_TERMINAL_PROMPT",
            "GIT_OPTIONAL_LOCKS",
            "GIT_MERGE_AUTOEDIT",
            "GIT_LITERAL_PATHSPECS",
            "GIT_GLOB_PATHSPECS",
            "GIT_NOGLOB_PATHSPECS",
            "GIT_ICASE_PATHSPECS",
            "GIT_ADVICE",
        ],
        "switches without a program or path",
    ),
    no_path(
        &["LANG", "LANGUAGE", "LC_*", "LINGUAS"],
        "a path loads message catalogues, with formats for printf (sudo env_check)",
    ),
    no_path(&["TERM"], "a path names a terminal description (sudo env_check)"),
    no_path(&["TZ"], "a path names a time zone file to be parsed (sudo env_check)"),
    // The dynamic loader and the C library.
    dangerous(
        &["LD_*", "_RLD*", "LDR_*", "LIBPATH", "SHLIB_PATH", "DYLD_*"],
        "the loader: libraries to load, or where they are",
    ),
    dangerous(
        &[
            "GCONV_PATH",
            "GETCONF_DIR",
            "LOCPATH",
            "NLSPATH",
            "PATH_LOCALE",
            "NIS_PATH",
            "TZDIR",
            "CHARSETALIASDIR",
        ],
        "the C library loads modules and data from there",
    ),
    dangerous(
        &[
            "GLIBC_TUNABLES",
            "MALLOC_*",
            "TCMALLOC_*",
            "JEMALLOC_*",
            "SANITIZER_*",
            "ASAN_*",
            "LSAN_*",
            "TSAN_*",
            "UBSAN_*",
            "MSAN_*",
        ],
        "the C library and instrumented programs write files and lose checks by them",
    ),
    dangerous(&["HOSTALIASES", "LOCALDOMAIN", "RES_OPTIONS", "RESOLV_*"], "where host names lead"),
    dangerous(
        &["KRB5*", "SASL_*", "LDAP*", "AUTHSTATE", "VAR_ACE", "USR_ACE", "DLC_ACE"],
        "authentication: libraries, files and servers (sudo env_delete)",
    ),
    dangerous(
        &["TERMINFO*", "TERMCAP", "TERMPATH"],
        "terminal descriptions, which are parsed and may hold commands (sudo env_delete)",
    ),
    // Where programs look for programs, for their files, and for themselves.
    dangerous(&["PATH"], "which program a name means"),
    dangerous(&["HOME", "XDG_*", "ZDOTDIR", "USER", "LOGNAME", "USERNAME"], "whose settings are read"),
    dangerous(&["TMPDIR", "TMP", "TEMP", "TMPPREFIX", "TEMPDIR"], "where programs put files that they trust"),
    dangerous(&["SHELL", "COMSPEC"], "a program that others start"),
    dangerous(
        &["CDPATH", "GLOBIGNORE", "IFS", "POSIXLY_CORRECT"],
        "how a shell script reads words, names and options",
    ),
    // Shells.
    dangerous(
        &["BASH_*", "ENV", "SHELLOPTS", "BASHOPTS", "PS0", "PS4", "PROMPT_COMMAND", "INPUTRC", "HISTFILE"],
        "code that a shell runs, or files that it reads and writes",
    ),
    dangerous(
        &["FPATH", "NULLCMD", "READNULLCMD", "ZLS_*", "FCEDIT", "KSH_*", "FISH_*", "fish_*"],
        "the same for other shells (sudo env_delete)",
    ),
    // Interpreters and virtual machines.
    dangerous(
        &[
            "PYTHON*",
            "VIRTUAL_ENV",
            "CONDA_*",
            "PIP_*",
            "UV_*",
            "POETRY_*",
            "PIPENV_*",
            "PDM_*",
            "TWINE_*",
            "SETUPTOOLS_*",
        ],
        "Python: code, paths and indexes",
    ),
    dangerous(&["PERL*"], "Perl: options, modules and debuggers"),
    dangerous(&["RUBY*", "GEM_*", "BUNDLE_*", "RB*", "IRBRC"], "Ruby: options, libraries and sources"),
    dangerous(
        &[
            "NODE_*",
            "NPM_*",
            "npm_*",
            "YARN_*",
            "PNPM_*",
            "BUN_*",
            "DENO_*",
            "COREPACK_*",
            "ELECTRON_*",
            "TS_NODE_*",
            "VITE_*",
        ],
        "Node and its package managers: modules, registries and shells",
    ),
    dangerous(
        &[
            "JAVA_*",
            "_JAVA_*",
            "JDK_*",
            "CLASSPATH",
            "MAVEN_*",
            "M2_*",
            "M2*",
            "GRADLE_*",
            "ANT_*",
            "SBT_*",
            "KOTLIN_*",
            "SCALA_*",
        ],
        "Java: agents, class paths and options",
    ),
    dangerous(
        &[
            "LUA_*",
            "PHP*",
            "PHPRC",
            "COMPOSER_*",
            "GUILE_*",
            "TCLLIBPATH",
            "TCL_*",
            "AWKPATH",
            "AWKLIBPATH",
            "R_*",
            "JULIA_*",
            "ERL_*",
            "ELIXIR_*",
            "MIX_*",
            "GHC*",
            "CABAL_*",
            "STACK_*",
            "OCAML*",
            "CAML*",
            "OPAM*",
            "EMACS*",
            "GAP_*",
        ],
        "other interpreters: code and paths",
    ),
    dangerous(
        &["DOTNET_*", "COMPlus_*", "CORECLR_*", "COR_*", "NUGET_*", "MONO_*", "MSBUILD*"],
        ".NET: profilers, start-up hooks and sources",
    ),
    dangerous(
        &[
            "CARGO*",
            "RUST*",
            "GO*",
            "CGO_*",
            "CC",
            "CXX",
            "CPP",
            "LD",
            "AR",
            "AS",
            "NM",
            "LEX",
            "YACC",
            "MAKE*",
            "MFLAGS",
            "GNUMAKEFLAGS",
            "CMAKE_*",
            "NINJA_*",
            "MESON_*",
            "BAZEL*",
            "COMPILER_PATH",
            "GCC_*",
            "CPATH",
            "*_INCLUDE_PATH",
            "*_WRAPPER",
            "PKG_CONFIG*",
            "ACLOCAL*",
            "AUTO*",
            "M4*",
            "DISTCC_*",
            "CCACHE_*",
            "SCCACHE_*",
        ],
        "build tools: programs, flags and paths",
    ),
    // Tools that start other tools.
    dangerous(
        &["GIT_AUTHOR_*", "GIT_COMMITTER_*", "EMAIL"],
        "text that Git writes into its logs, wherever a link in the repository leads",
    ),
    dangerous(
        &[
            "GIT_*", "GITHUB_*", "GH_*", "GLAB_*", "GITLAB_*", "HUB_*", "HG*", "SVN_*", "CVS*", "BZR*",
            "FOSSIL_*",
        ],
        "version control: programs, hooks, repositories and servers",
    ),
    dangerous(
        &[
            "*PAGER",
            "*EDITOR",
            "VISUAL",
            "*BROWSER",
            "LESS*",
            "MORE",
            "MOST_*",
            "LV",
            "BAT_*",
            "VIMINIT",
            "EXINIT",
            "VIM*",
            "NVIM*",
            "MYVIMRC",
            "*DIFFTOOL",
            "*MERGETOOL",
        ],
        "programs that others start, and their start-up commands",
    ),
    dangerous(
        &[
            "SSH_*",
            "*_SSH",
            "*_RSH",
            "*_SSH_COMMAND",
            "SSL_*",
            "*_ASKPASS",
            "SUDO_*",
            "DOAS_*",
            "GPG*",
            "GNUPG*",
            "PINENTRY_*",
            "PASSWORD_STORE_*",
            "AGE_*",
            "SOPS_*",
        ],
        "programs that ask for and get secrets, and whom they trust",
    ),
    dangerous(
        &[
            "*PROXY",
            "CURL_*",
            "WGETRC",
            "REQUESTS_*",
            "OPENSSL_*",
            "*_CA_BUNDLE",
            "*_CA_FILE",
            "*_CA_PATH",
            "NETRC",
            "*_CERT*",
            "ALL_PROXY",
        ],
        "where connections go, and which certificates count",
    ),
    dangerous(
        &[
            "AWS_*",
            "AZURE_*",
            "ARM_*",
            "GOOGLE_*",
            "GCLOUD_*",
            "CLOUDSDK_*",
            "KUBE*",
            "HELM_*",
            "DOCKER_*",
            "BUILDKIT_*",
            "COMPOSE_*",
            "CONTAINER*",
            "PODMAN_*",
            "BUILDAH_*",
            "VAULT_*",
            "CONSUL_*",
            "NOMAD_*",
            "TF_*",
            "TERRAFORM_*",
            "TERRAGRUNT_*",
            "PULUMI_*",
            "ANSIBLE_*",
            "PACKER_*",
            "VAGRANT_*",
            "CHEF_*",
            "PUPPET_*",
        ],
        "which account, cluster or machine is worked on, with which plug-ins",
    ),
    dangerous(
        &[
            "PG*",
            "PSQL*",
            "MYSQL*",
            "LIBMYSQL_*",
            "ORACLE_*",
            "TNS_ADMIN",
            "ODBC*",
            "SQLITE_*",
            "REDIS*",
            "MONGO*",
        ],
        "which database is worked on, and start-up files",
    ),
    dangerous(
        &[
            "TAR_OPTIONS",
            "TAR_*",
            "TAPE",
            "ZIPOPT",
            "UNZIP*",
            "GZIP",
            "BZIP*",
            "XZ_*",
            "ZSTD_*",
            "RSYNC_*",
            "GREP_*",
            "RIPGREP_*",
            "FZF_*",
            "FD_*",
            "ACK*",
            "AG_*",
            "JQ_*",
            "DIFF*",
            "PARALLEL*",
            "XARGS_*",
        ],
        "options that are added to a command",
    ),
    dangerous(
        &[
            "MAN*",
            "GROFF_*",
            "TROFF*",
            "TEX*",
            "BIB*",
            "LATEX*",
            "KPATHSEA_*",
            "GS_*",
            "MAGICK_*",
            "FONTCONFIG_*",
            "FC_*",
        ],
        "documents: programs and files that are run on the way",
    ),
    dangerous(
        &[
            "SYSTEMD_*",
            "DBUS_*",
            "NOTIFY_SOCKET",
            "LISTEN_*",
            "DISPLAY",
            "WAYLAND_*",
            "XAUTH*",
            "SESSION_MANAGER",
            "PULSE_*",
            "PIPEWIRE_*",
        ],
        "which session and services are talked to",
    ),
    dangerous(
        &[
            "QT_*",
            "GTK_*",
            "GDK_*",
            "GIO_*",
            "GSETTINGS_*",
            "GST_*",
            "XFILESEARCHPATH",
            "XUSERFILESEARCHPATH",
            "XENVIRONMENT",
            "KDE*",
            "VK_*",
            "LIBGL_*",
            "MESA_*",
            "EGL_*",
            "__*",
        ],
        "graphical libraries: plug-ins to load",
    ),
    dangerous(
        &["CODEX_*", "CLAUDE*", "ANTHROPIC_*", "OPENAI_*", "GEMINI_*", "MCP_*"],
        "settings of agents and of this server",
    ),
    // Names that say by their end what they hold.
    dangerous(
        &["*_PRELOAD", "*_PATH", "*PATH", "*_DIR", "*_HOME", "*_ROOT", "*_PREFIX"],
        "by its end: where files are looked for",
    ),
    dangerous(
        &[
            "*_COMMAND",
            "*_CMD",
            "*_SHELL",
            "*_HOOK",
            "*_HOOKS",
            "*_EXEC",
            "*_PROGRAM",
            "*_BIN",
            "*_EXECUTABLE",
            "*_HELPER",
            "*_PLUGIN",
            "*_PLUGINS",
            "*_AGENT",
            "*_LOADER",
            "*_SCRIPT",
            "*_INIT",
        ],
        "by its end: a program or code",
    ),
    dangerous(
        &["*_OPTS", "*_OPTIONS", "*_ARGS", "*FLAGS"],
        "by its end: options that are added to a command",
    ),
    dangerous(
        &["*RC", "*_CONFIG", "*_CONF", "*CONFIG", "*_CONFIG_FILE", "*_PROFILE", "*_SETTINGS"],
        "by its end: settings",
    ),
    dangerous(
        &[
            "*_HOST",
            "*_URL",
            "*_ENDPOINT",
            "*_SERVER",
            "*_SOCK",
            "*_SOCKET",
            "*_REGISTRY",
            "*_INDEX_URL",
            "*_MIRROR",
        ],
        "by its end: whom it talks to",
    ),
];

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

    #[test]
    fn what_others_delete_is_dangerous_here_too() {
        for name in DELETED_BY_OTHERS.iter().chain(DELETED_BY_US) {
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
