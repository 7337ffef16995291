//! Sessions that another server of the same user keeps (`keeper`): requests that are about one are passed on to it. A request names
//! it by its token once; what its results name is found without it from then on.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::{CallToolRequestParams, Tool};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::token::{Token, WELCOME};
use super::transport::MAX_LINE_BYTES;
use super::{background, exec_tool, read_output, shell_tool};
use crate::sockets::{self, Kind};
use shell_engine::shell::Shell;

/// The argument that names a server which keeps sessions.
pub(super) const TOKEN: &str = "token";

/// The tools whose requests may be about kept sessions.
pub(super) const TOOLS: [&str; 5] =
    [exec_tool::WRITE, read_output::NAME, background::LIST, background::KILL, shell_tool::NAME];

/// Adds the token to what a tool is described to take.
pub(super) fn describe_token(tool: &mut Tool) {
    if tool.name == shell_tool::NAME || !TOOLS.contains(&&*tool.name) {
        return;
    }
    let schema = Arc::make_mut(&mut tool.input_schema);
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        let description = "Of an earlier client's result: means the sessions that its server keeps.";
        properties.insert(TOKEN.to_owned(), json!({"type": "string", "description": description}));
    }
}

/// Names that are remembered.
const MOST_NAMES: usize = 1024;

/// What other servers keep, as far as their results have named it.
#[derive(Debug, Default)]
pub(super) struct Elsewhere(Mutex<HashMap<String, Token>>);

/// Whom a request is for.
pub(super) enum Meant {
    Us,
    Other(Token),
    Nobody(String),
}

impl Elsewhere {
    /// Finds out whom a request is for. The token is taken out of its arguments: the other server has none.
    pub(super) fn meant(
        &self,
        request: &mut CallToolRequestParams,
        shell: &Shell,
        own: Option<&Token>,
    ) -> Meant {
        let Some(arguments) = request.arguments.as_mut().filter(|_| TOOLS.contains(&&*request.name)) else {
            return Meant::Us;
        };
        let name = |argument: &str| match arguments.get(argument) {
            Some(Value::String(name)) => Some(name.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(_) | None => None,
        };
        let name = name("session_id").or_else(|| name("id"));
        let token = arguments.get(TOKEN).and_then(Value::as_str).map(str::to_owned);
        match token {
            Some(text) if own.is_some_and(|own| own.as_str() == text) => {
                arguments.remove(TOKEN);
                Meant::Us
            }
            Some(text) => match Token::read(&text) {
                Some(token) => {
                    arguments.remove(TOKEN);
                    Meant::Other(token)
                }
                None => Meant::Nobody(
                    "token must be the one that a result of a server with --keep-sessions has told"
                        .to_owned(),
                ),
            },
            None => {
                let Some(name) = name else { return Meant::Us };
                let sessions = shell.sessions();
                let is_ours = name.parse().is_ok_and(|number| sessions.find(number).is_some())
                    || shell.outputs().find(&name).is_some();
                match self.known().get(&name).filter(|_| !is_ours) {
                    Some(token) => Meant::Other(token.clone()),
                    None => Meant::Us,
                }
            }
        }
    }

    /// Remembers what a result names.
    pub(super) fn learn(&self, result: &Value, token: &Token) {
        let result = &result["structuredContent"];
        let sessions = result["sessions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut known = self.known();
        for one in sessions.iter().chain([result]) {
            for name in ["session_id", "id", "output_id"] {
                let name = match &one[name] {
                    Value::String(name) => name.clone(),
                    Value::Number(number) => number.to_string(),
                    Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => continue,
                };
                if known.len() < MOST_NAMES || known.contains_key(&name) {
                    known.insert(name, token.clone());
                }
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Token>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects, says the token and one request, and returns the answer to it.
pub(super) async fn ask(folders: &[PathBuf], token: &Token, parameters: &Value) -> io::Result<Value> {
    let found = sockets::sockets(Kind::Sessions, folders);
    let socket = found.iter().find(|path| sockets::is_called(path, token.socket()));
    let socket = socket.ok_or(io::ErrorKind::NotFound)?;
    let stream = sockets::connect(socket)?;
    stream.set_nonblocking(true)?;
    let stream = UnixStream::from_std(stream)?;
    sockets::same_user(&stream).map_err(io::Error::other)?;
    let (input, mut output) = stream.into_split();
    output.write_all(format!("{}\n", token.as_str()).as_bytes()).await?;
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
    (&mut input).take(limit).read_until(b'\n', &mut line).await?;
    if line != WELCOME.as_bytes() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut request = serde_json::to_vec(
        &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters}),
    )?;
    request.push(b'\n');
    output.write_all(&request).await?;
    loop {
        line.clear();
        if (&mut input).take(limit).read_until(b'\n', &mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let message: Value = serde_json::from_slice(&line)?;
        // Else it tells of progress.
        if message["id"] == 1 && message.get("method").is_none() {
            return Ok(message);
        }
    }
}

pub(super) fn unreachable(error: &io::Error) -> String {
    let is_any = |kinds: &[io::ErrorKind]| kinds.contains(&error.kind());
    if is_any(&[io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused]) {
        return "no server keeps sessions by this token: it has ended (with the last of them, or a day after its client), or the \
            token is another user's"
            .to_owned();
    }
    if is_any(&[io::ErrorKind::PermissionDenied]) {
        return "the token is wrong".to_owned();
    }
    format!("the server that keeps the session does not answer: {error}")
}
