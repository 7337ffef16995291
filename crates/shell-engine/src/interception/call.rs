//! One call, as all of its doors see it.

use std::io;
use std::sync::{Arc, OnceLock, Weak};

use super::escalated::Escalated;
use super::kernel::RefusedNames;
use super::shutdown::Shutdown;
use super::whereabouts::Whereabouts;
use crate::audit::{CallRecord, ExecRecord};
use crate::judgement::{Action, CallFacts, Exec, Judge};
use crate::programs::FileIdentity;
use crate::sandboxes::{Sandbox, SandboxPool};

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
    /// The patched Bash, which intercepts what it executes itself.
    pub(crate) bash: FileIdentity,
    /// Where its programs run. It is not kept: its end takes longer than some may wait who hold this.
    pub(crate) sandbox: Weak<Sandbox>,
    /// Where programs run that get more rights.
    pub(crate) sandboxes: Arc<SandboxPool>,
    /// Where decisions are recorded.
    pub(crate) record: CallRecord,
    /// Where its programs were executed.
    pub(crate) whereabouts: Whereabouts,
    /// Protected names that its programs would have changed.
    pub(crate) refused: RefusedNames,
    /// How and when it ends.
    pub(crate) end: Shutdown,
    /// What was let out of the sandbox.
    pub(crate) escalated: Escalated,
}

impl InterceptedCall {
    /// A program that was let run could not be stopped to be looked at. One that is gone needs no proof.
    pub(super) fn is_unproved(&self, error: &io::Error) {
        if error.raw_os_error() != Some(libc::ESRCH) {
            let _ = self.unproved.set(format!(
                "programs that commands execute were judged, but that they are what was judged cannot be proved here, \
                 because they cannot be stopped (ptrace): {error}"
            ));
        }
    }

    /// Has a program judged that is about to be executed.
    pub(super) async fn judge(&self, exec: &Arc<Exec>, record: &ExecRecord) -> Action {
        self.whereabouts.note(&exec.workdir);
        self.judge.judge(exec, &self.facts, record).await
    }
}
