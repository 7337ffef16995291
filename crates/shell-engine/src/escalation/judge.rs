//! Decides about one program: the rules first, then a person if the rules say so.

use std::path::PathBuf;
use std::sync::Arc;

use execpolicy::{Options, Policy};

use super::asking::unasked;
use super::decision::Decisions;
use super::environment::Environment;
use super::exec::Exec;
use super::judgement::{Grounds, judge};
use super::legacy::Legacy;
use super::minutes::Minutes;
use super::offer::offer;
use super::trust::Trust;
use super::verdict::{Action, Approved, Judgement, Outside, Unasked, Verdict};
use super::whereabouts::Whereabouts;
use crate::approval::{Answer, Approver, Question};
use crate::audit::{CallRecord, ExecRecord};
use crate::programs::{FileIdentity, FileState};
use crate::rules::Rules;
use crate::sandboxes::{Sandbox, SandboxPool};
use crate::time::Stopwatch;
use crate::visible::visible;

/// Bytes of argv that are judged without a thread of their own; longer ones may hold scripts that take long to read.
const JUDGED_AT_ONCE: usize = 2 << 10;

/// What one call's programs are judged by.
#[derive(Clone)]
pub(crate) struct Judge {
    /// The user's rules.
    pub(crate) rules: Arc<Rules>,
    /// How they are applied.
    pub(crate) options: Options,
    /// Which file is the program that a rule means.
    pub(crate) trust: Trust,
    /// What an escalated program's environment begins with.
    pub(crate) environment: Environment,
    /// Who is asked.
    pub(crate) approver: Arc<dyn Approver>,
    /// The call's clock, which stands still while somebody is asked.
    pub(crate) stopwatch: Stopwatch,
    /// The patched Bash.
    pub(crate) bash: FileIdentity,
    /// The file that a rule to be added belongs into.
    pub(crate) default_rules: PathBuf,
    /// Where the call's programs run.
    pub(crate) sandbox: Arc<Sandbox>,
    /// Where else programs can run.
    pub(crate) sandboxes: Arc<SandboxPool>,
    /// What the call's result says about its programs.
    pub(crate) decisions: Decisions,
    /// Where they were executed.
    pub(crate) whereabouts: Whereabouts,
    /// Where decisions are recorded.
    pub(crate) record: CallRecord,
    /// Folders that the sandbox lets the call write: there a legacy policy lets known programs write unasked.
    pub(crate) writable: Vec<PathBuf>,
}

impl Judge {
    /// Decides, and puts it on record. Takes as long as the person does who is asked.
    pub(super) async fn decide(&self, exec: &Arc<Exec>, record: &ExecRecord) -> Action {
        self.whereabouts.note(&exec.workdir);
        let mut minutes = Minutes::new(record, &self.decisions, exec);
        let action = self.consider(exec, &mut minutes).await;
        minutes.conclude(action).await
    }

    async fn consider(&self, exec: &Arc<Exec>, minutes: &mut Minutes<'_>) -> Action {
        let Judgement { verdict, rule } = self.judgement(exec).await;
        minutes.rule(rule);
        match verdict {
            Verdict::Run { why_inside } => self.run(exec, why_inside, minutes),
            Verdict::Escalate(outside) => self.escalate(exec, outside),
            Verdict::Deny { reason } => Action::Deny { reason },
            Verdict::Ask { question, approved, unasked: otherwise } => {
                let pause = self.stopwatch.pause();
                minutes.ask();
                let answer = self.approver.ask((*question).clone()).await;
                minutes.answer(&answer);
                drop(pause);
                match (answer, otherwise) {
                    (Answer::Approved { .. }, _) => self.confirm(exec, &question, approved, minutes).await,
                    (Answer::Declined { reason, .. }, _) => {
                        Action::Deny { reason: with_reason("User declined execution", reason.as_deref()) }
                    }
                    (Answer::Cancelled { .. }, _) => {
                        Action::Deny { reason: "User cancelled execution".into() }
                    }
                    (Answer::Unanswered(why), Unasked::Denies) => {
                        Action::Deny { reason: unasked(&question, &why, &self.default_rules) }
                    }
                    (Answer::Unanswered(why), Unasked::Runs { why_inside }) => {
                        let why = format!("{why_inside}; a person would have been asked, but {why}");
                        self.run(exec, Some(why), minutes)
                    }
                }
            }
        }
    }

