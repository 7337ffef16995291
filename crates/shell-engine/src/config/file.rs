//! `$CODEX_HOME/config.toml`: what the user has written down once for all clients.
//!
//! Codex's own keys mean the same here (`sandbox_mode`, `[sandbox_workspace_write]`, `[shell_environment_policy]`), so
//! its users need nothing new; what only this server knows is in `[shell_tool]`. Keys of others are none of our
//! business, but in our own table a key that we do not know is an error: a misspelt prohibition must not be silently
//! none.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use sandbox::environment::Inherit;
use serde::Deserialize;

use super::approvals::ReasonField;
use super::bounds::{Bytes, Processors};
use super::door::DoorChoice;
use super::network::NetworkTable;
use super::publish::PortsWord;
use super::results::ResultFormat;
use super::rights::{AllowMeans, RetryChoice};

/// The file as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ConfigFile {
    pub(super) sandbox_mode: Option<String>,
    #[serde(default)]
    pub(super) sandbox_workspace_write: WorkspaceWriteTable,
    #[serde(default)]
    pub(super) shell_environment_policy: EnvironmentTable,
    #[serde(default)]
    projects: BTreeMap<PathBuf, ProjectTable>,
    #[serde(default)]
    pub(crate) shell_tool: ShellToolTable,
}

/// `[projects."/folder"]`.
#[derive(Clone, Debug, Default, Deserialize)]
struct ProjectTable {
    trust_level: Option<String>,
}

/// `[sandbox_workspace_write]`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct WorkspaceWriteTable {
    #[serde(default)]
    pub(super) writable_roots: Vec<PathBuf>,
    #[serde(default)]
    pub(super) network_access: bool,
    #[serde(default)]
    pub(super) exclude_tmpdir_env_var: bool,
    #[serde(default)]
    pub(super) exclude_slash_tmp: bool,
}

/// `[shell_environment_policy]`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct EnvironmentTable {
    pub(super) inherit: Option<InheritWord>,
    pub(super) ignore_default_excludes: Option<bool>,
    #[serde(default)]
    pub(super) exclude: Vec<String>,
    #[serde(default)]
    pub(super) set: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) include_only: Vec<String>,
}

/// The words of `inherit`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum InheritWord {
    All,
    Core,
    None,
}

impl From<InheritWord> for Inherit {
    fn from(word: InheritWord) -> Inherit {
        match word {
            InheritWord::All => Inherit::All,
            InheritWord::Core => Inherit::Core,
            InheritWord::None => Inherit::None,
        }
    }
}

/// `[shell_tool]`: what only this server knows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShellToolTable {
    /// Places that commands cannot read, besides the built-in ones; absolute paths or patterns.
    #[serde(default)]
    pub(super) deny_read: Vec<String>,
    /// Exceptions to the built-in places that commands cannot read; absolute paths.
    #[serde(default)]
    pub(super) allow_read: Vec<PathBuf>,
    /// Protected names that commands may write all the same, relative to a workspace.
    #[serde(default)]
    pub(super) protected: Vec<PathBuf>,
    /// Devices that commands may use; absolute paths or patterns below `/dev`.
    #[serde(default)]
    pub(super) devices: Vec<String>,
    /// Processes and threads of all commands together.
    pub(super) max_processes: Option<u32>,
    /// Memory of all commands together.
    pub(super) memory_max: Option<Bytes>,
    /// Processors that all commands together may use.
    pub(super) cpu_max: Option<Processors>,
    /// Outputs that are kept, together.
    pub(super) max_kept_output: Option<Bytes>,
    /// Open files of one process.
    pub(super) max_open_files: Option<u64>,
    /// Whether commands may trace each other's processes, as debuggers do.
    pub(super) debug: Option<bool>,
    /// `auto`, `require` or `off`.
    pub(super) namespaces: Option<NamespacesWord>,
    /// `own`, `shared` or `off`: what becomes of build tools' caches.
    pub(super) caches: Option<CachesWord>,
    /// Whether the client's sandbox state may widen what is allowed here.
    pub(super) trust_client_sandbox: Option<bool>,
    /// Whether commands get the variables that suit an agent (`NO_COLOR`, `PAGER=cat`, …).
    pub(super) agent_environment: Option<bool>,
    /// A command's timeout when the caller gives none.
    pub(super) default_timeout_ms: Option<u64>,
    /// The longest timeout that a caller gets.
    pub(super) max_timeout_ms: Option<u64>,
    /// The time between asking a call's processes to end and killing them.
    pub(super) grace_ms: Option<u64>,
    /// Tokens of output in an answer when the caller does not say.
    pub(super) max_output_tokens: Option<u64>,
    /// Commands that run at once; more wait.
    pub(super) max_calls: Option<usize>,
    /// How long a session may be unused.
    pub(super) session_idle_seconds: Option<u64>,
    /// `live` or `end`: what becomes of background processes.
    pub(super) background: Option<String>,
    /// `auto`, `kernel` or `wrapper`: by which door programs reach the judge.
    pub(super) door: Option<DoorChoice>,
    /// `program` or `unconfined`: what a rule gives that says nothing of rights.
    pub(super) allow_means: Option<AllowMeans>,
    /// `ask` or `never`: whether what failed because of the sandbox becomes a question.
    pub(super) retry: Option<RetryChoice>,
    /// `json` or `text`: how results are written.
    pub(super) result: Option<ResultFormat>,
    /// Results link to outputs that they do not show whole.
    pub(super) result_links: Option<bool>,
    #[serde(default)]
    pub(super) approval: ApprovalTable,
    /// Ports of commands that are published.
    #[serde(default)]
    pub(super) publish: Vec<PortsWord>,
    /// Which hosts may be reached by name.
    pub(super) network: Option<NetworkTable>,
}

