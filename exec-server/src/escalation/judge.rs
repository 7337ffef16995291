//! Decides about one program: the rules first, then a person if the rules say so.

use std::path::PathBuf;
use std::sync::Arc;

use execpolicy::{Options, Policy};

use super::exec::Exec;
use super::verdict::{Approved, Verdict, judge, unasked};
use crate::approval::{Answer, Approver};
use crate::time::Stopwatch;

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
    pub(super) async fn decide(&self, exec: &Exec) -> Action {
        match judge(&self.policy, &self.options, exec) {
            Verdict::Run => self.run(exec),
            Verdict::Escalate => Action::Escalate,
            Verdict::Deny { reason } => Action::Deny { reason },
            Verdict::Ask { question, approved } => {
                let pause = self.stopwatch.pause();
                let answer = self.approver.ask((*question).clone()).await;
                drop(pause);
                match (answer, approved) {
                    (Answer::Approved, Approved::Escalates) => Action::Escalate,
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

    /// The interceptor's variables stay with the patched Bash alone, so that its scripts are judged too. Granting them
    /// to a hostile asker is harmless: all that they give is the right to ask.
    fn run(&self, exec: &Exec) -> Action {
        let keep_interceptor = exec.opened_file.as_ref().and_then(FileIdentity::of) == Some(self.bash);
        Action::Run { keep_interceptor }
    }
}

/// Which file something is, beyond its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// The identity of an open file.
    pub(crate) fn of(file: impl std::os::fd::AsFd) -> Option<FileIdentity> {
        let status = rustix::fs::fstat(file).ok()?;
        #[cfg_attr(
            target_os = "linux",
            expect(clippy::useless_conversion, reason = "the types differ between systems")
        )]
        Some(FileIdentity { device: u64::try_from(status.st_dev).ok()?, inode: u64::from(status.st_ino) })
    }
}
