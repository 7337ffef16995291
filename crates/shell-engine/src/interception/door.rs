//! A way by which programs reach the judge.

use std::io;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::call::InterceptedCall;

/// Programs of one call that may be under way at once; more wait at the door. A shell that starts more programs than
/// this at the same moment waits a little; one that means to exhaust us does too.
const MAX_UNDER_WAY: usize = 512;

/// The fewest that a call may have under way, however few descriptors there are.
const LEAST_UNDER_WAY: usize = 16;

/// Descriptors that a program takes while it waits: its stream, its directory, its file.
const DESCRIPTORS_EACH: usize = 3;

/// Calls that share half of the descriptors of the server.
const CALLS: usize = 16;

/// How many programs of one call may be under way, so that no call takes the descriptors that others need.
fn share() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let share =
        usize::try_from(limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX) / 2 / CALLS / DESCRIPTORS_EACH;
    share.clamp(LEAST_UNDER_WAY, MAX_UNDER_WAY)
}

/// Delivers the programs of one call.
pub(crate) trait Door: Send {
    /// A program that is about to be executed, with what it needs to be answered.
    type Event: Send;

    /// The next one; `None` when nobody can come any more, which says nothing about the call's end.
    fn next(&self) -> impl Future<Output = io::Result<Option<Self::Event>>> + Send;

    /// Has one judged, answers it, and attends to it to its end.
    fn hold(
        &self,
        event: Self::Event,
        call: Arc<InterceptedCall>,
    ) -> impl Future<Output = ()> + Send + 'static;
}

/// Serves a door until nobody can come any more or the call has ended; then waits for what is under way, which ends
/// with the call.
///
/// # Errors
///
/// At once when the door is broken: nobody is judged there any more.
pub(crate) async fn attend(door: impl Door, call: Arc<InterceptedCall>) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(share()));
    let under_way = TaskTracker::new();
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((permit, door.next().await?))
        };
        let next = tokio::select! {
            () = call.end.ended.cancelled() => break,
            next = next => next,
        };
        match next {
            Ok((permit, Some(event))) => {
                let holding = door.hold(event, Arc::clone(&call));
                under_way.spawn(async move {
                    holding.await;
                    drop(permit);
                });
            }
            Ok((_, None)) => break,
            Err(error) => {
                tracing::warn!(%error, "the door of a call is broken");
                return Err(error);
            }
        }
    }
    under_way.close();
    under_way.wait().await;
    Ok(())
}
