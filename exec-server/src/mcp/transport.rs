//! Newline-delimited JSON-RPC, one message a line, as MCP's stdio transport has it.
//!
//! rmcp brings a transport of its own; this one exists for what clients really send and do:
//! a line that is no message gets an error instead of silence and never ends the server; notifications and responses
//! before `initialize` are passed over; a request id that is in use is refused; and when the client closes the stream,
//! running calls end, and are answered, at once instead of after five seconds (clients kill after two).

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    ClientNotification, ClientRequest, ErrorData, GetMeta, JsonRpcMessage, ProtocolVersion, RequestId,
    ServerNotification,
};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::listeners::TaskIds;
use super::malformed::{explain, strange_cursor};
use super::sandbox_state;
use super::session_file::SessionFile;
use super::succession::Succession;
use super::under_way::UnderWay;

/// The longest line, in bytes: a command may have 10 MB, and JSON may need six bytes for one.
pub(super) const MAX_LINE_BYTES: usize = 64 << 20;

/// How long requests that are under way may still take when the client has closed its end, so that those of
/// `printf … | exec-server` get to their end by themselves. With the grace of what does not, all are gone within a
/// second; clients wait for two before they kill.
const GRACE: Duration = Duration::from_millis(300);

type Writer = Arc<tokio::sync::Mutex<Box<dyn AsyncWrite + Send + Unpin>>>;

/// The transport between rmcp and the client.
pub(super) struct LineTransport {
    reader: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    writer: Writer,
    line: Vec<u8>,
    /// The current line is over the limit: the rest of it is read and thrown away.
    discarding: bool,
    /// A request has come after which rmcp accepts other messages.
    opened: bool,
    closed: Option<Instant>,
    /// The client raises an error when an answer comes after it has closed its end.
    takes_offence: bool,
    under_way: Arc<UnderWay>,
    /// What another server had heard, to be heard before anything else.
    again: VecDeque<RxJsonRpcMessage<RoleServer>>,
    /// The requests among that, whose answers are not sent.
    repeated: HashSet<RequestId>,
    /// Cancelled when the client is gone: calls end.
    gone: CancellationToken,
}

impl LineTransport {
    /// Wraps the two streams; `gone` is cancelled when the client has closed its end. With a `session` that another
    /// server has begun, this one goes on with it. Must be called within the runtime.
    pub(super) fn new(
        reader: Box<dyn AsyncRead + Send + Unpin>,
        writer: Box<dyn AsyncWrite + Send + Unpin>,
        gone: CancellationToken,
        session: Option<SessionFile>,
    ) -> LineTransport {
        let succession =
            session.as_ref().filter(|file| file.succeeds()).map(|file| Succession::of(file.session()));
        let mut transport = LineTransport {
            reader: BufReader::new(reader),
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            line: Vec::new(),
            discarding: false,
            opened: false,
            closed: None,
            takes_offence: false,
            under_way: Arc::new(UnderWay::new(session)),
            again: VecDeque::new(),
            repeated: HashSet::new(),
            gone,
        };
        if let Some(succession) = succession {
            transport.succeed(succession);
        }
        transport
    }

    /// Takes the place of a server that has died.
    fn succeed(&mut self, succession: Succession) {
        let Succession { heard, repeated, told, answered } = succession;
        self.again = heard.into();
        // Who still has to hear something again may die of it.
        let hears_nothing = repeated.is_empty();
        self.repeated = repeated;
        let (writer, under_way, gone) =
            (Arc::clone(&self.writer), Arc::clone(&self.under_way), self.gone.clone());
        // Nobody else has the writer yet, so this comes first.
        let Ok(mut writer) = writer.try_lock_owned() else { return };
        tokio::spawn(async move {
            // The other one may have died within a line.
            let mut written = writer.write_all(b"\n").await;
            for message in &told {
                if written.is_ok() {
                    written = put_line(&mut **writer, message).await;
                }
            }
            for id in &answered {
                under_way.finish(id, false);
            }
            match written {
                Ok(()) if hears_nothing => under_way.serving(),
                Ok(()) => {}
                Err(_) => gone.cancel(),
            }
        });
    }

