//! Ports that a call wants to have published.

use std::sync::Arc;

use tokio::task::AbortHandle;

use super::request::CallRequest;
use crate::config::{Config, Ports};
use crate::judgement::CallConnections;
use crate::sandboxes::Sandbox;

/// Has a person asked about ports that a call wants to have published. Where programs have the host's own loopback, they are.
pub(super) fn ask(
    sandbox: &Arc<Sandbox>,
    request: &CallRequest,
    config: &Config,
    connections: &Arc<CallConnections>,
) -> Option<Withdrawn> {
    let publishing = Arc::clone(sandbox.network()?.publishing());
    let ports: Vec<u16> = request.publish.iter().copied().filter(|port| !publishing.allows(*port)).collect();
    if ports.is_empty() {
        return None;
    }
    let (connections, shell) = (Arc::clone(connections), config.shell.path.clone());
    let (command, workdir) = (request.command().into_owned(), request.workdir.clone());
    let asking = tokio::spawn(async move {
        if connections.may_publish(&ports, (shell, &command), &workdir).await {
            publishing.allow(&Ports::of(&ports));
        }
    });
    Some(Withdrawn(asking.abort_handle()))
}

/// A question that is withdrawn with its call.
pub(super) struct Withdrawn(AbortHandle);

impl Drop for Withdrawn {
    fn drop(&mut self) {
        self.0.abort();
    }
}
