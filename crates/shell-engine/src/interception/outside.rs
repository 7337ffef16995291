//! Starts a program outside its call's sandbox, as the judge has decided.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use escalation_protocol::surroundings::Surroundings;

use super::call::InterceptedCall;
use crate::judgement::{Exec, Outside};
use crate::sandboxes::{Descriptor, Directory, Process, SandboxError, Spawn, SpawnError};

/// Why an escalated program did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum EscalateError {
    /// There is nothing to run it in.
    #[error("the outside cannot be entered")]
    Outside(#[from] SandboxError),
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
            EscalateError::Outside(_) => None,
            EscalateError::Directory(source) => source.raw_os_error(),
            EscalateError::Spawn(error) => error.errno(),
        }
    }
}

/// Starts a program outside the sandbox, with the asker's descriptors, directory and argv. The file and the environment are
/// the judgement's, not the asker's. From here to its end the program is never out of sight.
///
/// Granting a hostile asker this is what the rule or the person who allowed it wants. The descriptors are harmless to
/// us: they are handed on, never read.
pub(super) async fn start(
    call: &InterceptedCall,
    exec: &Exec,
    program: Outside,
    (surroundings, descriptors): (Surroundings, Vec<(u32, OwnedFd)>),
) -> Result<Arc<Process>, EscalateError> {
    let descriptors = descriptors
        .into_iter()
        .filter_map(|(number, ours)| Some(Descriptor { ours, number: i32::try_from(number).ok()? }))
        .collect();
    let outside = call.sandboxes.outside().await?;
    let directory = exec.open_directory_outside(call.facts.trust.is_enforced());
    let spawn = Spawn {
        program: program.program.path,
        argv: exec.argv.clone(),
        env: program.env,
        directory: Directory::Open(directory.map_err(EscalateError::Directory)?),
        descriptors,
    };
    let process = Arc::new(spawn.start_inheriting(&surroundings, &outside).await?);
    call.escalated.add(&process);
    Ok(process)
}
