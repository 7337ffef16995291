//! Has a process become the wrapper instead of what it was about to execute: it keeps its number, its descriptors and
//! all that programs inherit, and ends as the wrapper does.
//!
//! Nothing is written to its memory. Two descriptors are placed in its table, its call is answered with an error, and
//! at the end of that call its registers are set to execute the first of them.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::attended::Asked;
use super::files;
use super::messages::Asks;
use super::request::{Again, descriptor_path};
use crate::interception::escalated::Starting;
use crate::judgement::Exec;
use crate::programs::{FileIdentity, reopen};
use crate::sys::notifications::{Listener, Notification};
use crate::sys::ptrace::ExecuteDescriptor;

/// Where free numbers are looked for: beyond what shells and scripts use where the process may have so many
/// descriptors.
const FIRST_NUMBERS: [i32; 5] = [600, 200, 60, 20, 3];
/// How far from there.
const TRIED: i32 = 40;
/// The wrapper, the connection, and the file itself where it is needed.
const PLACED: i32 = 3;

/// What a process's own call fails with, before it makes the other one.
pub(super) const FAILED_WITH: i32 = libc::EPERM;

/// The wrapper, as a call's processes see it.
#[derive(Debug)]
pub(super) struct Wrapper {
    pub(super) path: std::path::PathBuf,
    pub(super) identity: FileIdentity,
}

impl Wrapper {
    /// Opens it where the process finds it. To be read: a descriptor that only looks cannot be placed.
    fn open(&self, thread: i32) -> io::Result<File> {
        match files::at_path(
            (thread, None),
            self.path.as_os_str().as_bytes(),
            None,
            files::Reach::FileSystems,
        ) {
            files::Found::File(file) if FileIdentity::of(&file) == Some(self.identity) => {
                reopen(&file).ok_or_else(|| io::ErrorKind::PermissionDenied.into())
            }
            files::Found::File(_)
            | files::Found::Farther
            | files::Found::Nothing(_)
            | files::Found::Unclear => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// One process on its way.
#[derive(Debug)]
pub(super) struct Turn {
    /// What it makes instead of its call.
    pub(super) call: ExecuteDescriptor,
    /// What the wrapper executes if it is told to.
    pub(super) file: Vec<u8>,
    /// The server's end of the connection.
    pub(super) stream: UnixStream,
    pub(super) exec: Arc<Exec>,
    /// What the wrapper says, where that is decided.
    pub(super) refusal: Option<String>,
    /// Held until that is asked for.
    pub(super) starting: Option<Starting>,
}

impl Turn {
    /// Places the descriptors.
    ///
    /// # Errors
    ///
    /// When the process has no room for them, or is gone.
    pub(super) fn begin(
        listener: &Listener,
        wrapper: &Wrapper,
        asked: &Asked,
        (refusal, starting): (Option<String>, Option<Starting>),
    ) -> io::Result<Turn> {
        let Asked { asks: Asks { notification: Notification { id, thread, .. }, .. }, request, exec } = asked;
        let program = wrapper.open(*thread)?;
        let (stream, theirs) = UnixStream::pair()?;
        let file = match &request.again {
            Again::Path(_) => None,
            Again::Descriptor => Some(exec.open_file()?),
        };
        let place = |number: i32| -> io::Result<()> {
            listener.place(*id, program.as_fd(), number, true)?;
            listener.place(*id, theirs.as_fd(), number + 1, false)?;
            file.as_ref().map_or(Ok(()), |file| listener.place(*id, file.as_fd(), number + 2, false))
        };
        let mut placed = Err(io::Error::from_raw_os_error(libc::EMFILE));
        for first in FIRST_NUMBERS {
            let Some(number) = free_numbers(*thread, first) else { continue };
            placed = place(number).map(|()| number);
            if placed.is_ok() {
                break;
            }
        }
        let number = placed?;
        let addresses = request.addresses;
        Ok(Turn {
            call: ExecuteDescriptor {
                descriptor: number,
                empty: addresses.empty,
                argv: addresses.argv,
                environment: addresses.environment,
            },
            file: match &request.again {
                Again::Path(path) => path.clone(),
                Again::Descriptor => descriptor_path(number + 2).as_bytes().to_vec(),
            },
            stream,
            exec: Arc::clone(exec),
            refusal,
            starting,
        })
    }

    /// Whether that is the call that it was made to make.
    pub(super) fn is_made_by(&self, notification: &Notification) -> bool {
        let [descriptor, path, argv, environment, flags, _] = notification.arguments;
        let ExecuteDescriptor { descriptor: ours, empty, argv: our_argv, environment: our_environment } =
            self.call;
        notification.number == libc::SYS_execveat
            && descriptor == u64::from(ours.unsigned_abs())
            && (path, argv, environment) == (empty, our_argv, our_environment)
            && flags == u64::from(libc::AT_EMPTY_PATH.unsigned_abs())
    }
}

/// Numbers side by side that no descriptor has. Another thread may take them meanwhile; its process is about to lose
/// it.
fn free_numbers(thread: i32, first: i32) -> Option<i32> {
    let is_free = |number: i32| std::fs::symlink_metadata(format!("/proc/{thread}/fd/{number}")).is_err();
    (first..first + TRIED).find(|number| (*number..*number + PLACED).all(is_free))
}