    /// The requests that have no answer yet.
    pub(super) fn under_way(&self) -> Arc<UnderWay> {
        Arc::clone(&self.under_way)
    }

    /// Reads one line without its end into `self.line`. Nothing is lost when the future is dropped.
    async fn read_line(&mut self) -> io::Result<Line> {
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                let unfinished = !self.line.is_empty() && !self.discarding;
                return Ok(if unfinished { Line::Complete } else { Line::End });
            }
            let (length, complete) = match available.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (available.len(), false),
            };
            if self.line.len() + length > MAX_LINE_BYTES {
                self.discarding = true;
                self.line = Vec::new();
            }
            if !self.discarding {
                self.line.extend_from_slice(available.get(..length).unwrap_or_default());
            }
            self.reader.consume(length);
            if complete {
                return Ok(if std::mem::take(&mut self.discarding) { Line::TooLong } else { Line::Complete });
            }
        }
    }

    /// Takes the line apart. `None`: there is nothing to pass on, and the client has been told if it needs to know.
    fn decode(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let line = std::mem::take(&mut self.line);
        if line.trim_ascii().is_empty() {
            return None;
        }
        match serde_json::from_slice(&line) {
            Ok(message) => match strange_cursor(&message, &line) {
                Some(id) => {
                    let text = "invalid parameters: cursor must be a string that an earlier page gave";
                    self.reject(ErrorData::invalid_params(text, None), Some(id));
                    None
                }
                None => self.admit(message, &line),
            },
            Err(error) => {
                let (error, id) = explain(&line, &error);
                self.reject(error, id);
                None
            }
        }
    }

    /// Keeps from rmcp what it cannot stand: messages that are no request before the first one, and ids used twice.
    /// `line` is the message as it came.
    fn admit(
        &mut self,
        mut message: RxJsonRpcMessage<RoleServer>,
        line: &[u8],
    ) -> Option<RxJsonRpcMessage<RoleServer>> {
        match &mut message {
            JsonRpcMessage::Request(request) => {
                self.note(&request.request);
                if let ClientRequest::SubscriptionsListenRequest(listen) = &mut request.request {
                    listen.extensions.insert(TaskIds::named_in(line));
                }
                let said = holds_on(&request.request).then_some(line);
                if !self.under_way.begin(&request.id, said) {
                    let error = ErrorData::invalid_request("the request id is already in use", None);
                    self.reject(error, Some(request.id.clone()));
                    return None;
                }
            }
            JsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) = &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.under_way.finish(id, false); // rmcp suppresses the answer.
                }
                let is_initialized =
                    matches!(notification.notification, ClientNotification::InitializedNotification(_));
                if is_initialized && self.opened {
                    self.under_way.said(line);
                }
            }
            JsonRpcMessage::Response(response) => response.id = self.under_way.settle(&response.id)?,
            JsonRpcMessage::Error(error) => {
                if let Some(id) = &mut error.id {
                    *id = self.under_way.settle(id)?;
                }
            }
        }
        let is_request = matches!(message, JsonRpcMessage::Request(_));
        (self.opened || is_request).then_some(message)
    }

    /// Notes what a request tells about its client.
    fn note(&mut self, request: &ClientRequest) {
        self.opened |= opens(request);
        self.takes_offence |= takes_offence(request);
    }

    /// Answers with an error, from a task of its own: `receive` may be dropped at any moment, half a line must not be.
    fn reject(&self, error: ErrorData, id: Option<RequestId>) {
        let (writer, gone) = (Arc::clone(&self.writer), self.gone.clone());
        tokio::spawn(async move {
            if write_line(&writer, &TxJsonRpcMessage::<RoleServer>::error(error, id)).await.is_err() {
                gone.cancel();
            }
        });
    }

    /// The client is gone: gives the answers that are under way a moment, then ends everything.
    fn wind_down(&self, deadline: Instant) -> impl Future<Output = ()> + Send + use<> {
        let (under_way, gone) = (Arc::clone(&self.under_way), self.gone.clone());
        async move {
            let _ = tokio::time::timeout_at(deadline, under_way.none_left()).await;
            gone.cancel();
        }
    }
}

