//! Decides about one program: the rules first, then a person if the rules say so.

use std::path::PathBuf;
use std::sync::Arc;

use execpolicy::{Ancestor, Heuristics, Nested, Options, Plain, Policy, RuleMatch};
use tokio_util::sync::CancellationToken;

use super::asked_for::AskedByCall;
use super::audit_trail::AuditTrail;
use super::by_rules::{Grounds, judge};
use super::call_script::Script;
use super::decisions::Decisions;
use super::environment::Environment;
use super::exec::{Exec, Starter};
use super::executes::Executed;
use super::input::{self, Readers};
use super::legacy::Legacy;
use super::let_run::LetRun;
use super::patches::{self, CallPatch};
use super::retry::{self, Refusals};
use super::rule_suggestions::{Project, scoped, suggest};
use super::trust::Trust;
use super::verdict::{Action, Approved, Judgement, Outside, Retry, SpokenRule, Unasked, Verdict};
use super::wording::unasked;
use crate::approval::{Answer, Approver, Choice, Question, Scope};
use crate::audit::ExecRecord;
use crate::rules::Rules;
use crate::time::Stopwatch;
use crate::visible::visible;

/// Bytes of argv that are judged without a thread of their own; longer ones may hold scripts that take long to read.
const JUDGED_AT_ONCE: usize = 2 << 10;

/// What judging goes by, for all calls of a server.
#[derive(Clone)]
pub(crate) struct Judge {
    /// The user's rules.
    pub(crate) rules: Arc<Rules>,
    /// How they are applied.
    pub(crate) options: Options,
    /// The folder of the user's rules, of whose questions an answer for good may be the end.
    pub(crate) users_rules: PathBuf,
    /// The folder that rules to be added belong into.
    pub(crate) own_rules: PathBuf,
    /// The project that the server was started in.
    pub(crate) project: Option<Project>,
}

/// What is known about the call whose programs are judged.
pub(crate) struct CallFacts {
    /// Which file is the program that a rule means, as seen from the call's sandbox.
    pub(crate) trust: Trust,
    /// What an escalated program's environment begins with.
    pub(crate) environment: Environment,
    /// Who is asked.
    pub(crate) approver: Arc<dyn Approver>,
    /// The call's clock, which stands still while somebody is asked.
    pub(crate) stopwatch: Stopwatch,
    /// What the call's result says about its programs.
    pub(crate) decisions: Decisions,
    /// The patch that the call was made for.
    pub(crate) patch: Option<Arc<CallPatch>>,
    /// The call's own script.
    pub(crate) script: Script,
    /// The scripts that a person or a rule has let run.
    pub(crate) let_run: LetRun,
    /// What confined programs execute.
    pub(crate) executed: Executed,
    /// The programs to which nothing is written unasked.
    pub(crate) readers: Readers,
    /// What its caller asks for beyond what commands may do.
    pub(crate) asked: Option<AskedByCall>,
    /// What failed because of the sandbox may become a question.
    pub(crate) may_retry: bool,
    /// Ends the call.
    pub(crate) cancel: CancellationToken,
}

/// What can be decided about a program without waiting for anybody.
#[must_use]
#[derive(Debug)]
pub(crate) enum AtOnce {
    /// It runs where it is, which is to be put on record.
    Runs(Ran),
    /// It does not simply run.
    Other,
    /// That takes longer: files have to be read.
    Unclear,
}

/// Why something simply runs.
#[derive(Debug)]
pub(crate) struct Ran {
    rule: Option<RuleMatch>,
    why_inside: Option<String>,
    about_input: Option<RuleMatch>,
}

impl Ran {
    fn of(judgement: Judgement) -> Option<Ran> {
        match judgement {
            Judgement { verdict: Verdict::Run { why_inside }, rule, patch_rule: _, about_input } => {
                Some(Ran { rule, why_inside, about_input })
            }
            Judgement { .. } => None,
        }
    }
}

