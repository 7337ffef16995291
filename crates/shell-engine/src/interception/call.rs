//! One call, as all of its doors see it.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};

use sandbox::SpawnRequest;

use super::apart::{Apart, Unexecuted};
use super::escalated::Escalated;
use super::kernel::{MadeByCall, Refused};
use super::shutdown::Shutdown;
use super::whereabouts::Whereabouts;
use crate::audit::{CallRecord, ExecRecord};
use crate::config::Wanted;
use crate::judgement::{Action, CallConnections, CallFacts, Exec, Judge, Refusals};
use crate::network::{Entered, Party};
use crate::programs::FileIdentity;
use crate::sandboxes::{Process, Sandbox, SandboxPool, SpawnError};

/// Starts programs whose descendants are judged at a door of their own.
pub(crate) trait StartBehindDoor: Send + Sync {
    /// Starts one in a sandbox; `below` is what its descendants are judged by.
    fn start(
        &self,
        below: Arc<InterceptedCall>,
        request: SpawnRequest,
        sandbox: Arc<Sandbox>,
    ) -> Pin<Box<dyn Future<Output = Result<Process, SpawnError>> + Send + '_>>;
}

/// What a call's programs are judged by, what runs outside on its behalf, and how it ends.
pub(crate) struct InterceptedCall {
    /// Who decides.
    pub(crate) judge: Judge,
    /// What the judge knows about the call.
    pub(crate) facts: Arc<CallFacts>,
    /// Whether the kernel reports all that its processes execute, so that nothing need be asked by anybody.
    pub(crate) is_reported: bool,
    /// Why what runs is not proved to be what was judged, once that has been found out.
    pub(crate) unproved: Arc<OnceLock<String>>,
    /// Where its connections are told from those of other calls, where hosts are reached by name.
    pub(crate) network: Option<Arc<Entered>>,
    /// What became of its connections.
    pub(crate) connections: Arc<CallConnections>,
    /// The patched Bash, which intercepts what it executes itself.
    pub(crate) bash: FileIdentity,
    /// Where its programs run. It is not kept: its end takes longer than some may wait who hold this.
    pub(crate) sandbox: Weak<Sandbox>,
    /// Where programs run that get other rights.
    pub(crate) sandboxes: Arc<SandboxPool>,
    /// The call's policy, to which rights are added.
    pub(crate) wanted: Wanted,
    /// Where doors are opened for what they start.
    pub(crate) doors: Arc<dyn StartBehindDoor>,
    /// The wrapper, which processes become, and which stands in for a shell.
    pub(crate) wrapper: PathBuf,
    /// The program that the door begins with, where that is not the call's shell.
    pub(crate) apart: Option<Apart>,
    /// What the kernel refuses to the program that the door begins with, where that may run once more with it.
    pub(crate) refusals: Option<Refusals>,
    /// What programs with other rights did not execute.
    pub(crate) unexecuted: Unexecuted,
    /// Where decisions are recorded.
    pub(crate) record: CallRecord,
    /// Where its programs were executed.
    pub(crate) whereabouts: Whereabouts,
    /// Protected names that its programs would have changed.
    pub(crate) refused: Refused,
    /// What it has made that Git makes once.
    pub(crate) made: MadeByCall,
    /// How and when it ends.
    pub(crate) end: Shutdown,
    /// What was let out of the sandbox.
    pub(crate) escalated: Escalated,
}

impl InterceptedCall {
    /// Whether the user has said that commands may trace their own processes.
    pub(super) fn may_debug(&self) -> bool {
        self.sandbox.upgrade().is_some_and(|sandbox| sandbox.plan().debug)
    }

    /// A program that was let run could not be stopped to be looked at. One that is gone needs no proof.
    pub(super) fn is_unproved(&self, error: &io::Error) {
        if error.raw_os_error() != Some(libc::ESRCH) {
            let _ = self.unproved.set(format!(
                "programs that commands execute were judged, but that they are what was judged cannot be proved here, \
                 because they cannot be stopped (ptrace): {error}"
            ));
        }
    }

    /// The same call, for what a program starts that runs in a sandbox of its own.
    pub(super) fn below(&self, apart: Apart, sandbox: &Arc<Sandbox>) -> InterceptedCall {
        self.refused.runs_elsewhere();
        let party: Arc<dyn Party> = self.connections.clone();
        InterceptedCall {
            network: sandbox.network().map(|network| Arc::new(network.enter(party))),
            connections: Arc::clone(&self.connections),
            judge: self.judge.clone(),
            facts: Arc::clone(&self.facts),
            is_reported: true,
            unproved: Arc::clone(&self.unproved),
            bash: self.bash,
            sandbox: Arc::downgrade(sandbox),
            sandboxes: Arc::clone(&self.sandboxes),
            wanted: self.wanted.clone(),
            doors: Arc::clone(&self.doors),
            wrapper: self.wrapper.clone(),
            apart: Some(apart),
            refusals: None,
            unexecuted: self.unexecuted.clone(),
            record: self.record.clone(),
            whereabouts: self.whereabouts.clone(),
            refused: self.refused.clone(),
            made: MadeByCall::default(),
            end: self.end.clone(),
            escalated: self.escalated.clone(),
        }
    }

    /// Has a program judged that is about to be executed.
    pub(super) async fn judge(&self, exec: &Arc<Exec>, record: &ExecRecord) -> Action {
        self.whereabouts.note(&exec.workdir);
        self.judge.judge(exec, &self.facts, record).await
    }
}
