//! Starts the patched Bash for one call.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;

use escalation_protocol::variables;

use super::request::CallRequest;
use crate::config::Config;
use crate::confinement::Place;
use crate::process::{Descriptor, Directory, Process, Spawn, SpawnError};

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

/// Starts `bash -c COMMAND` (`-lc` for a login shell) with the call's pipe as standard output and standard error, the
/// escalation socket, and nothing else.
pub(super) async fn bash(
    config: &Config,
    place: &Arc<Place>,
    request: &CallRequest,
    output: OwnedFd,
    socket: OwnedFd,
) -> Result<Process, ShellSpawnError> {
    let stdin: OwnedFd = File::open("/dev/null")?.into();
    let mut descriptors = vec![
        Descriptor { ours: stdin, number: 0 },
        Descriptor { ours: output.try_clone()?, number: 1 },
        Descriptor { ours: output, number: 2 },
        Descriptor { ours: socket, number: SOCKET_NUMBER },
    ];
    let mut env = environment(config, place);
    let mut command = request.command.clone();
    if command.len() > MAX_ARGUMENT_BYTES {
        descriptors.push(Descriptor { ours: in_memory(command.as_encoded_bytes())?, number: COMMAND_NUMBER });
        env.push(assignment(variables::COMMAND_STRING, COMMAND_NUMBER.to_string()));
        command = OsString::from(":");
    }
    let option = if request.login { "-lc" } else { "-c" };
    let spawn = Spawn {
        program: config.bash.clone(),
        // A command may begin with `-` or `+`.
        argv: vec!["bash".into(), option.into(), "--".into(), command],
        env,
        directory: Directory::Path(request.workdir.clone()),
        descriptors,
    };
    Ok(spawn.start(place).await?)
}

/// The place's environment, and the interceptor's variables for Bash, which keeps them to itself.
fn environment(config: &Config, place: &Place) -> Vec<OsString> {
    let ours = [
        assignment(variables::WRAPPER, &config.execve_wrapper),
        assignment(variables::SOCKET, SOCKET_NUMBER.to_string()),
    ];
    place.environment().iter().cloned().chain(ours).collect()
}

fn assignment(name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> OsString {
    let mut entry = name.as_ref().to_owned();
    entry.push("=");
    entry.push(value);
    entry
}

/// A file without a name that holds `bytes`, read from its beginning.
#[cfg(target_os = "linux")]
fn in_memory(bytes: &[u8]) -> io::Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
    let mut file = File::from(memfd_create("command", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    seek(&file, SeekFrom::Start(0))?;
    Ok(file.into())
}

/// A file without a name that holds `bytes`, read from its beginning.
#[cfg(not(target_os = "linux"))]
fn in_memory(bytes: &[u8]) -> io::Result<OwnedFd> {
    use std::io::Seek;
    use std::os::unix::fs::OpenOptionsExt;
    let path = std::env::temp_dir().join(format!("shell-command-{}-{:p}", std::process::id(), bytes));
    let mut file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}
