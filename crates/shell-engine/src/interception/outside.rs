//! Starts a program outside its call's sandbox, as the judge has decided: in one of its own, with the rights that a rule gives.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use execpolicy::Run;
use rustix::fs::{FileType, fstat};
use rustix::termios::isatty;
use sandbox::{Directory, Inherited, SpawnRequest};

use super::Refused;
use super::apart::Apart;
use super::call::InterceptedCall;
use super::{git_filters, git_passwords};
use crate::judgement::{Exec, Outside, Refusals};
use crate::sandboxes::{Given, Process, Sandbox, SandboxError, SpawnError};
use crate::sys::reopen_terminal_to_write;
use crate::visible::with_causes;

/// Why an escalated program did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum EscalateError {
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
            EscalateError::Unprotected(_) => None,
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
    exec: &Arc<Exec>,
    program: Outside,
    place: Arc<Sandbox>,
    (inherited, descriptors): (Inherited, Vec<(OwnedFd, i32)>),
) -> Result<Arc<Process>, EscalateError> {
    let descriptors = descriptors
        .into_iter()
        .filter_map(|(theirs, number)| Some((handed_on(theirs, number, exec, &program).ok()??, number)))
        .collect();
    // What it reads and obeys out there is what nobody inside could change.
    let sandbox = call
        .sandbox
        .upgrade()
        .ok_or_else(|| EscalateError::Unprotected(std::io::ErrorKind::NotFound.into()))?;
    sandbox.mend().await.map_err(EscalateError::Unprotected)?;
    // A descriptor leads through the mounts that it was opened on. A path does not, and what it leads to there is no more
    // than a command could have gone to.
    let directory = match program.run {
        Run::Unconfined => {
            let directory = exec.open_directory_outside(call.facts.trust.is_enforced());
            Directory::Open(directory.map_err(EscalateError::Directory)?)
        }
        Run::Inside | Run::Confined | Run::Outside => Directory::Path(exec.workdir.clone()),
    };
    let apart = Apart::new(exec, &program, &place);
    let is_judged = call.is_reported && program.run != Run::Unconfined && place.may_have_door();
    let request = SpawnRequest {
        program: program.program.path,
        arguments: program.argv,
        environment: program.env,
        directory,
        descriptors,
        inherited,
        reported: false,
        reports_reading: false,
    };
    let process = match is_judged {
        true => {
            let below = Arc::new(call.below(apart, &place));
            call.doors.start(below, request, Arc::clone(&place)).await?
        }
        false => Process::start(request, &place).await?,
    };
    let process = Arc::new(process);
    call.escalated.add(&process, &exec.argv, false);
    Ok(process)
}

/// Starts a program where the one is that asks for it, with nothing more than that has; what the kernel refuses to it, and to all
/// that it starts, is noted.
///
/// Granting a hostile asker this is harmless: it could execute it itself.
pub(super) async fn start_beside(
    call: &InterceptedCall,
    exec: &Arc<Exec>,
    (refusals, refused): (&Refusals, &Refused),
    (inherited, descriptors): (Inherited, Vec<(OwnedFd, i32)>),
) -> Result<Arc<Process>, EscalateError> {
    let place = call
        .sandbox
        .upgrade()
        .ok_or_else(|| EscalateError::Unprotected(std::io::ErrorKind::NotFound.into()))?;
    let request = SpawnRequest {
        program: exec.file().to_owned(),
        arguments: exec.argv.clone(),
        environment: exec.environment().to_vec(),
        directory: Directory::Path(exec.workdir.clone()),
        descriptors,
        inherited,
        reported: false,
        reports_reading: refusals.counts_reading(),
    };
    let below = InterceptedCall {
        refusals: Some(refusals.clone()),
        refused: refused.clone(),
        made: call.made.clone(),
        ..call.below(Apart::beside(exec), &place)
    };
    let process = Arc::new(call.doors.start(Arc::new(below), request, Arc::clone(&place)).await?);
    call.escalated.add(&process, &exec.argv, true);
    Ok(process)
}

/// Finds the sandbox that holds a program with its rights, and what stands in its way there.
///
/// # Errors
///
/// Why it does not start, in words for whoever asks.
pub(super) async fn prepare(
    call: &InterceptedCall,
    exec: &Exec,
    program: &mut Outside,
) -> Result<Arc<Sandbox>, String> {
    let cannot =
        |error: SandboxError| format!("it cannot be given the rights of its rule: {}", with_causes(&error));
    let place = place(call, program).await.map_err(cannot)?;
    if let Some(why) = place.reaches_no_host().filter(|_| !program.granted.hosts.is_empty()) {
        call.connections.reaches_nobody(&program.granted.hosts, &why);
    }
    if program.run == Run::Confined {
        git_filters::settle(exec, program, &place).await?;
        git_passwords::settle(exec, program, &call.facts.trust, &place).await;
    }
    Ok(place)
}

/// The sandbox that holds a program with its rights.
async fn place(call: &InterceptedCall, program: &Outside) -> Result<Arc<Sandbox>, SandboxError> {
    if program.run == Run::Unconfined {
        return call.sandboxes.outside().await;
    }
    let mut given = Given {
        run: program.run,
        granted: program.granted.clone(),
        executes: program.executes.places.clone(),
        shell: None,
    };
    if program.run == Run::Confined {
        // What is refused there becomes the wrapper.
        given.executes.push(call.wrapper.clone());
        given.shell = (!program.executes.shell).then(|| call.wrapper.clone());
    }
    call.sandboxes.given(&call.wanted, &given).await
}

/// What takes the place of a descriptor of the asker's, if anything does.
fn handed_on(
    theirs: OwnedFd,
    number: i32,
    exec: &Exec,
    program: &Outside,
) -> std::io::Result<Option<OwnedFd>> {
    let executes_nothing_written = matches!(program.run, Run::Confined | Run::Outside);
    let is_told_of_input = match program.run {
        Run::Inside => true,
        Run::Confined => program.granted.stdin && exec.reads_input,
        // What a person has not been told of is not there.
        Run::Outside | Run::Unconfined => exec.reads_input,
    };
    if number == 0 && !is_told_of_input {
        return nothing().map(Some);
    }
    let kind = fstat(&theirs).map(|state| FileType::from_raw_mode(state.st_mode))?;
    // By a file or folder that was opened on the command's own mounts, what lies there could be executed.
    match kind {
        FileType::RegularFile if executes_nothing_written && number == 0 => poured(theirs).map(Some),
        FileType::RegularFile if executes_nothing_written && number > 2 => Ok(None),
        FileType::Directory if executes_nothing_written => Ok(None),
        FileType::RegularFile
        | FileType::Directory
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Fifo
        | FileType::Socket
        | FileType::Symlink
        | FileType::Unknown => match program.run {
            Run::Inside => Ok(Some(theirs)),
            // A person has said so.
            Run::Confined | Run::Outside | Run::Unconfined if program.granted.tty => Ok(Some(theirs)),
            Run::Confined | Run::Outside | Run::Unconfined => without_keyboard(theirs, number).map(Some),
        },
    }
}

/// A pipe that a file's content comes out of.
fn poured(file: OwnedFd) -> std::io::Result<OwnedFd> {
    let (out, mut into) = std::io::pipe()?;
    let mut file = File::from(file);
    // It ends with the file, or when nobody reads any more.
    tokio::task::spawn_blocking(move || std::io::copy(&mut file, &mut into));
    Ok(out.into())
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
