//! Starts a program outside its call's sandbox, as the judge has decided.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{FileType, fstat};
use rustix::termios::isatty;
use sandbox::{Directory, Inherited, SpawnRequest};

use super::call::InterceptedCall;
use crate::judgement::{Exec, Outside};
use crate::sandboxes::{Process, SandboxError, SpawnError};
use crate::sys::reopen_terminal_to_write;

/// Why an escalated program did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum EscalateError {
    /// There is nothing to run it in.
    #[error("the outside cannot be entered")]
    Outside(#[from] SandboxError),
    /// What protects the places that it trusts is not in force.
    #[error("the sandbox's protection of files is not in place")]
    Unprotected(#[source] std::io::Error),
    /// Its working directory cannot be used.
    #[error("its working directory cannot be used outside the sandbox")]
    Directory(#[source] std::io::Error),
    /// It was not executed.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

impl EscalateError {
    /// The errno, where there is one.
    pub(super) fn errno(&self) -> Option<i32> {
        match self {
            EscalateError::Outside(_) | EscalateError::Unprotected(_) => None,
            EscalateError::Directory(source) => source.raw_os_error(),
            EscalateError::Spawn(error) => error.errno(),
        }
    }
}

/// Starts a program outside the sandbox, with the asker's descriptors, directory and argv. The file and the environment
/// are the judgement's, not the asker's. From here to its end the program is never out of sight.
///
/// Granting a hostile asker this is what the rule or the person who allowed it wants. The descriptors are harmless to
/// us: they are handed on, never read. None of them is a terminal to be read from: whoever has made that types into it.
pub(super) async fn start(
    call: &InterceptedCall,
    exec: &Exec,
    program: Outside,
    (inherited, descriptors): (Inherited, Vec<(OwnedFd, i32)>),
) -> Result<Arc<Process>, EscalateError> {
    let descriptors = descriptors
        .into_iter()
        .filter_map(|(theirs, number)| {
            // What a person has not been told of is not there.
            let ours =
                if number == 0 && !exec.reads_input { nothing() } else { without_keyboard(theirs, number) };
            Some((ours.ok()?, number))
        })
        .collect();
    // What it reads and obeys out there is what nobody inside could change.
    let sandbox = call
        .sandbox
        .upgrade()
        .ok_or_else(|| EscalateError::Unprotected(std::io::ErrorKind::NotFound.into()))?;
    sandbox.mend().await.map_err(EscalateError::Unprotected)?;
    let outside = call.sandboxes.outside().await?;
    let directory = exec.open_directory_outside(call.facts.trust.is_enforced());
    let request = SpawnRequest {
        program: program.program.path,
        arguments: program.argv,
        environment: program.env,
        directory: Directory::Open(directory.map_err(EscalateError::Directory)?),
        descriptors,
        inherited,
        reported: false,
    };
    let process = Arc::new(Process::start(request, &outside).await?);
    call.escalated.add(&process, &exec.argv);
    Ok(process)
}

fn nothing() -> std::io::Result<OwnedFd> {
    Ok(File::open("/dev/null")?.into())
}

/// What takes the place of a terminal: one that can only be written to, or nothing.
fn without_keyboard(theirs: OwnedFd, number: i32) -> std::io::Result<OwnedFd> {
    let is_device =
        fstat(&theirs).is_ok_and(|state| FileType::from_raw_mode(state.st_mode) == FileType::CharacterDevice);
    if !is_device || !isatty(&theirs) {
        return Ok(theirs);
    }
    if number == 0 {
        return nothing();
    }
    match reopen_terminal_to_write(&theirs) {
        Some(terminal) => Ok(terminal),
        None => Ok(File::options().write(true).open("/dev/null")?.into()),
    }
}
