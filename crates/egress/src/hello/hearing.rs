//! What the server says, while both sides are read: by its answer it tells what it has taken the program's words for.

use super::server::{FirstWords, ServerSays};
use super::tls::{SERVER_HELLO, TELLING, find_hello};
use crate::judge::Failure;

/// So much of a conversation that is neither TLS nor HTTP is looked at, in each direction: TLS may begin in it (STARTTLS).
pub(super) const MOST_WATCHED: usize = 64 << 10;
const HTTP: &[u8] = b"HTTP/";

/// What the program's words were read as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReadAs {
    /// It has said nothing.
    #[default]
    Nothing,
    /// Neither TLS nor HTTP, so far.
    Other,
    Tls,
    Http,
}

/// What was heard from the server.
#[derive(Debug, Default)]
pub(crate) struct Hearing {
    program: ReadAs,
    says: ServerSays,
    words: FirstWords,
    heard: usize,
    begin: Vec<u8>,
    /// The last bytes, in which a hello may begin.
    last: Vec<u8>,
}

impl Hearing {
    /// Takes note of what the program's words were read as, before they go out.
    pub(crate) fn program_is(&mut self, read_as: ReadAs) {
        if self.program == ReadAs::Other && read_as == ReadAs::Tls {
            // From here on the server answers to that.
            (self.words, self.says) = (FirstWords::default(), ServerSays::Nothing);
        }
        self.program = read_as;
    }

    /// Tells what the server's first words mean.
    pub(crate) fn says(&self) -> ServerSays {
        self.says
    }

    /// Takes what the server said next, before the program hears it.
    ///
    /// # Errors
    /// When it answers in a language in which nothing was read: it has understood a name that was not seen here.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.says = self.words.hear(bytes);
        self.heard = self.heard.saturating_add(bytes.len());
        let missing = HTTP.len().saturating_sub(self.begin.len());
        self.begin.extend(bytes.iter().take(missing));
        let seen = [self.last.as_slice(), bytes].concat();
        self.last = seen.get(seen.len().saturating_sub(TELLING - 1)..).unwrap_or_default().to_vec();
        if self.program != ReadAs::Other {
            return Ok(());
        }
        if missing > 0 && self.begin == HTTP {
            return Err(Failure::Unreadable("what the server takes for HTTP"));
        }
        match find_hello(SERVER_HELLO, &seen) {
            Some((_, true)) => Err(Failure::Unreadable("what the server takes for TLS")),
            Some((_, false)) | None => Ok(()),
        }
    }

    /// Tells whether whatever follows does not matter.
    pub(crate) fn is_enough(&self) -> bool {
        let is_clear = !matches!(self.says, ServerSays::Nothing | ServerSays::Switched);
        self.heard >= MOST_WATCHED || is_clear && matches!(self.program, ReadAs::Tls | ReadAs::Http)
    }
}

#[cfg(test)]
mod tests {
    use super::super::server::hello_retry_request;
    use super::*;

    #[test]
    fn who_answers_in_a_language_that_was_not_read_is_not_heard() {
        let hello = hello_retry_request();
        for (read_as, answer, is_heard) in [
            (ReadAs::Other, b"HTTP/1.1 200 OK\r\n".as_slice(), false),
            (ReadAs::Other, &hello, false),
            (ReadAs::Other, b"+PONG\r\nHTTP/1.1\r\n", true),
            (ReadAs::Nothing, b"HTTP/1.1 408 Request Timeout\r\n", true),
            (ReadAs::Http, b"HTTP/1.1 200 OK\r\n", true),
            (ReadAs::Tls, &hello, true),
        ] {
            for size in [1, 3, answer.len()] {
                let mut hearing = Hearing::default();
                hearing.program_is(read_as);
                let outcome = answer.chunks(size).try_for_each(|piece| hearing.hear(piece));
                assert_eq!(outcome.is_ok(), is_heard, "{read_as:?} {answer:?} by {size}");
            }
        }
    }

    #[test]
    fn a_hello_is_found_wherever_it_comes() {
        let mut hearing = Hearing::default();
        hearing.program_is(ReadAs::Other);
        assert_eq!(hearing.hear(b"220 ready\r\n"), Ok(()));
        let alert = [0x15, 3, 3, 0, 2, 1, 112];
        assert!(hearing.hear(&[alert.as_slice(), &hello_retry_request()].concat()).is_err());
    }
}
