//! Numbers, byte strings and lists as bytes: writing them, and reading them back without trusting any size.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// Largest packet of any dialogue, in bytes: below the default send buffer of a Unix socket (212,992 bytes).
pub(crate) const MAX_PACKET: usize = 64 * 1024;
/// Largest encoded start request, in bytes: above what `execve` takes with the default 8 MiB stack (2 MiB).
pub(crate) const MAX_REQUEST: usize = 16 * 1024 * 1024;
/// Most descriptors of one message: the kernel's own limit (unix(7), `SCM_MAX_FD`).
pub(crate) const MAX_PASSED: usize = 253;
/// Most descriptors of one start request: as many as one message to us could bring, and the working folder.
pub(crate) const MAX_DESCRIPTORS: usize = MAX_PASSED + 1;
/// How many of them come with the request itself, beside the call's socket and the request's memory file. Others wait in the
/// call's socket.
pub(crate) const WITH_REQUEST: usize = MAX_PASSED - 2;
/// Says that a message could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn tagged(tag: u8) -> Self {
        Writer(vec![tag])
    }
    pub(super) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }
    pub(super) fn i32(mut self, value: i32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }
    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }
    pub(super) fn count(self, value: usize) -> Self {
        self.u64(u64::try_from(value).unwrap_or(u64::MAX))
    }
    pub(super) fn bytes(mut self, value: &[u8]) -> Self {
        self = self.count(value.len());
        self.0.extend_from_slice(value);
        self
    }
}

pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed("too short"))?;
        self.0 = rest;
        Ok(taken)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed("too short"))
    }
    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array()?))
    }
    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_le_bytes(self.array()?))
    }
    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    pub(super) fn count(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.u64()?).map_err(|_| Malformed("count"))
    }
    pub(super) fn count_up_to(&mut self, limit: usize) -> Result<usize, Malformed> {
        Some(self.count()?).filter(|count| *count <= limit).ok_or(Malformed("count above the limit"))
    }
    pub(super) fn bytes(&mut self, limit: usize) -> Result<&'a [u8], Malformed> {
        let length = self.count_up_to(limit)?;
        self.take(length)
    }
    /// The count is not trusted for an allocation: every item takes at least the eight bytes of its length.
    pub(super) fn strings(&mut self) -> Result<Vec<OsString>, Malformed> {
        let count = self.count_up_to(self.0.len() / 8)?;
        (0..count).map(|_| Ok(OsString::from_vec(self.bytes(MAX_REQUEST)?.to_vec()))).collect()
    }
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("trailing bytes")) }
    }
}
