//! What clients should know about where commands run: folders, repositories, what confines them, bounds, the shell.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sandbox::{Directory, ExitStatus, Inherited, Plan, SpawnRequest};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Mutex;

use super::git_head;
use super::shared::Shell;
use crate::config::{ShellKind, Wanted};
use crate::programs::Programs;
use crate::sandboxes::{Process, Sandbox, SandboxError};
use crate::visible::visible;

/// How long Git may take to say whether a work tree has changes.
const GIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Folders whose repositories are looked at.
const MOST_ROOTS: usize = 16;

/// Where commands run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SessionFacts {
    /// The folders of the workspace.
    pub workspace: Vec<String>,
    /// Their repositories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub git: Vec<GitFacts>,
    /// The sandbox's mode.
    pub mode: String,
    /// What is in force, as in every result.
    pub sandbox: String,
    /// Whether commands have the network: `enabled` or `restricted`.
    pub network: String,
    /// The folders that commands may write.
    pub writable: Vec<String>,
    /// How many places in these stay read-only, and how many places cannot be read.
    pub protected: (usize, usize),
    /// What commands may do, in words.
    pub rights: Vec<String>,
    /// By which door programs reach the rules: `kernel` (all that every process executes) or `wrapper` (what the command's
    /// own shell executes).
    pub door: &'static str,
    /// The shell.
    pub shell: ShellFacts,
    /// The bounds of commands.
    pub limits: LimitFacts,
}

/// A repository.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct GitFacts {
    /// The top of its work tree.
    pub root: String,
    /// The branch; none when a commit is checked out as such, or it cannot be told.
    pub branch: Option<String>,
    /// The commit; none when there is none yet, or it cannot be told.
    pub commit: Option<String>,
    /// Whether something is not committed: true, false, or `unknown`.
    pub dirty: Dirty,
}

/// Whether something is not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Dirty {
    /// That is known.
    Known(bool),
    /// Nobody has looked, or could.
    Unknown(#[schemars(with = "String")] Unknown),
}

/// A word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// It is not known.
    Unknown,
}

/// The shell that commands run in.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ShellFacts {
    /// The file.
    pub path: String,
    /// `patched-bash`, `system-bash` or `system-sh`.
    pub kind: &'static str,
    /// The version of a Bash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The bounds of commands.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LimitFacts {
    /// The timeout where none is given, in milliseconds.
    pub default_timeout_ms: u64,
    /// The longest that may be given; none: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_timeout_ms: Option<u64>,
    /// Commands at once.
    pub concurrent_commands: usize,
    /// Processes of all commands together.
    pub processes: u32,
    /// Open files of one process.
    pub open_files: u64,
    /// Sessions at once.
    pub sessions: usize,
    /// Seconds for which one may be unused.
    pub session_idle_seconds: u64,
}

impl Shell {
    /// Tells where commands of this policy run. `closely`: also whether work trees have changes, which Git is asked inside
    /// the sandbox, with all that a repository configures switched off.
    ///
    /// # Errors
    ///
    /// When there is no such sandbox.
    pub async fn facts(
        &self,
        wanted: &Wanted,
        folders: &[PathBuf],
        closely: bool,
    ) -> Result<SessionFacts, SandboxError> {
        let sandbox = self.sandboxes.sandbox(wanted).await?;
        let plan = Arc::clone(sandbox.plan());
        let read: Vec<PathBuf> = folders.iter().take(MOST_ROOTS).cloned().collect();
        let heads = tokio::task::spawn_blocking(move || {
            let mut heads: Vec<_> = read.iter().filter_map(|folder| git_head::head(folder)).collect();
            heads.dedup();
            heads
        });
        let mut git = Vec::new();
        for head in heads.await.unwrap_or_default() {
            let dirty = match closely {
                true => self.is_dirty(&head.top, &sandbox).await.map(Dirty::Known),
                false => None,
            };
            git.push(GitFacts {
                root: shown(&head.top),
                branch: head.branch,
                commit: head.commit,
                dirty: dirty.unwrap_or(Dirty::Unknown(Unknown::Unknown)),
            });
        }
        let config = &self.config;
        let has_door = config.door.is_the_kernels(plan.mode) && sandbox.may_have_door();
        let shell = config.shell.kind.word().map(|word| format!("+{word}")).unwrap_or_default();
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Ok(SessionFacts {
            workspace: folders.iter().map(|folder| shown(folder)).collect(),
            git,
            mode: plan.mode.to_string(),
            sandbox: format!("{}{}{shell}", sandbox.level(), if has_door { "+door" } else { "" }),
            network: plan.network.to_string(),
            writable: plan.writable.iter().map(|folder| shown(folder)).collect(),
            protected: (plan.read_only.len() + plan.reserved.len(), plan.hidden.len()),
            rights: rights(&plan),
            door: if has_door { "kernel" } else { "wrapper" },
            shell: ShellFacts {
                path: shown(&config.shell.path),
                kind: config.shell.kind.word().unwrap_or("patched-bash"),
                version: match config.shell.kind {
                    ShellKind::SystemSh => None,
                    ShellKind::Patched | ShellKind::SystemBash => version(&config.shell.path).await,
                },
            },
            limits: LimitFacts {
                default_timeout_ms: milliseconds(config.limits.default_timeout),
                max_timeout_ms: config.limits.max_timeout.map(milliseconds),
                concurrent_commands: config.limits.concurrent_calls,
                processes: plan.limits.processes,
                open_files: plan.limits.open_files,
                sessions: config.limits.sessions,
                session_idle_seconds: config.limits.session_idle.as_secs(),
            },
        })
    }

