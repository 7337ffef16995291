//! What the sandbox has refused to a command, in words for its result.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox::denial::{Denied, Evidence, Routes};

use crate::interception::Refused;
use crate::sandboxes::Sandbox;

/// Names what was denied and the smallest way to allow it, also for a command that ended well: `make | tail` does.
pub(super) async fn explain(
    sandbox: &Arc<Sandbox>,
    (routes, refused_ports): (Routes, BTreeSet<u16>),
    command: String,
    output: Vec<u8>,
    directories: Vec<PathBuf>,
    config: &Path,
    refused: &Refused,
) -> Vec<String> {
    if !sandbox.plan().mode.is_enforced() {
        return Vec::new();
    }
    let (writes, given, refused) = (refused.writes(), refused.given(), refused.calls());
    if routes != Routes::Refused && refused.is_empty() && !sandbox::denial::may_tell(&output) {
        return Vec::new();
    }
    // The folders that it names may be on slow disks.
    let (plan, config) = (Arc::clone(sandbox.plan()), config.to_owned());
    let counts = sandbox.session().reports_refusals();
    let explained = tokio::task::spawn_blocking(move || {
        let evidence = Evidence {
            command: &command,
            output: &output,
            directories: &directories,
            config: &config,
            routes,
            refused: counts.then_some(&refused),
            writes: &writes,
        };
        let mut denials = sandbox::denial::explain(&plan, &evidence);
        // What was refused at first only is not what the command lacked.
        let was_given = |path: &PathBuf| given.contains(path) && !writes.seen.contains(path);
        denials.retain(|denial| !matches!(&denial.denied, Denied::Write(path) if was_given(path)));
        // What was refused elsewhere is told already.
        denials.retain(
            |denial| !matches!(&denial.denied, Denied::HostPort(port) if refused_ports.contains(port)),
        );
        let about_writing = denials.iter().any(|denial| matches!(denial.denied, Denied::Write(_)));
        let is_about_a_device =
            |note: &String| plan.devices.iter().any(|device| note.contains(&*device.to_string_lossy()));
        let notes = plan.notes.iter().filter(|note| about_writing && !is_about_a_device(note)).cloned();
        denials.iter().map(ToString::to_string).chain(notes).collect()
    });
    explained.await.unwrap_or_default()
}

/// The end of the output that may name what was denied, in bytes.
pub(super) const LOOKED_AT: u64 = 16 << 10;
