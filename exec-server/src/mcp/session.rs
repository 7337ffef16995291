//! Where commands run, told to clients: as a resource, and as a member of the first result.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ErrorData, ReadResourceResult, ResourceContents};
use rmcp::service::RequestContext;
use tokio::task::JoinHandle;

use super::resources;
use super::sandbox_state::SandboxState;
use super::token::Token;
use shell_engine::config::Wanted;
use shell_engine::shell::{SessionFacts, Shell};

/// How long a result waits for what is said with it.
const PATIENCE: Duration = Duration::from_millis(300);

/// What the first result of a client says about where commands run.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstResult(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    #[default]
    NotBegun,
    Looking(JoinHandle<Option<SessionFacts>>),
    Told,
}

impl FirstResult {
    /// The first call has started: looks while it runs.
    pub(super) fn begin(&self, shell: &Shell, wanted: Wanted, folder: PathBuf) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::NotBegun) {
            let shell = shell.clone();
            let look = async move { shell.facts(&wanted, &folders(&wanted, folder), false).await.ok() };
            *state = State::Looking(tokio::spawn(look));
        }
    }

    /// What was found, once.
    pub(super) async fn take(&self) -> Option<SessionFacts> {
        let looking = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match std::mem::replace(&mut *state, State::Told) {
                State::Looking(looking) => looking,
                before @ (State::NotBegun | State::Told) => {
                    *state = before;
                    return None;
                }
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.ok()?.ok()?
    }
}

/// The workspace, or the folder that commands start in.
fn folders(wanted: &Wanted, start: PathBuf) -> Vec<PathBuf> {
    match wanted.workspace() {
        [] => vec![start],
        workspace => workspace.to_vec(),
    }
}

/// The resource, looked up anew.
pub(super) async fn read(
    shell: &Shell,
    (state, token): (&SandboxState, Option<&Token>),
    context: &RequestContext<RoleServer>,
) -> Result<ReadResourceResult, ErrorData> {
    let (wanted, folder) = state.wanted(&shell.config().sandboxing, context).await?;
    let broken = |error: String| ErrorData::internal_error(error, None);
    let folders = folders(&wanted, folder);
    let facts = shell.facts(&wanted, &folders, true).await.map_err(|error| broken(error.to_string()))?;
    let mut facts = serde_json::to_value(&facts).map_err(|error| broken(error.to_string()))?;
    if let Some(token) = token {
        facts["sessions_token"] = token.as_str().into();
    }
    let text = serde_json::to_string_pretty(&facts).map_err(|error| broken(error.to_string()))?;
    let contents = ResourceContents::text(text, resources::SESSION).with_mime_type("application/json");
    Ok(ReadResourceResult::new(vec![contents]))
}
