//! Tests of the chain: scripted channels, a clock that waits for nobody.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

use super::*;
use crate::approval::{Approver, CallApprover, ReplyFuture};
use crate::config::ApprovalSettings;

/// A channel that replies as it was told, or waits for ever.
struct Scripted {
    name: &'static str,
    reach: Result<(), String>,
    watches: bool,
    replies: Mutex<Vec<Reply>>,
    asked: Mutex<usize>,
    open: Arc<Mutex<usize>>,
}

impl Scripted {
    fn new(name: &'static str, replies: Vec<Reply>) -> Scripted {
        Scripted {
            name,
            reach: Ok(()),
            watches: false,
            replies: Mutex::new(replies),
            asked: Mutex::default(),
            open: Arc::default(),
        }
    }
}

struct Shown(Arc<Mutex<usize>>);

impl Drop for Shown {
    fn drop(&mut self) {
        *self.0.lock().unwrap() -= 1;
    }
}

impl Channel for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn reach(&self) -> Result<(), String> {
        self.reach.clone()
    }

    fn watches(&self) -> bool {
        self.watches
    }

    fn deserted(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        match self.reach {
            Ok(()) => Box::pin(std::future::pending()),
            Err(_) => Box::pin(std::future::ready(())),
        }
    }

    fn ask(self: Arc<Self>, _open: Arc<OpenQuestion>) -> ReplyFuture {
        *self.asked.lock().unwrap() += 1;
        *self.open.lock().unwrap() += 1;
        let shown = Shown(Arc::clone(&self.open));
        Box::pin(async move {
            let _shown = shown;
            let reply = self.replies.lock().unwrap().pop();
            match reply {
                Some(reply) => reply,
                None => std::future::pending().await,
            }
        })
    }
}

fn decided(choice: Choice) -> Reply {
    Reply::Decided { choice, reason: None }
}

fn question(words: &str) -> Question {
    Question {
        program: "/bin/tool".into(),
        arguments: vec![words.as_bytes().to_vec()],
        workdir: "/work".into(),
        rule: None,
        danger: None,
        identity: Identity::of([words.as_bytes()]),
        again: None,
        always: Vec::new(),
        scoped: Vec::new(),
        cautions: Vec::new(),
        details: Vec::new(),
        line: None,
        connection: None,
        once: false,
        subject: None,
        failed: None,
        gives_more: false,
    }
}

fn chain(terminal: Arc<Scripted>, command: Arc<Scripted>) -> Arc<ApprovalChain> {
    let links = vec![Link::OfCall, Link::Shared(terminal), Link::Shared(command)];
    Arc::new(ApprovalChain::new(links, AnswerFile::new("/nonexistent/default.answers".into())))
}

fn of_call(
    chain: Arc<ApprovalChain>,
    client: &Arc<Scripted>,
    timeout: Option<Duration>,
) -> Arc<CallApprover> {
    Arc::new(CallApprover::new(chain, Some(Arc::clone(client) as Arc<dyn Channel>), timeout))
}

fn approver(client: &Arc<Scripted>, terminal: &Arc<Scripted>, command: &Arc<Scripted>) -> Arc<CallApprover> {
    of_call(chain(Arc::clone(terminal), Arc::clone(command)), client, None)
}

fn three() -> [Scripted; 3] {
    let mut terminal = Scripted::new("terminal", vec![]);
    terminal.watches = true;
    [Scripted::new("client", vec![]), terminal, Scripted::new("command", vec![])]
}

fn approved(by: &'static str) -> Answer {
    Answer::Approved { scope: Scope::Once, reason: None, by }
}

#[tokio::test]
async fn the_first_answer_counts_and_withdraws_the_others() {
    let [client, mut terminal, command] = three();
    terminal.replies = Mutex::new(vec![decided(Choice::Once)]);
    let [client, terminal, command] = [client, terminal, command].map(Arc::new);
    let approver = approver(&client, &terminal, &command);
    assert_eq!(approver.ask(question("a")).await, approved("terminal"));
    let withdrawn = async {
        while *client.open.lock().unwrap() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), withdrawn).await.expect("it is withdrawn");
    assert_eq!(*client.asked.lock().unwrap(), 1);
    assert_eq!(*command.asked.lock().unwrap(), 0, "it was not its turn");
}

#[tokio::test]
async fn one_that_passes_makes_way_for_the_next_and_one_that_refuses_does_not() {
    let [mut client, mut terminal, mut command] = three();
    terminal.reach = Err("no terminal".into());
    client.replies = Mutex::new(vec![decided(Choice::Deny), Reply::Passed("at once".into())]);
    command.replies = Mutex::new(vec![decided(Choice::Once)]);
    let [client, terminal, command] = [client, terminal, command].map(Arc::new);
    let approver = approver(&client, &terminal, &command);
    assert_eq!(approver.ask(question("a")).await, approved("command"));
    assert_eq!(
        approver.ask(question("b")).await,
        Answer::Declined { reason: None, ends_call: false, by: "client" }
    );
    assert_eq!(*command.asked.lock().unwrap(), 1);
}

