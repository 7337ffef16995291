//! Tells clients that listen when a command has ended (its output is a resource that is updated then), and how their tasks are.

use rmcp::RoleServer;
use rmcp::model::{
    ErrorData, GetMeta, ResourceUpdatedNotificationParam, ServerNotification, SubscriptionFilter,
    TaskStatusNotification, TaskStatusNotificationParams,
};
use rmcp::service::{Peer, RequestContext, SubscriptionContext};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use super::listeners::{MOST, TaskIds};
use super::resources;
use super::server::ShellServer;
use shell_engine::output::Recording;

impl ShellServer {
    /// What of this a client can listen for.
    pub(super) fn can_be_told(&self, requested: &SubscriptionFilter) -> SubscriptionFilter {
        let uris = requested.resource_subscriptions.iter().flatten();
        let outputs: Vec<&String> = uris.filter(|uri| self.output(uri).is_some()).take(MOST).collect();
        match outputs[..] {
            [] => SubscriptionFilter::new(),
            [..] => SubscriptionFilter::builder().resource_subscriptions(outputs).build(),
        }
    }

    /// Tells until the client has enough, or everything ends.
    pub(super) async fn tell(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.task_changes.0.subscribe();
        let context = subscription.request_context();
        let TaskIds(tasks) = context.extensions.get().cloned().unwrap_or_default();
        let uris = subscription.accepted().resource_subscriptions.iter().flatten();
        let mut ends: JoinSet<String> = JoinSet::new();
        for (uri, output) in uris.filter_map(|uri| Some((uri.clone(), self.output(uri)?))) {
            ends.spawn(async move {
                ended(&output).await;
                uri
            });
        }
        loop {
            tokio::select! {
                () = subscription.cancelled() => return Ok(()),
                () = self.unwanted(context) => return Ok(()),
                Some(ended) = ends.join_next() => {
                    let Ok(uri) = ended else { continue };
                    if subscription.sink().notify_resource_updated(uri).await.is_err() {
                        return Ok(());
                    }
                }
                changed = changes.recv() => match changed {
                    Ok(id) if tasks.contains(&id) => self.tell_task(&id, context).await,
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
            }
        }
    }

    /// Tells how a task is.
    async fn tell_task(&self, id: &str, context: &RequestContext<RoleServer>) {
        let Ok(task) = self.tasks.get_task(id) else { return };
        let told = TaskStatusNotification::new(TaskStatusNotificationParams::new(task));
        let mut told = ServerNotification::TaskStatusNotification(told);
        told.get_meta_mut().set_subscription_id(context.id.clone());
        // A client that is gone is noticed elsewhere.
        let _ = context.peer.send_notification(told).await;
    }

    /// Tells a client of `initialize` when a command has ended.
    pub(super) fn begin_to_tell(&self, uri: String, peer: Peer<RoleServer>) -> Result<(), ErrorData> {
        let Some(output) = self.output(&uri) else { return Err(resources::unknown(&uri)) };
        let mut list = self.subscriptions.list();
        list.retain(|_, telling| !telling.is_finished());
        if list.len() >= MOST {
            return Err(ErrorData::invalid_params(
                format!("at most {MOST} outputs can be subscribed to"),
                None,
            ));
        }
        let told = uri.clone();
        let telling = tokio::spawn(async move {
            ended(&output).await;
            let _ = peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(told)).await;
        });
        if let Some(before) = list.insert(uri, telling.abort_handle()) {
            before.abort();
        }
        Ok(())
    }

    /// Tells that no more.
    pub(super) fn end_to_tell(&self, uri: &str) {
        if let Some(telling) = self.subscriptions.list().remove(uri) {
            telling.abort();
        }
    }

    fn output(&self, uri: &str) -> Option<Recording> {
        resources::output(uri, self.shell.outputs(), self.shell.sessions())
    }
}

/// Completes when a command has ended, and nothing that it has left can print any more.
async fn ended(output: &Recording) {
    output.until(|output| output.exit_code().is_some() && !output.is_open()).await;
}