    /// Asks Git whether a work tree has changes. `None`: it cannot say in time, or would run what the repository names.
    async fn is_dirty(&self, top: &Path, sandbox: &Arc<Sandbox>) -> Option<bool> {
        // Without a sandbox what a repository names would run with the user's rights, should one be left that is not known.
        if !sandbox.plan().mode.is_enforced() {
            return None;
        }
        let search_path = std::env::var_os("PATH").unwrap_or_default();
        let (git, _) = Programs::find_in(&search_path, "git".as_ref())?;
        let asked = ask_git(&git, top, sandbox);
        tokio::time::timeout(GIT_TIMEOUT, asked).await.ok()?
    }
}

/// Settings by which Git runs none of a repository's programs; no attributes, which name its filters, are read.
const SETTINGS: &[&str] = &[
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.attributesFile=/dev/null",
    "-c",
    "core.untrackedCache=false",
    "-c",
    "submodule.recurse=false",
];

/// The tree without entries, which every repository knows by its name: SHA-1's.
const NO_ATTRIBUTES: &str = "GIT_ATTR_SOURCE=4b825dc642cb6eb9a060e54bf8d69288fbee4904";

async fn ask_git(git: &Path, top: &Path, sandbox: &Arc<Sandbox>) -> Option<bool> {
    let (read, write) = std::io::pipe().ok()?;
    let null = File::options().read(true).write(true).open("/dev/null").ok()?;
    let arguments = ["git", "--no-optional-locks"].iter().chain(SETTINGS).chain(&[
        "status",
        "--porcelain",
        "--ignore-submodules=all",
        "--untracked-files=normal",
    ]);
    let mut environment = sandbox.environment().to_vec();
    environment.retain(|entry| !entry.as_encoded_bytes().starts_with(b"GIT_"));
    environment.push(NO_ATTRIBUTES.into());
    let request = SpawnRequest {
        program: git.to_owned(),
        arguments: arguments.map(OsString::from).collect(),
        environment,
        directory: Directory::Path(top.to_owned()),
        descriptors: vec![
            (OwnedFd::from(null.try_clone().ok()?), 0),
            (write.into(), 1),
            (OwnedFd::from(null), 2),
        ],
        inherited: Inherited::default(),
        reported: false,
        reports_reading: false,
    };
    let process = Process::start(request, sandbox).await.ok()?;
    let read = OwnedFd::from(read);
    rustix::io::ioctl_fionbio(&read, true).ok()?;
    let mut output = Receiver::from_owned_fd(read).ok()?;
    // One byte is enough to know.
    let mut said = [0; 1];
    let is_dirty = output.read(&mut said).await.ok()? > 0;
    if is_dirty {
        process.end(Duration::ZERO).await;
        return Some(true);
    }
    (process.wait().await.ok()? == ExitStatus::Exited(0)).then_some(false)
}

/// Which file a shell is, and since when, with its version.
type KnownVersion = ((u64, u64), SystemTime, Option<String>);

/// What shells have said: to ask one costs a process, and clients without sessions are told with each result.
static VERSIONS: Mutex<BTreeMap<PathBuf, KnownVersion>> = Mutex::const_new(BTreeMap::new());

/// The version of a Bash, which is asked again when it is another file.
async fn version(bash: &Path) -> Option<String> {
    let file = std::fs::metadata(bash).ok()?;
    let (identity, since) = ((file.dev(), file.ino()), file.modified().ok()?);
    // Who comes meanwhile waits for the answer.
    let mut versions = VERSIONS.lock().await;
    if let Some((of, at, version)) = versions.get(bash)
        && (*of, *at) == (identity, since)
    {
        return version.clone();
    }
    let version = ask_version(bash).await;
    versions.insert(bash.to_owned(), (identity, since, version.clone()));
    version
}

async fn ask_version(bash: &Path) -> Option<String> {
    let mut command = Command::new(bash);
    command.args(["--norc", "--noprofile", "-c", "echo \"$BASH_VERSION\""]).env_clear();
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.ok()?.ok()?;
    let version = visible(output.stdout.trim_ascii());
    (!version.is_empty()).then_some(version)
}

fn shown(path: &Path) -> String {
    visible(path.as_os_str().as_encoded_bytes())
}
/// What commands may do in a sandbox, in words.
fn rights(plan: &Plan) -> Vec<String> {
    if !plan.mode.is_enforced() {
        return vec!["all that the user may do: there is no sandbox".to_owned()];
    }
    let (places, kept) = (plan.writable.len(), plan.read_only.len() + plan.reserved.len());
    vec![
        format!("read all but {} hidden places", plan.hidden.len()),
        format!("write {places} folders but {kept} protected places in them"),
        format!("network: {}", plan.network),
        "more by a rule, or by a person's answer".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_shell_is_asked_for_its_version_once() {
        let folder = tempfile::tempdir().unwrap();
        let (shell, asked) = (folder.path().join("shell"), folder.path().join("asked"));
        // Another process writes it: one that is started meanwhile would inherit our open file.
        let write = |version: &str| {
            let script = format!("#!/bin/sh\necho >> {}\necho {version}\n", asked.display());
            let copy = "printf %s \"$0\" > \"$1.new\" && chmod 755 \"$1.new\" && mv \"$1.new\" \"$1\"";
            assert!(Command::new("sh").args(["-c", copy, &script]).arg(&shell).status().unwrap().success());
        };
        let asked = || std::fs::read_to_string(&asked).unwrap().lines().count();
        write("1.0");
        for _ in 0..3 {
            assert_eq!(version(&shell).await.as_deref(), Some("1.0"));
        }
        assert_eq!(asked(), 1);
        write("2.0");
        assert_eq!(version(&shell).await.as_deref(), Some("2.0"));
        assert_eq!(asked(), 2);
    }
}
