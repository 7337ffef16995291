//! What was typed, validated once: the programs, the rules, the sandbox.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use escalation_protocol::variables;
use execpolicy::{LoadErrors, Options, Policy, ProgramToken, RuleSource};

use crate::escalation::{FileIdentity, Programs, Variables};

mod file;
mod sandboxing;

use file::ConfigFile;
pub use file::ConfigFileError;
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
}

/// How the server runs commands. Made by [`Config::new`] only, so its programs exist and its rules are good.
#[derive(Debug)]
pub struct Config {
    pub(crate) bash: PathBuf,
    pub(crate) bash_identity: FileIdentity,
    pub(crate) execve_wrapper: PathBuf,
    pub(crate) policy: Arc<Policy>,
    pub(crate) codex_home: PathBuf,
    pub(crate) preserve_program_paths: bool,
    pub(crate) sandboxing: Arc<Sandboxing>,
    pub(crate) session_program: Option<PathBuf>,
    pub(crate) default_timeout: Duration,
    /// The environment that the user started the server with.
    pub(crate) environment: Arc<Variables>,
    /// The programs on its search path.
    pub(crate) programs: Arc<Programs>,
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
    /// The rules cannot be read, or are wrong.
    #[error(transparent)]
    Rules(#[from] LoadErrors),
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
        let file = ConfigFile::read(&codex_home)?;
        let programs =
            [bash.clone(), execve_wrapper.clone()].into_iter().chain(std::env::current_exe().ok()).collect();
        let sandboxing =
            Arc::new(Sandboxing::new(settings.sandbox, &file, &codex_home, programs, Vec::new())?);
        let policy = Arc::new(execpolicy::load(&[RuleSource::Folder(codex_home.join("rules"))]).strict()?);
        Ok(Config {
            bash,
            bash_identity,
            execve_wrapper,
            policy,
            codex_home,
            preserve_program_paths: settings.preserve_program_paths,
            sandboxing,
            session_program: settings.session_program,
            default_timeout: DEFAULT_TIMEOUT,
            environment: Arc::new(own_environment()),
            programs: Arc::new(Programs::new(&std::env::var_os("PATH").unwrap_or_default())),
        })
    }

    pub(crate) fn policy_options(&self) -> Options {
        let program_token =
            if self.preserve_program_paths { ProgramToken::FullPath } else { ProgramToken::Basename };
        Options { program_token, ..Options::default() }
    }

    /// The file into which a user's own rules go.
    pub(crate) fn default_rules(&self) -> PathBuf {
        self.codex_home.join("rules/default.rules")
    }
}

/// The environment that the server was started with, without what an interceptor around it has left there.
fn own_environment() -> Variables {
    let is_ours = |name: &std::ffi::OsString| variables::ALL.iter().any(|private| name == private);
    std::env::vars_os().filter(|(name, _)| !is_ours(name)).collect()
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

fn find_codex_home(given: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
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
