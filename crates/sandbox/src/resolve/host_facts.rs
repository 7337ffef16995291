//! Facts about the host that resolution needs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Variables that name a socket or a credential file; also dropped from the environment of commands.
pub(crate) const PRIVATE_VARIABLES: &[(&str, &str)] = &[
    ("SSH_AUTH_SOCK", "signs with the user's keys"),
    ("GPG_AGENT_INFO", "signs with the user's keys"),
    ("GNUPGHOME", "private keys"),
    ("DBUS_SESSION_BUS_ADDRESS", "asks the desktop to act"),
    ("DOCKER_HOST", "as good as root"),
    ("DOCKER_CONFIG", "registry credentials"),
    ("KUBECONFIG", "cluster credentials"),
    ("AWS_SHARED_CREDENTIALS_FILE", "cloud credentials"),
    ("AWS_CONFIG_FILE", "cloud credentials"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "cloud credentials"),
    ("XAUTHORITY", "types into the user's windows"),
    ("WSL_INTEROP", "starts Windows programs"),
    ("NETRC", "passwords"),
    ("CLOUDSDK_CONFIG", "cloud credentials"),
    ("AZURE_CONFIG_DIR", "cloud credentials"),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "cloud credentials"),
    ("BOTO_CONFIG", "cloud credentials"),
    ("GH_CONFIG_DIR", "GitHub token"),
    ("NPM_CONFIG_USERCONFIG", "registry token"),
    ("npm_config_userconfig", "registry token"),
    ("PGPASSFILE", "passwords"),
    ("TMUX", "types into the user's terminals"),
];

/// Folders in the home folder, and the variables that move them.
const MOVED: &[(&str, &str)] = &[
    (".config", "XDG_CONFIG_HOME"),
    (".local/share", "XDG_DATA_HOME"),
    (".local/state", "XDG_STATE_HOME"),
    (".cache", "XDG_CACHE_HOME"),
    (".cargo", "CARGO_HOME"),
    (".codex", "CODEX_HOME"),
    (".claude", "CLAUDE_CONFIG_DIR"),
    (".gradle", "GRADLE_USER_HOME"),
    (".npm", "npm_config_cache"),
    (".local/share/pnpm", "PNPM_HOME"),
    ("go", "GOPATH"),
    ("go/pkg/mod", "GOMODCACHE"),
    (".cache/go-build", "GOCACHE"),
    (".cache/uv", "UV_CACHE_DIR"),
    (".cache/pip", "PIP_CACHE_DIR"),
    (".ccache", "CCACHE_DIR"),
];

/// What becomes of build tools' caches in the user's home.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CachePolicy {
    /// They are read-only like the rest of it.
    #[default]
    Off,
    /// Commands write the user's own, from which the user's own tools run programs.
    Shared,
    /// What commands write goes to layers and a folder below this one.
    Own(PathBuf),
}

/// Facts about the host that resolution needs; passed in, so that tests choose them.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    /// Folders that `workspace-write` makes writable besides the listed roots.
    pub workspace: Vec<PathBuf>,
    /// The user's home folder.
    pub home: Option<PathBuf>,
    /// The home folder that the machine has written down for the user, where `$HOME` names another one.
    pub written_down_home: Option<PathBuf>,
    /// What takes the place of a folder in the home folder: its name there, and the folder that a variable names.
    pub moved: Vec<(&'static str, PathBuf)>,
    /// What `$TMPDIR` says.
    pub temporary: Option<PathBuf>,
    /// Where that led before, if it is known.
    pub temporary_before: Option<PathBuf>,
    /// Patterns of devices that the user grants.
    pub devices: Vec<String>,
    /// What `$TMUX_TMPDIR` says.
    pub tmux_folder: Option<PathBuf>,
    /// The server's own folders (runtime, audit log, spool), never readable inside; they must exist already.
    pub private: Vec<PathBuf>,
    /// Programs that commands must be able to execute and must not change: the shell and the wrapper.
    pub programs: Vec<PathBuf>,
    /// What becomes of build tools' caches.
    pub caches: CachePolicy,
    /// Variables of the server's environment that name sockets and credential files (see [`HostFacts::from_process`]).
    pub variables: Vec<(String, OsString)>,
}

impl HostFacts {
    /// Returns every place where something of the user's home may be that is called `name` there.
    pub(super) fn in_homes<'a>(&'a self, name: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
        let moved = self.moved.iter().filter_map(move |(folder, place)| {
            let below = name.strip_prefix(folder)?.strip_prefix('/')?;
            Some(place.join(below))
        });
        self.homes().map(move |home| home.join(name)).chain(moved)
    }

    /// Returns the place where a program of this environment has what is called `name` in the home folder.
    pub(super) fn in_use(&self, name: &str) -> Option<PathBuf> {
        let name = Path::new(name);
        let moved = self.moved.iter().filter(|(folder, _)| name.starts_with(folder));
        let (folder, place) = match moved.max_by_key(|(folder, _)| folder.len()) {
            Some((folder, place)) => (*folder, place),
            None => ("", self.home.as_ref()?),
        };
        let below = name.strip_prefix(folder).unwrap_or(name);
        Some(if below.as_os_str().is_empty() { place.clone() } else { place.join(below) })
    }

    /// Returns every folder that is the user's home.
    pub fn homes(&self) -> impl Iterator<Item = &PathBuf> {
        let other = self.written_down_home.iter().filter(|other| self.home.as_ref() != Some(other));
        self.home.iter().chain(other)
    }

    /// Reads the facts from this process's environment; workspace and private folders are the caller's to add.
    #[must_use]
    pub fn from_process() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let variables =
            PRIVATE_VARIABLES.iter().filter_map(|(name, _)| Some(((*name).to_owned(), variable(name)?)));
        HostFacts {
            workspace: Vec::new(),
            home: home_folder::find(),
            written_down_home: home_folder::written_down(),
            moved: MOVED.iter().filter_map(|(name, at)| Some((*name, variable(at)?.into()))).collect(),
            temporary: variable("TMPDIR").map(PathBuf::from),
            temporary_before: None,
            devices: Vec::new(),
            tmux_folder: variable("TMUX_TMPDIR").map(PathBuf::from),
            private: Vec::new(),
            programs: Vec::new(),
            caches: CachePolicy::default(),
            variables: variables.collect(),
        }
    }
}
