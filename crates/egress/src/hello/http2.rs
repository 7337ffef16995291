//! HTTP/2 in the clear from the program's side: each request must name the host that was judged (RFC 9113, section 8.3.1).
//!
//! Nothing that a reader of HTTP/1 could take for a request goes out before the server has answered in HTTP/2.

use super::inspect::{Named, Step};
use super::server::ServerSays;
use crate::judge::Failure;
use loona_hpack::Decoder;

/// What a program begins with (section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A frame's length, kind, flags and stream come before it (section 4.1).
const FRAME_HEADER: usize = 9;
/// The longest block of fields that is read, with what its frames add.
const LONGEST_BLOCK: usize = 64 << 10;
/// What may wait until the server has spoken: a first window (section 6.9.2), and fields.
const MOST_HELD: usize = 256 << 10;
/// The largest table of fields that a program may use (RFC 7541, section 4.2), sixteen times what is usual.
const LARGEST_TABLE: usize = 64 << 10;

mod kind {
    pub(super) const HEADERS: u8 = 1;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PUSH_PROMISE: u8 = 5;
    pub(super) const WINDOW_UPDATE: u8 = 8;
    pub(super) const CONTINUATION: u8 = 9;
}

mod flag {
    pub(super) const END_HEADERS: u8 = 4;
    pub(super) const PADDED: u8 = 8;
    pub(super) const PRIORITY: u8 = 0x20;
}

const AMBIGUOUS: Failure = Failure::Unreadable("HTTP/2 that can be understood in more than one way");

/// A conversation, frame by frame.
pub(super) struct Http2 {
    has_greeted: bool,
    /// Bytes of a frame that goes out as it is.
    passing: usize,
    fields: Decoder<'static>,
}

impl std::fmt::Debug for Http2 {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Http2").field("passing", &self.passing).finish_non_exhaustive()
    }
}

impl Default for Http2 {
    fn default() -> Http2 {
        let mut fields = Decoder::new();
        fields.set_max_allowed_table_size(LARGEST_TABLE);
        Http2 { has_greeted: false, passing: 0, fields }
    }
}

/// A frame's header, and what follows it.
struct Frame<'b> {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
    rest: &'b [u8],
}

impl<'b> Frame<'b> {
    fn read(buffer: &'b [u8]) -> Option<Frame<'b>> {
        let ([a, b, c, kind, flags, stream @ ..], rest) = buffer.split_first_chunk::<FRAME_HEADER>()?;
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap_or(usize::MAX);
        let stream = u32::from_be_bytes(*stream) & (u32::MAX >> 1);
        Some(Frame { length, kind: *kind, flags: *flags, stream, rest })
    }

    /// The whole frame's content, once it is there.
    fn content(&self) -> Option<&'b [u8]> {
        self.rest.get(..self.length)
    }
}

impl Http2 {
    /// Tells what of the buffer may go out.
    pub(super) fn inspect(
        &mut self,
        buffer: &[u8],
        server: ServerSays,
        named: &Named,
    ) -> Result<Step, Failure> {
        if !self.has_greeted {
            let begin = buffer.get(..PREFACE.len()).unwrap_or(buffer);
            if !PREFACE.starts_with(begin) {
                return Err(AMBIGUOUS);
            }
            self.has_greeted = begin.len() == PREFACE.len();
            return Ok(if self.has_greeted { Step::Forward(PREFACE.len()) } else { Step::Hold });
        }
        if self.passing > 0 {
            let now = self.passing.min(buffer.len());
            self.passing -= now;
            return Ok(if now == 0 { Step::Hold } else { Step::Forward(now) });
        }
        let Some(frame) = Frame::read(buffer) else { return Ok(Step::Hold) };
        match server {
            ServerSays::Http2 => {}
            ServerSays::Nothing if may_go_first(&frame) => {}
            ServerSays::Nothing if buffer.len() < MOST_HELD => return Ok(Step::Hold),
            ServerSays::Nothing
            | ServerSays::Other
            | ServerSays::Tls
            | ServerSays::HelloAgain
            | ServerSays::Switched => {
                return Err(Failure::Unreadable("HTTP/2 to a server that does not answer in it"));
            }
        }
        match frame.kind {
            kind::HEADERS => self.read_fields(buffer, named),
            // A program pushes nothing (section 8.4); and fields go on only where some have begun.
            kind::PUSH_PROMISE | kind::CONTINUATION => Err(AMBIGUOUS),
            _ => {
                let now = buffer.len().min(FRAME_HEADER + frame.length);
                self.passing = FRAME_HEADER + frame.length - now;
                Ok(Step::Forward(now))
            }
        }
    }

