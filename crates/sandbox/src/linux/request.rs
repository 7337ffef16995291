//! What to start; written by the server into a message or a memory file, read by the call's supervisor.

use super::wire::MAX_PASSED;
use crate::bounded::at_most;
use serde::{Deserialize, Serialize};
use std::ffi::CString;

/// Descriptor numbers that a program can be given are below this one; the supervisor keeps its own above.
pub(crate) const FIRST_PRIVATE_DESCRIPTOR: i32 = 512;
/// In place of a number: the descriptor is the folder that the program starts in.
pub(crate) const WORKING_FOLDER: i32 = -1;
/// Most descriptors of one start request: as many as one message to us could bring, and the working folder.
pub(crate) const MAX_DESCRIPTORS: usize = MAX_PASSED + 1;
/// More kinds of limits than a system has.
const MAX_LIMITS: usize = 32;

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StartRequest {
    pub(crate) program: CString,
    pub(crate) arguments: Vec<CString>,
    /// `NAME=value` each.
    pub(crate) environment: Vec<CString>,
    /// Where the program starts, unless a descriptor says it ([`WORKING_FOLDER`]).
    pub(crate) directory: CString,
    /// The numbers at which the program finds the descriptors that came with the message, or [`WORKING_FOLDER`].
    #[serde(deserialize_with = "at_most::<MAX_DESCRIPTORS, _, _>")]
    pub(crate) targets: Vec<i32>,
    pub(crate) inherited: Inherited,
}

/// Settings of a process that a program inherits. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inherited {
    /// Permissions that new files do not get.
    pub umask: Option<u32>,
    /// How nice it is at least.
    pub niceness: Option<i32>,
    /// Signals that are ignored; bit 0 is signal 1.
    pub ignored: u64,
    /// Signals that are blocked; bit 0 is signal 1.
    pub blocked: u64,
    /// Resource limits (number, soft, hard); each applies where it is lower than what there is.
    #[serde(deserialize_with = "at_most::<MAX_LIMITS, _, _>")]
    pub limits: Vec<(u8, u64, u64)>,
}

#[cfg(test)]
mod tests {
    use super::super::wire::{decode, encode};
    use super::*;

    #[test]
    fn a_request_is_read_back() {
        let request = StartRequest {
            program: c"/bin/sh".into(),
            arguments: vec![c"sh".into(), c"\xffx".into()],
            environment: vec![c"A=b".into()],
            directory: c"/".into(),
            targets: vec![0, 1, 250, WORKING_FOLDER],
            inherited: Inherited {
                umask: Some(0o77),
                niceness: Some(-3),
                ignored: 1,
                blocked: 2,
                limits: vec![(7, 100, u64::MAX)],
            },
        };
        let plain = StartRequest { inherited: Inherited::default(), ..request.clone() };
        for request in [request, plain] {
            assert_eq!(decode::<StartRequest>(&encode(&request).unwrap()).unwrap(), request);
        }
    }
}
