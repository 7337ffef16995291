//! TLS from the program's side, as far as it is in the clear: records, and the ClientHellos in them (RFC 8446, sections 4.1.2
//! and 5.1; RFC 6066, section 3).

use super::inspect::{Named, Step};
use super::server::ServerSays;
use crate::judge::Failure;
use crate::name::Name;

const HANDSHAKE: u8 = 0x16;
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
/// The longest record, encrypted (RFC 8446, section 5.2; TLS 1.2 allows more), and the longest in the clear.
const LONGEST_RECORD: usize = (1 << 14) + 2048;
const LONGEST_IN_CLEAR: usize = 1 << 14;
/// A ClientHello with keys of several kinds has some two thousand bytes.
const LONGEST_HELLO: usize = 32 << 10;
/// The extension with the name, and the kind of name that there is.
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// As many bytes tell that a record begins in which a hello does: the headers, and the version in it; as many, that there may
/// be one.
pub(super) const TELLING: usize = RECORD_HEADER + MESSAGE_HEADER + 2;

/// Finds a hello in what is no TLS: where its record begins, and whether all that tells it is there.
pub(super) fn find_hello(kind: u8, bytes: &[u8]) -> Option<(usize, bool)> {
    let is_usual = |at: usize, byte: u8| match at {
        0 => byte == HANDSHAKE,
        1 | 9 => byte == 3,
        2 | 10 => byte <= 4,
        3 => usize::from(byte) <= LONGEST_IN_CLEAR >> 8,
        5 => byte == kind,
        6 => byte == 0,
        _ => true,
    };
    let found = |begin: &[u8]| {
        let is_long = begin.len() >= RECORD_HEADER;
        is_long && begin.iter().take(TELLING).enumerate().all(|(at, byte)| is_usual(at, *byte))
    };
    let at = (0..bytes.len()).find(|at| bytes.get(*at..).is_some_and(found))?;
    Some((at, bytes.len() - at >= TELLING))
}

/// A conversation until no ClientHello can come any more.
#[derive(Debug, Default)]
pub(super) struct Tls {
    /// ClientHellos that were checked.
    hellos: u32,
    /// What is left of a record that passes as it is.
    passing: usize,
}

impl Tls {
    /// Tells whether a ClientHello has gone out.
    pub(super) fn is_begun(&self) -> bool {
        self.hellos > 0
    }

    /// Tells what of the buffer may go out. The server may want a second ClientHello, in the clear like the first.
    pub(super) fn inspect(
        &mut self,
        buffer: &[u8],
        server: ServerSays,
        named: &Named,
    ) -> Result<Step, Failure> {
        let second_is_due = server == ServerSays::HelloAgain && self.hellos < 2;
        if self.hellos > 0 && server != ServerSays::Nothing && !second_is_due {
            return Ok(Step::Through);
        }
        if self.passing > 0 {
            let now = self.passing.min(buffer.len());
            self.passing -= now;
            return Ok(if now == 0 { Step::Hold } else { Step::Forward(now) });
        }
        let mut hello = Vec::new();
        let mut rest = buffer;
        loop {
            let Some((header, after)) = rest.split_first_chunk::<RECORD_HEADER>() else {
                return hold(buffer);
            };
            let [kind, major, _, high, low] = *header;
            let length = usize::from(u16::from_be_bytes([high, low]));
            if major != 3 || length > LONGEST_RECORD {
                return Err(Failure::Unreadable("a TLS record"));
            }
            if kind != HANDSHAKE {
                if self.hellos == 0 || !hello.is_empty() {
                    return Err(Failure::Unreadable("TLS that does not begin with a ClientHello"));
                }
                let now = buffer.len().min(RECORD_HEADER + length);
                self.passing = RECORD_HEADER + length - now;
                return Ok(Step::Forward(now));
            }
            if length == 0 || length > LONGEST_IN_CLEAR {
                return Err(Failure::Unreadable("a TLS record"));
            }
            let Some((fragment, next)) = after.split_at_checked(length) else { return hold(buffer) };
            hello.extend_from_slice(fragment);
            rest = next;
            let Some(length) = message_length(&hello)? else { continue };
            if hello.len() < length {
                continue;
            }
            let body = hello.get(MESSAGE_HEADER..).filter(|_| hello.len() == length);
            let body = body.ok_or(Failure::Unreadable("a TLS record with more than a ClientHello"))?;
            if let Some(name) = server_name(body).ok_or(Failure::Unreadable("a ClientHello"))? {
                named.check(&name)?;
            }
            self.hellos += 1;
            return Ok(Step::Forward(buffer.len() - rest.len()));
        }
    }
}

