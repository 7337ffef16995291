//! The server's decision about one request.

use crate::DecodeError;
use crate::frame::MAX_RESPONSE_BYTES;

const RUN: u8 = 0;
const RUN_INTERCEPTED: u8 = 1;
const ESCALATE: u8 = 2;
const DENY: u8 = 3;

/// The longest reason of a denial, in bytes.
pub const MAX_REASON_BYTES: usize = MAX_RESPONSE_BYTES as usize - 1;

/// The longest path of a program to become, in bytes: as long as paths are (`PATH_MAX`, without its NUL).
pub const MAX_FILE_BYTES: usize = MAX_RESPONSE_BYTES as usize - 1;

/// What the wrapper is to do. A denial is what remains: whatever is not clearly one of the others denies.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response<'a> {
    /// Become the program, here, inside the sandbox.
    Run {
        /// The program is the patched Bash itself: leave it the interceptor's variables and socket.
        keep_interceptor: bool,
        /// Its path, for a wrapper that nobody told it: one that a process became which was about to execute the
        /// program itself. At most [`MAX_FILE_BYTES`].
        file: &'a [u8],
    },
    /// Hand over the descriptors; the server runs the program outside the sandbox.
    Escalate,
    /// Do not run it; say why. The text is UTF-8 as the server writes it.
    Deny {
        /// Why, for the person who reads the command's output.
        reason: &'a [u8],
    },
}

impl<'a> Response<'a> {
    /// Encodes the body into `buffer` and returns the used part; a reason is cut to [`MAX_REASON_BYTES`] (at a
    /// character's boundary when it is UTF-8).
    pub fn encode<'b>(&self, buffer: &'b mut [u8; MAX_RESPONSE_BYTES as usize]) -> &'b [u8] {
        let (tag, text) = match self {
            Response::Run { keep_interceptor: false, file } => {
                (RUN, file.get(..MAX_FILE_BYTES).unwrap_or(file))
            }
            Response::Run { keep_interceptor: true, file: _ } => (RUN_INTERCEPTED, &[][..]),
            Response::Escalate => (ESCALATE, &[][..]),
            Response::Deny { reason } => (DENY, cut(reason)),
        };
        let [first, rest @ ..] = buffer;
        *first = tag;
        for (to, from) in rest.iter_mut().zip(text) {
            *to = *from;
        }
        buffer.get(..1 + text.len()).unwrap_or_default()
    }

    /// Decodes a body.
    ///
    /// # Errors
    ///
    /// When the tag is unknown or has a text that it cannot have.
    pub fn decode(body: &'a [u8]) -> Result<Response<'a>, DecodeError> {
        match body {
            [RUN, file @ ..] => Ok(Response::Run { keep_interceptor: false, file }),
            [RUN_INTERCEPTED] => Ok(Response::Run { keep_interceptor: true, file: b"" }),
            [ESCALATE] => Ok(Response::Escalate),
            [DENY, reason @ ..] => Ok(Response::Deny { reason }),
            [] => Err(DecodeError::Malformed),
            [tag, ..] => Err(DecodeError::UnexpectedTag(*tag)),
        }
    }
}

fn cut(reason: &[u8]) -> &[u8] {
    let mut end = reason.len().min(MAX_REASON_BYTES);
    let is_continuation = |at: usize| reason.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    while end > 0 && is_continuation(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn survives(response: Response<'_>) {
        let mut buffer = [0; MAX_RESPONSE_BYTES as usize];
        assert_eq!(Response::decode(response.encode(&mut buffer)), Ok(response));
    }

    #[test]
    fn every_response_survives_the_wire() {
        survives(Response::Run { keep_interceptor: false, file: b"" });
        survives(Response::Run { keep_interceptor: false, file: b"/bin/true" });
        survives(Response::Run { keep_interceptor: true, file: b"" });
        survives(Response::Escalate);
        survives(Response::Deny { reason: b"" });
        survives(Response::Deny { reason: "verboten \u{1f6d1}".as_bytes() });
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut buffer = [0; MAX_RESPONSE_BYTES as usize];
        let reason = "\u{e9}".repeat(MAX_REASON_BYTES);
        let body = Response::Deny { reason: reason.as_bytes() }.encode(&mut buffer);
        let Ok(Response::Deny { reason }) = Response::decode(body) else { panic!("not a denial") };
        assert_eq!(core::str::from_utf8(reason).map(str::len), Ok(MAX_REASON_BYTES - 1));
    }

    proptest! {
        #[test]
        fn only_the_exact_bytes_of_a_permission_permit(body: Vec<u8>) {
            match Response::decode(&body) {
                Ok(Response::Run { file, .. }) => prop_assert_eq!(body.len(), 1 + file.len()),
                Ok(Response::Escalate) => prop_assert_eq!(body.len(), 1),
                Ok(Response::Deny { .. }) | Err(_) => {}
            }
        }
    }
}
