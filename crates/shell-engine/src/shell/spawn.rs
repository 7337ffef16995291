//! Starts the patched Bash for one call.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;

use escalation_protocol::variables;
use sandbox::{Directory, Inherited, SpawnRequest};

use super::command_line::{self, PLACEHOLDER};
use super::kept;
use super::login::{Login, PRELUDE_NUMBER, set_prelude};
use super::request::CallRequest;
use super::shared::Shell;
use super::streams::Theirs;
use crate::config::{Config, ShellKind};
use crate::sandboxes::{Process, Reports, Sandbox, SpawnError};
use crate::sys::{DESCRIPTORS, unnamed_file};

/// The number that the escalation socket has in the shell: above what scripts use by number, below where Bash keeps its
/// own (255 downwards by a few).
const SOCKET_NUMBER: RawFd = 240;

/// The number of the descriptor that holds the command.
const COMMAND_NUMBER: RawFd = 241;

/// The longest command that a shell which is not ours gets as an argument. The kernel takes 128 KiB (`MAX_ARG_STRLEN`,
/// execve(2)).
const MAX_ARGUMENT_BYTES: usize = 100 << 10;

/// What our terminals understand.
const TERMINAL: &str = "TERM=xterm-256color";

/// Why the shell did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShellSpawnError {
    /// A pipe, or a file in memory, could not be made.
    #[error("cannot prepare the shell's descriptors")]
    Descriptors(#[from] io::Error),
    /// Only our Bash can be given commands one by one.
    #[error("a shell can be kept where the patched Bash runs, and it does not run here")]
    NotKept,
    /// The shell itself could not be started.
    #[error("cannot start the shell")]
    Spawn(#[from] SpawnError),
    /// What it executes would be judged by nobody.
    #[error(
        "{shell}, and there is no kernel's door here ({why}), so nothing would judge what commands execute; install the patched Bash \
         (the npm package brings it), or see what `{} doctor` says about the door",
        crate::user_command::user_command()
    )]
    Unjudged {
        /// Which shell it is, and why.
        shell: String,
        /// Why there is no door.
        why: String,
    },
}

/// What a shell is started with.
pub(super) struct Start<'a> {
    pub(super) shell: &'a Shell,
    pub(super) sandbox: &'a Arc<Sandbox>,
    pub(super) request: &'a CallRequest,
    pub(super) login: Option<&'a Login>,
    pub(super) streams: Theirs,
}

/// Who shows the server what the shell is about to execute.
pub(super) enum Hook {
    /// The wrapper, over this socket.
    Wrapper(OwnedFd),
    /// The kernel.
    Kernel,
}

/// Starts `bash -c COMMAND`, or a login shell, with the call's pipe as standard output and standard error, the
/// escalation socket if it needs that, and nothing else.
pub(super) async fn bash(
    start: &Start<'_>,
    hook: Hook,
    reports: Option<Reports>,
) -> Result<Process, ShellSpawnError> {
    let Start { shell: Shell { config, .. }, sandbox, request, login, streams } = start;
    let kind = config.shell.kind;
    let stdin: OwnedFd = match &request.patch {
        Some(patch) => unnamed_file(&patch.text)?,
        None => streams.input.try_clone()?,
    };
    let mut descriptors =
        vec![(stdin, 0), (streams.output.try_clone()?, 1), (streams.output.try_clone()?, 2)];
    let mut env = sandbox.environment().to_vec();
    if streams.are_terminal {
        let terminals = |entry: &OsString| entry.as_encoded_bytes().starts_with(b"TERM=");
        env.retain(|entry| !terminals(entry));
        env.push(TERMINAL.into());
    }
    if let Some(Login::Prelude(prelude)) = login {
        descriptors.push((unnamed_file(&prelude.code)?, PRELUDE_NUMBER));
        set_prelude(&mut env);
    }
    // Last, they leave no gap where the shell removes them.
    if let Hook::Wrapper(socket) = hook {
        descriptors.push((socket, SOCKET_NUMBER));
        env.extend(private_variables(config));
    }
    let mut command = request.command.clone();
    if let Some(commands) = &streams.commands {
        descriptors.push((commands.try_clone()?, kept::NUMBER));
        env.push(assignment(kept::VARIABLE, kept::NUMBER.to_string()));
        command = ":".into();
    } else if config.bash_reads_command {
        descriptors.push((unnamed_file(command.as_encoded_bytes())?, COMMAND_NUMBER));
        env.push(assignment(variables::COMMAND_STRING, COMMAND_NUMBER.to_string()));
        command = PLACEHOLDER.into();
    } else if kind != ShellKind::Patched && command.len() > MAX_ARGUMENT_BYTES {
        descriptors.push((unnamed_file(command.as_encoded_bytes())?, COMMAND_NUMBER));
        command = format!(". {DESCRIPTORS}/{COMMAND_NUMBER}").into();
    }
    let shell = SpawnRequest {
        program: config.shell.path.clone(),
        arguments: command_line::of(kind.name(), login.is_some(), command),
        environment: env,
        directory: Directory::Path(request.workdir.clone()),
        descriptors,
        inherited: Inherited { terminal: streams.are_terminal, ..Inherited::default() },
        reported: false,
        reports_reading: false,
    };
    Ok(match reports {
        Some(reports) => Process::start_reported(shell, reports, sandbox).await?,
        None => Process::start(shell, sandbox).await?,
    })
}

/// The interceptor's variables for Bash, which keeps them to itself.
fn private_variables(config: &Config) -> [OsString; 2] {
    [
        assignment(variables::WRAPPER, &config.execve_wrapper),
        assignment(variables::SOCKET, SOCKET_NUMBER.to_string()),
    ]
}

fn assignment(name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> OsString {
    let mut entry = name.as_ref().to_owned();
    entry.push("=");
    entry.push(value);
    entry
}
