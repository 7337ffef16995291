//! One command for somebody who speaks no MCP: its whole life, from the queue to what it came to.

use std::sync::Arc;

use shell_engine::approval::CallApprover;
use shell_engine::shell::{Call, CallOutcome, CallRequest, Input, StartError};

use super::server::ShellServer;

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRun {
    /// It could not start.
    #[error("the command did not start")]
    Start(#[from] StartError),
    /// The server is at its end.
    #[error("the server is leaving, and the command has not started")]
    Leaving,
    /// Its task broke.
    #[error("the call's task ended without an outcome")]
    Broken,
}

/// Ends a call that nobody waits for any more.
struct Wanted(Call);

impl ShellServer {
    /// Runs a command to its end, with `input` to read; people are asked in the server's own ways. Dropping the future ends
    /// the command.
    pub(crate) async fn run(
        &self,
        request: CallRequest,
        input: Option<Vec<u8>>,
    ) -> Result<Arc<CallOutcome>, NotRun> {
        let request = match input {
            Some(_) => request.with_input(Input::Written),
            None => request,
        };
        self.approvals.prepare();
        let turn = tokio::select! {
            biased;
            () = self.shell.closing() => return Err(NotRun::Leaving),
            turn = self.shell.turn() => turn,
        };
        let timeout = self.shell.config().approvals.timeout;
        let approver = CallApprover::new(Arc::clone(&self.approvals), None, timeout);
        let mut wanted = Wanted(self.shell.start(request, Arc::new(approver), turn).await?);
        if let Some(bytes) = input {
            // Whether it was read, the outcome tells.
            let _ = wanted.0.write("", bytes).await;
            wanted.0.close_input();
        }
        wanted.0.finished().await.ok_or(NotRun::Broken)
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        if !self.0.has_ended() {
            self.0.cancel();
        }
    }
}