enum Line {
    Complete,
    TooLong,
    End,
}

impl Transport<RoleServer> for LineTransport {
    type Error = io::Error;

    fn send(
        &mut self,
        mut message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let answered = match &mut message {
            JsonRpcMessage::Response(response) => Some((response.id.clone(), true)),
            JsonRpcMessage::Error(error) => error.id.clone().map(|id| (id, false)),
            JsonRpcMessage::Request(request) => {
                request.id = self.under_way.ask(&request.id);
                None
            }
            JsonRpcMessage::Notification(notification) => {
                if let ServerNotification::CancelledNotification(cancelled) = &mut notification.notification
                    && let Some(id) = &mut cancelled.params.request_id
                {
                    *id = self.under_way.withdraw(id);
                }
                None
            }
        };
        let repeated = answered.as_ref().is_some_and(|(id, _)| self.repeated.remove(id));
        // A server serves when it has stood all that it had to hear again.
        let stood = repeated && self.repeated.is_empty();
        let writer = Arc::clone(&self.writer);
        let (under_way, gone) = (Arc::clone(&self.under_way), self.gone.clone());
        let muted = repeated || self.takes_offence && self.gone.is_cancelled();
        async move {
            let result = if muted { Ok(()) } else { write_line(&writer, &message).await };
            if let Some((id, with_result)) = answered {
                under_way.finish(&id, if repeated { stood } else { with_result });
            }
            if result.is_err() {
                gone.cancel(); // What cannot be told once cannot be told again.
            }
            result
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        if let Some(message) = self.again.pop_front() {
            if let JsonRpcMessage::Request(request) = &message {
                self.note(&request.request);
            }
            return Some(message);
        }
        loop {
            if let Some(deadline) = self.closed {
                self.wind_down(deadline).await;
                return None;
            }
            match self.read_line().await {
                Ok(Line::Complete) => {
                    if let Some(message) = self.decode() {
                        return Some(message);
                    }
                }
                Ok(Line::TooLong) => {
                    let text = format!("a message may have {MAX_LINE_BYTES} bytes, this one had more");
                    self.reject(ErrorData::invalid_request(text, None), None);
                }
                Ok(Line::End) => self.closed = Some(Instant::now() + GRACE),
                Err(error) => {
                    tracing::warn!(%error, "reading from the client failed");
                    self.closed = Some(Instant::now() + GRACE);
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        // A writer that waits for a client that does not read would hold the lock for ever.
        match tokio::time::timeout(GRACE, self.writer.lock()).await {
            Ok(mut writer) => writer.flush().await,
            Err(_) => Ok(()),
        }
    }
}

/// Whether rmcp takes this request for the beginning: it ends at any other message that comes before.
fn opens(request: &ClientRequest) -> bool {
    if matches!(request, ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_)) {
        return false;
    }
    let meta = request.get_meta();
    let known = |version| ProtocolVersion::KNOWN_VERSIONS.contains(&version);
    matches!(request, ClientRequest::InitializeRequest(_))
        || meta.protocol_version().is_some_and(known) && meta.client_capabilities().is_some()
}

/// Whether a request, once it is accepted, holds for all that follow.
fn holds_on(request: &ClientRequest) -> bool {
    if let ClientRequest::CustomRequest(request) = request {
        return request.method == sandbox_state::UPDATE;
    }
    matches!(request, ClientRequest::InitializeRequest(_) | ClientRequest::SetLevelRequest(_))
}

/// Whether the client is the Python SDK before its version 2, by the name that it has unless its user gives it another:
/// closing it with a request under way fails if the answer still comes.
fn takes_offence(request: &ClientRequest) -> bool {
    let ClientRequest::InitializeRequest(initialize) = request else { return false };
    let client = &initialize.params.client_info;
    client.name == "mcp" && client.version == "0.1.0"
}

async fn write_line(writer: &Writer, message: &impl Serialize) -> io::Result<()> {
    put_line(&mut **writer.lock().await, message).await
}

async fn put_line(writer: &mut (dyn AsyncWrite + Send + Unpin), message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    writer.write_all(&line).await?;
    writer.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    /// Feeds `input` to a transport, and returns the messages that came through and what was written back.
    async fn converse(input: &[u8]) -> (Vec<String>, String) {
        let (answers, mut client) = tokio::io::duplex(1 << 20);
        let gone = CancellationToken::new();
        let mut transport = LineTransport::new(
            Box::new(io::Cursor::new(input.to_vec())),
            Box::new(answers),
            gone.clone(),
            None,
        );
        let mut through = Vec::new();
        while let Some(message) = transport.receive().await {
            through.push(serde_json::to_string(&message).unwrap());
        }
        assert!(gone.is_cancelled());
        drop(transport);
        let mut written = String::new();
        client.read_to_string(&mut written).await.unwrap();
        (through, written)
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_no_message_is_answered_and_the_next_one_heard() {
        let (through, written) =
            converse(b"{nonsense\n\n42\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n").await;
        assert_eq!(through.len(), 1, "{through:?}");
        let codes: Vec<i64> = written
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["error"]["code"].as_i64().unwrap()
            })
            .collect();
        assert_eq!(codes, [-32700, -32600]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_request_is_passed_over_until_initialize() {
        let notification = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let request = br#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;
        let (through, written) = converse(&[&notification[..], request, notification].join(&b'\n')).await;
        assert_eq!(through.len(), 2, "the request, and the last line although it has no end: {through:?}");
        assert_eq!(written, "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_successor_serves_when_it_has_answered_all_that_it_hears_again() {
        use std::os::unix::fs::FileExt;
        let file = tempfile::tempfile().unwrap();
        let said = b"00000001\n\
            ={\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n\
            ={\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{},\"clientInfo\":{\"name\":\"x\",\"version\":\"1\"}}}\n\
            ={\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"logging/setLevel\",\"params\":{\"level\":\"info\"}}\n";
        file.write_all_at(said, 0).unwrap();
        let last_served = || {
            let mut number = [0; 8];
            file.read_exact_at(&mut number, 0).unwrap();
            String::from_utf8_lossy(&number).into_owned()
        };
        let session = SessionFile::open(file.try_clone().unwrap()).unwrap();
        let (_client, answers) = tokio::io::duplex(1 << 20);
        let gone = CancellationToken::new();
        let mut transport =
            LineTransport::new(Box::new(tokio::io::empty()), Box::new(answers), gone, Some(session));
        let mut heard = Vec::new();
        for _ in 0..2 {
            let Some(JsonRpcMessage::Request(request)) = transport.receive().await else {
                panic!("no request")
            };
            heard.push(request.id);
        }
        // What it tells the client is out by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        for id in heard {
            assert_eq!(last_served(), "00000001");
            let result = rmcp::model::ServerResult::empty(());
            transport.send(JsonRpcMessage::response(result, id)).await.unwrap();
        }
        assert_eq!(last_served(), "00000002");
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_in_use_is_refused() {
        let request = "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}\n".repeat(2);
        let (through, written) = converse(request.as_bytes()).await;
        assert_eq!(through.len(), 1);
        assert!(written.contains("already in use") && written.contains("\"id\":7"), "{written}");
    }
}
