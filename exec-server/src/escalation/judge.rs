//! Decides about one program: the rules first, then a person if the rules say so.

use std::path::PathBuf;
use std::sync::Arc;

use execpolicy::{Options, Policy, RuleMatch};

use super::decision::{Decided, DecisionRecord, Decisions};
use super::environment::Environment;
use super::exec::Exec;
use super::identity::{FileIdentity, FileState};
use super::trust::Trust;
use super::verdict::{Approved, Grounds, Judgement, Outside, Unasked, Verdict, judge, unasked};
use crate::approval::{Answer, Approver, Question};
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
    /// What the call's result says about its programs.
    pub(crate) decisions: Decisions,
    /// Where the call's programs run.
    pub(crate) place: Arc<Place>,
    /// Where else programs can run.
    pub(crate) places: Arc<Places>,
}

/// The final decision about one program.
#[must_use]
#[derive(Debug)]
pub(super) enum Action {
    Run { keep_interceptor: bool },
    Escalate(Box<Outside>),
    Deny { reason: String },
}

impl Judge {
    /// Decides, and puts what is worth it on record. Takes as long as the person does who is asked.
    pub(super) async fn decide(&self, exec: &Arc<Exec>) -> Action {
        let Judgement { verdict, rule } = self.judgement(exec).await;
        let record = |decided| DecisionRecord::new(exec, decided).by(rule.as_ref());
        match verdict {
            Verdict::Run { why_inside: None } => self.run(exec),
            Verdict::Run { why_inside: Some(why) } => {
                self.decisions.add(record(Decided::RanInside).because(Some(&why)));
                self.run(exec)
            }
            Verdict::Escalate(outside) => self.escalate(exec, outside, rule.as_ref(), Decided::Escalated),
            Verdict::Deny { reason } => self.refuse(exec, rule.as_ref(), Decided::Refused, reason),
            Verdict::Ask { question, approved, unasked } => {
                self.ask(exec, *question, approved, unasked, rule.as_ref()).await
            }
        }
    }

    async fn ask(
        &self,
        exec: &Exec,
        question: Question,
        approved: Approved,
        if_nobody: Unasked,
        rule: Option<&RuleMatch>,
    ) -> Action {
        let pause = self.stopwatch.pause();
        let answer = self.approver.ask(question.clone()).await;
        drop(pause);
        match (answer, approved) {
            (Answer::Approved, Approved::Escalates(outside)) => {
                self.escalate(exec, outside, rule, Decided::ApprovedEscalated)
            }
            (Answer::Approved, Approved::Runs { why_inside }) => {
                if !exec.is_unchanged() {
                    return self.refuse(exec, rule, Decided::Refused, CHANGED.into());
                }
                let record = DecisionRecord::new(exec, Decided::ApprovedRan).by(rule);
                self.decisions.add(record.because(why_inside.as_deref()));
                self.run(exec)
            }
            (Answer::Declined, _) => {
                self.refuse(exec, rule, Decided::Declined, "User declined execution".into())
            }
            (Answer::Cancelled, _) => {
                self.refuse(exec, rule, Decided::Declined, "User cancelled execution".into())
            }
            (Answer::NobodyToAsk(why), _) => match if_nobody {
                Unasked::Denies => {
                    let reason = unasked(&question, &why, &self.default_rules);
                    self.refuse(exec, rule, Decided::Unanswered, reason)
                }
                Unasked::Runs { why_inside } => {
                    let why = format!("{why_inside}; a person would have been asked, but {why}");
                    let record = DecisionRecord::new(exec, Decided::RanInside).by(rule);
                    self.decisions.add(record.because(Some(&why)));
                    self.run(exec)
                }
            },
        }
    }

    /// Judges by the rules: at once, or beside the server's own work where reading a long script or file may take a while.
    async fn judgement(&self, exec: &Arc<Exec>) -> Judgement {
        let length: usize = exec.argv.iter().map(|argument| argument.len()).sum();
        if length <= JUDGED_AT_ONCE && !self.trust.must_read(exec) {
            return judge(&self.grounds(), exec);
        }
        let (mine, exec) = (self.clone(), Arc::clone(exec));
        match tokio::task::spawn_blocking(move || judge(&mine.grounds(), &exec)).await {
            Ok(judgement) => judgement,
            Err(error) => {
                tracing::error!(%error, "judging a program broke");
                let reason = "judging it failed inside the server; its log says where".into();
                Judgement { verdict: Verdict::Deny { reason }, rule: None }
            }
        }
    }

    fn grounds(&self) -> Grounds<'_> {
        Grounds {
            policy: &self.policy,
            options: &self.options,
            trust: &self.trust,
            environment: &self.environment,
        }
    }

    /// The interceptor's variables stay with the patched Bash alone, so that its scripts are judged too. Granting them
    /// to a hostile asker is harmless: all that they give is the right to ask.
    fn run(&self, exec: &Exec) -> Action {
        let keep_interceptor = exec.seen.as_ref().map(FileState::identity) == Some(self.bash);
        Action::Run { keep_interceptor }
    }

    /// What was judged is what runs: not a file that was put in its place while a person was thinking.
    fn escalate(
        &self,
        exec: &Exec,
        outside: Box<Outside>,
        rule: Option<&RuleMatch>,
        decided: Decided,
    ) -> Action {
        if exec.directory.is_none() {
            let reason = "its working directory cannot be opened, so it cannot run outside".into();
            return self.refuse(exec, rule, Decided::Refused, reason);
        }
        if !outside.program.is_unchanged() {
            return self.refuse(exec, rule, Decided::Refused, CHANGED.into());
        }
        let record = DecisionRecord::new(exec, decided).by(rule);
        self.decisions.add(record.outside(&outside.program.path, &outside.dropped));
        Action::Escalate(outside)
    }

    fn refuse(&self, exec: &Exec, rule: Option<&RuleMatch>, decided: Decided, reason: String) -> Action {
        self.decisions.add(DecisionRecord::new(exec, decided).by(rule).because(Some(&reason)));
        Action::Deny { reason }
    }
}

const CHANGED: &str = "the file is not the one that was judged; run it again to have it judged anew";
