//! Which kind of conversation it is, told by its first bytes, and what of it may go out.

use super::http::Http;
use super::http2::Http2;
use super::server::ServerSays;
use super::tls::Tls;
use crate::judge::Failure;
use crate::name::Name;

/// The longest first line that is waited for before it is clear whether this is HTTP.
const LONGEST_LINE: usize = 64 << 10;

/// What may be done with what a program has said and what has not gone out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Step {
    /// It waits for more.
    Hold,
    /// So many bytes go out; more may be known of the rest.
    Forward(usize),
    /// All goes out, and whatever follows.
    Through,
}

/// The host that was judged.
#[derive(Clone, Debug)]
pub(super) struct Named(pub(super) Name);

/// Reads along with a program until nothing that it says can name a host.
#[derive(Debug)]
pub(crate) struct Inspector {
    named: Named,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Unknown,
    Tls(Tls),
    Http(Http),
    Http2(Box<Http2>),
    Through,
}

impl Inspector {
    /// Expects this host, or anything where an address was judged.
    pub(crate) fn new(name: Option<Name>) -> Option<Inspector> {
        name.map(|name| Inspector { named: Named(name), kind: Kind::Unknown })
    }

    /// Tells what may be done with what has not gone out, as far as the server has said something.
    pub(crate) fn inspect(&mut self, buffer: &[u8], server: ServerSays) -> Result<Step, Failure> {
        if matches!(self.kind, Kind::Unknown) {
            match kind(buffer)? {
                Some(kind) => self.kind = kind,
                None => return Ok(Step::Hold),
            }
        }
        match &mut self.kind {
            Kind::Tls(tls) => tls.inspect(buffer, server, &self.named),
            Kind::Http(http) => http.inspect(buffer, server, &self.named),
            Kind::Http2(http) => http.inspect(buffer, server, &self.named),
            Kind::Through | Kind::Unknown => Ok(Step::Through),
        }
    }

    /// Tells whether what is held may go out although more of it decides what it is: a line that has not ended asks nobody for
    /// anything, and whoever speaks another protocol may be waited for.
    pub(crate) fn is_harmless_so_far(&self) -> bool {
        matches!(self.kind, Kind::Unknown)
    }

    /// Tells whether what is held may go out when the program has said its last: a message that is begun and names a host
    /// may not.
    pub(crate) fn may_end(&self) -> bool {
        matches!(self.kind, Kind::Unknown | Kind::Through)
    }
}

