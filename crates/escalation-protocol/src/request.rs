//! The request: which file is about to be executed, with which argv and environment.
//!
//! Body: `argc` and `envc` (u32, little endian), then `1 + argc + envc` strings, each ended by a NUL byte: the file,
//! argv, and the environment's `NAME=value` entries. They are the very bytes that execve(2) gets; none need be UTF-8.

use crate::frame::MAX_REQUEST_BYTES;

/// The most strings of a request. The kernel allows about as many where its limits are the usual ones: each costs it
/// nine bytes of two mebibytes at least (execve(2)).
pub const MAX_STRINGS: usize = 1 << 18;

/// Bytes of the two counts before the strings.
pub const COUNTS_BYTES: usize = 8;

/// Encodes the two counts that open the body.
pub fn encode_counts(argc: u32, envc: u32) -> [u8; COUNTS_BYTES] {
    let [a, b, c, d] = argc.to_le_bytes();
    let [e, f, g, h] = envc.to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

/// The length of the body that carries `strings`, in bytes, or `None` when it is over [`MAX_REQUEST_BYTES`].
pub fn body_length<'a>(strings: impl Iterator<Item = &'a core::ffi::CStr>) -> Option<u32> {
    let (mut total, mut count) = (COUNTS_BYTES, 0);
    for string in strings {
        count += 1;
        if count > MAX_STRINGS {
            return None;
        }
        total = total.checked_add(string.to_bytes_with_nul().len())?;
    }
    u32::try_from(total).ok().filter(|total| *total <= MAX_REQUEST_BYTES)
}

#[cfg(feature = "alloc")]
pub use owned::ExecRequest;

#[cfg(feature = "alloc")]
mod owned {
    use alloc::vec::Vec;

    use super::{COUNTS_BYTES, MAX_STRINGS};
    use crate::DecodeError;

    /// A decoded request. It owns the received bytes; what it gives out borrows from them.
    #[derive(Clone, PartialEq, Eq)]
    pub struct ExecRequest {
        strings: Vec<u8>,
        argc: usize,
        argv_start: usize,
        env_start: usize,
    }

    impl ExecRequest {
        /// Decodes a request's body. The counts are believed only when exactly as many strings follow.
        ///
        /// # Errors
        ///
        /// When the body is shorter or longer than its counts say.
        pub fn decode(mut body: Vec<u8>) -> Result<ExecRequest, DecodeError> {
            let Some((counts, strings)) = body.split_at_checked(COUNTS_BYTES) else {
                return Err(DecodeError::Malformed);
            };
            let (argc, envc) = decode_counts(counts)?;
            if argc.saturating_add(envc) >= MAX_STRINGS {
                return Err(DecodeError::Malformed);
            }
            if strings.last() != Some(&0) {
                return Err(DecodeError::Malformed);
            }
            let mut ends = strings.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at + 1);
            let argv_start = ends.next().ok_or(DecodeError::Malformed)?;
            let env_start = match argc.checked_sub(1) {
                None => argv_start,
                Some(skipped) => ends.nth(skipped).ok_or(DecodeError::Malformed)?,
            };
            if ends.count() != envc {
                return Err(DecodeError::Malformed);
            }
            body.drain(..COUNTS_BYTES);
            Ok(ExecRequest { strings: body, argc, argv_start, env_start })
        }

        /// The number of strings.
        #[must_use]
        pub fn count(&self) -> usize {
            1 + self.argc + self.env().count()
        }

        /// Encodes a request as the wrapper would send it; for tests and for other doors than the wrapper.
        pub fn encode(file: &[u8], argv: &[&[u8]], env: &[&[u8]]) -> Option<Vec<u8>> {
            let counts = super::encode_counts(argv.len().try_into().ok()?, env.len().try_into().ok()?);
            let mut body = counts.to_vec();
            for string in core::iter::once(&file).chain(argv).chain(env) {
                if string.contains(&0) {
                    return None;
                }
                body.extend_from_slice(string);
                body.push(0);
            }
            Some(body)
        }

        /// The path that was given to execve(2), as it was written: often absolute, but not always.
        pub fn file(&self) -> &[u8] {
            self.strings.get(..self.argv_start - 1).unwrap_or_default()
        }