    /// Reads a block of fields, with all frames that it is in.
    fn read_fields(&mut self, buffer: &[u8], named: &Named) -> Result<Step, Failure> {
        let (mut block, mut rest, mut stream) = (Vec::new(), buffer, None);
        loop {
            let hold = || match buffer.len() < LONGEST_BLOCK {
                true => Ok(Step::Hold),
                false => Err(Failure::Unreadable("HTTP/2 with too many fields")),
            };
            let Some(frame) = Frame::read(rest) else { return hold() };
            let expected = if stream.is_none() { kind::HEADERS } else { kind::CONTINUATION };
            let is_other = stream.is_some_and(|stream| stream != frame.stream);
            if frame.kind != expected || frame.stream == 0 || is_other {
                return Err(AMBIGUOUS);
            }
            let Some(content) = frame.content() else { return hold() };
            stream = Some(frame.stream);
            block.extend_from_slice(if expected == kind::HEADERS {
                bare(content, frame.flags)?
            } else {
                content
            });
            rest = frame.rest.get(frame.length..).unwrap_or_default();
            if frame.flags & flag::END_HEADERS != 0 {
                break;
            }
        }
        self.check(&block, named)?;
        Ok(Step::Forward(buffer.len() - rest.len()))
    }

    fn check(&mut self, block: &[u8], named: &Named) -> Result<(), Failure> {
        let (mut authorities, mut hosts, mut found) = (0, 0, Ok(()));
        let decoded = self.fields.decode_with_cb(block, |name, value| {
            let names_a_host = match name.as_ref() {
                b":authority" => {
                    authorities += 1;
                    true
                }
                // As HTTP/1 has it; a proxy would read a whole URL.
                b":path" if !matches!(value.first(), Some(b'/' | b'*')) => {
                    found = Err(AMBIGUOUS);
                    false
                }
                other if other.eq_ignore_ascii_case(b"host") => {
                    hosts += 1;
                    true
                }
                _ => false,
            };
            if names_a_host && found.is_ok() {
                found = std::str::from_utf8(&value)
                    .map_err(|_| AMBIGUOUS)
                    .and_then(|value| named.check_with_port(value));
            }
        });
        decoded.map_err(|_| Failure::Unreadable("an HTTP/2 request"))?;
        found?;
        if authorities > 1 || hosts > 1 { Err(AMBIGUOUS) } else { Ok(()) }
    }
}

/// Takes off what surrounds a block of fields (section 6.2).
fn bare(content: &[u8], flags: u8) -> Result<&[u8], Failure> {
    let (padding, rest) = match flags & flag::PADDED {
        0 => (0, content),
        _ => content.split_first().map(|(padding, rest)| (usize::from(*padding), rest)).ok_or(AMBIGUOUS)?,
    };
    let skipped = if flags & flag::PRIORITY == 0 { 0 } else { 5 };
    let end = rest.len().checked_sub(padding).ok_or(AMBIGUOUS)?;
    rest.get(skipped..end).ok_or(AMBIGUOUS)
}

