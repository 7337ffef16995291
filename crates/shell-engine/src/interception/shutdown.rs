//! How a call ends, for those of its programs that run outside the sandbox.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::sandboxes::Process;

/// How long programs may take to end when the server does. Whoever ends it does not wait longer than a second.
const LAST_GRACE: Duration = Duration::from_millis(400);

/// How a call ends, and when.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown {
    /// How long programs may take to end when they are told to.
    grace: Duration,
    /// The server ends.
    closing: CancellationToken,
    /// The shell has ended by itself. What escalated programs that have ended left running is ended: it has the user's full
    /// rights, and nothing inside stands for it. An escalated program that still runs has its wrapper.
    pub(crate) shell_ended: CancellationToken,
    /// The call's programs are told to end: escalated ones are ended, open questions withdrawn. What the shell's own traps
    /// execute to clean up is still judged and runs.
    pub(crate) ending: CancellationToken,
    /// Nobody is left: no more connections.
    pub(crate) ended: CancellationToken,
}

impl Shutdown {
    /// Nothing has ended yet.
    pub(crate) fn new(grace: Duration, closing: CancellationToken) -> Shutdown {
        let [shell_ended, ending, ended] = std::array::from_fn(|_| CancellationToken::new());
        Shutdown { grace, closing, shell_ended, ending, ended }
    }

    /// Ends a program of the call and everything that it has started: asks, and kills what is left after the grace.
    pub(crate) async fn end(&self, program: &Process) {
        let last_grace = async {
            self.closing.cancelled().await;
            tokio::time::sleep(LAST_GRACE).await;
        };
        tokio::select! {
            () = program.end(self.grace) => {}
            () = last_grace => program.end(Duration::ZERO).await,
        }
    }

    /// How long the call's last connections may take.
    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }
}
