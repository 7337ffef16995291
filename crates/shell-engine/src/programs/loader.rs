//! What the kernel starts a dynamic program by: its `PT_INTERP` (elf(5)).

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// `PT_INTERP`.
const INTERPRETER: u32 = 3;
/// More headers than a program has.
const MOST_HEADERS: u16 = 256;
/// The longest path that the kernel takes.
const LONGEST: u64 = 4096;

/// The path in a program's file; `None` where it has none, or is no program of this processor's byte order.
pub(crate) fn loader(file: &File) -> Option<PathBuf> {
    let mut header = [0; 64];
    let read = file.read_at(&mut header, 0).ok()?;
    let header = header.get(..read)?;
    let is_wide = match header {
        [0x7f, b'E', b'L', b'F', 2, 1, ..] => true,
        [0x7f, b'E', b'L', b'F', 1, 1, ..] => false,
        _ => return None,
    };
    let (first, size, count) = match is_wide {
        true => (number::<8>(header, 0x20)?, number::<2>(header, 0x36)?, number::<2>(header, 0x38)?),
        false => (number::<4>(header, 0x1c)?, number::<2>(header, 0x2a)?, number::<2>(header, 0x2c)?),
    };
    for index in 0..count.min(u64::from(MOST_HEADERS)) {
        let mut entry = [0; 56];
        let at = first.checked_add(index.checked_mul(size)?)?;
        let read = file.read_at(&mut entry, at).ok()?;
        let entry = entry.get(..read)?;
        if number::<4>(entry, 0)? != u64::from(INTERPRETER) {
            continue;
        }
        let (offset, length) = match is_wide {
            true => (number::<8>(entry, 8)?, number::<8>(entry, 0x20)?),
            false => (number::<4>(entry, 4)?, number::<4>(entry, 0x10)?),
        };
        let mut path = vec![0; usize::try_from(length.min(LONGEST)).ok()?];
        let read = file.read_at(&mut path, offset).ok()?;
        let path = path.get(..read)?.split(|byte| *byte == 0).next()?;
        return path.starts_with(b"/").then(|| OsStr::from_bytes(path).into());
    }
    None
}

/// A number of so many bytes, the lowest first.
fn number<const BYTES: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(BYTES)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Option<PathBuf> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        loader(&File::open(file.path()).unwrap())
    }

    #[test]
    fn a_real_program_names_a_file_that_is_there() {
        // Tests are dynamic programs, or static ones.
        let own = loader(&File::open("/proc/self/exe").unwrap());
        assert!(own.is_none_or(|path| path.exists()));
    }

    #[test]
    fn what_is_no_program_or_is_broken_names_none() {
        let mut broken = vec![0xff; 200];
        broken[..6].copy_from_slice(b"\x7fELF\x02\x01");
        assert_eq!(of(&broken), None);
        assert_eq!(of(b"#!/bin/sh\n"), None);
        assert_eq!(of(b"\x7fELF\x02\x01"), None);
        assert_eq!(of(b""), None);
    }

    #[test]
    fn the_path_is_read_where_the_header_says() {
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[0x20] = 64;
        bytes[0x36] = 56;
        bytes[0x38] = 1;
        bytes[64] = 3;
        bytes[64 + 8] = 120;
        bytes[64 + 0x20] = 9;
        bytes.extend_from_slice(b"/lib/ld.\0rest");
        assert_eq!(of(&bytes), Some("/lib/ld.".into()));
    }
}
