//! A process in whose place another one serves. Clients end the processes that they have started; a server that keeps sessions
//! must outlive its client, so it is not one of these: the one that the client has started starts it, and waits for it.

use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};

use nix::sys::signal::{Signal, raise};
use rustix::io::FdFlags;

/// What the other one says when it keeps sessions without the client.
pub(crate) const KEPT: u8 = b'k';

/// The option by which the other one is told the descriptor that ties both.
const LINK_OPTION: &str = "--keeper-fd";

/// Starts this program anew with the same arguments, and waits until it has ended, or keeps sessions without its client.
///
/// # Errors
///
/// When it cannot be started.
pub fn stand_in() -> io::Result<ExitCode> {
    let (mut ours, theirs) = UnixStream::pair()?;
    rustix::io::fcntl_setfd(&theirs, FdFlags::empty())?;
    let mut server = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .args([LINK_OPTION, &theirs.as_raw_fd().to_string()])
        .spawn()?;
    drop(theirs);
    // The other ends of the client's pipes are the server's now: what stays open here would hide that it has closed them.
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    let mut said = [0];
    loop {
        match ours.read(&mut said) {
            Ok(1..) if said == [KEPT] => return Ok(ExitCode::SUCCESS),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return Ok(as_it_ended(server.wait()?)),
        }
    }
}

/// Ends as the server has.
fn as_it_ended(status: ExitStatus) -> ExitCode {
    if let Some(signal) = status.signal().and_then(|signal| Signal::try_from(signal).ok()) {
        // Only a signal that is held back leaves us here.
        let _ = raise(signal);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
