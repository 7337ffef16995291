//! The channels that the user has configured, as one chain with the client's place in it.

use std::sync::Arc;

use super::command::CommandChannel;
use super::terminal::TerminalChannel;
use shell_engine::approval::{ApprovalChain, Channel, Link};
use shell_engine::config::ChannelKind;
use shell_engine::private::runtime_folders;
use shell_engine::shell::Shell;

/// The channels that the user has configured, in their order.
#[must_use]
pub fn approval_chain(shell: &Shell) -> ApprovalChain {
    let config = shell.config();
    let shared = |channel: Arc<dyn Channel>| Some(Link::Shared(channel));
    let link = |kind: ChannelKind| match kind {
        ChannelKind::Client => Some(Link::OfCall),
        ChannelKind::Terminal => {
            let folders = runtime_folders(&config.codex_home);
            let watched = shell.clone();
            let connections = move || watched.open_connections();
            shared(Arc::new(TerminalChannel::new(&folders, config.codex_home.clone(), connections)))
        }
        ChannelKind::Command => {
            let program = config.approvals.command.clone()?;
            shared(Arc::new(CommandChannel::new(program, shell.clone())))
        }
    };
    let links = config.approvals.channels().into_iter().filter_map(link).collect();
    ApprovalChain::new(links, config.answers())
}
