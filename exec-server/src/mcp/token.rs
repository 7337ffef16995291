//! By what kept sessions are found: the name of their server's socket, and a secret that whoever asks for them says first.

use std::io::{self, Read};
use std::sync::Arc;

/// Bytes of a token's secret.
const SECRET_BYTES: usize = 16;

/// What the server says to whoever has said the token.
pub(super) const WELCOME: &str = "welcome\n";

/// By what kept sessions are found: the name of a socket, and a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token(Arc<str>);

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Token").field(&self.socket()).finish_non_exhaustive()
    }
}

impl Token {
    /// A new one, for the socket of this name.
    pub(super) fn new(socket: &str) -> io::Result<Token> {
        let mut secret = [0; SECRET_BYTES];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut secret)?;
        let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Token(format!("{socket}-{secret}").into()))
    }

    /// Reads one; `None`: it is none.
    pub(super) fn read(text: &str) -> Option<Token> {
        let (socket, secret) = text.rsplit_once('-')?;
        let is_number = |character: char| character.is_ascii_digit() || character == '-';
        let is_one = !socket.is_empty()
            && socket.len() <= 32
            && socket.chars().all(is_number)
            && secret.len() == 2 * SECRET_BYTES
            && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one.then(|| Token(text.into()))
    }

    /// The name of its socket.
    pub(super) fn socket(&self) -> &str {
        self.0.rsplit_once('-').map_or("", |(socket, _)| socket)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this was said. How long the answer takes tells nothing about the secret.
    pub(super) fn is(&self, said: &[u8]) -> bool {
        let differs = self.0.bytes().zip(said).fold(0, |differs, (one, other)| differs | (one ^ other));
        differs == 0 && said.len() == self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_socket_and_is_known_by_all_of_it() {
        let token = Token::new("4711-1").unwrap();
        assert_eq!(token.socket(), "4711-1");
        let read = Token::read(token.as_str()).unwrap();
        assert!(token.is(read.as_str().as_bytes()) && read == token);
        let mut other = token.as_str().to_owned();
        other.pop();
        assert!(!token.is(other.as_bytes()) && !token.is(b""));
        for wrong in [
            "",
            "-",
            "4711",
            &other,
            "../x-00112233445566778899aabbccddeeff",
            "4711-00112233445566778899aabbccddeefg",
        ] {
            assert!(Token::read(wrong).is_none(), "{wrong}");
        }
        assert!(!format!("{token:?}").contains(token.as_str()));
    }
}
