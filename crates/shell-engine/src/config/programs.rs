//! The programs that the server cannot do without: where they are, and whether they are ours.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use escalation_protocol::variables;

use super::error::ConfigError;

/// The patched Bash: `given`, else `$CODEX_BASH_PATH`, else the one beside this executable; tried.
pub fn find_bash(given: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    let bash = locate_bash(given)?;
    verify_bash(&bash)?;
    Ok(bash)
}

/// The wrapper: `given`, else the one beside this executable; tried.
pub fn find_wrapper(given: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    let wrapper = locate_wrapper(given)?;
    verify_wrapper(&wrapper)?;
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

/// A Bash without our hook would run everything unjudged. Told to execute through a wrapper that is not there, ours
/// refuses (126); any other runs the program, which is the Bash itself: nothing else is on every machine.
fn verify_bash(bash: &Path) -> Result<(), ConfigError> {
    let status = Command::new(bash)
        .args(["-c", "\"$0\" -c :"])
        .arg(bash)
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
            Err(ConfigError::Program { what: "Bash", path: bash.to_owned(), problem: not_started(&error) })
        }
    }
}

/// Why a program that is there could not be started.
fn not_started(error: &io::Error) -> String {
    if Path::new("/dev/null").exists() {
        error.to_string()
    } else {
        "there is no /dev/null here; give this root file system the usual /dev and /proc".to_owned()
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
            problem: not_started(&error),
        }),
    }
}
