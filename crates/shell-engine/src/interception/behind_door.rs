//! Starts a program with rights of its own behind a door for what it starts.

use std::pin::Pin;
use std::sync::Arc;

use sandbox::SpawnRequest;

use super::call::{InterceptedCall, StartBehindDoor};
use super::door::attend;
use super::kernel::KernelDoors;
use crate::sandboxes::{Process, Sandbox, SpawnError};

impl StartBehindDoor for KernelDoors {
    fn start(
        &self,
        below: Arc<InterceptedCall>,
        request: SpawnRequest,
        sandbox: Arc<Sandbox>,
    ) -> Pin<Box<dyn Future<Output = Result<Process, SpawnError>> + Send + '_>> {
        Box::pin(async move {
            let (reports, listener) = tokio::sync::oneshot::channel();
            let opening = async {
                match listener.await {
                    Ok(listener) => Some(self.open(listener, &sandbox, Arc::clone(&below)).await),
                    Err(_) => None,
                }
            };
            let (started, opened) =
                tokio::join!(Process::start_reported(request, reports, &sandbox), opening);
            match opened {
                Some(Ok(door)) => {
                    // It ends when nobody can come any more.
                    tokio::spawn(async move {
                        if let Err(error) = attend(door, below).await {
                            tracing::debug!(%error, "the door of a program with rights of its own is broken");
                        }
                    });
                }
                Some(Err(why)) => sandbox.has_no_door(why),
                None => {}
            }
            started
        })
    }
}
