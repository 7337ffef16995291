//! The server's first words.

/// What the server's first words mean for what the program may say next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ServerSays {
    /// It has not said enough.
    #[default]
    Nothing,
    /// Nothing special.
    Other,
    /// TLS: a hello, or an alert.
    Tls,
    /// TLS: say hello again (RFC 8446, section 4.1.4).
    HelloAgain,
    /// HTTP: from here on another protocol (RFC 9110, section 15.2.2).
    Switched,
    /// HTTP/2, which begins with settings (RFC 9113, section 3.4).
    Http2,
}

/// `ServerHello.random` of a HelloRetryRequest (RFC 8446, section 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];
/// A record's header, a message's, and a version come before it.
const RANDOM_AT: usize = 5 + 4 + 2;
/// All that is looked at.
const ENOUGH: usize = RANDOM_AT + RETRY.len();

/// Collects as much of what a server says as decides.
#[derive(Debug, Default)]
pub(crate) struct FirstWords(Vec<u8>);

impl FirstWords {
    /// Takes what the server said next; tells what it means, once that is clear.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> ServerSays {
        let missing = ENOUGH.saturating_sub(self.0.len());
        self.0.extend(bytes.iter().take(missing));
        let heard = self.0.as_slice();
        const SWITCHED: &[u8] = b"HTTP/1.1 101";
        match heard.first() {
            None => ServerSays::Nothing,
            Some(0) => match heard.get(..9) {
                None => ServerSays::Nothing,
                Some([0, _, _, 4, 0, 0, 0, 0, 0]) => ServerSays::Http2,
                Some(_) => ServerSays::Other,
            },
            Some(0x16) if heard.len() < ENOUGH => ServerSays::Nothing,
            Some(0x16) => match heard.get(5) == Some(&2) && heard.get(RANDOM_AT..) == Some(&RETRY) {
                true => ServerSays::HelloAgain,
                false => ServerSays::Tls,
            },
            Some(0x15) => ServerSays::Tls,
            Some(_) if heard.starts_with(SWITCHED) => ServerSays::Switched,
            Some(_) if SWITCHED.starts_with(heard) => ServerSays::Nothing,
            Some(_) => ServerSays::Other,
        }
    }
}

#[cfg(test)]
pub(super) fn hello_retry_request() -> Vec<u8> {
    [[0x16, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3].as_slice(), &RETRY, &[0, 0, 0, 0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_words_are_understood_however_they_come() {
        let mut ordinary = hello_retry_request();
        ordinary[RANDOM_AT] = 0;
        for (words, meaning) in [
            (hello_retry_request(), ServerSays::HelloAgain),
            (ordinary, ServerSays::Tls),
            (b"HTTP/1.1 101 Switching Protocols\r\n".to_vec(), ServerSays::Switched),
            (b"HTTP/1.1 200 OK\r\n".to_vec(), ServerSays::Other),
            (b"SSH-2.0-x".to_vec(), ServerSays::Other),
            (vec![0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3], ServerSays::Http2),
            (vec![0, 0, 6, 4, 0, 0, 0, 0, 1], ServerSays::Other),
            (vec![0x15, 3, 3, 0, 2, 2, 40], ServerSays::Tls),
        ] {
            assert_eq!(FirstWords::default().hear(&words), meaning);
            let mut slowly = FirstWords::default();
            let heard: Vec<ServerSays> = words.iter().map(|byte| slowly.hear(&[*byte])).collect();
            let first = heard.iter().find(|said| **said != ServerSays::Nothing);
            assert_eq!(first, Some(&meaning), "{words:?}");
        }
    }
}