        /// The argument vector, `argv[0]` first. It may be empty.
        pub fn argv(&self) -> impl Iterator<Item = &[u8]> {
            split(self.strings.get(self.argv_start..self.env_start))
        }

        /// The number of strings in [`argv`](Self::argv).
        pub fn argc(&self) -> usize {
            self.argc
        }

        /// The environment's entries, `NAME=value` each, in order; a hostile sender may leave out the `=`.
        pub fn env(&self) -> impl Iterator<Item = &[u8]> {
            split(self.strings.get(self.env_start..))
        }
    }

    impl core::fmt::Debug for ExecRequest {
        /// Shows the program and its argument count only: arguments and environment may hold secrets.
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            let file = alloc::string::String::from_utf8_lossy(self.file());
            f.debug_struct("ExecRequest")
                .field("file", &file)
                .field("argc", &self.argc)
                .finish_non_exhaustive()
        }
    }

    fn split(strings: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
        strings.unwrap_or_default().split_inclusive(|byte| *byte == 0).map(|with_nul| {
            let (_, string) = with_nul.split_last().unwrap_or((&0, &[]));
            string
        })
    }

    fn decode_counts(bytes: &[u8]) -> Result<(usize, usize), DecodeError> {
        let &[a, b, c, d, e, f, g, h] = bytes else { return Err(DecodeError::Malformed) };
        let count = |bytes| usize::try_from(u32::from_le_bytes(bytes)).map_err(|_| DecodeError::Malformed);
        Ok((count([a, b, c, d])?, count([e, f, g, h])?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DecodeError;
    use proptest::prelude::*;

    fn string() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(1u8..=255, 0..20)
    }

    #[test]
    fn an_empty_argv_and_environment_are_possible() {
        let request = ExecRequest::decode(ExecRequest::encode(b"/bin/x", &[], &[]).unwrap()).unwrap();
        assert_eq!(request.file(), b"/bin/x");
        assert_eq!((request.argv().count(), request.env().count()), (0, 0));
    }

    #[test]
    fn counts_that_promise_more_than_there_is_are_refused() {
        let mut body = encode_counts(u32::MAX, u32::MAX).to_vec();
        body.extend_from_slice(b"/bin/x\0");
        assert_eq!(ExecRequest::decode(body), Err(DecodeError::Malformed));
    }

    #[test]
    fn bytes_after_the_last_string_are_refused() {
        let mut body = ExecRequest::encode(b"/bin/x", &[b"x"], &[b"A=1"]).unwrap();
        body.push(b'y');
        assert_eq!(ExecRequest::decode(body), Err(DecodeError::Malformed));
    }

    proptest! {
        #[test]
        fn a_request_survives_the_wire(
            file in string(),
            argv in proptest::collection::vec(string(), 0..8),
            env in proptest::collection::vec(string(), 0..8),
        ) {
            let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
            let env: Vec<&[u8]> = env.iter().map(Vec::as_slice).collect();
            let body = ExecRequest::encode(&file, &argv, &env).unwrap();
            let request = ExecRequest::decode(body).unwrap();
            prop_assert_eq!(request.file(), &file[..]);
            prop_assert_eq!(request.argc(), argv.len());
            prop_assert_eq!(request.argv().collect::<Vec<_>>(), argv);
            prop_assert_eq!(request.env().collect::<Vec<_>>(), env);
        }

        #[test]
        fn any_bytes_are_a_request_or_an_error(body: Vec<u8>) {
            if let Ok(request) = ExecRequest::decode(body.clone()) {
                let argv: Vec<&[u8]> = request.argv().collect();
                let env: Vec<&[u8]> = request.env().collect();
                prop_assert_eq!(ExecRequest::encode(request.file(), &argv, &env), Some(body));
            }
        }

        #[test]
        fn near_misses_are_a_request_or_an_error(argc in 0u32..6, envc in 0u32..6, mut strings in proptest::collection::vec(0u8..3, 0..12)) {
            let mut body = encode_counts(argc, envc).to_vec();
            body.append(&mut strings);
            if let Ok(request) = ExecRequest::decode(body) {
                prop_assert_eq!(request.argv().count(), argc as usize);
                prop_assert_eq!(request.env().count(), envc as usize);
            }
        }
    }
}
