//! What a server and a terminal say to each other: JSON messages, each after its length in four bytes (big endian).

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::connection::ShownConnection;
use super::question::ShownQuestion;

/// The protocol's version; another one is refused by name.
pub(in crate::channels) const VERSION: u32 = 3;

/// Bytes of a message. A question's parts are bounded (see `question`), and escapes may make them some times as long.
pub(super) const MAX_MESSAGE: u32 = 1 << 20;

/// Bytes of a message of a terminal: an answer has some words.
pub(super) const MAX_ANSWER: u32 = 64 << 10;

/// What a server says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(in crate::channels) enum FromServer {
    /// First of all: who speaks.
    Hello {
        version: u32,
        /// The server's process.
        server: u32,
        /// The folder that it was started in.
        folder: String,
        /// Where its rules and its audit log are; `None`: nowhere that the view could read them.
        codex_home: Option<std::path::PathBuf>,
    },
    /// Instead of a hello: the terminal is not served, and why.
    Refused { why: String },
    /// A question is open.
    Asked(Box<ShownQuestion>),
    /// A question needs no answer any more: it was answered somewhere, or is moot.
    Closed { id: String },
    /// The connections to hosts that are open now, in the place of those that were; `left_out` more are.
    Connections { open: Vec<ShownConnection>, left_out: usize },
}

/// What a terminal says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum FromTerminal {
    /// A person has decided. An answer to a question that is not open (any more) is passed over.
    Answer {
        id: String,
        /// One of the question's choices.
        choice: String,
        reason: Option<String>,
    },
}

/// A message with its length in front.
pub(super) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    framed(&serde_json::to_vec(message)?)
}

/// The same of one that is JSON already.
pub(super) fn framed(message: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(message.len()).ok().filter(|length| *length <= MAX_MESSAGE);
    let length = length.ok_or_else(|| io::Error::other("a message is too long"))?;
    Ok([&length.to_be_bytes(), message].concat())
}

/// The next message; `None` at the end. Nothing of a message is kept before its length is known to be at most `limit`.
pub(super) async fn read<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    limit: u32,
) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes(length);
    if length > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
    }
    let mut message = vec![0; length as usize];
    stream.read_exact(&mut message).await?;
    Ok(Some(serde_json::from_slice(&message)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_comes_as_it_was_sent_and_a_long_one_is_refused_unread() {
        let answer = FromTerminal::Answer { id: "q1".into(), choice: "once".into(), reason: None };
        let frame = encode(&answer).expect("encoded");
        let mut stream = &*frame;
        assert_eq!(read(&mut stream, MAX_ANSWER).await.expect("read"), Some(answer));
        assert_eq!(read::<FromTerminal>(&mut stream, MAX_ANSWER).await.expect("the end"), None);

        let mut endless = &[0xff_u8; 64][..];
        let error = read::<FromTerminal>(&mut endless, MAX_ANSWER).await.expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(endless.len(), 60, "only the length was read");
        for junk in [&b"\0\0\0\x02{]"[..], b"\0\0\0\x0c{\"say\":\"no\"}", b"\0\0\0\x05{}"] {
            assert!(read::<FromTerminal>(&mut &*junk, MAX_ANSWER).await.is_err());
        }
    }
}
