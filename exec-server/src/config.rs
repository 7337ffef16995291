//! What was typed, validated once: the programs, the rules, the sandbox.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use escalation_protocol::variables;
use execpolicy::{Heuristics, Options, ProgramToken};

use crate::approval::{ApprovalSettings, ChannelKind};
use crate::escalation::FileIdentity;
use crate::private::{make_private, private_folders};
use crate::rules::{RuleSettings, Rules, RulesError};

mod file;
mod sandboxing;

use file::ConfigFile;
pub use file::ConfigFileError;
use sandboxing::Own;
pub use sandboxing::{SandboxSettings, SandboxSettingsError};
pub(crate) use sandboxing::{Sandboxing, Wanted};

/// A command's timeout when the caller gives none; the peer's, which agents know.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What an embedder or the command line asks for, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The wrapper; by default `execve-wrapper` beside the running executable.
    pub execve_wrapper: Option<PathBuf>,
    /// The patched Bash; by default `$CODEX_BASH_PATH`, then `bash` beside the running executable.
    pub bash: Option<PathBuf>,
    /// The folder with the user's rules (`rules/*.rules` in it); by default `$CODEX_HOME`, then `~/.codex`.
    pub codex_home: Option<PathBuf>,
    /// Match rules against full paths of programs only.
    pub preserve_program_paths: bool,
    /// The sandbox that commands run in.
    pub sandbox: SandboxSettings,
    /// A program that calls [`crate::become_session_process`] first; by default the running one.
    pub session_program: Option<PathBuf>,
    /// Which rules there are besides the machine's and the user's own.
    pub rules: RuleSettings,
    /// How people are asked.
    pub approvals: ApprovalSettings,
}

/// How the server runs commands. Made by [`Config::new`] only, so its programs exist and its rules are good.
#[derive(Debug)]
pub struct Config {
    pub(crate) bash: PathBuf,
    pub(crate) bash_identity: FileIdentity,
    pub(crate) execve_wrapper: PathBuf,
    pub(crate) rules: Arc<Rules>,
    pub(crate) heuristics: Heuristics,
    pub(crate) codex_home: PathBuf,
    pub(crate) preserve_program_paths: bool,
    pub(crate) sandboxing: Arc<Sandboxing>,
    pub(crate) session_program: Option<PathBuf>,
    pub(crate) approvals: ApprovalSettings,
    pub(crate) default_timeout: Duration,
}

