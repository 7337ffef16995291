//! What a client *program* says about the sandbox it wants: the params of `codex/sandbox-state/update`, or the value of
//! `_meta["codex/sandbox-state"]` or `_meta["codex/sandbox-state-meta"]` of a call.
//!
//! Only reads it. Whether it is trusted to widen is decided above, with `Plan::narrowed_by`.

use super::json::{PolicyError, object};
use super::location::absolute_path;
use super::mode::SandboxPolicy;
use super::profile::{self, Restrictions};
use serde_json::Value;
use std::path::PathBuf;

/// The `_meta` keys under which clients send their state with each call, newest last.
pub const CLIENT_STATE_KEYS: [&str; 2] = ["codex/sandbox-state", "codex/sandbox-state-meta"];

/// A client program's sandbox state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientState {
    /// The policy that the client wants.
    pub policy: SandboxPolicy,
    /// What the client's profile adds to the policy.
    pub restrictions: Restrictions,
    /// The client's idea of the workspace.
    pub sandbox_cwd: Option<PathBuf>,
    /// Folders that `workspace-write` makes writable besides the listed roots; empty when a profile lists everything.
    pub workspace: Vec<PathBuf>,
}

impl ClientState {
    /// Reads either form; `own_workspace` stands in where the client names no `sandboxCwd`.
    ///
    /// A `permissionProfile` wins over a `sandboxPolicy` beside it: it is the newer and the more exact one. Unknown
    /// keys are ignored.
    ///
    /// # Errors
    /// [`PolicyError`] names the field; the protocol's answer is -32602.
    pub fn from_json(value: &Value, own_workspace: &[PathBuf]) -> Result<Self, PolicyError> {
        let state = object(value, "sandbox state")?;
        let sandbox_cwd = match state.get("sandboxCwd") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(
                absolute_path(text).map_err(|source| PolicyError::Path { field: "sandboxCwd", source })?,
            ),
            Some(_) => return Err(super::json::wrong_kind("sandboxCwd", "a path or a file:// URI")),
        };
        let workspace = match &sandbox_cwd {
            Some(cwd) => vec![cwd.clone()],
            None => own_workspace.to_vec(),
        };
        let present = |key: &str| state.get(key).filter(|value| !value.is_null());
        if let Some(value) = present("permissionProfile") {
            let profile = profile::from_json(value, &workspace)?;
            return Ok(ClientState {
                policy: profile.policy,
                restrictions: profile.restrictions,
                sandbox_cwd,
                workspace: Vec::new(),
            });
        }
        let value = present("sandboxPolicy").ok_or(PolicyError::Nothing)?;
        let policy = SandboxPolicy::from_json(value)?;
        Ok(ClientState { policy, restrictions: Restrictions::default(), sandbox_cwd, workspace })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, Network};
    use serde_json::json;

    #[test]
    fn the_update_request_form() {
        let value = json!({"sandboxPolicy":{"type":"workspace-write","network_access":true},"sandboxCwd":"/repo",
            "codexLinuxSandboxExe":null,"useLinuxSandboxBwrap":false});
        let state = ClientState::from_json(&value, &[]).unwrap();
        assert_eq!(state.policy.mode(), Mode::WorkspaceWrite);
        assert_eq!(state.policy.network(), Network::Enabled);
        assert_eq!(state.workspace, [PathBuf::from("/repo")]);
    }

    #[test]
    fn the_form_sent_with_each_call() {
        let value = json!({"permissionProfile":{"type":"managed","file_system":{"type":"restricted","entries":[
            {"path":{"type":"special","value":{"kind":"root"}},"access":"read"},
            {"path":{"type":"special","value":{"kind":"project_roots"}},"access":"write"}]},"network":"restricted"},
            "codexLinuxSandboxExe":"/opt/codex","sandboxCwd":"file:///my%20repo","useLegacyLandlock":false,"useMxc":false});
        let state = ClientState::from_json(&value, &[]).unwrap();
        let SandboxPolicy::WorkspaceWrite(workspace) = &state.policy else { panic!("{state:?}") };
        assert_eq!(workspace.writable_roots, [PathBuf::from("/my repo")]);
        assert_eq!(state.sandbox_cwd, Some("/my repo".into()));
        assert!(state.workspace.is_empty());
    }

    #[test]
    fn the_own_workspace_stands_in_and_nonsense_is_refused() {
        let value = json!({"sandboxPolicy":{"type":"workspace-write"},"permissionProfile":null});
        let state = ClientState::from_json(&value, &["/mine".into()]).unwrap();
        assert_eq!(state.workspace, [PathBuf::from("/mine")]);
        for value in [
            json!({}),
            json!([]),
            json!(null),
            json!({"sandboxPolicy":{"type":"read-only"},"sandboxCwd":"here"}),
            json!({"sandboxPolicy":{"type":"read-only"},"sandboxCwd":7}),
            json!({"sandboxPolicy":"read-only"}),
        ] {
            assert!(ClientState::from_json(&value, &[]).is_err(), "{value}");
        }
    }
}
