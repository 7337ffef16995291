//! Waits for what a call tells, for tests and their programs, which have no runtime to wait in.

use rustix::event::{PollFd, PollFlags, Timespec};
use sandbox::{Call, CallEvent, SessionError};
use std::time::{Duration, Instant};

/// Blocks where a server would have its runtime wait.
pub(crate) trait Waiting {
    /// Waits for the next event; `None` when the time is over.
    fn event_within(&self, timeout: Duration) -> Result<Option<CallEvent>, SessionError>;
}

impl Waiting for Call {
    fn event_within(&self, timeout: Duration) -> Result<Option<CallEvent>, SessionError> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.try_event()? {
                // Told of every program that is started; what follows is what matters.
                Some(CallEvent::Accepted) => continue,
                Some(event) => return Ok(Some(event)),
                None => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let left = Timespec::try_from(left).ok();
            // An interrupted wait only means another turn.
            let _ = rustix::event::poll(&mut [PollFd::new(self, PollFlags::IN)], left.as_ref());
        }
    }
}