/// Why the server cannot start. The texts name what is missing and how to get it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No patched Bash was found.
    #[error(
        "no patched Bash: --bash was not given, CODEX_BASH_PATH is not set, and {} does not exist.\n\
         The npm package brings one; from a checkout, `make build` leaves it in dist/bin/bash", beside.display()
    )]
    NoBash {
        /// Where it was looked for last.
        beside: PathBuf,
    },
    /// No wrapper was found.
    #[error(
        "no execve-wrapper: --execve was not given and {} does not exist.\n\
         The npm package brings one; from a checkout, `make build` leaves it in dist/bin/execve-wrapper", beside.display()
    )]
    NoWrapper {
        /// Where it was looked for last.
        beside: PathBuf,
    },
    /// A program that was named cannot be used.
    #[error("{what} {} cannot be used: {problem}", path.display())]
    Program {
        /// Which one, and who named it.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// `CODEX_HOME` names a folder that is not there.
    #[error("CODEX_HOME is {}, which is not a folder; create it, or unset CODEX_HOME to use ~/.codex", .0.display())]
    NoCodexHome(PathBuf),
    /// There is no home folder to look for rules in.
    #[error("neither CODEX_HOME nor HOME is set, so there is no place to look for rules; set one of them")]
    NoHome,
    /// A program that was named is not what it must be.
    #[error(
        "{} is not {what}: it {problem}.\n\
         The npm package brings the right one; from a checkout, `make build` leaves it in dist/bin", path.display()
    )]
    NotOurs {
        /// What it must be.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// How it differs.
        problem: &'static str,
    },
    /// The configuration file cannot be used.
    #[error(transparent)]
    File(#[from] ConfigFileError),
    /// The sandbox that was asked for cannot be.
    #[error(transparent)]
    Sandbox(#[from] SandboxSettingsError),
    /// A way of asking is asked for that cannot be.
    #[error("{0}")]
    Approvals(&'static str),
    /// The rules cannot be read, or are wrong.
    #[error(transparent)]
    Rules(#[from] RulesError),
}

impl Config {
    /// Finds the programs and loads the rules.
    ///
    /// # Errors
    ///
    /// When something that the server needs is missing or wrong.
    pub fn new(settings: Settings) -> Result<Config, ConfigError> {
        let bash = find_bash(settings.bash)?;
        verify_bash(&bash)?;
        let bash_identity =
            std::fs::File::open(&bash).ok().as_ref().and_then(FileIdentity::of).ok_or_else(|| {
                ConfigError::Program {
                    what: "Bash",
                    path: bash.clone(),
                    problem: "it cannot be opened".into(),
                }
            })?;
        let execve_wrapper = find_wrapper(settings.execve_wrapper)?;
        verify_wrapper(&execve_wrapper)?;
        let codex_home = find_codex_home(settings.codex_home)?;
        let rules = Arc::new(Rules::start(&settings.rules, &codex_home)?);
        let sandboxing = sandboxing(settings.sandbox, &codex_home, &rules, [&bash, &execve_wrapper])?;
        Ok(Config {
            bash,
            bash_identity,
            execve_wrapper,
            rules,
            heuristics: settings.rules.heuristics,
            codex_home,
            preserve_program_paths: settings.preserve_program_paths,
            sandboxing: Arc::new(sandboxing),
            session_program: settings.session_program,
            approvals: approvals(settings.approvals)?,
            default_timeout: DEFAULT_TIMEOUT,
        })
    }

    pub(crate) fn policy_options(&self) -> Options {
        let program_token =
            if self.preserve_program_paths { ProgramToken::FullPath } else { ProgramToken::Basename };
        Options { program_token, heuristics: self.heuristics, ..Options::default() }
    }

    /// The file into which a user's own rules go.
    pub(crate) fn default_rules(&self) -> PathBuf {
        self.codex_home.join("rules/default.rules")
    }
}

/// The approval command must be one, and must be wanted.
fn approvals(mut settings: ApprovalSettings) -> Result<ApprovalSettings, ConfigError> {
    let named = settings.channels.as_ref().is_some_and(|channels| channels.contains(&ChannelKind::Command));
    match (&settings.command, &settings.channels) {
        (None, _) if named => {
            return Err(ConfigError::Approvals(
                "--approvals names command, but there is no --approval-command",
            ));
        }
        (Some(_), Some(_)) if !named => {
            return Err(ConfigError::Approvals(
                "there is an --approval-command, but --approvals does not name command",
            ));
        }
        (None | Some(_), None | Some(_)) => {}
    }
    settings.command = settings.command.map(|path| usable("--approval-command", path)).transpose()?;
    Ok(settings)
}

/// Puts the sandbox together: what the user asks for, and what must be kept from commands for the server's own sake.
fn sandboxing(
    settings: SandboxSettings,
    codex_home: &Path,
    rules: &Rules,
    programs: [&PathBuf; 2],
) -> Result<Sandboxing, ConfigError> {
    let file = ConfigFile::read(codex_home)?;
    let private = private_folders(codex_home);
    for folder in &private {
        // What is not there when a sandbox is made cannot be hidden from it. One that cannot be made holds nothing.
        if let Err(error) = make_private(folder) {
            tracing::warn!(error = &error as &dyn std::error::Error, "a private folder is missing");
        }
    }
    let own = Own {
        // Who may write rules may let himself out.
        trusted: std::iter::once(codex_home.to_owned()).chain(rules.places()).collect(),
        programs: programs.into_iter().cloned().chain(std::env::current_exe().ok()).collect(),
        private,
    };
    Ok(Sandboxing::new(settings, &file, own)?)
}

fn find_bash(given: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    if let Some(path) = given {
        return usable("--bash", path);
    }
    if let Some(path) = std::env::var_os("CODEX_BASH_PATH").filter(|path| !path.is_empty()) {
        return usable("CODEX_BASH_PATH", path.into());
    }
    let beside = beside_executable("bash");
    if beside.exists() { usable("Bash", beside) } else { Err(ConfigError::NoBash { beside }) }
}

fn find_wrapper(given: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    if let Some(path) = given {
        return usable("--execve", path);
    }
    let beside = beside_executable("execve-wrapper");
    if beside.exists() { usable("execve-wrapper", beside) } else { Err(ConfigError::NoWrapper { beside }) }
}

fn beside_executable(name: &str) -> PathBuf {
    let executable = std::env::current_exe().unwrap_or_default();
    executable.parent().unwrap_or(Path::new("/")).join(name)
}

/// The absolute path of a program that can be executed: commands start in other folders than the server.
fn usable(what: &'static str, path: PathBuf) -> Result<PathBuf, ConfigError> {
    let problem = |problem: &str, path: &Path| ConfigError::Program {
        what,
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    let absolute = match path.canonicalize() {
        Ok(absolute) => absolute,
        Err(error) => return Err(problem(&error.to_string(), &path)),
    };
    if !absolute.is_file() {
        return Err(problem("it is not a file", &path));
    }
    match rustix::fs::access(&absolute, rustix::fs::Access::EXEC_OK) {
        Ok(()) => Ok(absolute),
        Err(errno) => Err(problem(&format!("it is not executable ({errno})"), &path)),
    }
}

/// A Bash without our hook would run everything unjudged. Told to execute through a wrapper that is not there, ours
/// refuses (126); any other runs the program.
fn verify_bash(bash: &Path) -> Result<(), ConfigError> {
    let status = Command::new(bash)
        .args(["-c", "/bin/true"])
        .env_clear()
        .env(variables::WRAPPER, "/nonexistent/execve-wrapper")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(status) if status.code() == Some(126) => Ok(()),
        Ok(_) => Err(ConfigError::NotOurs {
            what: "the patched Bash",
            path: bash.to_owned(),
            problem: "executes programs without asking",
        }),
        Err(error) => {
            Err(ConfigError::Program { what: "Bash", path: bash.to_owned(), problem: error.to_string() })
        }
    }
}

/// Something else in the wrapper's place would run in the place of every program. Without a program, ours says how it is used.
fn verify_wrapper(wrapper: &Path) -> Result<(), ConfigError> {
    let output = Command::new(wrapper).env_clear().stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.stderr.starts_with(b"usage: execve-wrapper ") => Ok(()),
        Ok(_) => Err(ConfigError::NotOurs {
            what: "the execve-wrapper",
            path: wrapper.to_owned(),
            problem: "does not answer as one",
        }),
        Err(error) => Err(ConfigError::Program {
            what: "execve-wrapper",
            path: wrapper.to_owned(),
            problem: error.to_string(),
        }),
    }
}

/// The folder with the user's rules: `given`, else `$CODEX_HOME`, else `~/.codex`, which need not exist.
///
/// # Errors
///
/// When what was named is no folder, or nothing is known of a home.
pub fn find_codex_home(given: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    let named =
        given.or_else(|| std::env::var_os("CODEX_HOME").filter(|path| !path.is_empty()).map(PathBuf::from));
    match named {
        Some(path) => {
            path.canonicalize().ok().filter(|path| path.is_dir()).ok_or(ConfigError::NoCodexHome(path))
        }
        None => Ok(std::env::home_dir()
            .filter(|home| !home.as_os_str().is_empty())
            .ok_or(ConfigError::NoHome)?
            .join(".codex")),
    }
}
