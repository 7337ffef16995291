//! The server's end: shows open questions to every terminal that is attached, and takes the first answer.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::hub::{Connections, Hub, Messages};
use super::protocol::{FromServer, FromTerminal, MAX_ANSWER, VERSION, encode, framed, read};
use crate::sockets::{self, Kind, ServerSocket};
use shell_engine::OpenConnection;
use shell_engine::approval::{Channel, OpenQuestion, ReplyFuture};
use shell_engine::user_command::user_command;
use shell_engine::visible::visible;

/// Terminals that may be attached at once.
const MAX_TERMINALS: usize = 16;

/// How long a view may take to read one message.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

fn nobody() -> String {
    format!("no terminal is attached (run `{} approve` in another terminal)", user_command())
}

/// Asks in the user's terminals.
pub(crate) struct TerminalChannel {
    hub: Arc<Hub>,
    connections: Connections,
    /// Why no terminal can attach.
    obstacle: Option<String>,
    listening: Mutex<Option<Listening>>,
}

enum Listening {
    Soon(std::os::unix::net::UnixListener, ServerSocket),
    Now { task: JoinHandle<()>, _socket: ServerSocket },
}

impl TerminalChannel {
    /// A channel whose socket is in the first of `folders` where it can be.
    pub(crate) fn new(
        folders: &[PathBuf],
        codex_home: PathBuf,
        connections: impl Fn() -> Vec<OpenConnection> + Send + Sync + 'static,
    ) -> TerminalChannel {
        let folder = std::env::current_dir().unwrap_or_default();
        let hello = FromServer::Hello {
            version: VERSION,
            server: std::process::id(),
            folder: visible(folder.as_os_str().as_encoded_bytes()),
            codex_home: Some(codex_home),
        };
        let hub = Arc::new(Hub::new(hello, MAX_TERMINALS));
        let (obstacle, listening) = match sockets::listen(Kind::Approvals, folders) {
            Ok((listener, seat)) => (None, Some(Listening::Soon(listener, seat))),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "no terminal can attach to this server"
                );
                (Some(format!("no terminal can attach to this server ({error})")), None)
            }
        };
        let connections = Arc::new(connections);
        let channel = TerminalChannel { hub, connections, obstacle, listening: Mutex::new(listening) };
        channel.listen();
        channel
    }

    /// Lets terminals attach, from the first time that this is called within a runtime.
    pub(crate) fn listen(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        *listening = match listening.take() {
            Some(Listening::Soon(listener, seat)) => {
                let (hub, connections) = (Arc::clone(&self.hub), Arc::clone(&self.connections));
                let task = runtime.spawn(async move {
                    tokio::join!(accept(listener, Arc::clone(&hub)), hub.report(&connections));
                });
                Some(Listening::Now { task, _socket: seat })
            }
            other => other,
        };
    }
}

impl Drop for TerminalChannel {
    fn drop(&mut self) {
        if let Ok(Some(Listening::Now { task, .. })) = self.listening.get_mut() {
            task.abort();
        }
    }
}

impl Channel for TerminalChannel {
    fn name(&self) -> &'static str {
        "terminal"
    }

    fn reach(&self) -> Result<(), String> {
        match &self.obstacle {
            Some(obstacle) => Err(obstacle.clone()),
            None if self.hub.is_watched() => Ok(()),
            None => Err(nobody()),
        }
    }

    fn watches(&self) -> bool {
        true
    }

    fn deserted(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            if self.obstacle.is_none() {
                self.hub.deserted().await;
            }
        })
    }

    fn prepare(&self) {
        self.listen();
    }

    fn ask(self: Arc<Self>, open: Arc<OpenQuestion>) -> ReplyFuture {
        Arc::clone(&self.hub).ask(open, None)
    }
}

