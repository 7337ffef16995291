//! Who is asked, in which order, and for how long.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::word::{UnknownWord, meaning};

/// How people are asked.
#[derive(Clone, Debug, Default)]
pub struct ApprovalSettings {
    /// The channels in the order in which they are asked; by default every one that there is, the client first.
    pub channels: Option<Vec<ChannelKind>>,
    /// A program that is given each question and prints the decision.
    pub command: Option<PathBuf>,
    /// A server that each question is posted to, and that answers with the decision.
    pub webhook: Option<Webhook>,
    /// How long an answer may take. Without it, a client that keeps its request open may take for ever, and one that
    /// comes back with the answer has [`PARKED`](Self::PARKED).
    pub timeout: Option<Duration>,
    /// Whether forms of clients have a field for a reason beside the choice; by default `approval.reason` of the
    /// configuration file.
    pub reason: Option<ReasonField>,
}

/// A server that decides, and the key that it shares with this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where questions are posted to.
    pub url: String,
    /// The file of the key, which no command may read.
    pub key: PathBuf,
}

/// Whether forms of clients have a field for a reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReasonField {
    /// Those of clients in which that was seen to work.
    #[default]
    Auto,
    /// All have it.
    Always,
    /// None has it.
    Never,
}

impl ApprovalSettings {
    /// How long a command waits for a client that has to come back with the answer (MCP 2026-07-28), when nothing else
    /// was said.
    pub const PARKED: Duration = Duration::from_secs(10 * 60);

    /// The channels in order.
    pub fn channels(&self) -> Vec<ChannelKind> {
        let mut channels = self.channels.clone().unwrap_or_else(|| ChannelKind::ALL.to_vec());
        let mut seen = Vec::new();
        channels.retain(|kind| {
            let new = !seen.contains(kind);
            seen.push(*kind);
            new
        });
        channels
    }
}

/// A kind of channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// The MCP client, by elicitation.
    Client,
    /// the subcommand `approve` in a terminal.
    Terminal,
    /// A program of the user's.
    Command,
    /// A server that questions are posted to.
    Webhook,
}

impl ChannelKind {
    /// All of them, in the order in which they are asked when nothing else is said.
    pub const ALL: [ChannelKind; 4] =
        [ChannelKind::Client, ChannelKind::Terminal, ChannelKind::Command, ChannelKind::Webhook];
}

impl FromStr for ChannelKind {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<ChannelKind, UnknownWord> {
        let words = [
            ("client", ChannelKind::Client),
            ("terminal", ChannelKind::Terminal),
            ("command", ChannelKind::Command),
            ("webhook", ChannelKind::Webhook),
        ];
        meaning(word, "channel", &words)
    }
}