    /// What was approved still has to be asked about: the rules may have changed while the question was open. What the
    /// approval gives is what it was asked for, not what a judgement of today would give.
    async fn confirm(
        &self,
        exec: &Arc<Exec>,
        question: &Question,
        approved: Approved,
        minutes: &mut Minutes<'_>,
    ) -> Action {
        match self.judgement(exec).await.verdict {
            Verdict::Ask { question: now, .. } if now.identity == question.identity => match approved {
                Approved::Escalates(outside) => self.escalate(exec, outside),
                Approved::Runs { .. } if !exec.is_unchanged() => Action::Deny { reason: CHANGED.into() },
                Approved::Runs { why_inside } => self.run(exec, why_inside, minutes),
            },
            Verdict::Ask { .. } => Action::Deny {
                reason: "the rules have changed while the question was open; run it again to be asked anew"
                    .into(),
            },
            Verdict::Run { why_inside } => self.run(exec, why_inside, minutes),
            Verdict::Escalate(outside) => self.escalate(exec, outside),
            Verdict::Deny { reason } => Action::Deny { reason },
        }
    }

    /// Judges by the rules: at once, or beside the server's own work where reading a long script or file may take a while.
    async fn judgement(&self, exec: &Arc<Exec>) -> Judgement {
        let policy = self.rules.current().await;
        let length: usize = exec.argv.iter().map(|argument| argument.len()).sum();
        if length <= JUDGED_AT_ONCE && !self.trust.must_read(exec) {
            return self.judge(&policy, exec);
        }
        let (mine, exec) = (self.clone(), Arc::clone(exec));
        match tokio::task::spawn_blocking(move || mine.judge(&policy, &exec)).await {
            Ok(judgement) => judgement,
            Err(error) => {
                tracing::error!(%error, "judging a program broke");
                let reason = "judging it failed inside the server; its log says where".into();
                Judgement { verdict: Verdict::Deny { reason }, rule: None }
            }
        }
    }

    fn judge(&self, policy: &Policy, exec: &Exec) -> Judgement {
        let grounds = Grounds {
            policy,
            options: &self.options,
            legacy: self.rules.legacy().map(|policy| Legacy { policy, writable: &self.writable }),
            trust: &self.trust,
            environment: &self.environment,
        };
        let mut judgement = judge(&grounds, exec);
        if let Verdict::Ask { question, approved: Approved::Escalates(_), .. } = &mut judgement.verdict {
            let folder = self.default_rules.parent().unwrap_or(&self.default_rules);
            // What was not shown whole is not allowed for good.
            if !question.is_shortened() {
                question.always = offer(policy, &self.options, folder, exec);
            }
        }
        judgement
    }

    /// What was judged is what runs: not a file that was put in its place while a person was thinking.
    fn escalate(&self, exec: &Exec, outside: Box<Outside>) -> Action {
        if let Err(error) = exec.directory_outside(&self.sandbox) {
            let reason = format!(
                "its working directory cannot be entered outside the sandbox, because it was moved or removed ({error}); \
                 run it in a folder that is there"
            );
            return Action::Deny { reason };
        }
        match outside.program.is_unchanged() {
            true => Action::Escalate(outside),
            false => Action::Deny { reason: CHANGED.into() },
        }
    }

    /// The interceptor's variables stay with the patched Bash alone, so that its scripts are judged too. Granting them
    /// to a hostile asker is harmless: all that they give is the right to ask.
    fn run(&self, exec: &Exec, why_inside: Option<String>, minutes: &mut Minutes<'_>) -> Action {
        minutes.inside(why_inside);
        let keep_interceptor = exec.seen.as_ref().map(FileState::identity) == Some(self.bash);
        Action::Run { keep_interceptor }
    }
}

const CHANGED: &str = "the file is not the one that was judged; run it again to have it judged anew";

/// Adds what a person said, for the agent.
fn with_reason(text: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{text}: {}", visible(reason.as_bytes())),
        None => text.to_owned(),
    }
}