fn hold(buffer: &[u8]) -> Result<Step, Failure> {
    // Fragments of one byte are six times as long as what is in them.
    match buffer.len() < 2 * LONGEST_HELLO {
        true => Ok(Step::Hold),
        false => Err(Failure::Unreadable("a ClientHello in too many pieces")),
    }
}

/// The length of the message that begins here, with its header, once that is known.
fn message_length(message: &[u8]) -> Result<Option<usize>, Failure> {
    let Some([kind, a, b, c]) = message.first_chunk::<MESSAGE_HEADER>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap_or(usize::MAX);
    match *kind == CLIENT_HELLO && length <= LONGEST_HELLO {
        true => Ok(Some(MESSAGE_HEADER + length)),
        false => Err(Failure::Unreadable("TLS that does not begin with a ClientHello")),
    }
}

/// Reads the name out of a ClientHello: nothing if it is none, an inner nothing if it names nobody.
fn server_name(body: &[u8]) -> Option<Option<String>> {
    let mut rest = Reader(body);
    rest.take(2 + 32)?;
    rest.vector(1)?;
    rest.vector(2)?;
    rest.vector(1)?;
    if rest.0.is_empty() {
        return Some(None);
    }
    let mut extensions = Reader(rest.vector(2)?);
    let mut found = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number(2)?;
        let content = extensions.vector(2)?;
        if kind == usize::from(SERVER_NAME) {
            let mut extension = Reader(content);
            let mut list = Reader(extension.vector(2)?);
            let is_host = list.number(1)? == usize::from(HOST_NAME);
            let name = list.vector(2)?;
            // Of two names, who knows which one a server takes.
            if !is_host || !list.0.is_empty() || !extension.0.is_empty() || found.is_some() {
                return None;
            }
            found = Some(std::str::from_utf8(name).ok()?.to_owned());
        }
    }
    rest.0.is_empty().then_some(found)
}

/// Reads what has its length before it.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn vector(&mut self, bytes: usize) -> Option<&'b [u8]> {
        let length = self.number(bytes)?;
        self.take(length)
    }
}

/// Makes a ClientHello in one record.
#[cfg(test)]
pub(super) fn client_hello(names: &[&str]) -> Vec<u8> {
    let with_length =
        |bytes: Vec<u8>| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes.as_slice()].concat();
    let mut extensions = vec![0, 43, 0, 3, 2, 3, 4];
    for name in names {
        let list = [&[HOST_NAME], with_length(name.as_bytes().to_vec()).as_slice()].concat();
        extensions.extend([0, 0]);
        extensions.extend(with_length(with_length(list)));
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend(with_length(extensions));
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[CLIENT_HELLO], &length[1..], body.as_slice()].concat();
    [&[HANDSHAKE, 3, 1], with_length(message).as_slice()].concat()
}

/// Makes as many records of it as it has bytes.
#[cfg(test)]
pub(super) fn fragmented(record: &[u8]) -> Vec<u8> {
    record[RECORD_HEADER..].iter().flat_map(|byte| [HANDSHAKE, 3, 1, 0, 1, *byte]).collect()
}

impl Named {
    fn check(&self, said: &str) -> Result<(), Failure> {
        match Name::new(said) {
            Some(name) if name == self.0 => Ok(()),
            Some(_) | None => Err(Failure::OtherName(said.chars().take(300).collect())),
        }
    }

    /// The same for what may have a port.
    pub(super) fn check_with_port(&self, said: &str) -> Result<(), Failure> {
        let bare = match said.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) | None => said,
        };
        self.check(bare)
    }
}
