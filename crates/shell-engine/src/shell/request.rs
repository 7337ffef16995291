//! What a caller wants to have run, checked once.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use patches::Patch;
use patches::program::{CHECK_ARGUMENT, REPORT_ARGUMENT};

use super::terminal::TerminalSize;
use crate::audit::Origin;
use crate::config::Config;
use crate::judgement::AskedFor;

/// What a command can read on its standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// Nothing: it is at its end at once.
    #[default]
    Nothing,
    /// What is written to the call.
    Written,
    /// A terminal of this size, which is its standard output and standard error, too.
    Terminal(TerminalSize),
    /// Nothing: its shell is given commands instead, one after the other, see `Call::run`; the request's own is for those who
    /// ask what runs.
    Commands,
}

/// A command to be run. Its fields have been checked; see [`CallRequest::new`].
#[derive(Clone, Debug)]
pub struct CallRequest {
    pub(super) command: OsString,
    pub(super) workdir: PathBuf,
    /// `None`: it may run as long as it likes.
    pub(super) timeout: Option<Duration>,
    pub(super) login: bool,
    pub(super) input: Input,
    /// The patch that is applied, which is what it reads.
    pub(super) patch: Option<Arc<PatchText>>,
    /// Whether the patch fits is all that is asked.
    pub(super) only_checks: bool,
    /// What is asked for beyond what commands may do.
    pub(super) asked: Option<AskedFor>,
    /// Ports that are to be published, once a person has said yes.
    pub(super) publish: Vec<u16>,
    /// By what others know it.
    pub(super) origin: Origin,
}

/// A patch, and what it says.
#[derive(Debug)]
pub(super) struct PatchText {
    pub(super) text: Vec<u8>,
    pub(super) patch: Patch,
}

/// Why a request cannot be run. The texts tell the agent how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The command is empty.
    #[error("command is empty; give the Bash code to run, for example \"ls -l\"")]
    EmptyCommand,
    /// The command has a NUL byte.
    #[error(
        "command has a NUL character at byte {at}, which no program can be given; remove it or write it as an escape, for example printf '\\0'"
    )]
    NulInCommand {
        /// Offset of the first NUL, in bytes.
        at: usize,
    },
    /// The command is too long.
    #[error(
        "command is {length} bytes long and at most {limit} are accepted; write the data to a file and refer to it, for example \"bash /tmp/long-script.sh\""
    )]
    CommandTooLong {
        /// Its length in bytes.
        length: usize,
        /// What is accepted, in bytes.
        limit: usize,
    },
    /// The working directory is relative.
    #[error("workdir must be an absolute path, for example \"/home/user/project\"; got {0:?}")]
    RelativeWorkdir(PathBuf),
    /// The working directory is not there, or cannot be looked at.
    #[error("workdir {0:?} cannot be used: {1}; give an existing folder, for example \"/tmp\"")]
    Workdir(PathBuf, std::io::Error),
    /// The program that applies patches is missing.
    #[error("patches cannot be applied here: {0}")]
    NoPatches(String),
    /// The working directory is not a folder.
    #[error("workdir {0:?} is not a folder; give an existing folder, for example \"/tmp\"")]
    NotAFolder(PathBuf),
}

/// The longest command, in bytes.
const MAX_COMMAND_BYTES: usize = 10 << 20;

