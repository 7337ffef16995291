//! What was sent to clients, for a while: whoever has lost a connection takes the stream up where it broke off.
//!
//! A command goes on without its client's connection in the revisions that have sessions, so its result must wait here.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::model::ServerJsonRpcMessage;
use rmcp::transport::streamable_http_server::session::{
    EventId, EventStore, EventStoreError, EventStream, ServerSseMessage,
};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

/// The most bytes that are kept for one principal; the oldest go first.
const MOST_BYTES: usize = 16 << 20;

/// How long a stream is kept that has ended.
const KEPT: Duration = Duration::from_secs(10 * 60);

/// What an event takes besides its text, about.
const OVERHEAD: usize = 256;

/// How the library's name of a session's own stream, after its id, ends. Those of its requests have names by chance.
const COMMON: &str = ":common";

/// The events of one principal's streams.
pub(super) struct Events {
    /// Tells this server's events from another's.
    server: String,
    state: Mutex<State>,
    happened: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    /// By the names that the library gives them.
    numbers: HashMap<String, u64>,
    streams: HashMap<u64, Stream>,
    /// All events in the order in which they came.
    order: VecDeque<u64>,
    bytes: usize,
    /// Streams that have ended, and when.
    ended: VecDeque<(Instant, u64)>,
}

struct Stream {
    name: String,
    session: Option<String>,
    /// The number of the first event that is still kept.
    first: u64,
    events: VecDeque<(ServerSseMessage, usize)>,
    ended: bool,
}

/// What a reader finds.
enum Next {
    Event(ServerSseMessage),
    NotYet,
    End,
}

impl Events {
    /// None yet, of the server with this name.
    pub(super) fn new(server: &str) -> Events {
        Events { server: server.to_owned(), state: Mutex::default(), happened: Notify::new() }
    }

    /// Whether the event is one of this server's, and of a stream that is still kept.
    pub(super) fn knows(&self, event: &str) -> bool {
        self.place(event).is_some_and(|(stream, _)| self.state().streams.contains_key(&stream))
    }

    /// A stream's number, and the event's in it.
    fn place(&self, event: &str) -> Option<(u64, u64)> {
        let (stream, number) = event.strip_prefix(&self.server)?.strip_prefix('-')?.split_once('-')?;
        Some((stream.parse().ok()?, number.parse().ok()?))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that an event's stream is a session's.
    pub(super) fn is_of(&self, session: &str, event: &str) {
        let mut state = self.state();
        if let Some((number, _)) = self.place(event)
            && let Some(stream) = state.streams.get_mut(&number)
        {
            stream.session.get_or_insert_with(|| session.to_owned());
        }
    }

    /// Forgets what was sent in a session, which nobody goes on with.
    pub(super) fn forget_session(&self, session: &str) {
        self.state().forget_session(session);
        self.happened.notify_waiters();
    }

    fn next(&self, stream: u64, number: u64) -> Next {
        let state = self.state();
        let Some(stream) = state.streams.get(&stream) else { return Next::End };
        let Some(at) = number.checked_sub(stream.first) else { return Next::End };
        match usize::try_from(at).ok().and_then(|at| stream.events.get(at)) {
            Some((event, _)) => Next::Event(event.clone()),
            None if stream.ended => Next::End,
            None => Next::NotYet,
        }
    }
}

impl State {
    fn add(&mut self, server: &str, name: &str, event: &ServerSseMessage) -> String {
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None => {
                self.next += 1;
                self.numbers.insert(name.to_owned(), self.next);
                self.next
            }
        };
        let stream = self.streams.entry(number).or_insert_with(|| Stream {
            name: name.to_owned(),
            session: name.strip_suffix(COMMON).map(ToOwned::to_owned),
            first: 0,
            events: VecDeque::new(),
            ended: false,
        });
        let index = stream.first + u64::try_from(stream.events.len()).unwrap_or_default();
        let id = format!("{server}-{number}-{index}");
        let mut event = event.clone();
        event.event_id = Some(id.clone());
        let size = OVERHEAD + length(&event);
        if event.message.as_deref().is_some_and(is_last) && !std::mem::replace(&mut stream.ended, true) {
            self.ended.push_back((Instant::now(), number));
        }
        stream.events.push_back((event, size));
        self.order.push_back(number);
        self.bytes += size;
        self.make_room();
        id
    }

    fn make_room(&mut self) {
        while let Some((when, number)) = self.ended.front().copied()
            && when.elapsed() > KEPT
        {
            self.ended.pop_front();
            self.forget(number);
        }
        while self.bytes > MOST_BYTES
            && let Some(oldest) = self.order.pop_front()
        {
            let Some(stream) = self.streams.get_mut(&oldest) else { continue };
            if let Some((_, size)) = stream.events.pop_front() {
                stream.first += 1;
                self.bytes -= size;
            }
            if stream.ended && stream.events.is_empty() {
                self.forget(oldest);
            }
        }
    }

    fn forget(&mut self, number: u64) {
        if let Some(stream) = self.streams.remove(&number) {
            self.bytes -= stream.events.iter().map(|(_, size)| size).sum::<usize>();
            self.numbers.remove(&stream.name);
            self.order.retain(|other| *other != number);
        }
    }

