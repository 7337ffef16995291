//! The decisions that are on record, for those who try other rules on them.

use std::path::Path;
use std::time::SystemTime;

use super::event::{Decision, Event};
use super::files::{Folder, Log};
use super::line::Line;
use super::read::{ReadError, snapshot};

/// Reads what was decided about programs, oldest first: by the server that is this process (`session`), since then. Programs
/// that simply ran inside come after the others.
///
/// # Errors
///
/// When the log cannot be read.
pub fn recorded(
    codex_home: &Path,
    session: Option<u32>,
    since: Option<SystemTime>,
) -> Result<Vec<Decision>, ReadError> {
    let since = since.map(|since| humantime::format_rfc3339_millis(since).to_string());
    let [decisions, runs] = snapshot(&Folder::of(codex_home), Log::ALL)?;
    let mut found = Vec::new();
    for line in decisions.chain(runs) {
        let Ok(text) = line?.text else { continue };
        let Ok(line) = serde_json::from_slice::<Line>(&text) else { continue };
        let is_meant = session.is_none_or(|session| session == line.server)
            // Times are in UTC and of one form.
            && since.as_ref().is_none_or(|since| line.time >= *since);
        match line.event {
            Event::Decision(decision) if is_meant => found.push(*decision),
            Event::Decision(_)
            | Event::Started { .. }
            | Event::Request { .. }
            | Event::Ended { .. }
            | Event::Connection(_)
            | Event::Input(_)
            | Event::Lost { .. }
            | Event::LostRuns { .. }
            | Event::MoreRuns { .. }
            | Event::MoreRefusals { .. }
            | Event::Repaired { .. } => {}
        }
    }
    Ok(found)
}
