//! Whether a program brings all that it needs: one that does not may fail on the next system.

use std::io::Read;
use std::path::Path;

/// `PT_INTERP` of elf(5): the program names a dynamic loader.
const INTERPRETER: u32 = 3;
/// Headers lie at the beginning, a few hundred bytes long.
const HEADERS: u64 = 4096;

/// Says how a program is linked. `None`: it is not of the kind that Linux executes on 64-bit machines.
pub(super) fn linkage(path: &Path) -> Option<&'static str> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(HEADERS).read_to_end(&mut bytes).ok()?;
    names_a_loader(&bytes).map(|dynamic| if dynamic { "needs the system's C library" } else { "static" })
}

/// Reads the program headers of a little-endian ELF64 file.
fn names_a_loader(bytes: &[u8]) -> Option<bool> {
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let at = usize::try_from(u64::from_le_bytes(bytes.get(32..40)?.try_into().ok()?)).ok()?;
    let size = usize::from(u16::from_le_bytes(bytes.get(54..56)?.try_into().ok()?));
    let count = usize::from(u16::from_le_bytes(bytes.get(56..58)?.try_into().ok()?));
    let mut dynamic = false;
    for index in 0..count {
        let header = at.checked_add(index.checked_mul(size)?)?;
        let kind = bytes.get(header..header.checked_add(4)?)?;
        dynamic |= u32::from_le_bytes(kind.try_into().ok()?) == INTERPRETER;
    }
    Some(dynamic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_program_is_not_called_one() {
        assert_eq!(names_a_loader(b"#!/bin/sh\n"), None);
        assert_eq!(names_a_loader(b"\x7fELF\x02\x01"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn programs_with_and_without_a_loader_differ() {
        // The system's shell is dynamic wherever tests are built with its C library.
        assert_eq!(linkage(Path::new("/bin/sh")), Some("needs the system's C library"));
        let mut header = std::fs::read("/bin/sh").unwrap();
        header[56..58].copy_from_slice(&[0, 0]);
        assert_eq!(names_a_loader(&header), Some(false));
    }
}
