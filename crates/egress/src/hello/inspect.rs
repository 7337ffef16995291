//! Which kind of conversation it is, told by its first bytes, and what of it may go out.

use super::begin::{self, Begin, begin};
use super::hearing::{MOST_WATCHED, ReadAs};
use super::http::Http;
use super::http2::Http2;
use super::server::ServerSays;
use super::tls::{CLIENT_HELLO, Tls, find_hello};
use crate::judge::Failure;
use crate::name::Name;

/// The longest first line that is waited for before it is clear whether this is HTTP.
pub(super) const LONGEST_LINE: usize = 64 << 10;

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
    /// So much that is neither TLS nor HTTP will be looked at.
    watched: usize,
    /// Something else has come before TLS.
    is_late: bool,
}

#[derive(Debug)]
enum Kind {
    Unknown,
    Tls(Tls),
    Http(Http),
    Http2(Box<Http2>),
    /// Neither; TLS may begin in it.
    Other,
}

impl Inspector {
    /// Expects this host, or anything where an address was judged.
    pub(crate) fn new(name: Option<Name>) -> Option<Inspector> {
        let kind = Kind::Unknown;
        name.map(|name| Inspector { named: Named(name), kind, watched: MOST_WATCHED, is_late: false })
    }

    /// Tells what may be done with what has not gone out, as far as the server has said something.
    pub(crate) fn inspect(&mut self, buffer: &[u8], server: ServerSays) -> Result<Step, Failure> {
        let step = match &mut self.kind {
            Kind::Unknown => {
                let Some(begin) = begin(buffer)? else { return Ok(Step::Hold) };
                self.kind = match begin {
                    Begin::Tls => Kind::Tls(Tls::default()),
                    Begin::Http => Kind::Http(Http::default()),
                    Begin::Http2 => Kind::Http2(Box::default()),
                    Begin::Other => Kind::Other,
                };
                return self.inspect(buffer, server);
            }
            // What was taken for a hello was none to the server.
            Kind::Tls(tls) if self.is_late && tls.is_begun() && server == ServerSays::Other => None,
            Kind::Tls(tls) => Some(tls.inspect(buffer, server, &self.named)?),
            // Another protocol that begins in HTTP is one like any other.
            Kind::Http(http) => {
                Some(http.inspect(buffer, server, &self.named)?).filter(|step| *step != Step::Through)
            }
            Kind::Http2(http) => Some(http.inspect(buffer, server, &self.named)?),
            Kind::Other => None,
        };
        match step {
            Some(step) => Ok(step),
            None => self.watch(buffer),
        }
    }

    /// Looks for TLS in what is neither that nor HTTP.
    fn watch(&mut self, buffer: &[u8]) -> Result<Step, Failure> {
        self.kind = Kind::Other;
        let now = match find_hello(CLIENT_HELLO, buffer) {
            _ if self.watched == 0 => return Ok(Step::Through),
            Some((0, true)) => {
                (self.kind, self.is_late) = (Kind::Tls(Tls::default()), true);
                return self.inspect(buffer, ServerSays::Nothing);
            }
            Some((at, _)) => at,
            None => buffer.len(),
        };
        self.watched = self.watched.saturating_sub(now);
        Ok(if now == 0 { Step::Hold } else { Step::Forward(now) })
    }

    /// Tells what the program's words were read as so far, if there were any.
    pub(crate) fn read_as(&self) -> ReadAs {
        match &self.kind {
            Kind::Unknown | Kind::Other => ReadAs::Other,
            Kind::Tls(_) => ReadAs::Tls,
            Kind::Http(_) | Kind::Http2(_) => ReadAs::Http,
        }
    }

    /// Tells whether what is held may go out although more of it decides what it is: a line that has not ended asks nobody for
    /// anything, and whoever speaks another protocol may be waited for.
    pub(crate) fn is_harmless_so_far(&self, held: &[u8]) -> bool {
        matches!(self.kind, Kind::Unknown) && begin::is_harmless(held)
    }

    /// Tells whether what is held may go out when the program has said its last: a message that is begun and names a host
    /// may not.
    pub(crate) fn may_end(&self, held: &[u8]) -> bool {
        held.is_empty() || matches!(self.kind, Kind::Other) || self.is_harmless_so_far(held)
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
        if inspector.may_end(&held) {
            out.append(&mut held);
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
        // Versions of records that Go's servers take.
        for version in [[2, 0], [4, 0], [0, 0], [0x0f, 0xff]] {
            let mut hello = client_hello(&["evil.example"]);
            hello[1..3].copy_from_slice(&version);
            refused(&hello, 0);
        }
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
        assert_eq!(inspector.inspect(b"\x81\x05hello", ServerSays::Switched), Ok(Step::Forward(7)));
        let evil = client_hello(&["evil.example"]);
        assert!(inspector.inspect(&evil, ServerSays::Switched).is_err(), "TLS as well (RFC 2817)");
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
    }

    #[test]
    fn a_line_that_some_server_takes_for_a_request_is_read_strictly() {
        for line in [
            "A_B / HTTP/1.1",
            "G!T / HTTP/1.1",
            "123 / HTTP/1.1",
            "GET\t/\tHTTP/1.1",
            "GET\x0b/\x0bHTTP/1.1",
            " GET / HTTP/1.1",
            "\tGET / HTTP/1.1",
            "\0GET / HTTP/1.1",
            "\u{feff}GET / HTTP/1.1",
            "GET /",
            "POST /",
            "GET x",
            "GET http://evil.example/",
            "DESCRIBE / RTSP/1.0",
            "GET / HTTP/1.1 x",
            "PROXY UNKNOWN",
        ] {
            refused(format!("{line}\r\nHost: evil.example\r\n\r\n").as_bytes(), 0);
            refused(format!("{line}\rHost: evil.example\r\r").as_bytes(), 0);
        }
        passes(b"A_B / HTTP/1.1\r\nHost: good.example\r\n\r\n");
        let proxied = [b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".as_slice(), &client_hello(&["evil.example"])];
        refused(&proxied.concat(), 0);
        // Where the program says nothing more, the end is one of a line, too.
        let mut inspector = inspector();
        let line = b"GET http://evil.example/ HTTP/1.1";
        assert_eq!(inspector.inspect(line, ServerSays::Nothing), Ok(Step::Hold));
        assert!(!inspector.is_harmless_so_far(line) && !inspector.may_end(line));
    }

    #[test]
    fn tls_that_begins_later_names_the_host_as_well() {
        let (good, evil) = (client_hello(&["good.example"]), client_hello(&["evil.example"]));
        for before in [
            b"\0\0\0\x08\x04\xd2\x16\x2f".as_slice(),
            b"\x20\0\0\x01\x85\xae\xff\x19\0\0\0\x01\x21\0\0\0",
            b"EHLO me\r\nSTARTTLS\r\n",
            b"<?xml version='1.0'?><stream:stream to='good.example'><starttls/>",
        ] {
            passes(&[before, &good].concat());
            assert_eq!(outcome(&[before, &good], ServerSays::Other), ([before, &good].concat(), None));
            let other = Failure::OtherName("evil.example".into());
            for pieces in [&[before, &evil][..], &[&[before, &evil].concat()]] {
                assert_eq!(outcome(pieces, ServerSays::Other), (before.to_vec(), Some(other.clone())));
            }
            // A hello that was none to the server is no way around the next.
            let (out, failure) = outcome(&[before, &good, &evil], ServerSays::Other);
            assert_eq!((out, failure), ([before, &good].concat(), Some(other)));
        }
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
