//! What the sandbox has refused to a command that failed, in words for its result.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox::ExitStatus;
use sandbox::denial::{Denied, Evidence};

use super::outcome::Ending;
use crate::sandboxes::{Process, Sandbox};

/// Names what was denied and the smallest way to allow it; nothing for a command that ended well.
pub(super) async fn explain(
    sandbox: &Arc<Sandbox>,
    shell: &Process,
    output: Vec<u8>,
    directories: Vec<PathBuf>,
    config: &Path,
    ending: Ending,
) -> Vec<String> {
    if ending == Ending::Ended(ExitStatus::Exited(0)) || !sandbox.plan().mode.is_enforced() {
        return Vec::new();
    }
    let refused_routes =
        sandbox.enforcement().has(sandbox::Namespace::Network).then(|| shell.was_refused_the_network());
    // The folders that it names may be on slow disks.
    let (plan, config) = (Arc::clone(sandbox.plan()), config.to_owned());
    let explained = tokio::task::spawn_blocking(move || {
        let evidence =
            Evidence { output: &output, directories: &directories, config: &config, refused_routes };
        let denials = sandbox::denial::explain(&plan, &evidence);
        let about_writing = denials.iter().any(|denial| matches!(denial.denied, Denied::Write(_)));
        let notes = plan.notes.iter().filter(|_| about_writing).cloned();
        denials.iter().map(ToString::to_string).chain(notes).collect()
    });
    explained.await.unwrap_or_default()
}

/// The end of the output that may name what was denied, in bytes.
pub(super) const LOOKED_AT: u64 = 16 << 10;
