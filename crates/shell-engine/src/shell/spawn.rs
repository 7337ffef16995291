//! Starts the patched Bash for one call.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;

use escalation_protocol::variables;
use sandbox::{Directory, Inherited, SpawnRequest};

use super::login::{Login, PRELUDE_NUMBER, login_options, set_prelude};
use super::request::CallRequest;
use crate::config::Config;
use crate::sandboxes::{Process, Sandbox, SpawnError};
use crate::sys::unnamed_file;

/// The number that the escalation socket has in the shell: above what scripts use by number, below where Bash keeps its
/// own (255 downwards by a few).
const SOCKET_NUMBER: RawFd = 240;

/// The number of the descriptor that holds a long command.
const COMMAND_NUMBER: RawFd = 241;

/// The longest command that is passed as an argument. The kernel takes 128 KiB (`MAX_ARG_STRLEN`, execve(2)).
const MAX_ARGUMENT_BYTES: usize = 100 << 10;

/// Why the shell did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShellSpawnError {
    /// A pipe, or a file in memory, could not be made.
    #[error("cannot prepare the shell's descriptors")]
    Descriptors(#[from] io::Error),
    /// The shell itself could not be started.
    #[error("cannot start the shell")]
    Spawn(#[from] SpawnError),
}

/// Starts `bash -c COMMAND`, or a login shell, with the call's pipe as standard output and standard error, the escalation
/// socket, and nothing else.
pub(super) async fn bash(
    config: &Config,
    sandbox: &Arc<Sandbox>,
    request: &CallRequest,
    login: Option<&Login>,
    output: OwnedFd,
    socket: OwnedFd,
) -> Result<Process, ShellSpawnError> {
    let stdin: OwnedFd = File::open("/dev/null")?.into();
    let mut descriptors = vec![(stdin, 0), (output.try_clone()?, 1), (output, 2), (socket, SOCKET_NUMBER)];
    let mut env = sandbox.environment().to_vec();
    if let Some(Login::Prelude(prelude)) = login {
        descriptors.push((unnamed_file(&prelude.code)?, PRELUDE_NUMBER));
        set_prelude(&mut env);
    }
    env.extend(private_variables(config));
    let mut command = request.command.clone();
    if command.len() > MAX_ARGUMENT_BYTES {
        descriptors.push((unnamed_file(command.as_encoded_bytes())?, COMMAND_NUMBER));
        env.push(assignment(variables::COMMAND_STRING, COMMAND_NUMBER.to_string()));
        command = OsString::from(":");
    }
    let options: Vec<OsString> = match login {
        Some(_) => login_options().collect(),
        None => vec!["bash".into(), "-c".into()],
    };
    let shell = SpawnRequest {
        program: config.bash.clone(),
        // A command may begin with `-` or `+`.
        arguments: options.into_iter().chain(["--".into(), command]).collect(),
        environment: env,
        directory: Directory::Path(request.workdir.clone()),
        descriptors,
        inherited: Inherited::default(),
        reported: false,
    };
    Ok(Process::start(shell, sandbox).await?)
}

/// The interceptor's variables for Bash, which keeps them to itself. Last, they leave no gap where they are removed.
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