impl CallFacts {
    /// The names of a program for rules about what it starts: none surely, where its environment may lead it to run something
    /// else in its name.
    pub(crate) fn ancestor(&self, exec: &Exec) -> Ancestor {
        let ancestor = self.trust.ancestor(exec);
        match self.environment.is_steered_by(&exec.variables()) {
            true => ancestor.doubted(),
            false => ancestor,
        }
    }
}

impl Judge {
    /// The rules, if nobody has to wait for them.
    pub(crate) fn policy_at_once(&self) -> Option<Arc<Policy>> {
        self.rules.current_at_once()
    }

    /// Decides about what simply runs, by rules that are in memory.
    pub(crate) fn at_once(&self, policy: Option<&Policy>, exec: &Exec, call: &CallFacts) -> AtOnce {
        let Some(policy) = policy.filter(|_| !takes_long(exec, call)) else { return AtOnce::Unclear };
        Ran::of(self.by_rules(policy, exec, call)).map_or(AtOnce::Other, AtOnce::Runs)
    }

    /// Puts on record that it runs where it is.
    pub(crate) fn ran(&self, exec: &Exec, call: &CallFacts, record: &ExecRecord, ran: Ran) {
        let Ran { rule, why_inside, about_input } = ran;
        if rule.is_some() {
            call.let_run.note(exec);
        }
        call.readers.note(exec, about_input);
        let mut trail = AuditTrail::new(record, &call.decisions, exec);
        trail.rule(rule.as_ref().map(SpokenRule::from));
        trail.inside(why_inside);
        trail.runs();
    }

    /// Whether anything could keep a program from running, whichever it is, that the command's own shell does not
    /// execute itself, or what has started one matters. What only lets programs out does not: inside, all of them run.
    /// Heuristics do not, either: they are no more than a question about what a shell does, which any program may do
    /// unasked.
    pub(crate) fn restrains(&self, policy: Option<&Policy>) -> bool {
        self.rules.legacy().is_some()
            || policy.is_none_or(|policy| policy.restrains() || policy.looks_at_ancestry())
    }

    /// Whether a program's environment matters to what is decided about it, or what it starts, other than by leaving the sandbox.
    pub(crate) fn looks_at_environment(&self, policy: Option<&Policy>) -> bool {
        let looks = |policy: &Policy| policy.looks_at_environment() || policy.looks_at_ancestry();
        self.rules.legacy().is_some() || policy.is_none_or(looks)
    }

    /// Whether it matters to any rule what has started a program.
    pub(crate) fn looks_at_ancestry(&self) -> bool {
        self.rules.current_at_once().is_none_or(|policy| policy.looks_at_ancestry())
    }

    /// The same, taking the time that it takes; nobody is asked.
    pub(crate) async fn runs(
        &self,
        exec: &Arc<Exec>,
        call: &Arc<CallFacts>,
        record: impl FnOnce() -> ExecRecord,
    ) -> bool {
        let Some(ran) = Ran::of(self.judgement(exec, call).await) else { return false };
        self.ran(exec, call, &record(), ran);
        true
    }

    /// Decides, and puts it on record. Takes as long as the person does who is asked.
    pub(crate) async fn judge(&self, exec: &Arc<Exec>, call: &Arc<CallFacts>, record: &ExecRecord) -> Action {
        let mut trail = AuditTrail::new(record, &call.decisions, exec);
        let action = self.consider(exec, call, &mut trail).await;
        trail.conclude(action).await
    }

    /// Whether a program that stands before its first instruction may run where it is: nothing asks about it or forbids
    /// it, unless a person has approved what it comes from. That a rule would let it out is no matter: it gets nothing by
    /// that. Not for the runtime's threads.
    pub(crate) fn may_run_inside(&self, exec: &Exec, call: &CallFacts, is_approved: bool) -> bool {
        match self.by_rules(&self.rules.in_force(), exec, call).verdict {
            Verdict::Run { .. }
            | Verdict::Try
            | Verdict::Escalate(_)
            | Verdict::Ask { unasked: Unasked::Runs { .. }, .. } => true,
            Verdict::Ask { unasked: Unasked::Denies, .. } => is_approved,
            Verdict::Deny { .. } => false,
        }
    }