#[tokio::test]
async fn when_nobody_is_left_everything_that_stood_in_the_way_is_named() {
    let [mut client, mut terminal, mut command] = three();
    client.reach = Err("no client".into());
    terminal.reach = Err("no terminal".into());
    command.replies = Mutex::new(vec![Reply::Passed("broken command".into())]);
    let [client, terminal, command] = [client, terminal, command].map(Arc::new);
    let answer = approver(&client, &terminal, &command).ask(question("a")).await;
    assert_eq!(answer, Answer::Unanswered("no client; broken command; no terminal".into()));
}

#[tokio::test]
async fn what_is_not_on_offer_is_no_answer_and_the_next_channel_is_asked() {
    let [mut client, mut terminal, mut command] = three();
    terminal.reach = Err("no terminal".into());
    client.replies = Mutex::new(vec![decided(Choice::Always), decided(Choice::AlwaysFirst(1))]);
    command.replies = Mutex::new(vec![decided(Choice::Session), decided(Choice::AlwaysFirst(2))]);
    let [client, terminal, command] = [client, terminal, command].map(Arc::new);
    let approver = approver(&client, &terminal, &command);
    let mut forever = question("a");
    forever.once = true;
    for words in
        ["\"always:1\" was not among the choices; the command's answer \"always:2\"", "\"always\" was"]
    {
        let Answer::Unanswered(why) = approver.ask(forever.clone()).await else { panic!("no answer") };
        assert!(why.contains(words), "{why}");
    }
}

#[tokio::test]
async fn a_session_answer_holds_for_the_same_question_only() {
    let [mut client, terminal, command] = three();
    client.replies = Mutex::new(vec![decided(Choice::Deny), decided(Choice::Session)]);
    let [client, terminal, command] = [client, terminal, command].map(Arc::new);
    let approver = approver(&client, &terminal, &command);
    let session = |by| Answer::Approved { scope: Scope::Session, reason: None, by };
    assert_eq!(approver.ask(question("a")).await, session("client"));
    assert_eq!(approver.ask(question("a")).await, session("session"));
    assert_eq!(
        approver.ask(question("b")).await,
        Answer::Declined { reason: None, ends_call: false, by: "client" }
    );
    assert_eq!(*client.asked.lock().unwrap(), 2);
}

#[tokio::test]
async fn the_same_question_is_asked_once_and_a_refusal_holds_for_the_call() {
    let [mut client, terminal, command] = three();
    client.replies = Mutex::new(vec![decided(Choice::Deny), decided(Choice::Once)]);
    let [client, terminal, command] = [client, terminal, command].map(Arc::new);
    let approver = approver(&client, &terminal, &command);
    let (one, two) = tokio::join!(approver.ask(question("a")), approver.ask(question("a")));
    assert_eq!((one, two), (approved("client"), approved("client")));
    assert_eq!(*client.asked.lock().unwrap(), 1);
    let refused = Answer::Declined { reason: None, ends_call: false, by: "client" };
    assert_eq!(approver.ask(question("a")).await, refused, "once is once");
    assert_eq!(approver.ask(question("a")).await, refused);
    assert_eq!(*client.asked.lock().unwrap(), 2);
}

