//! What a program's first bytes could be taken for, by servers that are more lenient than the standards.
//!
//! One site's permission must not reach another one at the same address because a server reads as a request, or as a hello,
//! what was not read as such here. So whatever some server could take for TLS or HTTP is read as that, strictly, and refused
//! when it cannot be.

use super::inspect::LONGEST_LINE;
use super::tls::find_hello;
use crate::judge::Failure;

/// What a program begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    Tls,
    Http,
    Http2,
    /// What no server takes for either.
    Other,
}

/// What is taken for HTTP's version: Node.js reads requests of RTSP and Icecast as such, too.
const VERSIONS: [&[u8]; 3] = [b"HTTP/", b"RTSP/", b"ICE/"];
/// The header of a proxy (PROXY protocol, section 2.2), after which anything may begin; there is one in text, too.
const PROXIED: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Tells what it is, as soon as that is clear.
pub(super) fn begin(buffer: &[u8]) -> Result<Option<Begin>, Failure> {
    match buffer {
        [] | [0x14..=0x17] => return Ok(None),
        // Whatever the version: Go's servers take any below 16. Records that are no handshake may be skipped.
        [0x14..=0x17, ..] => return Ok(Some(Begin::Tls)),
        _ if PROXIED.starts_with(buffer) => return Ok(None),
        _ if buffer.starts_with(PROXIED) => return Err(PROXY),
        _ => {}
    }
    let text = text(buffer);
    let (line, has_ended) = line(text);
    if !is_word(line) {
        return Ok(Some(Begin::Other));
    }
    if has_ended {
        return match (line, could_be_request(line)) {
            (b"PRI * HTTP/2.0", _) if text.len() == buffer.len() => Ok(Some(Begin::Http2)),
            (_, true) => Ok(Some(Begin::Http)),
            (_, false) if line.starts_with(b"PROXY ") => Err(PROXY),
            (_, false) => Ok(Some(Begin::Other)),
        };
    }
    match find_hello(super::tls::CLIENT_HELLO, line) {
        // TLS that begins within a line that nobody takes for a request.
        Some((at, _)) if !could_be_request(line.get(..at).unwrap_or_default()) => Ok(Some(Begin::Other)),
        Some(_) => Err(Failure::Unreadable("TLS in a line of HTTP")),
        None if buffer.len() < LONGEST_LINE => Ok(None),
        None if could_go_on(line) => Err(Failure::Unreadable("HTTP with too long a first line")),
        None => Ok(Some(Begin::Other)),
    }
}

const PROXY: Failure = Failure::Unreadable("a proxy's header, after which any host may be asked for");

/// Tells whether what has not ended yet asks nobody for anything, so that it may go out: another protocol's server may wait
/// for it.
pub(super) fn is_harmless(buffer: &[u8]) -> bool {
    !could_be_request(line(text(buffer)).0)
}

/// What is left when everything is skipped that some server skips.
fn text(buffer: &[u8]) -> &[u8] {
    let blanks = |bytes: &[u8]| bytes.iter().take_while(|byte| is_blank(**byte)).count();
    let rest = buffer.get(blanks(buffer)..).unwrap_or_default();
    match rest.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => rest.get(blanks(rest)..).unwrap_or_default(),
        None if BYTE_ORDER_MARK.starts_with(rest) => &[],
        None => rest,
    }
}

/// The line that begins here, and whether it has ended: at either of the two characters, since servers take one alone, too.
fn line(text: &[u8]) -> (&[u8], bool) {
    match text.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        Some(end) => (text.get(..end).unwrap_or_default(), true),
        None => (text, false),
    }
}

/// What some server splits a line at: all blanks and separators of Latin-1, and what ends a string in C.
fn is_blank(byte: u8) -> bool {
    matches!(byte, 0 | b'\t'..=b'\r' | 0x1c..=b' ' | 0x85 | 0xa0)
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| is_blank(*byte)).filter(|word| !word.is_empty())
}

/// Whether a line begins with what a server could take for a method: any characters that can be seen.
fn is_word(line: &[u8]) -> bool {
    line.iter().take_while(|byte| !is_blank(**byte)).all(u8::is_ascii_graphic)
}

