//! Runs a program of the user's own outside every sandbox, in a session of its own, with no descriptor of ours but its
//! pipes.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sandbox::{Directory, Inherited, SpawnRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use crate::sandboxes::{Process, Sandbox, SandboxError, SandboxPool, SpawnError};

/// How long a program may take to end when nobody wants its output any more, before it is killed.
const GRACE: Duration = Duration::from_millis(500);

/// A program of the user's own, to be run outside. Its complaints go where the server's go.
#[derive(Clone, Debug)]
pub struct UserProgram<'a> {
    /// The file to execute, an absolute path.
    pub program: &'a Path,
    /// Its environment, `NAME=value` each.
    pub environment: Vec<OsString>,
    /// What it can read on its standard input.
    pub input: &'a [u8],
    /// Bytes that it may print; more are an error.
    pub max_output: usize,
}

/// What a program of the user's came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// How it ended, as shells report it.
    pub exit_code: i32,
    /// What it printed on its standard output.
    pub output: Vec<u8>,
}

/// Why a program of the user's has no result. The texts continue the program's name.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct UserProgramError(#[from] RunStep);

#[derive(Debug, thiserror::Error)]
enum RunStep {
    #[error("cannot be given a pipe")]
    Pipe(#[source] io::Error),
    #[error("cannot be started")]
    Outside(#[source] SandboxError),
    #[error("did not start")]
    Start(#[source] SpawnError),
    #[error("cannot be waited for")]
    Wait(#[source] io::Error),
    #[error("printed more than {0} bytes")]
    TooLong(usize),
}

impl UserProgram<'_> {
    /// Runs it to its end. Dropping the future ends it with all of its session.
    pub(super) async fn run(self, sandboxes: &SandboxPool) -> Result<Ran, UserProgramError> {
        let pipe = || std::io::pipe().map_err(RunStep::Pipe);
        let (their_input, our_output) = pipe()?;
        let (our_input, their_output) = pipe()?;
        let outside = sandboxes.outside().await.map_err(RunStep::Outside)?;
        let running = self.start(&outside, their_input.into(), their_output.into()).await?;
        let mut input = pipe::Receiver::from_owned_fd(our_input.into()).map_err(RunStep::Pipe)?;
        let mut output = pipe::Sender::from_owned_fd(our_output.into()).map_err(RunStep::Pipe)?;
        let write = async {
            // One that decides without reading is free to.
            let _ = output.write_all(self.input).await;
            drop(output);
        };
        let mut printed = Vec::new();
        let exchange = async { tokio::join!(write, read(&mut input, &mut printed, self.max_output)).1 };
        let process = running.process()?;
        let ended = tokio::select! {
            read = exchange => {
                read?;
                process.wait().await
            }
            // What it has left running may keep the pipe open; it is not what was asked.
            ended = process.wait() => {
                read_what_is_there(&input, &mut printed, self.max_output)?;
                ended
            }
        };
        Ok(Ran { exit_code: ended.map_err(RunStep::Wait)?.code(), output: printed })
    }

    async fn start(
        &self,
        outside: &Arc<Sandbox>,
        input: OwnedFd,
        output: OwnedFd,
    ) -> Result<Running, RunStep> {
        let complaints = io::stderr().as_fd().try_clone_to_owned().map_err(RunStep::Pipe)?;
        let request = SpawnRequest {
            program: self.program.to_owned(),
            arguments: vec![self.program.into()],
            environment: self.environment.clone(),
            directory: Directory::Path("/".into()),
            descriptors: vec![(input, 0), (output, 1), (complaints, 2)],
            inherited: Inherited::default(),
            reported: false,
            reports_reading: false,
        };
        let process = Process::start(request, outside).await.map_err(RunStep::Start)?;
        Ok(Running { process: Some(process) })
    }
}

/// Takes what the program prints, until it closes its output.
async fn read(input: &mut pipe::Receiver, printed: &mut Vec<u8>, most: usize) -> Result<(), RunStep> {
    while input.read_buf(printed).await.map_err(RunStep::Wait)? > 0 {
        if printed.len() > most {
            return Err(RunStep::TooLong(most));
        }
    }
    Ok(())
}

/// Takes what a program that has ended printed and was not read yet. The pipe does not block.
fn read_what_is_there(input: &pipe::Receiver, printed: &mut Vec<u8>, most: usize) -> Result<(), RunStep> {
    let mut buffer = [0; 4096];
    loop {
        match rustix::io::read(input, &mut buffer) {
            Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Ok(length) => printed.extend_from_slice(buffer.get(..length).unwrap_or_default()),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(RunStep::Wait(errno.into())),
        }
        if printed.len() > most {
            return Err(RunStep::TooLong(most));
        }
    }
}

/// The running program. Dropped early, it ends with all of its session.
struct Running {
    process: Option<Process>,
}

impl Running {
    fn process(&self) -> Result<&Process, RunStep> {
        self.process.as_ref().ok_or_else(|| RunStep::Wait(io::ErrorKind::NotFound.into()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(process) = self.process.take() else { return };
        // Without a runtime the server is ending, and dropping the process kills it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { process.end(GRACE).await });
        }
    }
}
