//! Answers with a command's output in them, which is read as the client takes it: it may be longer than the memory that one
//! answer may have.

use std::convert::Infallible;
use std::ops::Range;

use axum::body::Body;
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use shell_engine::output::Recording;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::flowing::TAKING;

/// Bytes that are read at a time.
const CHUNK: usize = 16 << 10;

/// A part of an answer.
pub(super) enum Part {
    /// As it is.
    Text(String),
    /// Bytes of an output, as they are.
    Raw(Recording, Range<u64>),
    /// Bytes of an output, as they stand in a string of JSON.
    Quoted(Recording, Range<u64>),
}

/// An answer of these parts; `held` is held until it is taken. A client that does not take it loses it.
pub(super) fn sent(parts: Vec<Part>, held: impl Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let _held = held;
        for part in parts {
            if !send(&sender, part).await {
                return;
            }
        }
    });
    Body::new(StreamBody::new(ReceiverStream::new(receiver)))
}

type Sender = mpsc::Sender<Result<Frame<Bytes>, Infallible>>;

/// Sends a part. `false`: nobody takes it.
async fn send(sender: &Sender, part: Part) -> bool {
    let take = async |bytes: Vec<u8>| {
        let sending = sender.send(Ok(Frame::data(Bytes::from(bytes))));
        matches!(tokio::time::timeout(TAKING, sending).await, Ok(Ok(())))
    };
    let (output, range, mut quoting) = match part {
        Part::Text(text) => return take(text.into_bytes()).await,
        Part::Raw(output, range) => (output, range, None),
        Part::Quoted(output, range) => (output, range, Some(Quoting::default())),
    };
    let mut at = range.start;
    while let Some((from, bytes)) = read(&output, at..range.end).await {
        at = from + length(&bytes);
        let bytes = match &mut quoting {
            None => bytes,
            Some(quoting) => quoting.quote(&bytes).into_bytes(),
        };
        if !bytes.is_empty() && !take(bytes).await {
            return false;
        }
    }
    match quoting.filter(|quoting| !quoting.begun.is_empty()) {
        Some(_) => take(char::REPLACEMENT_CHARACTER.to_string().into_bytes()).await,
        None => true,
    }
}

/// Where some bytes are in an output.
pub(super) async fn find(output: &Recording, wanted: &[u8]) -> Option<u64> {
    let (mut at, mut before) = (0, Vec::new());
    while let Some((from, bytes)) = read(output, at..output.total()).await {
        at = from + length(&bytes);
        before.extend(bytes);
        if let Some(found) = before.windows(wanted.len()).position(|window| window == wanted) {
            return Some(at - length(&before) + u64::try_from(found).ok()?);
        }
        before.drain(..before.len().saturating_sub(wanted.len() - 1));
    }
    None
}

/// The next bytes of an output that are kept, and where they begin; not many.
async fn read(output: &Recording, range: Range<u64>) -> Option<(u64, Vec<u8>)> {
    let output = output.clone();
    tokio::task::spawn_blocking(move || output.next_kept(range, CHUNK)).await.ok()?
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Makes bytes a part of a string of JSON; what is no text is replaced.
#[derive(Default)]
struct Quoting {
    /// The beginning of a character whose end has not come.
    begun: Vec<u8>,
}

impl Quoting {
    fn quote(&mut self, bytes: &[u8]) -> String {
        let bytes = [std::mem::take(&mut self.begun), bytes.to_vec()].concat();
        let mut text = String::new();
        let mut rest = &*bytes;
        loop {
            let (valid, invalid) = match std::str::from_utf8(rest) {
                Ok(valid) => (valid, None),
                Err(error) => {
                    let (valid, invalid) = rest.split_at(error.valid_up_to());
                    (std::str::from_utf8(valid).unwrap_or_default(), Some((invalid, error.error_len())))
                }
            };
            let quoted = serde_json::to_string(valid).unwrap_or_default();
            text.push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
            match invalid {
                None => return text,
                Some((begun, None)) => {
                    self.begun = begun.to_vec();
                    return text;
                }
                Some((invalid, Some(length))) => {
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = invalid.get(length..).unwrap_or_default();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_wherever_it_is_cut() {
        let bytes = "a\"\u{1}ü€\n𝄞".as_bytes().iter().copied().chain([0xff, b'x', 0xe2, 0x82]);
        let bytes: Vec<u8> = bytes.collect();
        for size in 1..bytes.len() {
            let mut quoting = Quoting::default();
            let mut text: String = bytes.chunks(size).map(|chunk| quoting.quote(chunk)).collect();
            text.push_str(if quoting.begun.is_empty() { "" } else { "\u{fffd}" });
            let read: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert_eq!(read, String::from_utf8_lossy(&bytes), "{size} at a time");
        }
    }
}
