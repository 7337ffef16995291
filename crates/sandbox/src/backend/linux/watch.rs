//! The guard's side of what is watched: it says which folders, and is told what happened there.
//!
//! The server has one inotify instance for all its sessions (`watch_service`), because a user of the system has few.

use super::packet;
use super::wire::{self, Happened, MAX_PACKET, WatchCommand, Watched};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes of folders and names in one message; it and its encoding stay below a packet.
const MAX_ASKED: usize = MAX_PACKET / 2;

/// What watches folders for this session.
pub(super) struct Watch {
    socket: OwnedFd,
    /// An eventfd(2), readable once something has happened.
    bell: OwnedFd,
}

impl Watch {
    /// The ends that [`join`](super::watch_service::join) has made for a guard.
    pub(super) fn new(socket: OwnedFd, bell: OwnedFd) -> Watch {
        Watch { socket, bell }
    }

    /// Begins to watch folders. Returns for each how its events are named, or why it is not watched.
    ///
    /// # Errors
    /// When nothing watches any more.
    pub(super) fn add(&self, folders: Vec<Watched>) -> io::Result<Vec<Result<i32, Errno>>> {
        let mut added = Vec::new();
        let mut part = Vec::new();
        let mut size = 0;
        for folder in folders {
            if size + folder.size() > MAX_ASKED && !part.is_empty() {
                added.extend(self.ask::<Vec<i32>>(&WatchCommand::Watch(std::mem::take(&mut part)))?);
                size = 0;
            }
            size += folder.size();
            part.push(folder);
        }
        added.extend(self.ask::<Vec<i32>>(&WatchCommand::Watch(part))?);
        Ok(added.into_iter().map(|watch| if watch < 0 { Err(errno(watch)) } else { Ok(watch) }).collect())
    }

    /// Is told no more of what comes to a folder.
    pub(super) fn forget(&self, watch: i32) -> io::Result<()> {
        self.ask::<()>(&WatchCommand::Forget { watch })
    }

    /// Takes what has happened up to now, whether the bell has rung for it yet or not.
    ///
    /// # Errors
    /// When nothing watches any more.
    pub(super) fn take(&self) -> io::Result<Happened> {
        // Before it asks: what happens afterwards rings again.
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
        self.ask(&WatchCommand::Take)
    }

    fn ask<A: for<'a> Deserialize<'a>>(&self, command: &impl Serialize) -> io::Result<A> {
        packet::send(&self.socket, command, &[])?;
        let answer = packet::receive(&self.socket, RecvFlags::empty())?;
        wire::decode(&answer.ok_or(io::ErrorKind::UnexpectedEof)?.bytes)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

fn errno(negative: i32) -> Errno {
    Errno::from_raw_os_error(negative.saturating_neg())
}
