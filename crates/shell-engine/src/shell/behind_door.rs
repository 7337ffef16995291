//! Starts a call's shell behind the door by which its programs reach the judge.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::spawn::{self, Hook, ShellSpawnError, Start};
use crate::config::ShellKind;
use crate::interception::{self, InterceptedCall, KernelDoor, WrapperDoor};
use crate::sandboxes::{Process, Sandbox, SpawnError};
use crate::visible::with_causes;

/// A shell that has started, and what its programs meet.
pub(super) struct Started {
    pub(super) process: Arc<Process>,
    pub(super) door: CallDoor,
    pub(super) call: Arc<InterceptedCall>,
}

/// The door of one call.
pub(super) enum CallDoor {
    Wrapper(WrapperDoor),
    Kernel(KernelDoor, Arc<Sandbox>),
}

impl CallDoor {
    /// Serves it until nobody can come any more or the call has ended.
    ///
    /// # Errors
    ///
    /// When it is broken.
    pub(super) async fn attend(self, call: &Arc<InterceptedCall>) -> io::Result<()> {
        let (kernel, sandbox) = match self {
            CallDoor::Wrapper(wrapper) => return interception::attend(wrapper, Arc::clone(call)).await,
            CallDoor::Kernel(kernel, sandbox) => (kernel, sandbox),
        };
        let served = interception::attend(kernel, Arc::clone(call)).await;
        let is_broken = |error: &io::Error| error.kind() != io::ErrorKind::PermissionDenied;
        if served.as_ref().is_err_and(is_broken) {
            // Whoever was judged there has no judge any more, and what it wants to execute fails from now on.
            sandbox.retire().await;
        }
        served
    }

    /// Whether the kernel reports what programs execute.
    pub(super) fn is_the_kernels(&self) -> bool {
        matches!(self, CallDoor::Kernel(..))
    }
}

/// How long after its start a shell may take to ask whether it may be executed.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// It took longer.
struct Late;

/// Why a shell is not behind the kernel's door.
enum NoDoor {
    /// There is none here, and nothing has run.
    Missing(String),
    /// The session that should start the shell ended or did not answer.
    Shell(ShellSpawnError),
}

impl Start<'_> {
    /// Starts the shell. `call` makes what its doors have in common, by whether the kernel reports what programs execute.
    ///
    /// # Errors
    ///
    /// When it cannot be started behind any door.
    pub(super) async fn start(
        self,
        call: impl Fn(bool) -> InterceptedCall,
    ) -> Result<Started, ShellSpawnError> {
        if self.streams.commands.is_some() && self.shell.config.shell.kind != ShellKind::Patched {
            return Err(ShellSpawnError::NotKept);
        }
        if self.wants_the_kernels() {
            match self.behind_the_kernels(Arc::new(call(true))).await {
                Ok(started) => return Ok(started),
                // It may have run, or there is nothing left to run it in.
                Err(NoDoor::Shell(error)) => return Err(error),
                Err(NoDoor::Missing(why)) => {
                    if let Some(shell) = self.shell.config.shell.explain() {
                        return Err(ShellSpawnError::Unjudged { shell, why });
                    }
                    let started = self.behind_the_wrappers(Arc::new(call(false))).await?;
                    // That was the reason, then.
                    self.sandbox.has_no_door(why);
                    return Ok(started);
                }
            }
        }
        if let Some(shell) = self.shell.config.shell.explain() {
            let why = self.sandbox.why_no_door().unwrap_or("it is switched off").to_owned();
            return Err(ShellSpawnError::Unjudged { shell, why });
        }
        self.behind_the_wrappers(Arc::new(call(false))).await
    }

    async fn behind_the_wrappers(&self, call: Arc<InterceptedCall>) -> Result<Started, ShellSpawnError> {
        let (wrapper, socket) = WrapperDoor::new()?;
        let process = spawn::bash(self, Hook::Wrapper(socket), None).await?;
        Ok(Started { process: Arc::new(process), door: CallDoor::Wrapper(wrapper), call })
    }

    /// The kernel's door is wanted in this sandbox, and was not found missing here before.
    fn wants_the_kernels(&self) -> bool {
        self.shell.config.door.is_the_kernels(self.sandbox.plan().mode) && self.sandbox.may_have_door()
    }

    async fn behind_the_kernels(&self, call: Arc<InterceptedCall>) -> Result<Started, NoDoor> {
        let (reports, listener) = tokio::sync::oneshot::channel();
        let opening = async {
            match listener.await {
                Ok(listener) => {
                    Some(self.shell.kernel_doors.open(listener, self.sandbox, Arc::clone(&call)).await)
                }
                Err(_) => None,
            }
        };
        // What waits to become the shell may be stopped by a command; then it never asks whether it may.
        let has_started = Notify::new();
        let starting = async {
            let started = spawn::bash(self, Hook::Kernel, Some(reports)).await;
            has_started.notify_one();
            started
        };
        let late = async {
            has_started.notified().await;
            tokio::time::sleep(OPEN_TIMEOUT).await;
        };
        let opening = async {
            tokio::select! { opened = opening => Ok(opened), () = late => Err(Late) }
        };
        let (started, opened) = tokio::join!(starting, opening);
        let opened = match opened {
            Ok(opened) => opened,
            Err(Late) => {
                tracing::warn!("a sandbox does not start a shell; it is ended with everything in it");
                self.sandbox.retire().await;
                return Err(NoDoor::Shell(SpawnError::NotBegun.into()));
            }
        };
        match (started, opened) {
            (Ok(process), Some(Ok(kernel))) => {
                let door = CallDoor::Kernel(kernel, Arc::clone(self.sandbox));
                Ok(Started { process: Arc::new(process), door, call })
            }
            (Err(error @ ShellSpawnError::Spawn(SpawnError::SessionLost | SpawnError::NotBegun)), _) => {
                Err(NoDoor::Shell(error))
            }
            (_, Some(Err(why))) => Err(NoDoor::Missing(why)),
            (Err(error), Some(Ok(_)) | None) => Err(NoDoor::Missing(with_causes(&error))),
            (Ok(_), None) => Err(NoDoor::Missing("the kernel reports nothing".into())),
        }
    }
}
