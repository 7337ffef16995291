//! The channels that the user has configured, as one chain with the client's place in it.

use std::sync::Arc;

use super::command::CommandChannel;
use super::terminal::TerminalChannel;
use super::webhook::WebhookChannel;
use shell_engine::approval::{ApprovalChain, Channel, Link};
use shell_engine::config::ChannelKind;
use shell_engine::private::runtime_folders;
use shell_engine::shell::Shell;

/// The channels that the user has configured, in their order.
#[must_use]
pub fn approval_chain(shell: &Shell) -> ApprovalChain {
    approval_chain_with(shell, None, None)
}

/// The same, where those who may be asked in a terminal may be asked by this channel as well, and a server is told who
/// asks.
pub(crate) fn approval_chain_with(
    shell: &Shell,
    beside: Option<&Arc<dyn Channel>>,
    asker: Option<&str>,
) -> ApprovalChain {
    let config = shell.config();
    let links = |kind: ChannelKind| match kind {
        ChannelKind::Client => vec![Link::OfCall],
        ChannelKind::Terminal => {
            let folders = runtime_folders(&config.codex_home);
            let watched = shell.clone();
            let connections = move || watched.open_connections();
            let terminal = TerminalChannel::new(&folders, config.codex_home.clone(), connections);
            let beside = beside.cloned().map(Link::Shared);
            std::iter::once(Link::Shared(Arc::new(terminal))).chain(beside).collect()
        }
        ChannelKind::Command => {
            let program = config.approvals.command.clone();
            let channel = program.map(|program| CommandChannel::new(program, shell.clone()));
            channel.map(|channel| Link::Shared(Arc::new(channel) as Arc<dyn Channel>)).into_iter().collect()
        }
        ChannelKind::Webhook => {
            let webhook = config.approvals.webhook.clone();
            let channel = webhook.map(|webhook| WebhookChannel::new(webhook, asker.map(ToOwned::to_owned)));
            channel.map(|channel| Link::Shared(Arc::new(channel) as Arc<dyn Channel>)).into_iter().collect()
        }
    };
    let links = config.approvals.channels().into_iter().flat_map(links).collect();
    ApprovalChain::new(links, config.answers())
}
