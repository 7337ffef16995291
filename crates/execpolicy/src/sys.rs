//! What differs between systems. Nothing else in this crate asks which system this is.

use std::ffi::OsString;

/// Makes text of the system's of bytes.
#[cfg(unix)]
pub(crate) fn os_string(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

/// Makes text of the system's of bytes, as far as they are text.
#[cfg(not(unix))]
pub(crate) fn os_string(bytes: Vec<u8>) -> OsString {
    OsString::from(String::from_utf8_lossy(&bytes).into_owned())
}