/// Tells the kind, as soon as it is clear. TLS and HTTP are told by what servers would take for them: servers skip empty lines
/// before a request, and records that are no handshake.
fn kind(buffer: &[u8]) -> Result<Option<Kind>, Failure> {
    let begin = buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let text = buffer.get(begin..).unwrap_or_default();
    match buffer {
        [] | [0x14..=0x17] => return Ok(None),
        [0x14..=0x17, 3, ..] => return Ok(Some(Kind::Tls(Tls::default()))),
        [0x14..=0x17, ..] => return Ok(Some(Kind::Through)),
        _ => {}
    }
    let end = text.iter().position(|byte| *byte == b'\n');
    let line = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
    let is_text = line.iter().all(|byte| (0x20..0x7f).contains(byte) || matches!(byte, b'\t' | b'\r'));
    // A method is a word of letters, then comes a space.
    let method = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let is_method = method.len() <= 32 && method.iter().all(u8::is_ascii_alphabetic);
    if !is_text || !is_method || (method.is_empty() && !line.is_empty()) {
        return Ok(Some(Kind::Through));
    }
    if end.is_none() {
        return match buffer.len() < LONGEST_LINE {
            true => Ok(None),
            false => Err(Failure::Unreadable("HTTP with too long a first line")),
        };
    }
    let version = line.trim_ascii_end().rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    if !version.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"HTTP/")) {
        return Ok(Some(Kind::Through));
    }
    if version.get(5) == Some(&b'1') {
        return Ok(Some(Kind::Http(Http::default())));
    }
    match buffer.starts_with(b"PRI * HTTP/2.0\r\n") {
        true => Ok(Some(Kind::Http2(Box::default()))),
        false => Err(Failure::Unreadable("HTTP of another version")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::server::{FirstWords, hello_retry_request};
    use super::super::tls::{client_hello, fragmented};
    use super::*;
    use proptest::prelude::*;

    fn inspector() -> Inspector {
        Inspector::new(Name::new("good.example")).unwrap()
    }

    /// What goes out of these pieces, and why no more does.
    fn outcome(pieces: &[&[u8]], server: ServerSays) -> (Vec<u8>, Option<Failure>) {
        let (mut inspector, mut held, mut out) = (inspector(), Vec::new(), Vec::new());
        for piece in pieces {
            held.extend_from_slice(piece);
            loop {
                match inspector.inspect(&held, server) {
                    Ok(Step::Hold) => break,
                    Ok(Step::Forward(length)) => out.extend(held.drain(..length)),
                    Ok(Step::Through) => {
                        out.append(&mut held);
                        break;
                    }
                    Err(failure) => return (out, Some(failure)),
                }
            }
        }
        (out, None)
    }

    fn passes(bytes: &[u8]) {
        assert_eq!(outcome(&[bytes], ServerSays::Nothing), (bytes.to_vec(), None));
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(outcome(&single, ServerSays::Nothing), (bytes.to_vec(), None), "byte by byte");
    }

    fn refused(bytes: &[u8], most_out: usize) -> Failure {
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        let mut found = None;
        for pieces in [vec![bytes], single] {
            let (out, failure) = outcome(&pieces, ServerSays::Nothing);
            assert!(out.len() <= most_out, "{}", String::from_utf8_lossy(&out));
            found = failure;
            assert!(found.is_some(), "{}", String::from_utf8_lossy(bytes));
        }
        found.unwrap()
    }

    #[test]
    fn a_hello_must_name_the_host_that_was_judged() {
        passes(&client_hello(&["good.example"]));
        passes(&client_hello(&["GOOD.example."]));
        passes(&client_hello(&[]));
        passes(&fragmented(&client_hello(&["good.example"])));
        let other = Failure::OtherName("evil.example".into());
        assert_eq!(refused(&client_hello(&["evil.example"]), 0), other);
        assert_eq!(refused(&fragmented(&client_hello(&["evil.example"])), 0), other);
        refused(&client_hello(&["good.example", "evil.example"]), 0);
        // Records that a server may skip, before the hello.
        for before in [[0x14, 3, 3, 0, 1, 1].as_slice(), &[0x15, 3, 3, 0, 2, 1, 0], &[0x17, 3, 3, 0, 1, 9]] {
            refused(&[before, &client_hello(&["evil.example"])].concat(), 0);
        }
    }

    #[test]
    fn a_second_hello_is_read_like_the_first() {
        let (good, evil) = (client_hello(&["good.example"]), client_hello(&["evil.example"]));
        let again = FirstWords::default().hear(&hello_retry_request());
        assert_eq!(again, ServerSays::HelloAgain);
        let early = [0x17, 3, 3, 0, 2, 1, 2];
        let first = [good.as_slice(), &early, &[0x14, 3, 3, 0, 1, 1]].concat();
        let mut inspector = inspector();
        let mut held = first.clone();
        while let Step::Forward(length) = inspector.inspect(&held, ServerSays::Nothing).unwrap() {
            held.drain(..length);
        }
        assert!(held.is_empty(), "early data goes out");
        assert_eq!(inspector.inspect(&evil, again), Err(Failure::OtherName("evil.example".into())));
        assert_eq!(inspector.inspect(&good, again), Ok(Step::Forward(good.len())));
        assert_eq!(inspector.inspect(&evil, again), Ok(Step::Through), "a third is none of TLS's");
        // Before the server has said anything, too.
        let (out, failure) = outcome(&[&[first.as_slice(), &evil].concat()], ServerSays::Nothing);
        assert_eq!((out, failure), (first, Some(Failure::OtherName("evil.example".into()))));
    }

    #[test]
    fn each_request_must_name_the_host_that_was_judged() {
        passes(b"GET / HTTP/1.1\r\nHost: good.example\r\n\r\n");
        passes(
            b"GET / HTTP/1.1\r\nHost: Good.Example:8080\r\n\r\nGET /2 HTTP/1.1\r\nhost:good.example\r\n\r\n",
        );
        passes(b"GET / HTTP/1.0\r\n\r\n");
        passes(b"POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: good.example\r\n\r\n");
        passes(b"PUT / HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\nHost: good.example\r\n\r\n");
        passes(b"GET http://good.example/x HTTP/1.1\r\nHost: good.example\r\n\r\n");
        let evil = |text: &str, most| {
            assert_eq!(refused(text.as_bytes(), most), Failure::OtherName("evil.example".into()), "{text}")
        };
        evil("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 0);
        evil("\r\n\nGET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 0);
        evil("get / http/1.1\r\nHost: evil.example\r\n\r\n".replace("http", "HTTP").as_str(), 0);
        evil("GET http://evil.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n", 0);
        evil("GET http://good.example@evil.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n", 0);
        evil("CONNECT evil.example:443 HTTP/1.1\r\nHost: good.example\r\n\r\n", 0);
        evil("GET / HTTP/1.1\r\nHost: good.example\r\n\r\nGET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 40);
        evil(
            "GET / HTTP/1.1\r\nHost: good.example\r\nUpgrade: websocket\r\n\r\nGET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            64,
        );
        evil(
            "POST / HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            76,
        );
    }

    #[test]
    fn what_could_be_understood_in_two_ways_is_refused() {
        for (text, most) in [
            ("GET / HTTP/1.1\r\nHost: good.example\r\nHost: evil.example\r\n\r\n", 0),
            ("GET / HTTP/1.1\r\nHost: good.example\r\nhost: good.example\r\n\r\n", 0),
            ("GET / HTTP/1.1\nHost: good.example\n\n", 0),
            (
                "POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                0,
            ),
            ("POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: 4\r\nContent-Length: 40\r\n\r\n", 0),
            ("POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: +4\r\n\r\n", 0),
            ("POST / HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding: xchunked\r\n\r\n", 0),
            ("POST / HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello", 71),
            ("GET / HTTP/1.1\r\nHost: good.example, evil.example\r\n\r\n", 0),
            ("GET / HTTP/2.0\r\n\r\n", 0),
            ("\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0),
        ] {
            refused(text.as_bytes(), most);
        }
    }

    #[test]
    fn another_protocol_begins_when_the_server_says_so() {
        let upgrade =
            b"GET /ws HTTP/1.1\r\nHost: good.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        let mut inspector = inspector();
        assert_eq!(inspector.inspect(upgrade, ServerSays::Nothing), Ok(Step::Forward(upgrade.len())));
        assert_eq!(inspector.inspect(b"\x81\x05hello", ServerSays::Switched), Ok(Step::Through));
        let http2 = b"GET / HTTP/1.1\r\nHost: good.example\r\nUpgrade: h2c\r\n\r\n";
        let mut inspector = self::inspector();
        assert_eq!(inspector.inspect(http2, ServerSays::Nothing), Ok(Step::Forward(http2.len())));
        assert!(inspector.inspect(b"PRI", ServerSays::Switched).is_err());
    }

    #[test]
    fn other_protocols_pass() {
        for bytes in [
            b"SSH-2.0-OpenSSH_10\r\n".as_slice(),
            b"\0\0\0\x08\x04\xd2\x16\x2f",
            b"*1\r\n$4\r\nPING\r\n",
            b"PING\r\n",
            b"EHLO me.example\r\n",
            b"get key\r\n",
            b"003agit-upload-pack /x\0host=good.example\0",
        ] {
            passes(bytes);
        }
        assert_eq!(outcome(&[b"GET"], ServerSays::Nothing).0, b"", "a request may still come");
    }

    proptest! {
        #[test]
        fn a_name_that_was_not_judged_never_goes_out(
            before in prop::collection::vec(any::<u8>(), 0..20),
            cut in 0_usize..200,
        ) {
            let hello = client_hello(&["evil.example"]);
            let (first, second) = hello.split_at(cut.min(hello.len()));
            let (out, _) = outcome(&[first, second], ServerSays::Nothing);
            prop_assert!(out.is_empty());
            // Nothing breaks it.
            let mixed = [before.as_slice(), &hello].concat();
            let _ = outcome(&[mixed.as_slice()], ServerSays::Nothing);
        }
    }
}