/// `[shell_tool.approval]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApprovalTable {
    /// `auto`, `always` or `never`: whether forms have a field for a reason.
    pub(super) reason: Option<ReasonField>,
}

impl ShellToolTable {
    /// Whether commands get the environment that suits an agent.
    pub(super) fn for_agents(&self) -> bool {
        self.agent_environment != Some(false)
    }
}

/// The words of `namespaces`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum NamespacesWord {
    Auto,
    Require,
    Off,
}

/// The words of `caches`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CachesWord {
    #[default]
    Own,
    Shared,
    Off,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not understood.
    #[error("{} is not understood:\n{}", path.display(), source.to_string().trim_end())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where, and what.
        source: Box<toml::de::Error>,
    },
}

impl ConfigFile {
    /// Folders of the projects that the user trusts.
    pub(super) fn trusted_projects(&self) -> Vec<PathBuf> {
        let is_trusted = |project: &ProjectTable| project.trust_level.as_deref() == Some("trusted");
        self.projects
            .iter()
            .filter(|(_, project)| is_trusted(project))
            .map(|(folder, _)| folder.clone())
            .collect()
    }

    /// Reads the file; one that is not there says nothing.
    pub(super) fn read(codex_home: &Path) -> Result<ConfigFile, ConfigFileError> {
        let path = codex_home.join("config.toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                toml::from_str(&text).map_err(|source| ConfigFileError::Parse { path, source: source.into() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ConfigFile::default()),
            Err(source) => Err(ConfigFileError::Read { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ConfigFile, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        ConfigFile::read(folder.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_missing_file_and_keys_of_others_are_fine() {
        assert!(ConfigFile::read(Path::new("/nonexistent")).unwrap().sandbox_mode.is_none());
        let file =
            read("model = \"x\"\nsandbox_mode = \"read-only\"\n[mcp_servers.a]\ncommand = \"b\"\n").unwrap();
        assert_eq!(file.sandbox_mode.as_deref(), Some("read-only"));
    }

    #[test]
    fn only_projects_that_are_called_trusted_are() {
        let file = read(
            "[projects.\"/a\"]\ntrust_level = \"trusted\"\n[projects.\"/b\"]\ntrust_level = \"untrusted\"\n\
             [projects.\"/c\"]\n",
        );
        assert_eq!(file.unwrap().trusted_projects(), [Path::new("/a")]);
    }

    #[test]
    fn a_misspelt_key_of_ours_is_named_with_its_line() {
        let error = read("[shell_tool]\ndeny_raed = [\"/x\"]\n").unwrap_err();
        assert!(
            error.contains("config.toml") && error.contains("line 2") && error.contains("deny_raed"),
            "{error}"
        );
    }
}