    /// Puts on record that a program was ended before its first instruction, because it is not what was judged.
    pub(crate) fn ended(&self, exec: &Exec, call: &CallFacts, record: &ExecRecord, reason: String) {
        AuditTrail::new(record, &call.decisions, exec).refused(reason);
    }

    async fn consider(&self, exec: &Arc<Exec>, call: &Arc<CallFacts>, trail: &mut AuditTrail<'_>) -> Action {
        let Judgement { verdict, rule, patch_rule, about_input } = self.judgement(exec, call).await;
        if !matches!(verdict, Verdict::Deny { .. }) {
            call.readers.note(exec, about_input);
        }
        trail.rule(rule.as_ref().map(SpokenRule::from).or(patch_rule));
        if rule.is_some() && matches!(verdict, Verdict::Run { .. } | Verdict::Escalate(_)) {
            call.let_run.note(exec);
        }
        match verdict {
            Verdict::Run { why_inside } => inside(why_inside, trail),
            Verdict::Try => match self.retry_of(exec, call, rule.as_ref()).await {
                Some(retry) => Action::Try(Box::new(retry)),
                None => inside(None, trail),
            },
            Verdict::Escalate(outside) => escalate(exec, call, outside, trail),
            Verdict::Deny { reason } => Action::Deny { reason },
            Verdict::Ask { question, approved, unasked: otherwise } => {
                let pause = call.stopwatch.pause();
                trail.ask();
                let answer = call.approver.ask((*question).clone()).await;
                trail.answer(&answer);
                drop(pause);
                match (answer, otherwise) {
                    (Answer::Approved { scope, .. }, _) => {
                        let scope_is_inside = scope == Scope::Inside;
                        if let Scope::SessionRule(rule) = scope {
                            self.rules.add_for_session(rule).await;
                        }
                        let approved = if scope_is_inside { inside_only() } else { approved };
                        call.let_run.note(exec);
                        self.confirm(exec, call, (&question, approved), trail).await
                    }
                    (Answer::Declined { reason, ends_call, .. }, _) => {
                        if ends_call {
                            call.cancel.cancel();
                        }
                        Action::Deny { reason: with_reason("User declined execution", reason.as_deref()) }
                    }
                    (Answer::Cancelled { .. }, _) => {
                        Action::Deny { reason: "User cancelled execution".into() }
                    }
                    (Answer::Unanswered(why), Unasked::Denies) => {
                        Action::Deny { reason: unasked(&question, &why, &self.own_rules) }
                    }
                    (Answer::Unanswered(why), Unasked::Runs { why_inside }) => {
                        let why = format!("{why_inside}; a person would have been asked, but {why}");
                        inside(Some(why), trail)
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
        call: &Arc<CallFacts>,
        (question, approved): (&Question, Approved),
        trail: &mut AuditTrail<'_>,
    ) -> Action {
        match self.judgement(exec, call).await.verdict {
            Verdict::Ask { question: now, .. } if now.identity == question.identity => match approved {
                Approved::Escalates(outside) => escalate(exec, call, outside, trail),
                Approved::Runs { .. } if !exec.is_unchanged() => Action::Deny { reason: CHANGED.into() },
                Approved::Runs { why_inside } => inside(why_inside, trail),
            },
            Verdict::Ask { .. } if !exec.is_unchanged() => Action::Deny { reason: CHANGED.into() },
            Verdict::Ask { .. } => Action::Deny {
                reason: "what was asked about has changed while the question was open (the rules, or what the program would meet); run it again to be asked anew"
                    .into(),
            },
            Verdict::Run { why_inside } => inside(why_inside, trail),
            Verdict::Try => inside(None, trail),
            Verdict::Escalate(outside) => escalate(exec, call, outside, trail),
            Verdict::Deny { reason } => Action::Deny { reason },
        }
    }

    async fn retry_of(&self, exec: &Exec, call: &CallFacts, rule: Option<&RuleMatch>) -> Option<Retry> {
        let policy = self.rules.current().await;
        Retry::of(&self.grounds(&policy, &self.options, call), exec, rule)
    }

    /// Asks once whether a program that has failed inside is to run again with what was refused to it, as far as its profile
    /// gives that. `None`: it stays at its failure.
    pub(crate) async fn again(
        &self,
        (exec, call): (&Arc<Exec>, &Arc<CallFacts>),
        record: &ExecRecord,
        retry: Retry,
        refusals: &Refusals,
    ) -> Option<Box<Outside>> {
        let (retry, refused) = retry.for_what(exec, refusals)?;
        let mut trail = AuditTrail::new(record, &call.decisions, exec);
        let pause = call.stopwatch.pause();
        trail.ask();
        let answer = call.approver.ask(retry.question(exec, &refused)).await;
        trail.answer(&answer);
        drop(pause);
        let why = match answer {
            Answer::Approved { scope: Scope::Inside, .. } => "a person let it run inside only".to_owned(),
            Answer::Approved { scope, .. } => {
                if let Scope::SessionRule(rule) = scope {
                    self.rules.add_for_session(rule).await;
                }
                match self.judgement(exec, call).await.verdict {
                    // Perhaps by the rule that the answer has made.
                    Verdict::Try | Verdict::Escalate(_) => {
                        let action = escalate(exec, call, retry.into_outside(), &mut trail);
                        return match trail.conclude(action).await {
                            Action::Escalate(outside) => Some(outside),
                            Action::Run | Action::Try(_) | Action::Deny { .. } => None,
                        };
                    }
                    Verdict::Run { .. } | Verdict::Ask { .. } | Verdict::Deny { .. } => CHANGED.to_owned(),
                }
            }
            Answer::Declined { reason, ends_call, .. } => {
                if ends_call {
                    call.cancel.cancel();
                }
                with_reason("a person declined", reason.as_deref())
            }
            Answer::Cancelled { .. } => "the question was closed".to_owned(),
            Answer::Unanswered(why) => format!(
                "{why}; a person can let it have that, by a rule for {} in {}",
                exec.file.file_name().unwrap_or_default().display(),
                self.own_rules.display()
            ),
        };
        trail.inside(Some(format!("it was refused {refused}, and was not run again with that: {why}")));
        trail.runs();
        None
    }

    /// Judges by the rules: at once, or beside the server's own work where reading a long script or file may take a
    /// while.
    async fn judgement(&self, exec: &Arc<Exec>, call: &Arc<CallFacts>) -> Judgement {
        let policy = self.rules.current().await;
        if !takes_long(exec, call) {
            return self.by_rules(&policy, exec, call);
        }
        let (mine, exec, call) = (self.clone(), Arc::clone(exec), Arc::clone(call));
        match tokio::task::spawn_blocking(move || mine.by_rules(&policy, &exec, &call)).await {
            Ok(judgement) => judgement,
            Err(error) => {
                tracing::error!(%error, "judging a program broke");
                let reason = "judging it failed inside the server; its log says where".into();
                Judgement {
                    verdict: Verdict::Deny { reason },
                    rule: None,
                    patch_rule: None,
                    about_input: None,
                }
            }
        }
    }

    fn grounds<'j>(&'j self, policy: &'j Policy, options: &'j Options, call: &'j CallFacts) -> Grounds<'j> {
        let legacy = self.rules.legacy();
        Grounds {
            policy,
            options,
            legacy: legacy.map(|policy| Legacy { policy, writable: call.trust.writable() }),
            trust: &call.trust,
            environment: &call.environment,
            let_run: &call.let_run,
            executed: &call.executed,
        }
    }

    fn by_rules(&self, policy: &Policy, exec: &Exec, call: &CallFacts) -> Judgement {
        // What a list of ours calls dangerous is asked about where the command itself does it, not for every `rm -rf`
        // of a build.
        let heuristics = match exec.starter {
            Starter::Shell => self.options.heuristics,
            Starter::Program(_) => Heuristics::NONE,
        };
        // Where nothing keeps commands inside, what a rule lets run has what the user has.
        let plain = if call.trust.is_enforced() { self.options.plain } else { Plain::Outside };
        let asked = call.asked.as_ref().filter(|asked| asked.is_for(exec));
        let with_asked = asked.map(|asked| asked.rules(policy));
        let policy = with_asked.as_ref().unwrap_or(policy);
        let options = Options { heuristics, plain, ..self.options };
        let grounds = self.grounds(policy, &options, call);
        let mut judgement = judge(&grounds, exec);
        if let Some(asked) = asked {
            judgement.verdict = asked.caution(judgement.verdict);
        }
        judgement.about_input = input::rule_about(&grounds, exec);
        if let Some(reason) = call.readers.obstacle(judgement.about_input.as_ref()) {
            judgement.verdict = Verdict::Deny { reason };
            return judgement;
        }
        if matches!(judgement.verdict, Verdict::Run { .. }) && patches::is_about(exec) {
            let patch = patches::judge(policy, exec, call.patch.as_deref(), call.trust.writable());
            return patch.unwrap_or(judgement);
        }
        if call.may_retry
            && matches!(judgement.verdict, Verdict::Run { why_inside: None })
            && retry::may_be(policy, exec, judgement.rule.as_ref())
        {
            judgement.verdict = Verdict::Try;
        }
        if let Verdict::Ask { question, .. } = &mut judgement.verdict {
            question.line = line_of(&call.script.read(), exec);
        }
        if let Verdict::Ask { question, .. } = &mut judgement.verdict
            // What was not shown whole is not allowed for good, nor what would be asked about again by another check.
            && !question.is_shortened()
            && question.cautions.is_empty()
        {
            // A rule for good would let out whatever it runs, by whichever door that is seen.
            let options = Options { nested: Nested::Judged, plain, ..self.options };
            question.always = suggest(policy, &options, &self.users_rules, exec);
            // Where nothing keeps it inside, a rule that does would give it all.
            question.always.retain(|rule| call.trust.is_enforced() || !rule.stays_inside());
            question.scoped = scoped(&question.always, exec, self.project.as_ref());
            // What it reads is another thing the next time, which only a written rule may pass over.
            let is_once = question.once;
            question.scoped.retain(|rule| !is_once || !matches!(rule.choice, Choice::SessionFirst(_)));
        }
        judgement
    }
}

/// The line of the call's script that names a program, if it has others.
fn line_of(script: &str, exec: &Exec) -> Option<String> {
    let name = exec.file.file_name().unwrap_or_default().to_string_lossy();
    let names_it = |line: &&str| {
        let is_word = |character: char| character.is_alphanumeric() || "-_.+".contains(character);
        line.split(|character: char| !is_word(character)).any(|word| word == name)
    };
    let line = script.lines().map(str::trim).find(names_it)?;
    let words = shlex::split(line).unwrap_or_default();
    let is_whole = script.trim() == line && words.len() == exec.argv.len();
    (!is_whole).then(|| line.to_owned())
}

fn takes_long(exec: &Exec, call: &CallFacts) -> bool {
    let length: usize = exec.argv.iter().map(|argument| argument.len()).sum();
    exec.is_far || length > JUDGED_AT_ONCE || patches::is_about(exec) || call.trust.must_read(exec)
}

/// What was judged is what runs: not a file that was put in its place while a person was thinking.
fn escalate(exec: &Exec, call: &CallFacts, outside: Box<Outside>, trail: &mut AuditTrail<'_>) -> Action {
    if let Some(why) = &exec.kept_inside {
        return inside(Some(why.clone()), trail);
    }
    if let Err(error) = exec.open_directory_outside(call.trust.is_enforced()) {
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

fn inside_only() -> Approved {
    Approved::Runs { why_inside: Some("the person who was asked let it run inside the sandbox only".into()) }
}

fn inside(why: Option<String>, trail: &mut AuditTrail<'_>) -> Action {
    trail.inside(why);
    Action::Run
}

const CHANGED: &str = "the file is not the one that was judged; run it again to have it judged anew";

/// Adds what a person said, for the agent.
fn with_reason(text: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{text}: {}", visible(reason.as_bytes())),
        None => text.to_owned(),
    }
}
