//! The ways to a person that the program has besides its client: a terminal, a program of the user's.
//!
//! [`approval_chain`] composes them, with the client's place among them, for the protocol's edge to use; that edge knows
//! none of them by name.

mod command;
mod terminal;

pub use terminal::{Look, ScreenError, ScriptError, approve_by_script, approve_on_screen};

use std::sync::Arc;

use self::command::CommandChannel;
use self::terminal::TerminalChannel;
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
            shared(Arc::new(TerminalChannel::new(&folders, config.codex_home.clone())))
        }
        ChannelKind::Command => {
            let program = config.approvals.command.clone()?;
            shared(Arc::new(CommandChannel::new(program, shell.clone())))
        }
    };
    let links = config.approvals.channels().into_iter().filter_map(link).collect();
    ApprovalChain::new(links, config.answers())
}