async fn accept(listener: std::os::unix::net::UnixListener, hub: Arc<Hub>) {
    let listener = listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener));
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => return tracing::warn!(%error, "terminals cannot attach"),
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(&hub)))),
            Err(error) => {
                tracing::warn!(%error, "a terminal could not attach");
                // When descriptors have run out, trying again at once would help nobody.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

/// One terminal, from its coming to its going.
async fn serve(stream: UnixStream, hub: Arc<Hub>) {
    let known = sockets::same_user(&stream).and_then(|()| sockets::as_free_as_we_are(&stream));
    let (input, mut output) = stream.into_split();
    let attached = match known {
        Ok(()) => hub.attach().ok_or_else(|| "too many terminals are attached".to_owned()),
        Err(stranger) => {
            tracing::warn!(%stranger, "somebody was refused on the terminals' socket");
            Err(stranger.to_string())
        }
    };
    let messages = match attached {
        Ok(messages) => messages,
        Err(why) => {
            if let Ok(refusal) = encode(&FromServer::Refused { why }) {
                let _ = output.write_all(&refusal).await;
            }
            return;
        }
    };
    let _attending = hub.attend();
    let ended = tokio::select! {
        ended = hear(input, &hub) => ended,
        ended = tell(output, messages) => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a terminal was let go");
    }
}

async fn hear(mut input: OwnedReadHalf, hub: &Hub) -> std::io::Result<()> {
    while let Some(message) = read::<FromTerminal>(&mut input, MAX_ANSWER).await? {
        // What is not open (any more), or not on offer, is passed over.
        let _ = hub.answer(message);
    }
    Ok(())
}

/// Passes on what there is to tell. A view that reads nothing (it is stopped, perhaps) is let go.
async fn tell(mut output: OwnedWriteHalf, mut messages: Messages) -> std::io::Result<()> {
    while let Some(message) = messages.recv().await {
        tokio::time::timeout(READ_TIMEOUT, output.write_all(&framed(&message)?)).await??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::channels::terminal::protocol::MAX_MESSAGE;
    use crate::channels::terminal::question::ShownQuestion;
    use shell_engine::approval::{Choice, Identity, Offers, Question, QuestionId, Reply};

    fn question(word: &str) -> Arc<OpenQuestion> {
        let question = Question {
            program: "/bin/tool".into(),
            arguments: vec![word.into()],
            workdir: "/work".into(),
            rule: None,
            danger: Some("it is sharp".into()),
            identity: Identity::of([word.as_bytes()]),
            again: None,
            always: Vec::new(),
            scoped: Vec::new(),
            cautions: Vec::new(),
            details: vec!["Careful.".into()],
            line: None,
            connection: None,
            once: false,
            subject: None,
            failed: None,
            gives_more: false,
        };
        let offers = Offers { session: true, ..Offers::default() };
        Arc::new(OpenQuestion { id: QuestionId::next(), question, offers, since: SystemTime::now() })
    }

    struct World {
        _root: tempfile::TempDir,
        folders: [PathBuf; 1],
        channel: Arc<TerminalChannel>,
    }

    impl World {
        fn new() -> World {
            let root = tempfile::tempdir().expect("a folder");
            let folders = [root.path().join("run")];
            let channel = Arc::new(TerminalChannel::new(&folders, root.path().to_owned(), Vec::new));
            World { _root: root, folders, channel }
        }

        async fn terminal(&self) -> UnixStream {
            let [socket] = &sockets::sockets(Kind::Approvals, &self.folders)[..] else {
                panic!("one socket")
            };
            let mut stream = UnixStream::connect(socket).await.expect("connected");
            assert!(matches!(hear(&mut stream).await, FromServer::Hello { .. }));
            stream
        }
    }

    async fn hear(stream: &mut UnixStream) -> FromServer {
        read(stream, MAX_MESSAGE).await.expect("read").expect("a message")
    }

    async fn asked(stream: &mut UnixStream) -> ShownQuestion {
        match hear(stream).await {
            FromServer::Asked(shown) => *shown,
            other @ (FromServer::Hello { .. }
            | FromServer::Refused { .. }
            | FromServer::Connections { .. }
            | FromServer::Closed { .. }) => {
                panic!("{other:?}")
            }
        }
    }

    async fn answer(stream: &mut UnixStream, id: &str, choice: &str, reason: Option<&str>) {
        let answer =
            FromTerminal::Answer { id: id.into(), choice: choice.into(), reason: reason.map(Into::into) };
        stream.write_all(&encode(&answer).expect("encoded")).await.expect("sent");
    }

    #[tokio::test]
    async fn an_answer_reaches_its_question_and_others_are_passed_over() {
        let world = World::new();
        assert_eq!(world.channel.reach(), Err(nobody()));
        let mut terminal = world.terminal().await;
        assert_eq!(world.channel.reach(), Ok(()));
        let one = tokio::spawn(Arc::clone(&world.channel).ask(question("one")));
        let first = asked(&mut terminal).await;
        let two = tokio::spawn(Arc::clone(&world.channel).ask(question("two")));
        let second = asked(&mut terminal).await;
        assert_eq!((&*first.command, &*first.arguments[0]), ("/bin/tool one", "one"));
        assert_eq!(first.choices, ["once", "session", "deny"]);
        assert_eq!(first.why.as_deref(), Some("it is sharp"));
        assert_eq!(first.details, ["Careful."]);

        answer(&mut terminal, "q0", "once", None).await;
        answer(&mut terminal, &second.id, "session", Some("go on")).await;
        answer(&mut terminal, &second.id, "deny", None).await;
        for none in ["whatever", "always", "always:1", ""] {
            answer(&mut terminal, &first.id, none, None).await;
        }
        answer(&mut terminal, &first.id, "deny", None).await;
        let reason = Some("go on".into());
        assert_eq!(two.await.expect("answered"), Reply::Decided { choice: Choice::Session, reason });
        assert_eq!(one.await.expect("answered"), Reply::Decided { choice: Choice::Deny, reason: None });
        let closed = [hear(&mut terminal).await, hear(&mut terminal).await];
        assert!(closed.contains(&FromServer::Closed { id: first.id }), "{closed:?}");
        assert!(closed.contains(&FromServer::Closed { id: second.id }), "{closed:?}");
    }

    #[tokio::test]
    async fn a_question_is_shown_to_who_comes_later_and_withdrawn_everywhere() {
        let world = World::new();
        let asking = tokio::spawn(Arc::clone(&world.channel).ask(question("one")));
        let asked_about = async {
            while world.channel.hub.open() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), asked_about).await.expect("it is asked");
        let (mut first, mut second) = (world.terminal().await, world.terminal().await);
        let shown = asked(&mut first).await;
        assert_eq!(asked(&mut second).await, shown);
        asking.abort();
        for terminal in [&mut first, &mut second] {
            assert_eq!(hear(terminal).await, FromServer::Closed { id: shown.id.clone() });
        }
        assert_eq!(world.channel.hub.open(), 0);
    }

    #[tokio::test]
    async fn junk_ends_one_terminal_only() {
        let world = World::new();
        let (mut bad, mut good) = (world.terminal().await, world.terminal().await);
        bad.write_all(&[0xff; 64]).await.expect("sent");
        // Closed in the middle of what it said: the system may call that a reset.
        assert!(!matches!(read::<FromServer>(&mut bad, MAX_MESSAGE).await, Ok(Some(_))));
        let asking = tokio::spawn(Arc::clone(&world.channel).ask(question("one")));
        let shown = asked(&mut good).await;
        answer(&mut good, &shown.id, "once", None).await;
        assert_eq!(asking.await.expect("answered"), Reply::Decided { choice: Choice::Once, reason: None });
    }

    #[tokio::test]
    async fn the_socket_is_private_and_goes_with_the_server() {
        use std::os::unix::fs::PermissionsExt;
        let world = World::new();
        let [socket] = &sockets::sockets(Kind::Approvals, &world.folders)[..] else { panic!("one socket") };
        let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(socket), mode(&world.folders[0])), (0o600, 0o700));
        let World { _root, folders, channel } = world;
        drop(channel);
        assert!(sockets::sockets(Kind::Approvals, &folders).is_empty());
    }
}
