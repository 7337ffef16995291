//! How much of the server's memory the messages of one principal may take at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What all large messages of one principal may have together, in KiB.
const ROOM_KIB: usize = 64 << 10;

/// What a message may have without being counted, in bytes: the number of requests bounds these.
const SMALL: usize = 64 << 10;

/// The room that one principal has. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Semaphore>);

/// A part of the room, given back when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Taken {
    kib: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(super) fn new() -> Room {
        Room(Arc::new(Semaphore::new(ROOM_KIB)))
    }

    /// For who cannot take anything from others.
    pub(super) fn endless() -> Room {
        Room(Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)))
    }

    /// Makes a part large enough for so many bytes. `false`: there is not so much left.
    pub(super) fn cover(&self, taken: &mut Taken, bytes: usize) -> bool {
        let kib = if bytes <= SMALL { 0 } else { bytes.div_ceil(1 << 10) };
        let more = kib.saturating_sub(taken.kib);
        let Some(permit) =
            u32::try_from(more).ok().and_then(|more| Arc::clone(&self.0).try_acquire_many_owned(more).ok())
        else {
            return false;
        };
        taken.kib += more;
        match &mut taken.permit {
            Some(before) => before.merge(permit),
            none @ None => *none = Some(permit),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_messages_share_what_there_is_and_small_ones_always_fit() {
        let room = Room::new();
        let (mut one, mut other) = (Taken::default(), Taken::default());
        assert!(room.cover(&mut one, SMALL + 1) && room.cover(&mut one, (ROOM_KIB - 1) << 10));
        assert!(!room.cover(&mut other, SMALL + 1) && room.cover(&mut other, SMALL));
        drop(one);
        assert!(room.cover(&mut other, ROOM_KIB << 10));
    }
}
