//! Runs the start-up files once, and has the shell write down what they have made of it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sandbox::{Directory, Inherited, SpawnRequest};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use super::prelude::{PRELUDE_NUMBER, Prelude, login_options, set_prelude};
use super::state::{END, LoginState, SCRIPT, STATE_NUMBER};
use crate::sandboxes::{Process, Sandbox, SandboxError, SandboxPool, SpawnError};
use crate::sys::unnamed_file;

/// How long start-up files may take.
const CAPTURE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long what the user's shell does at a terminal may take; a call waits for it.
const INTERACTIVE_TIMEOUT: Duration = Duration::from_secs(3);

/// The most that a state may be, in bytes.
const MAX_STATE_BYTES: usize = 4 << 20;

/// What every shell that gets the state does first: nothing of how it got it is left.
const FIRST: &str = "unset -v BASH_ENV\nexec 242<&-\n";

/// Why the start-up files cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum CaptureError {
    #[error("no sandbox for the start-up files could be set up: {0}")]
    Sandbox(#[from] SandboxError),
    #[error("no shell for the start-up files could be started: {0}")]
    Spawn(#[from] SpawnError),
    #[error("the start-up files could not be run: {0}")]
    Io(#[from] io::Error),
    #[error("the start-up files did not end within {} s", CAPTURE_TIMEOUT.as_secs())]
    TooSlow,
    #[error("the start-up files ended the shell before its time")]
    Ended,
    #[error("the start-up files set more than {MAX_STATE_BYTES} bytes of variables and functions")]
    TooLarge,
    #[error("what the start-up files set cannot be set again: {0}")]
    NotRepeatable(String),
}

/// What does in a shell what the start-up files do, in this sandbox. They run in another one like it, where nothing of
/// a command's is left that could write into their shell's descriptors.
pub(super) async fn prelude(
    bash: &Path,
    sandbox: &Arc<Sandbox>,
    sandboxes: &SandboxPool,
) -> Result<Prelude, CaptureError> {
    debug_assert_eq!(PRELUDE_NUMBER, 242, "as in FIRST");
    let own = if sandbox.plan().mode.is_enforced() { Some(sandboxes.another(sandbox).await?) } else { None };
    let sandbox = own.as_ref().unwrap_or(sandbox);
    let without_any = state(bash, sandbox, "-c");
    let (before, after, exported) =
        tokio::join!(without_any, state(bash, sandbox, "-lc"), exported_interactively(bash, sandbox));
    let (before, mut after) = (before?, after?);
    after.keep_search_path(&before);
    after.add_exported(&before, &exported);
    sandbox.search_last().into_iter().for_each(|folder| after.search_last(folder));
    after.keep_editors(&before);
    let code = after.code_from(&before, FIRST);
    verify(bash, sandbox, &code).await?;
    Ok(Prelude { code, exported: after.exported_since(&before) })
}

/// The state of a shell that was started with this option.
async fn state(bash: &Path, sandbox: &Arc<Sandbox>, option: &str) -> Result<LoginState, CaptureError> {
    let mut env = environment(sandbox);
    if option == "-c" {
        // A login shell reads it as well, so it is part of the difference.
        env.retain(|entry| !entry.as_bytes().starts_with(b"BASH_ENV="));
    }
    let argv = vec!["bash".into(), option.into(), "--".into(), SCRIPT.into()];
    let written = run(bash, sandbox, argv, env, Vec::new(), STATE_NUMBER).await?;
    LoginState::read(&written).ok_or(CaptureError::Ended)
}

/// What the user's own shell exports at a terminal, NUL after each: version managers stand behind a guard in `~/.bashrc`, or in
/// files of zsh and fish. None where that cannot be had: it is more than a login shell of Bash would have.
async fn exported_interactively(bash: &Path, sandbox: &Arc<Sandbox>) -> Vec<u8> {
    const SCRIPT: &str = "command env -0 >&240; printf 'e\\0' >&240";
    let Some(home) = home(sandbox) else { return Vec::new() };
    let shell = match users_shell() {
        Some(shell) => shell,
        None if home.join(".bashrc").is_file() => bash.to_owned(),
        None => return Vec::new(),
    };
    let name = shell.file_name().unwrap_or_default().to_owned();
    let argv = vec![name, "-lic".into(), SCRIPT.into()];
    let written = run(&shell, sandbox, argv, environment(sandbox), Vec::new(), STATE_NUMBER);
    let written = tokio::time::timeout(INTERACTIVE_TIMEOUT, written).await;
    let mut written = written.ok().and_then(Result::ok).unwrap_or_default();
    if !written.ends_with(END) {
        return Vec::new();
    }
    written.truncate(written.len() - END.len());
    written
}

/// The user's shell, where that is another one than Bash whose command line is alike.
fn users_shell() -> Option<PathBuf> {
    let shell = PathBuf::from(std::env::var_os("SHELL")?);
    let is_known = shell.file_name().is_some_and(|name| ["zsh", "fish"].iter().any(|known| name == *known));
    // Not one that a command has made: it runs inside, but what it exports is taken for the user's.
    let is_listed = || {
        let listed = std::fs::read_to_string("/etc/shells").unwrap_or_default();
        listed.lines().any(|line| Path::new(line.trim()) == shell)
    };
    (shell.is_absolute() && is_known && is_listed()).then_some(shell)
}

/// A shell that gets the code must be quiet about it.
async fn verify(bash: &Path, sandbox: &Arc<Sandbox>, code: &[u8]) -> Result<(), CaptureError> {
    let mut env = environment(sandbox);
    set_prelude(&mut env);
    let argv = login_options().chain(["--".into(), "builtin printf '\\0e\\0' >&2".into()]).collect();
    let descriptor = (unnamed_file(code)?, PRELUDE_NUMBER);
    let said = run(bash, sandbox, argv, env, vec![descriptor], 2).await?;
    match said.strip_suffix(END) {
        Some([]) => Ok(()),
        said => {
            let said = String::from_utf8_lossy(said.unwrap_or_default());
            Err(CaptureError::NotRepeatable(
                said.lines().next().unwrap_or_default().chars().take(200).collect(),
            ))
        }
    }
}

/// Runs a shell that executes programs unjudged, and returns what it writes to one of its descriptors up to [`END`].
async fn run(
    bash: &Path,
    sandbox: &Arc<Sandbox>,
    arguments: Vec<OsString>,
    environment: Vec<OsString>,
    mut descriptors: Vec<(OwnedFd, i32)>,
    written_to: i32,
) -> Result<Vec<u8>, CaptureError> {
    let (read, write) = io::pipe()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let mut write = Some(OwnedFd::from(write));
    for number in 0..=2 {
        let ours = if number == written_to { write.take() } else { None };
        descriptors.push((ours.map_or_else(|| null.try_clone().map(Into::into), Ok)?, number));
    }
    if let Some(ours) = write {
        descriptors.push((ours, written_to));
    }
    let directory = Directory::Path(home(sandbox).filter(|home| home.is_dir()).unwrap_or_else(|| "/".into()));
    let request = SpawnRequest {
        program: bash.to_owned(),
        arguments,
        environment,
        directory,
        descriptors,
        inherited: Inherited::default(),
        reported: false,
        reports_reading: false,
    };
    let shell = Process::start(request, sandbox).await?;
    let written = tokio::time::timeout(CAPTURE_TIMEOUT, until_end(read.into())).await;
    // What the start-up files have left in the background has no call to belong to.
    shell.end(Duration::ZERO).await;
    written.map_err(|_| CaptureError::TooSlow)?
}

async fn until_end(pipe: OwnedFd) -> Result<Vec<u8>, CaptureError> {
    rustix::io::ioctl_fionbio(&pipe, true).map_err(io::Error::from)?;
    let mut pipe = Receiver::from_owned_fd(pipe)?;
    let mut written = Vec::new();
    // A process in the background may hold the pipe, so its end is not waited for.
    while !written.ends_with(END) {
        if written.len() > MAX_STATE_BYTES {
            return Err(CaptureError::TooLarge);
        }
        if pipe.read_buf(&mut written).await? == 0 {
            break;
        }
    }
    Ok(written)
}

/// The sandbox's environment. Nothing in it makes Bash ask.
fn environment(sandbox: &Sandbox) -> Vec<OsString> {
    sandbox.environment().to_vec()
}

/// The home folder that shells in this sandbox have.
pub(super) fn home(sandbox: &Sandbox) -> Option<PathBuf> {
    let value = sandbox.environment().iter().find_map(|entry| entry.as_bytes().strip_prefix(b"HOME="))?;
    Some(PathBuf::from(OsStr::from_bytes(value))).filter(|home| home.is_absolute())
}
