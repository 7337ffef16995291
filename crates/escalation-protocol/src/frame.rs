//! The header before each message on a connection's stream: whose protocol, which kind, how long.

use crate::{DecodeError, VERSION};

/// Bytes of an encoded [`Header`].
pub const HEADER_BYTES: usize = 8;

const MAGIC: [u8; 2] = *b"XE";

/// The longest request: the kernel itself refuses argv and environment of more than 6 MiB together (three quarters of
/// `_STK_LIM`, execve(2)), and each string costs one byte here, as it does there.
pub const MAX_REQUEST_BYTES: u32 = 8 << 20;

/// The longest answer; a denial's reason is cut to fit, so that the wrapper needs no heap.
pub const MAX_RESPONSE_BYTES: u32 = 4 << 10;

/// The longest [`Handover`](crate::handover::Handover): the inherited attributes, and one number for each descriptor
/// that may travel.
#[expect(clippy::cast_possible_truncation, reason = "some hundred bytes fit")]
pub const MAX_HANDOVER_BYTES: u32 = crate::handover::MAX_HANDOVER as u32;

/// Which message follows a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Wrapper to server: what is about to be executed.
    Request = 1,
    /// Server to wrapper: the decision.
    Response = 2,
    /// Wrapper to server: the numbers of the attached descriptors.
    Handover = 3,
    /// Wrapper to server: a signal for the escalated program.
    Signal = 4,
    /// Server to wrapper: how the escalated program ended.
    Outcome = 5,
}

impl Kind {
    /// The longest body that a message of this kind may have, in bytes.
    pub const fn limit(self) -> u32 {
        match self {
            Kind::Request => MAX_REQUEST_BYTES,
            Kind::Response => MAX_RESPONSE_BYTES,
            Kind::Handover => MAX_HANDOVER_BYTES,
            Kind::Signal => 1,
            Kind::Outcome => 5,
        }
    }

    fn from_tag(tag: u8) -> Result<Kind, DecodeError> {
        match tag {
            1 => Ok(Kind::Request),
            2 => Ok(Kind::Response),
            3 => Ok(Kind::Handover),
            4 => Ok(Kind::Signal),
            5 => Ok(Kind::Outcome),
            other => Err(DecodeError::UnexpectedTag(other)),
        }
    }
}

/// The kind of a message and the bytes that its body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which message follows.
    pub kind: Kind,
    /// Bytes of the body, at most [`Kind::limit`].
    pub length: u32,
}

impl Header {
    /// Encodes the header: magic, version, kind, length (little endian).
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        let [a, b, c, d] = self.length.to_le_bytes();
        [MAGIC[0], MAGIC[1], VERSION, self.kind as u8, a, b, c, d]
    }

    /// Decodes a header and checks its length against the limit of its kind.
    ///
    /// # Errors
    ///
    /// When the bytes are another protocol's, another version's, or the length is over the limit.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header, DecodeError> {
        let [m0, m1, version, tag, length @ ..] = *bytes;
        if [m0, m1] != MAGIC {
            return Err(DecodeError::NotThisProtocol);
        }
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let kind = Kind::from_tag(tag)?;
        let length = u32::from_le_bytes(length);
        if length > kind.limit() {
            return Err(DecodeError::TooLong { claimed: length, limit: kind.limit() });
        }
        Ok(Header { kind, length })
    }

    /// Decodes a header that must announce a message of `kind`: each moment of a connection allows few kinds.
    ///
    /// # Errors
    ///
    /// As [`Header::decode`], and when the message is of another kind.
    pub fn decode_expecting(bytes: &[u8; HEADER_BYTES], kind: Kind) -> Result<Header, DecodeError> {
        let header = Header::decode(bytes)?;
        if header.kind == kind { Ok(header) } else { Err(DecodeError::UnexpectedTag(header.kind as u8)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_survives_the_wire() {
        for kind in [Kind::Request, Kind::Response, Kind::Handover, Kind::Signal, Kind::Outcome] {
            let header = Header { kind, length: kind.limit() };
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_anything_is_read() {
        let claimed = MAX_REQUEST_BYTES + 1;
        let bytes = Header { kind: Kind::Request, length: claimed }.encode();
        assert_eq!(Header::decode(&bytes), Err(DecodeError::TooLong { claimed, limit: MAX_REQUEST_BYTES }));
    }

    #[test]
    fn another_moment_of_the_connection_is_an_error() {
        let bytes = Header { kind: Kind::Signal, length: 1 }.encode();
        assert_eq!(Header::decode_expecting(&bytes, Kind::Request), Err(DecodeError::UnexpectedTag(4)));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_header_within_its_limit_or_an_error(bytes: [u8; HEADER_BYTES]) {
            if let Ok(header) = Header::decode(&bytes) {
                prop_assert!(header.length <= header.kind.limit());
                prop_assert_eq!(header.encode(), bytes);
            }
        }
    }
}