/// Tells whether a frame is one that a server may wait for before it says a word, and in which no line of text fits: settings,
/// of which each begins with what is no character, and the size of a window.
fn may_go_first(frame: &Frame<'_>) -> bool {
    let is_no_text = |setting: &[u8]| setting.first().is_some_and(|byte| *byte < 9 || *byte >= 0x7f);
    match frame.kind {
        kind::SETTINGS => frame.content().is_some_and(|settings| settings.chunks(6).all(is_no_text)),
        kind::WINDOW_UPDATE => frame.length == 4,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use loona_hpack::Encoder;

    fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
    }

    fn block(fields: &[(&str, &str)]) -> Vec<u8> {
        Encoder::new().encode(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }

    fn request(authority: &str) -> Vec<u8> {
        block(&[(":method", "POST"), (":scheme", "http"), (":path", "/a/b"), (":authority", authority)])
    }

    /// What goes out of these bytes, given one by one, and why no more does.
    fn outcome(bytes: &[u8], server: ServerSays) -> (usize, Option<Failure>) {
        let (mut http2, named) = (Http2::default(), Named(Name::new("good.example").unwrap()));
        let (mut held, mut out) = (Vec::new(), 0);
        for byte in bytes {
            held.push(*byte);
            loop {
                match http2.inspect(&held, server, &named) {
                    Ok(Step::Hold) => break,
                    Ok(Step::Forward(length)) => {
                        out += length;
                        held.drain(..length);
                    }
                    Ok(Step::Through) => return (out, None),
                    Err(failure) => return (out, Some(failure)),
                }
            }
        }
        (out, None)
    }

    fn conversation(frames: &[Vec<u8>]) -> Vec<u8> {
        [PREFACE.to_vec(), frame(4, 0, 0, &[0, 3, 0, 0, 0, 9]), frames.concat()].concat()
    }

    #[test]
    fn each_request_must_name_the_host_that_was_judged() {
        let whole = |authority| frame(1, 4, 1, &request(authority));
        let good = conversation(&[
            whole("good.example:50051"),
            frame(0, 1, 1, b"evil.example"),
            frame(6, 0, 0, &[0; 8]),
        ]);
        assert_eq!(outcome(&good, ServerSays::Http2), (good.len(), None));
        let other = Some(Failure::OtherName("evil.example".into()));
        let evil = conversation(&[whole("evil.example")]);
        assert_eq!(outcome(&evil, ServerSays::Http2), (PREFACE.len() + 15, other.clone()));
        let second = conversation(&[whole("good.example"), frame(1, 4, 3, &request("evil.example"))]);
        assert_eq!(outcome(&second, ServerSays::Http2).1, other);
        let host = block(&[(":path", "/"), (":authority", "good.example"), ("host", "evil.example")]);
        assert_eq!(outcome(&conversation(&[frame(1, 4, 1, &host)]), ServerSays::Http2).1, other);
        // In pieces, with what may surround them.
        let fields = request("evil.example");
        let (begin, end) = fields.split_at(9);
        let begin = [&[3, 0, 0, 0, 0, 9], begin, &[0; 3]].concat();
        let pieces = conversation(&[frame(1, 0x28, 1, &begin), frame(9, 0, 1, &[]), frame(9, 4, 1, end)]);
        assert_eq!(outcome(&pieces, ServerSays::Http2).1, other);
        // By way of the table that both sides keep.
        let first = [&[0x41, 12], b"good.example".as_slice()].concat();
        let again = conversation(&[frame(1, 4, 1, &first), frame(1, 4, 3, &[0x80 | 62])]);
        assert_eq!(outcome(&again, ServerSays::Http2), (again.len(), None));
    }

    #[test]
    fn what_could_be_understood_in_two_ways_is_refused() {
        let twice = block(&[(":authority", "good.example"), (":authority", "good.example")]);
        let url = block(&[(":path", "http://evil.example/"), (":authority", "good.example")]);
        let good = request("good.example");
        for frames in [
            vec![frame(1, 4, 1, &twice)],
            vec![frame(1, 4, 1, &url)],
            vec![frame(1, 4, 0, &good)],
            vec![frame(9, 4, 1, &good)],
            vec![frame(5, 4, 1, &good)],
            vec![frame(1, 0, 1, &good), frame(0, 0, 1, b"")],
            vec![frame(1, 0, 1, &good), frame(9, 4, 3, b"")],
            vec![frame(1, 12, 1, &[9, 1])],
            vec![frame(1, 4, 1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff])],
            vec![frame(1, 4, 1, &[0x3f, 0xff, 0xff, 0xff, 0x7f])],
        ] {
            let (out, failure) = outcome(&conversation(&frames), ServerSays::Http2);
            assert!(matches!(failure, Some(Failure::Unreadable(_))), "{frames:?}: {failure:?}");
            assert_eq!(out, PREFACE.len() + 15);
        }
        assert!(outcome(b"PRI * HTTP/2.0\r\n\r\nGET", ServerSays::Nothing).1.is_some());
    }

    #[test]
    fn a_server_must_speak_it_before_it_hears_a_request() {
        let all = conversation(&[frame(1, 4, 1, &request("good.example"))]);
        assert_eq!(outcome(&all, ServerSays::Nothing), (PREFACE.len() + 15, None));
        assert!(outcome(&all, ServerSays::Other).1.is_some());
        let smuggled = [PREFACE, &frame(4, 0, 0, b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")].concat();
        assert_eq!(outcome(&smuggled, ServerSays::Nothing), (PREFACE.len(), None));
        let much = conversation(&[frame(0, 0, 1, &vec![0; MOST_HELD])]);
        assert!(outcome(&much, ServerSays::Nothing).1.is_some());
    }
}
