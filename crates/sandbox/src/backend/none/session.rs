//! Starts programs as children of this process, without enforcing anything.

use super::call::Call;
use super::sys;
use crate::backend::BackendSession;
use crate::launcher::Launcher;
use crate::listening::Listening;
use crate::program::{self, NotStarted, Prepared, StartRequest};
use crate::session_error::SessionError;
use crate::spawn_request::SpawnRequest;
use rustix::process::Pid;
use std::io;
use std::os::fd::BorrowedFd;

/// What programs get that this process has not.
#[derive(Debug)]
pub(crate) struct Session {
    descriptor_limit: Option<u64>,
}

impl Session {
    pub(crate) fn new(launcher: &Launcher) -> Session {
        Session { descriptor_limit: launcher.descriptor_limit }
    }

    /// Forks, and executes the program in the child. Returns once `execve` has succeeded or a step has failed.
    fn start(&self, request: &SpawnRequest) -> Result<Result<Pid, NotStarted>, SessionError> {
        let start = StartRequest::new(request)?;
        let mut prepared = Prepared::new(&start, request.all_descriptors());
        Ok(sys::fork_reporting(&start.targets, &mut || {
            prepared.become_program(sys::close_all_on_exec, || {
                self.descriptor_limit.into_iter().for_each(program::lower_descriptor_limit);
                crate::sys::inherit_signals(0, 0);
            })
        }))
    }
}

impl BackendSession for Session {
    type Call = Call;

    fn is_alive(&self) -> bool {
        true
    }

    fn retire(&self) {
        // Nothing stands between this process and its children that could fail to answer.
    }

    fn guard_pid(&self) -> Option<u32> {
        None
    }

    fn has_network_of(&self, _: BorrowedFd<'_>) -> bool {
        false
    }

    fn who_listens(&self, _: BorrowedFd<'_>, _: i32) -> io::Result<Listening> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn spawn(&self, request: SpawnRequest) -> Result<Call, SessionError> {
        if request.reported {
            return Err(SessionError::BadRequest("nothing here reports what programs execute"));
        }
        Call::new(self.start(&request)?).map_err(SessionError::Channel)
    }
}
