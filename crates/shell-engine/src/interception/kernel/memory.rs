//! Reads what a waiting call points to in its process's memory: strings and lists of them, with every size bounded.
//!
//! All of it is the caller's claim, and another thread may change it at any time: what is read here is judged, and what is
//! then executed is compared with it (`proof`).

use std::ffi::OsString;
use std::io::IoSliceMut;
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

/// The longest path, with its NUL (`PATH_MAX`).
pub(super) const MAX_PATH: usize = 4096;
/// The longest string of argv or the environment, with its NUL (`MAX_ARG_STRLEN`, execve(2)).
const MAX_STRING: usize = 128 << 10;
/// All of them together: three quarters of `_STK_LIM`, which no stack limit raises (execve(2)).
const MAX_TOTAL: usize = 6 << 20;
/// What the kernel reads or refuses as a whole.
const PAGE: usize = 4096;
const POINTER: usize = size_of::<u64>();
/// Strings that are read at once (the kernel takes up to 1024 pieces), and their bytes.
const MOST_AT_ONCE: usize = 128;
const BYTES_AT_ONCE: usize = 64 << 10;

/// The memory of one process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory(Pid);

/// Addresses of strings.
#[derive(Debug)]
pub(super) struct Pointers(Vec<u64>);

/// What is left of the bytes that argv and environment may have.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Budget {
        Budget(MAX_TOTAL)
    }
}

impl Budget {
    fn take(&mut self, bytes: usize) -> Result<(), Errno> {
        self.0 = self.0.checked_sub(bytes).ok_or(Errno::E2BIG)?;
        Ok(())
    }
}

impl Memory {
    pub(super) fn of(thread: i32) -> Memory {
        Memory(Pid::from_raw(thread))
    }

    /// A path, without its NUL.
    pub(super) fn path(self, address: u64) -> Result<Vec<u8>, Errno> {
        self.string(address, MAX_PATH)
            .map_err(|errno| if errno == Errno::E2BIG { Errno::ENAMETOOLONG } else { errno })
    }

    /// A path, without its NUL, and a list, without the null pointer that ends it, read at once; `None` where they
    /// reach across a page, or cannot be read.
    pub(super) fn path_and_pointers(self, path: u64, list: u64) -> Option<(Vec<u8>, Pointers)> {
        let lengths = [to_the_page_end(path), to_the_page_end(list)];
        let piece = |address: u64, len| Some(RemoteIoVec { base: usize::try_from(address).ok()?, len });
        let mut buffer = [0_u8; 2 * PAGE];
        let into = buffer.get_mut(..lengths[0] + lengths[1])?;
        let pieces = [piece(path, lengths[0])?, piece(list, lengths[1])?];
        let read = process_vm_readv(self.0, &mut [IoSliceMut::new(into)], &pieces).ok()?;
        let (path, list) = buffer.get(..read)?.split_at_checked(lengths[0])?;
        let path = path.get(..path.iter().position(|byte| *byte == 0)?)?.to_vec();
        let words = list.chunks_exact(POINTER).map(|bytes| bytes.try_into().map(u64::from_ne_bytes));
        let mut pointers = Vec::new();
        for word in words {
            match word.ok()? {
                0 => return Some((path, Pointers(pointers))),
                pointer => pointers.push(pointer),
            }
        }
        None
    }

