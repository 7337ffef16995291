//! What the server says about itself when a client begins. Clients that load tools only when they are searched for show
//! a model nothing else, so it says when to use which tool, and what a command may do.

use sandbox::{Mode, Network};

use super::{background, read_output, shell_tool};
use shell_engine::config::Sandboxing;

/// The text for servers that cannot run anything.
pub(super) const UNABLE: &str = "Has a tool, `shell`, that cannot run commands at the moment; each of its results says why, and what the \
    user has to do.";

/// The text for servers with this sandbox.
pub(super) fn text(sandboxing: &Sandboxing) -> String {
    of(sandboxing.mode(), sandboxing.network())
}

fn of(mode: Mode, network: Network) -> String {
    let shell = shell_tool::NAME;
    let (read, list) = (read_output::NAME, background::LIST);
    let allowed = match (mode, network) {
        (Mode::DangerFullAccess | Mode::ExternalSandbox, _) => "There is no sandbox of this server's own.",
        (Mode::ReadOnly, Network::Restricted) => {
            "The sandbox lets commands read, but not write or use the network."
        }
        (Mode::ReadOnly, Network::Enabled) => {
            "The sandbox lets commands read and use the network, but not write."
        }
        (Mode::WorkspaceWrite, Network::Restricted) => {
            "The sandbox lets commands read, and write in the workspace and temporary folders, without network."
        }
        (Mode::WorkspaceWrite, Network::Enabled) => {
            "The sandbox lets commands read, use the network, and write in the workspace and temporary folders."
        }
    };
    format!(
        "Run all shell commands, Git, builds and tests with `{shell}` (Bash). {allowed} The user's rules let programs run, have \
         the user asked, or refuse them; a refusal names what would allow it, which is for the user to do. Raise `timeout_ms` for \
         builds and tests. Read the rest of long output with `{read}`; `{list}` shows what still runs."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_short_whatever_the_sandbox_is() {
        for mode in [Mode::ReadOnly, Mode::WorkspaceWrite, Mode::ExternalSandbox, Mode::DangerFullAccess] {
            for network in [Network::Restricted, Network::Enabled] {
                let text = of(mode, network);
                assert!(text.chars().count() <= 600, "{}: {text}", text.chars().count());
                for word in ["`shell`", "Git", "sandbox", "`timeout_ms`", "`read_output`", "refusal"] {
                    assert!(text.contains(word), "{word}: {text}");
                }
            }
        }
    }
}
