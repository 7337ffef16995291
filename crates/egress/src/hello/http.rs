//! HTTP/1 in the clear from the program's side: each request must name the host that was judged (RFC 9112).
//!
//! What two readers could understand in two ways is refused: then one of them sees a request that the other does not.

use super::inspect::{Named, Step};
use super::server::ServerSays;
use crate::judge::Failure;

/// The longest head of a request that is read, in bytes and in fields.
const LONGEST_HEAD: usize = 64 << 10;
const MOST_FIELDS: usize = 256;
/// The longest line between chunks.
const LONGEST_LINE: usize = 4096;

/// A conversation, request by request.
#[derive(Debug, Default)]
pub(super) struct Http {
    at: At,
    requests: u64,
    /// The first request asks for another protocol.
    switches: Option<Switch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Switch {
    /// To one that names no hosts.
    Allowed,
    /// To HTTP/2, whose requests are not read.
    Http2,
}

/// Where in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Head,
    /// So many bytes of content are left.
    Content(u64),
    /// Before the line with a chunk's length.
    ChunkLine,
    /// In a chunk, with the end of its line.
    Chunk(u64),
    /// In the fields after the last chunk.
    Trailer,
}

/// What a request's head says of what follows it.
struct Head {
    length: usize,
    then: At,
    switch: Option<Switch>,
}

impl Http {
    /// Tells what of the buffer may go out.
    pub(super) fn inspect(
        &mut self,
        buffer: &[u8],
        server: ServerSays,
        named: &Named,
    ) -> Result<Step, Failure> {
        match (self.switches, server) {
            (Some(Switch::Allowed), ServerSays::Switched) => return Ok(Step::Through),
            (Some(Switch::Http2), ServerSays::Switched) => {
                return Err(Failure::Unreadable("HTTP/2 without TLS"));
            }
            _ => {}
        }
        if buffer.is_empty() {
            return Ok(Step::Hold);
        }
        match self.at {
            At::Head => {
                let blank = buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                let request = buffer.get(blank..).unwrap_or_default();
                let Some(head) = read_head(request, named)? else { return hold(buffer, LONGEST_HEAD) };
                self.requests += 1;
                self.switches = head.switch.filter(|_| self.requests == 1);
                self.at = head.then;
                Ok(Step::Forward(blank + head.length))
            }
            At::Content(left) => {
                let (now, left) = passed(left, buffer);
                self.at = if left == 0 { At::Head } else { At::Content(left) };
                Ok(Step::Forward(now))
            }
            At::Chunk(left) => {
                let (now, left) = passed(left, buffer);
                self.at = if left == 0 { At::ChunkLine } else { At::Chunk(left) };
                Ok(Step::Forward(now))
            }
            At::ChunkLine => {
                let Some(line) = line(buffer)? else { return hold(buffer, LONGEST_LINE) };
                let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
                let size = std::str::from_utf8(size).ok().map(str::trim_ascii_end);
                let is_plain = |size: &&str| {
                    (1..=15).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_hexdigit())
                };
                let size = size.filter(is_plain).and_then(|size| u64::from_str_radix(size, 16).ok());
                self.at = match size.ok_or(AMBIGUOUS)? {
                    0 => At::Trailer,
                    size => At::Chunk(size + 2),
                };
                Ok(Step::Forward(line.len() + 2))
            }
            At::Trailer => {
                let Some(line) = line(buffer)? else { return hold(buffer, LONGEST_LINE) };
                if line.is_empty() {
                    self.at = At::Head;
                }
                Ok(Step::Forward(line.len() + 2))
            }
        }
    }
}

const AMBIGUOUS: Failure = Failure::Unreadable("HTTP that can be understood in more than one way");

fn hold(buffer: &[u8], longest: usize) -> Result<Step, Failure> {
    match buffer.len() < longest {
        true => Ok(Step::Hold),
        false => Err(Failure::Unreadable("HTTP with too long a head")),
    }
}

fn passed(left: u64, buffer: &[u8]) -> (usize, u64) {
    let now = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
    (now, left - u64::try_from(now).unwrap_or(left))
}

/// The line that begins here without its end, which must be both characters.
fn line(buffer: &[u8]) -> Result<Option<&[u8]>, Failure> {
    let Some(end) = buffer.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let line = buffer.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(AMBIGUOUS)?;
    if line.contains(&b'\r') { Err(AMBIGUOUS) } else { Ok(Some(line)) }
}

fn read_head(buffer: &[u8], named: &Named) -> Result<Option<Head>, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(buffer).map_err(|_| Failure::Unreadable("an HTTP request"))?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    // Lines that end with one character alone are read in more than one way.
    let head = buffer.get(..length).unwrap_or_default();
    let bare = head
        .iter()
        .zip(std::iter::once(&0).chain(head))
        .any(|(byte, before)| *byte == b'\n' && *before != b'\r');
    if bare {
        return Err(AMBIGUOUS);
    }
    let target = request.path.unwrap_or_default();
    let absolute = target.find("://").filter(|at| {
        target.get(..*at).is_some_and(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphabetic()))
    });
    if let Some(at) = absolute {
        let rest = target.get(at + 3..).unwrap_or_default();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        named.check_with_port(authority.rsplit('@').next().unwrap_or_default())?;
    } else if request.method.is_some_and(|method| method.eq_ignore_ascii_case("CONNECT")) {
        named.check_with_port(target)?;
    }
    let mut found = Fields::default();
    for field in &*request.headers {
        found.take(field.name, field.value)?;
    }
    if let Some(host) = found.host {
        named.check_with_port(host)?;
    }
    let then = match (found.length, found.chunked) {
        (Some(_), true) => return Err(AMBIGUOUS),
        (None, true) => At::ChunkLine,
        (None | Some(0), false) => At::Head,
        (Some(length), false) => At::Content(length),
    };
    Ok(Some(Head { length, then, switch: found.switch }))
}

/// The fields that say whom and how much.
#[derive(Default)]
struct Fields<'f> {
    host: Option<&'f str>,
    length: Option<u64>,
    chunked: bool,
    switch: Option<Switch>,
}

impl<'f> Fields<'f> {
    fn take(&mut self, name: &str, value: &'f [u8]) -> Result<(), Failure> {
        let text = || std::str::from_utf8(value).map(str::trim_ascii).map_err(|_| AMBIGUOUS);
        if name.eq_ignore_ascii_case("host") {
            if self.host.replace(text()?).is_some() {
                return Err(AMBIGUOUS);
            }
        } else if name.eq_ignore_ascii_case("content-length") {
            let is_number = |text: &&str| {
                (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
            };
            let length =
                Some(text()?).filter(is_number).and_then(|text| text.parse().ok()).ok_or(AMBIGUOUS)?;
            if self.length.replace(length).is_some() {
                return Err(AMBIGUOUS);
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if self.chunked || !text()?.eq_ignore_ascii_case("chunked") {
                return Err(AMBIGUOUS);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case("upgrade") {
            let http2 = text()?.to_ascii_lowercase().contains("h2c");
            self.switch = Some(if http2 { Switch::Http2 } else { Switch::Allowed });
        }
        Ok(())
    }
}