    /// So many bytes.
    pub(super) fn bytes(self, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; length];
        if length > 0 && self.read(address, &mut bytes)? < length {
            return Err(Errno::EFAULT);
        }
        Ok(bytes)
    }

    /// A list of strings that a null pointer ends; none at all for a null pointer, as execve(2) has it.
    pub(super) fn strings(self, list: u64, budget: &mut Budget) -> Result<Vec<OsString>, Errno> {
        if list == 0 {
            return Ok(Vec::new());
        }
        let pointers = self.pointers(list, budget)?;
        self.strings_at(&pointers, budget)
    }

    /// The strings of a list that has been read.
    pub(super) fn strings_of(
        self,
        Pointers(pointers): &Pointers,
        budget: &mut Budget,
    ) -> Result<Vec<OsString>, Errno> {
        budget.take(POINTER * pointers.len())?;
        self.strings_at(pointers, budget)
    }

    fn strings_at(self, pointers: &[u64], budget: &mut Budget) -> Result<Vec<OsString>, Errno> {
        let mut strings = Vec::new();
        let mut rest = pointers;
        while !rest.is_empty() {
            let read = self.some_strings(rest, budget, &mut strings)?;
            rest = rest.get(read..).unwrap_or_default();
        }
        Ok(strings)
    }

    fn pointers(self, list: u64, budget: &mut Budget) -> Result<Vec<u64>, Errno> {
        let mut pointers = Vec::new();
        let mut address = list;
        let mut piece = [0_u8; PAGE];
        loop {
            let wanted = to_the_page_end(address).max(POINTER);
            let read = self.read(address, piece.get_mut(..wanted).unwrap_or_default())?;
            for bytes in piece.get(..read).unwrap_or_default().chunks_exact(POINTER) {
                let pointer = u64::from_ne_bytes(bytes.try_into().map_err(|_| Errno::EFAULT)?);
                if pointer == 0 {
                    return Ok(pointers);
                }
                budget.take(POINTER)?;
                pointers.push(pointer);
            }
            let whole = u64::try_from(read / POINTER * POINTER).unwrap_or_default();
            if whole == 0 {
                return Err(Errno::EFAULT);
            }
            address = address.checked_add(whole).ok_or(Errno::EFAULT)?;
        }
    }

    /// Reads the first of these strings, as many as fit; returns how many.
    fn some_strings(
        self,
        pointers: &[u64],
        budget: &mut Budget,
        strings: &mut Vec<OsString>,
    ) -> Result<usize, Errno> {
        let mut lengths = Vec::new();
        let mut total = 0;
        for (at, pointer) in pointers.iter().take(MOST_AT_ONCE).enumerate() {
            let length = guessed_length(*pointer, pointers.get(at + 1).copied());
            if total + length > BYTES_AT_ONCE {
                break;
            }
            total += length;
            lengths.push(length);
        }
        let mut buffer = vec![0; total];
        let pieces: Vec<RemoteIoVec> = pointers
            .iter()
            .zip(&lengths)
            .map(|(pointer, length)| Ok(RemoteIoVec { base: usize::try_from(*pointer)?, len: *length }))
            .collect::<Result<_, std::num::TryFromIntError>>()
            .map_err(|_| Errno::EFAULT)?;
        let read = process_vm_readv(self.0, &mut [IoSliceMut::new(&mut buffer)], &pieces)?;
        let mut rest = buffer.get(..read).unwrap_or_default();
        for (pointer, length) in pointers.iter().zip(&lengths) {
            let (piece, more) = rest.split_at(rest.len().min(*length));
            rest = more;
            let string = match piece.iter().position(|byte| *byte == 0) {
                Some(end) => piece.get(..end).unwrap_or_default().to_vec(),
                None => self.string(*pointer, MAX_STRING)?,
            };
            budget.take(string.len() + 1)?;
            strings.push(OsString::from_vec(string));
        }
        Ok(lengths.len())
    }

    /// A string, without its NUL, which is among the first `limit` bytes.
    fn string(self, address: u64, limit: usize) -> Result<Vec<u8>, Errno> {
        let mut string = Vec::new();
        let mut piece = [0_u8; PAGE];
        let mut address = address;
        loop {
            let read = self.read(address, piece.get_mut(..to_the_page_end(address)).unwrap_or_default())?;
            let read = piece.get(..read).unwrap_or_default();
            let end = read.iter().position(|byte| *byte == 0);
            string.extend_from_slice(read.get(..end.unwrap_or(read.len())).unwrap_or_default());
            if string.len() >= limit {
                return Err(Errno::E2BIG);
            }
            if end.is_some() {
                return Ok(string);
            }
            let length = u64::try_from(read.len()).unwrap_or_default();
            address = address.checked_add(length).ok_or(Errno::EFAULT)?;
        }
    }

    fn read(self, address: u64, into: &mut [u8]) -> Result<usize, Errno> {
        let base = usize::try_from(address).map_err(|_| Errno::EFAULT)?;
        let from = [RemoteIoVec { base, len: into.len() }];
        match process_vm_readv(self.0, &mut [IoSliceMut::new(into)], &from)? {
            0 => Err(Errno::EFAULT),
            read => Ok(read),
        }
    }
}

fn to_the_page_end(address: u64) -> usize {
    PAGE - usize::try_from(address).unwrap_or_default() % PAGE
}

/// Strings of a list mostly lie one behind the other; where they do not, each is read to the end of its page.
fn guessed_length(pointer: u64, next: Option<u64>) -> usize {
    let page = to_the_page_end(pointer);
    let distance = next.and_then(|next| next.checked_sub(pointer)).and_then(|far| usize::try_from(far).ok());
    distance.filter(|far| (1..=page).contains(far)).unwrap_or(page)
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    fn own() -> Memory {
        Memory::of(std::process::id().try_into().unwrap())
    }

    fn address<T>(of: *const T) -> u64 {
        of.addr().try_into().unwrap()
    }

    #[test]
    fn a_list_is_read_whatever_its_strings_are_like_and_wherever_they_lie() {
        let texts: Vec<CString> =
            (0..700_usize).map(|number| CString::new("x".repeat(number * 37 % 9000)).unwrap()).collect();
        let mut list: Vec<u64> = texts.iter().map(|text| address(text.as_ptr())).collect();
        list.push(0);
        let read = own().strings(address(list.as_ptr()), &mut Budget::default()).unwrap();
        assert!(read.iter().map(|read| read.as_encoded_bytes()).eq(texts.iter().map(|text| text.as_bytes())));
        assert_eq!(own().strings(0, &mut Budget::default()), Ok(Vec::new()));
    }

    #[test]
    fn what_is_too_long_or_not_there_is_the_error_that_execve_gives() {
        let long = CString::new("x".repeat(MAX_STRING)).unwrap();
        let list = [address(long.as_ptr()), 0];
        let read = |list: &[u64]| own().strings(address(list.as_ptr()), &mut Budget::default());
        assert_eq!(read(&list), Err(Errno::E2BIG));
        let half = CString::new("x".repeat(MAX_STRING / 2)).unwrap();
        let mut many = vec![address(half.as_ptr()); 2 * MAX_TOTAL / MAX_STRING];
        many.push(0);
        assert_eq!(read(&many), Err(Errno::E2BIG));
        assert_eq!(read(&[1, 0]), Err(Errno::EFAULT));
        assert_eq!(own().strings(8, &mut Budget::default()), Err(Errno::EFAULT));
        assert_eq!(own().path(address(half.as_ptr())), Err(Errno::ENAMETOOLONG));
    }
}
