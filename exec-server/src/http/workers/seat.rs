//! What a worker is told by the front that has started it, as the user that it serves: on its standard input a connection
//! to the front, with who that is in the first line; on its standard output the socket that it listens on.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::http::principal::Identity;

/// Bytes of the line.
const MAX_LINE: u64 = 64 << 10;

/// Whom a worker serves, and where his things are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::http) struct Seat {
    /// `None`: nobody; it is only tried whether somebody could be served.
    pub(in crate::http) identity: Option<Identity>,
    /// What the server is called in handles.
    pub(in crate::http) server: String,
    /// Whose rules and configuration are for all.
    pub(in crate::http) operator: PathBuf,
    /// Rules, records and answers of his own, which no command reads.
    pub(in crate::http) home: PathBuf,
    /// His workspace is in it.
    pub(in crate::http) own: PathBuf,
    pub(in crate::http) sessions: PathBuf,
    /// The most of his commands that run at a time.
    pub(in crate::http) calls: usize,
}

impl Seat {
    /// Tells a worker.
    pub(super) fn tell(&self, link: &mut UnixStream) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        link.write_all(&line)
    }

    /// Learns it in the worker. Standard input and output lead nowhere afterwards.
    pub(in crate::http) fn take() -> io::Result<(Seat, UnixStream, UnixListener)> {
        // With numbers that no program inherits.
        let link = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        let listener = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
        let null: OwnedFd = std::fs::File::options().read(true).write(true).open("/dev/null")?.into();
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        let link = UnixStream::from(link);
        let mut line = Vec::new();
        // The front says nothing else before it is asked.
        BufReader::new(&link).take(MAX_LINE).read_until(b'\n', &mut line)?;
        Ok((serde_json::from_slice(&line)?, link, UnixListener::from(listener)))
    }
}
