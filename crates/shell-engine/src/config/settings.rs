//! What was typed, before anything of it is looked at.

use std::path::PathBuf;

use super::approvals::ApprovalSettings;
use super::door::DoorChoice;
use super::limits::LimitSettings;
use super::results::ResultSettings;
use super::sandboxing::SandboxSettings;
use crate::rules::RuleSettings;

/// What an embedder or the command line asks for, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The wrapper; by default `execve-wrapper` beside the running executable.
    pub execve_wrapper: Option<PathBuf>,
    /// The patched Bash; by default `$CODEX_BASH_PATH`, then `bash` beside the running executable.
    pub bash: Option<PathBuf>,
    /// The folder with the user's rules (`rules/*.rules` in it); by default `$CODEX_HOME`, then `~/.codex`.
    pub codex_home: Option<PathBuf>,
    /// The folder that the server is for; by default the current one.
    pub started_in: Option<PathBuf>,
    /// The folder of whoever serves this user, among others: its configuration file counts instead of the user's own, and
    /// its rules count too.
    pub operator_home: Option<PathBuf>,
    /// The server's name among others, which handles have then; none: there are no others.
    pub server_name: Option<String>,
    /// Match rules against full paths of programs only.
    pub preserve_program_paths: bool,
    /// The sandbox that commands run in.
    pub sandbox: SandboxSettings,
    /// A program that calls [`crate::become_session_process`] first; by default the running one.
    pub session_program: Option<PathBuf>,
    /// Hosts that commands may reach by name: `HOST`, `HOST:PORT`, `*.HOST`.
    pub allowed_hosts: Vec<String>,
    /// Ports of commands that are reachable on this machine's loopback: `3000`, `3000-3999`.
    pub published: Vec<String>,
    /// Timeouts, sizes, numbers.
    pub limits: LimitSettings,
    /// Which rules there are besides the machine's and the user's own.
    pub rules: RuleSettings,
    /// How people are asked.
    pub approvals: ApprovalSettings,
    /// How results are written.
    pub results: ResultSettings,
    /// By which door programs reach the judge.
    pub door: Option<DoorChoice>,
}
