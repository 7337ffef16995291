//! Buffers in the place of pipes, where the kernel moves nothing between sockets by itself.

use std::io;
use std::os::fd::AsFd;

/// What is moved at once.
const CAPACITY: usize = 64 << 10;

/// Bytes of one connection.
#[derive(Debug)]
pub(crate) struct Pipe {
    bytes: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Pipe {
    /// Makes an empty one.
    pub(crate) fn take() -> io::Result<Pipe> {
        Ok(Pipe { bytes: vec![0; CAPACITY], begin: 0, end: 0 })
    }

    /// Gives it back.
    pub(crate) fn give_back(self) {}

    /// Takes what there is out of a socket; zero at its end.
    pub(crate) fn fill(&mut self, from: impl AsFd) -> io::Result<usize> {
        let read = rustix::io::read(from, self.bytes.as_mut_slice())?;
        (self.begin, self.end) = (0, read);
        Ok(read)
    }

    /// Puts as much into a socket as it takes; true when nothing is left.
    pub(crate) fn drain(&mut self, into: impl AsFd) -> io::Result<bool> {
        let rest = self.bytes.get(self.begin..self.end).unwrap_or_default();
        if !rest.is_empty() {
            self.begin += rustix::io::write(into, rest)?;
        }
        Ok(self.begin >= self.end)
    }
}
