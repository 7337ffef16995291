//! Decides about one program: the rules first, then a person if the rules say so.

use std::path::PathBuf;
use std::sync::Arc;

use execpolicy::{Options, Policy};

use super::exec::Exec;
use super::identity::{FileIdentity, FileState};
use super::verdict::{Approved, Verdict, judge, unasked};
use crate::approval::{Answer, Approver};
use crate::confinement::{Place, Places};
use crate::time::Stopwatch;

/// Bytes of argv that are judged without a thread of their own; longer ones may hold scripts that take long to read.
const JUDGED_AT_ONCE: usize = 2 << 10;

/// What one call's programs are judged by.
#[derive(Clone)]
pub(crate) struct Judge {
    /// The user's rules.
    pub(crate) policy: Arc<Policy>,
    /// How they are applied.
    pub(crate) options: Options,
    /// Who is asked.
    pub(crate) approver: Arc<dyn Approver>,
    /// The call's clock, which stands still while somebody is asked.
    pub(crate) stopwatch: Stopwatch,
    /// The patched Bash.
    pub(crate) bash: FileIdentity,
    /// The file that a rule to be added belongs into.
    pub(crate) default_rules: PathBuf,
    /// Where the call's programs run.
    pub(crate) place: Arc<Place>,
    /// Where else programs can run.
    pub(crate) places: Arc<Places>,
}

/// The final decision about one program.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Run { keep_interceptor: bool },
    Escalate,
    Deny { reason: String },
}

impl Judge {
    /// Decides. Takes as long as the person does who is asked.
    pub(super) async fn decide(&self, exec: &Arc<Exec>) -> Action {
        match self.verdict(exec).await {
            Verdict::Run => self.run(exec),
            Verdict::Escalate => escalate(exec),
            Verdict::Deny { reason } => Action::Deny { reason },
            Verdict::Ask { question, approved } => {
                let pause = self.stopwatch.pause();
                let answer = self.approver.ask((*question).clone()).await;
                drop(pause);
                match (answer, approved) {
                    (Answer::Approved, Approved::Escalates) => escalate(exec),
                    (Answer::Approved, Approved::Runs) => self.run(exec),
                    (Answer::Declined, _) => Action::Deny { reason: "User declined execution".into() },
                    (Answer::Cancelled, _) => Action::Deny { reason: "User cancelled execution".into() },
                    (Answer::NobodyToAsk(why), _) => {
                        Action::Deny { reason: unasked(&question, &why, &self.default_rules) }
                    }
                }
            }
        }
    }

    /// Judges by the rules: at once, or beside the server's own work where reading a long script may take a while.
    async fn verdict(&self, exec: &Arc<Exec>) -> Verdict {
        let length: usize = exec.argv.iter().map(|argument| argument.len()).sum();
        if length <= JUDGED_AT_ONCE {
            return judge(&self.policy, &self.options, exec);
        }
        let (policy, options, exec) = (Arc::clone(&self.policy), self.options, Arc::clone(exec));
        match tokio::task::spawn_blocking(move || judge(&policy, &options, &exec)).await {
            Ok(verdict) => verdict,
            Err(error) => {
                tracing::error!(%error, "judging a program broke");
                Verdict::Deny { reason: "judging it failed inside the server; its log says where".into() }
            }
        }
    }

    /// The interceptor's variables stay with the patched Bash alone, so that its scripts are judged too. Granting them
    /// to a hostile asker is harmless: all that they give is the right to ask.
    fn run(&self, exec: &Exec) -> Action {
        let keep_interceptor = exec.seen.as_ref().map(FileState::identity) == Some(self.bash);
        Action::Run { keep_interceptor }
    }
}

/// What was judged is what runs: not a file that was put in its place while a person was thinking.
fn escalate(exec: &Exec) -> Action {
    if exec.directory.is_none() {
        return Action::Deny {
            reason: "its working directory cannot be opened, so it cannot run outside".into(),
        };
    }
    if exec.is_unchanged() {
        Action::Escalate
    } else {
        Action::Deny {
            reason: "the file is not the one that was judged; run it again to have it judged anew".into(),
        }
    }
}