impl CallRequest {
    /// Checks a command (Bash code), the absolute folder that it starts in, its timeout, and whether a login shell runs
    /// it.
    ///
    /// # Errors
    ///
    /// When the command cannot be run as it is; the text says how to mend it.
    pub fn new(
        command: impl Into<OsString>,
        workdir: impl Into<PathBuf>,
        timeout: Duration,
        login: bool,
    ) -> Result<CallRequest, RequestError> {
        let command = command.into();
        let workdir = workdir.into();
        let bytes = command.as_encoded_bytes();
        if bytes.trim_ascii().is_empty() {
            return Err(RequestError::EmptyCommand);
        }
        if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
            return Err(RequestError::NulInCommand { at });
        }
        if bytes.len() > MAX_COMMAND_BYTES {
            return Err(RequestError::CommandTooLong { length: bytes.len(), limit: MAX_COMMAND_BYTES });
        }
        if !workdir.is_absolute() {
            return Err(RequestError::RelativeWorkdir(workdir));
        }
        match std::fs::metadata(&workdir) {
            Err(error) => Err(RequestError::Workdir(workdir, error)),
            Ok(metadata) if !metadata.is_dir() => Err(RequestError::NotAFolder(workdir)),
            Ok(_) => Ok(CallRequest {
                command,
                workdir,
                timeout: Some(timeout),
                login,
                input: Input::Nothing,
                patch: None,
                only_checks: false,
                asked: None,
                publish: Vec::new(),
                origin: Origin::default(),
            }),
        }
    }

    /// The command.
    #[must_use]
    pub fn command(&self) -> Cow<'_, str> {
        self.command.to_string_lossy()
    }

    /// The same, which others know by this.
    #[must_use]
    pub fn coming_from(self, origin: Origin) -> CallRequest {
        CallRequest { origin, ..self }
    }

    /// The same without a timeout.
    #[must_use]
    pub fn without_timeout(self) -> CallRequest {
        CallRequest { timeout: None, ..self }
    }

    /// The same with something to read.
    #[must_use]
    pub fn with_input(self, input: Input) -> CallRequest {
        CallRequest { input, ..self }
    }

    /// The same, asking a person for more than commands may do. Nothing is given without that.
    #[must_use]
    pub fn asking_for(self, asked: Option<AskedFor>) -> CallRequest {
        CallRequest { asked, ..self }
    }

    /// The same, with ports that a person is asked about, to be reachable at this machine's loopback.
    #[must_use]
    pub fn publishing(self, publish: Vec<u16>) -> CallRequest {
        CallRequest { publish, ..self }
    }
}

impl CallRequest {
    /// Asks for a patch to be applied in an absolute folder, which its relative paths are seen from.
    ///
    /// # Errors
    ///
    /// When it cannot be, as things are.
    pub fn to_patch(
        text: Vec<u8>,
        patch: Patch,
        workdir: impl Into<PathBuf>,
        timeout: Duration,
        config: &Config,
    ) -> Result<CallRequest, RequestError> {
        let program = config.patch_program().map_err(RequestError::NoPatches)?;
        let program = shlex::bytes::try_quote(program.as_os_str().as_encoded_bytes()).unwrap_or_default();
        let command = [b"exec ", &*program, b" ", REPORT_ARGUMENT.as_bytes()].concat();
        let request = CallRequest::new(OsString::from_vec(command), workdir, timeout, false)?;
        Ok(CallRequest { patch: Some(Arc::new(PatchText { text, patch })), ..request })
    }

    /// The same request for a patch, to be told only whether it fits: where commands run, without asking anybody.
    #[must_use]
    pub fn checking(mut self) -> CallRequest {
        self.command.push(format!(" {CHECK_ARGUMENT}"));
        CallRequest { only_checks: true, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(command: &str, workdir: &str) -> String {
        CallRequest::new(command, workdir, Duration::ZERO, false).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn what_can_be_run_is_accepted() {
        assert!(CallRequest::new("true", "/", Duration::ZERO, false).is_ok());
    }

    #[test]
    fn each_problem_is_named_with_its_argument() {
        for empty in ["", " \t\n"] {
            assert!(problem(empty, "/").starts_with("command is empty"));
        }
        assert!(problem("a\0b", "/").starts_with("command has a NUL character at byte 1"));
        assert!(problem("true", "tmp").starts_with("workdir must be an absolute path"));
        assert!(problem("true", "/does/not/exist").contains("No such file or directory"));
        assert!(problem("true", "/proc/self/maps").contains("is not a folder"));
        assert!(problem("true", "/x\0y").starts_with("workdir"));
        assert!(
            problem(&"x".repeat(MAX_COMMAND_BYTES + 1), "/").starts_with("command is 10485761 bytes long")
        );
    }
}