#[tokio::test]
async fn sixteen_questions_of_a_call_are_open_and_sixty_four_of_a_server() {
    let channels = three().map(Arc::new);
    let [client, terminal, command] = &channels;
    let shared = approver(client, terminal, command).chain();
    let mut asking = JoinSet::new();
    for call in 0..6 {
        let approver = of_call(Arc::clone(&shared), client, None);
        for number in 0..20 {
            let approver = Arc::clone(&approver);
            asking.spawn(async move { approver.ask(question(&format!("{call} {number}"))).await });
        }
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*client.open.lock().unwrap(), (16 * (call + 1)).min(64), "call {call}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_in_time_it_is_a_no() {
    let [client, terminal, command] = three().map(Arc::new);
    let approver = of_call(chain(terminal, command), &client, Some(ApprovalSettings::PARKED));
    let answer = approver.ask(question("a")).await;
    assert_eq!(answer, Answer::Unanswered("nobody answered within 10 min".into()));
}

#[tokio::test]
async fn always_writes_the_rule() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("rules/default.answers");
    let [mut client, _, _] = three();
    client.replies = Mutex::new(vec![decided(Choice::Always)]);
    let chain = ApprovalChain::new(vec![Link::OfCall], AnswerFile::new(file.clone()));
    let approver = of_call(Arc::new(chain), &Arc::new(client), None);
    let words = ["tool", "a"].map(std::ffi::OsString::from);
    let mut question = question("a");
    question.always = vec![execpolicy::amend::Amendment::answer(&words).unwrap()];
    let rule = question.always[0].line().to_owned();
    let always = Answer::Approved { scope: Scope::Always(rule), reason: None, by: "client" };
    assert_eq!(approver.ask(question).await, always);
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.starts_with("prefix_rule(pattern=[\"tool\", \"a\"], decision=\"allow\""), "{written}");
}
#[tokio::test]
async fn the_rule_that_is_written_is_the_one_that_was_chosen() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("rules/default.answers");
    let [mut client, _, _] = three();
    client.replies = Mutex::new(vec![decided(Choice::AlwaysFirst(3)), decided(Choice::AlwaysFirst(2))]);
    let chain = ApprovalChain::new(vec![Link::OfCall], AnswerFile::new(file.clone()));
    let approver = of_call(Arc::new(chain), &Arc::new(client), None);
    let words = ["tool", "a", "b"].map(std::ffi::OsString::from);
    let mut question = question("a");
    question.always =
        [3, 2].map(|length| execpolicy::amend::Amendment::answer(&words[..length]).unwrap()).to_vec();
    let rule = question.always[1].line().to_owned();
    let always = Answer::Approved { scope: Scope::Always(rule), reason: None, by: "client" };
    assert_eq!(approver.ask(question.clone()).await, always);
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.starts_with("prefix_rule(pattern=[\"tool\", \"a\"], "), "{written}");
    // The whole is chosen by its own word alone.
    assert!(matches!(approver.ask(question).await, Answer::Unanswered(_)));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
}
#[tokio::test]
async fn a_reason_is_bounded_and_an_empty_one_is_none() {
    let [mut client, terminal, command] = three();
    let said = |reason: &str| Reply::Decided { choice: Choice::Once, reason: Some(reason.to_owned()) };
    client.replies = Mutex::new(vec![said(&"x".repeat(100_000)), said(" \n"), said("  go on ")]);
    let [client, terminal, command] = [client, terminal, command].map(Arc::new);
    let approver = approver(&client, &terminal, &command);
    for expected in [Some("go on".to_owned()), None, Some("x".repeat(MAX_REASON))] {
        let answer = Answer::Approved { scope: Scope::Once, reason: expected, by: "client" };
        assert_eq!(approver.ask(question("a")).await, answer);
    }
}

#[tokio::test]
async fn what_a_command_starts_many_times_is_asked_about_once_in_its_call() {
    let [mut client, terminal, command] = three();
    client.replies = Mutex::new(vec![decided(Choice::Once), decided(Choice::Once), decided(Choice::Once)]);
    let [client, terminal, command] = [client, terminal, command].map(Arc::new);
    let chain = chain(Arc::clone(&terminal), Arc::clone(&command));
    let approver = of_call(Arc::clone(&chain), &client, None);
    let below = |variables: &str, program: &str| Question {
        identity: Identity::of([variables.as_bytes(), program.as_bytes()]),
        again: Some(Identity::of([program.as_bytes()])),
        ..question(program)
    };
    assert!(!approver.has_asked());
    assert_eq!(approver.ask(below("LEVEL=1", "a")).await, approved("client"));
    assert_eq!(approver.ask(below("LEVEL=2", "a")).await, approved("call"));
    assert_eq!(*client.asked.lock().unwrap(), 1);
    // What is another program, or is asked about each time, is.
    assert_eq!(approver.ask(below("LEVEL=1", "b")).await, approved("client"));
    assert_eq!(approver.ask(Question { again: None, ..below("LEVEL=1", "a") }).await, approved("client"));
    assert_eq!(*client.asked.lock().unwrap(), 3);
    // Another call is another command.
    let [client, _, _] = three().map(Arc::new);
    let other = of_call(chain, &client, Some(std::time::Duration::from_millis(1)));
    assert!(matches!(other.ask(below("LEVEL=1", "a")).await, Answer::Unanswered(_)));
    assert!(approver.has_asked());
}

#[tokio::test]
async fn one_of_many_who_has_enough_open_is_refused_instead_of_waiting() {
    let [client, terminal, _] = three().map(Arc::new);
    let links = vec![Link::Shared(Arc::clone(&terminal) as Arc<dyn Channel>)];
    let chain = ApprovalChain::new(links, AnswerFile::new("/nonexistent/default.answers".into()));
    let chain = Arc::new(chain.refusing_beyond(2));
    // Each of them is another call's.
    let calls: Vec<_> = (0..3).map(|_| of_call(Arc::clone(&chain), &client, None)).collect();
    let open: Vec<_> = ["a", "b"]
        .into_iter()
        .zip(&calls)
        .map(|(words, call)| {
            let call = Arc::clone(call);
            tokio::spawn(async move { call.ask(question(words)).await })
        })
        .collect();
    while *terminal.open.lock().unwrap() < 2 {
        tokio::task::yield_now().await;
    }
    let refused = calls[2].ask(question("c")).await;
    assert!(matches!(&refused, Answer::Unanswered(why) if why.starts_with("2 questions")), "{refused:?}");
    // One that is closed makes room.
    open[0].abort();
    while *terminal.open.lock().unwrap() > 1 {
        tokio::task::yield_now().await;
    }
    let call = Arc::clone(&calls[2]);
    let next = tokio::spawn(async move { call.ask(question("d")).await });
    while *terminal.open.lock().unwrap() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(!next.is_finished());
}
