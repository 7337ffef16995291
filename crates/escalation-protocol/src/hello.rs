//! The datagram that opens a connection: it carries the server's end of the stream, and what only descriptors can say.

use crate::{DecodeError, VERSION};

/// Bytes of an encoded [`Hello`].
pub const HELLO_BYTES: usize = 2;

/// Descriptors that a hello can carry: stream, working directory, file.
pub const MAX_HELLO_DESCRIPTORS: usize = 3;

const HAS_DIRECTORY: u8 = 1;
const HAS_FILE: u8 = 2;
const HAS_INPUT: u8 = 4;

/// Says which descriptors travel with the datagram, in this order: the stream (always), the wrapper's working
/// directory (`O_PATH`; absent when it cannot be opened), the file to be executed (`O_PATH`; absent when it is not
/// there).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The working directory's descriptor is attached.
    pub has_directory: bool,
    /// The file's descriptor is attached.
    pub has_file: bool,
    /// Standard input is something to be read: open, and not `/dev/null`.
    pub has_input: bool,
}

impl Hello {
    /// The number of descriptors that must be attached.
    pub fn descriptors(self) -> usize {
        1 + usize::from(self.has_directory) + usize::from(self.has_file)
    }

    /// Encodes the datagram's payload.
    pub fn encode(self) -> [u8; HELLO_BYTES] {
        let directory = if self.has_directory { HAS_DIRECTORY } else { 0 };
        let file = if self.has_file { HAS_FILE } else { 0 };
        let input = if self.has_input { HAS_INPUT } else { 0 };
        [VERSION, directory | file | input]
    }

    /// Decodes a datagram's payload.
    ///
    /// # Errors
    ///
    /// When the length, the version or a flag is unknown.
    pub fn decode(bytes: &[u8]) -> Result<Hello, DecodeError> {
        let &[version, flags] = bytes else { return Err(DecodeError::Malformed) };
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        if flags & !(HAS_DIRECTORY | HAS_FILE | HAS_INPUT) != 0 {
            return Err(DecodeError::UnexpectedTag(flags));
        }
        Ok(Hello {
            has_directory: flags & HAS_DIRECTORY != 0,
            has_file: flags & HAS_FILE != 0,
            has_input: flags & HAS_INPUT != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_hello_survives_the_wire(has_directory: bool, has_file: bool, has_input: bool) {
            let hello = Hello { has_directory, has_file, has_input };
            prop_assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
            prop_assert!(hello.descriptors() <= MAX_HELLO_DESCRIPTORS);
        }

        #[test]
        fn any_other_datagram_is_an_error(bytes: Vec<u8>) {
            if let Ok(hello) = Hello::decode(&bytes) {
                prop_assert_eq!(&hello.encode()[..], &bytes[..]);
            }
        }
    }
}