    fn forget_session(&mut self, session: &str) {
        let is_its = |stream: &Stream| stream.session.as_deref() == Some(session);
        for stream in self.streams.values().filter(|stream| is_its(stream)) {
            self.bytes -= stream.events.iter().map(|(_, size)| size).sum::<usize>();
            self.numbers.remove(&stream.name);
        }
        self.streams.retain(|_, stream| !is_its(stream));
        let streams = &self.streams;
        self.order.retain(|number| streams.contains_key(number));
        self.ended.retain(|(_, number)| streams.contains_key(number));
    }
}

/// Whether nothing follows on a request's own stream.
fn is_last(message: &ServerJsonRpcMessage) -> bool {
    matches!(message, ServerJsonRpcMessage::Response(_) | ServerJsonRpcMessage::Error(_))
}

/// How long the message is as it is sent.
fn length(event: &ServerSseMessage) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    if let Some(message) = &event.message {
        let _ = serde_json::to_writer(&mut count, &**message);
    }
    count.0
}

/// The store as the library wants it. Clones are the same.
#[derive(Clone)]
pub(super) struct Replay(pub(super) Arc<Events>);

#[async_trait::async_trait]
impl EventStore for Replay {
    async fn store_event(&self, name: &str, event: &ServerSseMessage) -> Result<EventId, EventStoreError> {
        let id = self.0.state().add(&self.0.server, name, event);
        self.0.happened.notify_waiters();
        Ok(id)
    }

    /// What came after that event, and what still comes.
    async fn replay_events_after(&self, event: &str) -> Result<EventStream, EventStoreError> {
        let (stream, number) = self.0.place(event).ok_or("no event of this server")?;
        if !self.0.knows(event) {
            return Err("the event is not kept any more".into());
        }
        let events = Arc::clone(&self.0);
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut number = number + 1;
            loop {
                let mut happened = std::pin::pin!(events.happened.notified());
                happened.as_mut().enable();
                match events.next(stream, number) {
                    Next::Event(event) => {
                        if sender.send(event).await.is_err() {
                            return;
                        }
                        number += 1;
                    }
                    Next::End => return,
                    Next::NotYet => tokio::select! {
                        () = happened => {}
                        () = sender.closed() => return,
                    },
                }
            }
        });
        Ok(Box::pin(ReceiverStream::new(receiver)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmcp::model::{NumberOrString, ServerResult};
    use tokio_stream::StreamExt;

    fn store() -> Replay {
        Replay(Arc::new(Events::new("abc")))
    }

    fn note() -> ServerSseMessage {
        ServerSseMessage::retry(Duration::from_secs(3))
    }

    fn answer() -> ServerSseMessage {
        let result = ServerResult::empty(());
        ServerSseMessage::from_message(ServerJsonRpcMessage::response(result, NumberOrString::Number(1)))
    }

    #[tokio::test]
    async fn a_stream_goes_on_where_it_broke_off_and_ends_with_its_answer() {
        let store = store();
        let first = store.store_event("one", &note()).await.unwrap();
        let second = store.store_event("one", &note()).await.unwrap();
        store.store_event("two", &note()).await.unwrap();
        let mut stream = store.replay_events_after(&first).await.unwrap();
        assert_eq!(stream.next().await.unwrap().event_id.as_deref(), Some(&*second));
        let last = store.store_event("one", &answer()).await.unwrap();
        let event = stream.next().await.unwrap();
        assert!(event.event_id.as_deref() == Some(&*last) && event.message.is_some());
        assert!(stream.next().await.is_none());
        // Again, as often as it breaks off.
        assert_eq!(store.replay_events_after(&first).await.unwrap().collect::<Vec<_>>().await.len(), 2);
    }

    #[tokio::test]
    async fn events_of_others_are_unknown() {
        let store = store();
        let id = store.store_event("one", &note()).await.unwrap();
        for other in ["", "0", "abc", "abc-9-0", "abc-x-0", &format!("x{id}")] {
            assert!(!store.0.knows(other) && store.replay_events_after(other).await.is_err(), "{other}");
        }
    }

    #[tokio::test]
    async fn what_was_sent_in_a_session_ends_with_it() {
        let store = store();
        let mut kept = Vec::new();
        for (session, name) in [("one", "one:common"), ("one", "a"), ("two", "two:common"), ("two", "b")] {
            let first = store.store_event(name, &note()).await.unwrap();
            store.0.is_of(session, &first);
            kept.push(store.store_event(name, &answer()).await.unwrap());
        }
        store.0.forget_session("one");
        let knows: Vec<bool> = kept.iter().map(|id| store.0.knows(id)).collect();
        assert_eq!(knows, [false, false, true, true]);
        store.0.forget_session("two");
        let state = store.0.state();
        assert!(state.bytes == 0 && state.order.is_empty() && state.ended.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_bounded_in_bytes_and_in_time() {
        let store = store();
        let first = store.store_event("one", &note()).await.unwrap();
        for _ in 0..2 * MOST_BYTES / OVERHEAD {
            store.store_event("one", &note()).await.unwrap();
        }
        assert!(store.0.state().bytes <= MOST_BYTES);
        assert!(store.replay_events_after(&first).await.unwrap().next().await.is_none(), "too old");
        let id = store.store_event("two", &answer()).await.unwrap();
        tokio::time::advance(KEPT * 2).await;
        store.store_event("three", &note()).await.unwrap();
        assert!(!store.0.knows(&id));
        let state = store.0.state();
        assert_eq!(state.order.len(), state.streams.values().map(|s| s.events.len()).sum::<usize>());
    }
}