/// Whether some server takes a line for the first of a request: by a version in its place or at the end; or without a version,
/// as HTTP 0.9 has it, after which Node.js and Python's http.server read fields all the same.
fn could_be_request(line: &[u8]) -> bool {
    let is_version = |word: &[u8]| {
        let begins =
            |name: &&[u8]| word.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
        VERSIONS.iter().any(begins)
    };
    let mut rest = words(line);
    let (Some(method), Some(target)) = (rest.next(), rest.next()) else { return false };
    let third = rest.next();
    let last = rest.last().or(third);
    if [Some(target), third, last].into_iter().flatten().any(is_version) {
        return true;
    }
    // Other protocols' commands are seldom written in capitals with what HTTP asks for after them.
    let is_target = matches!(target.first(), Some(b'/' | b'*')) || has_scheme(target);
    third.is_none() && (method == b"GET" || is_target && !method.iter().any(u8::is_ascii_lowercase))
}

fn has_scheme(target: &[u8]) -> bool {
    let letters = target.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    letters > 0 && target.get(letters..).is_some_and(|rest| rest.starts_with(b"://"))
}

/// Whether a line that is too long could be a request's all the same.
fn could_go_on(line: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let has_method = words(line).next().is_some_and(|method| method.iter().all(is_token));
    let is_text = line.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t');
    line.is_empty() || could_be_request(line) || (has_method && is_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_some_server_takes_for_a_request_is_one() {
        for line in [
            "GET / HTTP/1.1",
            "get / http/1.1",
            "G!T / HTTP/1.1",
            "123 / HTTP/1.1",
            "\"GET\" / HTTP/1.1",
            "GET\t/\tHTTP/1.1",
            "GET\x0b/\x0bHTTP/1.1",
            "GET\x1c/\x1fHTTP/1.1",
            "GET\0/\0HTTP/1.1",
            "GET  /  HTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET / HTTP/1.1 x",
            "GET /\x01 HTTP/1.1",
            "GET / HTTP/3",
            "DESCRIBE / RTSP/1.0",
            "SOURCE / ICE/1.0",
            "GET /",
            "GET x",
            "POST /",
            "M-SEARCH *",
            "GET http://a.example/",
            "A_B https://a.example/",
        ] {
            assert!(could_be_request(line.as_bytes()), "{line:?}");
            for before in ["", "\r\n", " ", "\t", "\x0b", "\x0c", "\0", "\u{feff}", "\r \n\u{feff} "] {
                let whole = format!("{before}{line}\r");
                assert_eq!(begin(whole.as_bytes()), Ok(Some(Begin::Http)), "{whole:?}");
            }
        }
        assert_eq!(begin(b"PRI * HTTP/2.0\r\n"), Ok(Some(Begin::Http2)));
        assert_eq!(begin(b"\nPRI * HTTP/2.0\r\n"), Ok(Some(Begin::Http)), "which that is not");
    }

    #[test]
    fn what_no_server_takes_for_a_request_is_none() {
        for line in [
            "SSH-2.0-OpenSSH_10",
            "PING",
            "*1",
            "SELECT 1",
            "get /key",
            "EHLO me.example",
            "a1 LOGIN me secret",
            "",
            "CONNECT {\"verbose\":false}",
            "STOMP",
            "INVITE sip:a@b.example SIP/2.0",
            "HTTP/1.1 200 OK",
            "<13>Nov 30 12:00:00 h nginx: 192.0.2.1 \"GET / HTTP/1.1\" 200 12",
            "{\"jsonrpc\": \"2.0\"}",
        ] {
            assert!(!could_be_request(line.as_bytes()), "{line:?}");
        }
    }

    #[test]
    fn what_cannot_be_either_is_known_at_once() {
        for bytes in [
            b"\0\0\0\x08\x04\xd2\x16\x2f".as_slice(),
            b"AMQP\x03\x01\0\0",
            b"\x10\x0c\0\x04MQTT",
            b"\x30\x22\x02",
            b"\xff\xfd",
        ] {
            assert_eq!(begin(bytes), Ok(Some(Begin::Other)), "{bytes:?}");
        }
        for bytes in [b"\x16\x03\x01".as_slice(), b"\x16\x02\0", b"\x15\x0f\xff"] {
            assert_eq!(begin(bytes), Ok(Some(Begin::Tls)), "{bytes:?}");
        }
        assert!(begin(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n").is_err());
        assert!(begin(&[PROXIED, b"\x20\0\0\0"].concat()).is_err());
    }
}
