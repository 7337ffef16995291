//! The programs that the server cannot do without: where they are, and whether they are ours.

use std::path::{Path, PathBuf};

use super::error::ConfigError;
use crate::programs::{TrialError, try_bash, try_wrapper};

/// The patched Bash: `given`, else `$CODEX_BASH_PATH`, else the one beside this executable; tried.
pub fn find_bash(given: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    let bash = locate_bash(given)?;
    try_bash(&bash).map_err(|error| refused(&bash, error))?;
    Ok(bash)
}

/// The wrapper: `given`, else the one beside this executable; tried.
pub fn find_wrapper(given: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    let wrapper = locate_wrapper(given)?;
    try_wrapper(&wrapper).map_err(|error| refused(&wrapper, error))?;
    Ok(wrapper)
}

fn locate_bash(given: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    if let Some(path) = given {
        return usable("--bash", path);
    }
    if let Some(path) = std::env::var_os("CODEX_BASH_PATH").filter(|path| !path.is_empty()) {
        return usable("CODEX_BASH_PATH", path.into());
    }
    let beside = beside_executable("bash");
    if beside.exists() { usable("Bash", beside) } else { Err(ConfigError::NoBash { beside }) }
}

fn locate_wrapper(given: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
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
pub(super) fn usable(what: &'static str, path: PathBuf) -> Result<PathBuf, ConfigError> {
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

/// What the trial of the program at this path has shown.
fn refused(path: &Path, error: TrialError) -> ConfigError {
    let path = path.to_owned();
    match error {
        TrialError::NotOurs { what, problem } => ConfigError::NotOurs { what, path, problem },
        TrialError::NotStarted { what, problem } => ConfigError::Program { what, path, problem },
    }
}
