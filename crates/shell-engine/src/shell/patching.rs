//! Which sandbox a patch is applied in: that of commands, or where it changes protected files one like it in which those can
//! be written. Nothing but the program that applies the patch runs there, and that not before a person has said yes or a
//! rule allows it (`judgement`).

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use patches::Failure;
use sandbox::Plan;
use sandbox::resolve::is_protected_name;

use super::request::{CallRequest, PatchText};
use super::shared::Shell;
use crate::config::{Sandboxing, Wanted};
use crate::judgement::CallPatch;
use crate::visible::visible;

/// Finds the files that a call's patch changes, and the sandbox that it needs; for other calls nothing.
///
/// # Errors
///
/// When a path leads nowhere or to what no patch may change.
pub(super) async fn prepare<'w>(
    shell: &Shell,
    wanted: &'w Wanted,
    request: &CallRequest,
) -> Result<(Cow<'w, Wanted>, Option<Arc<CallPatch>>), Failure> {
    let Some(text) = request.patch.as_ref().filter(|_| !request.only_checks) else {
        return Ok((Cow::Borrowed(wanted), None));
    };
    let sandboxing = Arc::clone(&shell.config.sandboxing);
    let (text, workdir, own) = (Arc::clone(text), request.workdir.clone(), wanted.clone());
    // File systems may take their time.
    let found = tokio::task::spawn_blocking(move || places(&sandboxing, &own, &text, &workdir));
    let (patch, opened) = found.await.map_err(|error| because(&error.to_string()))??;
    let wanted = if opened.is_empty() { Cow::Borrowed(wanted) } else { Cow::Owned(wanted.opening(opened)) };
    Ok((wanted, Some(Arc::new(patch))))
}

/// The files, and the protected names that have to be open for them.
fn places(
    sandboxing: &Sandboxing,
    wanted: &Wanted,
    text: &PatchText,
    workdir: &Path,
) -> Result<(CallPatch, Vec<PathBuf>), Failure> {
    let plan = sandboxing.plan(wanted).map_err(|error| because(&error.to_string()))?;
    let places = patches::places(&text.patch, workdir).map_err(shown)?;
    let (mut protected, mut opened) = (Vec::new(), Vec::new());
    let kept = plan.mode.is_enforced().then_some(&plan);
    for place in &places {
        let Some(plan) = kept.filter(|plan| plan.is_protected(place)) else { continue };
        opened.push(protected_name(plan, place).ok_or_else(|| never(place))?);
        protected.push(place.clone());
    }
    if !opened.is_empty() {
        // What stays protected then, nobody can say yes to.
        let plan = sandboxing.plan(&wanted.opening(opened.clone()));
        let plan = plan.map_err(|error| because(&error.to_string()))?;
        let is_never = |place: &&PathBuf| plan.is_protected(place) || sandboxing.keeps(place);
        if let Some(place) = protected.iter().find(is_never) {
            return Err(never(place));
        }
    }
    Ok((CallPatch { patch: text.patch.clone(), places, protected }, opened))
}

/// Why a patch cannot be prepared that has nothing to do with its files.
fn because(reason: &str) -> Failure {
    Failure { path: "the patch".into(), reason: reason.to_owned(), ..Failure::default() }
}

/// What is said of a file that no patch may change.
fn never(place: &Path) -> Failure {
    let path = visible(place.as_os_str().as_encoded_bytes());
    let reason = "it says what commands may do, or is the server's own, and cannot be patched".to_owned();
    Failure { path, reason, ..Failure::default() }
}

/// A failure without control characters.
fn shown(failure: Failure) -> Failure {
    let [path, reason] = [&failure.path, &failure.reason].map(|text| visible(text.as_bytes()));
    Failure { path, reason, ..failure }
}

impl Shell {
    /// Whether somebody may be asked about a request's patch, or a rule forbid it: then it is better to know first that it fits.
    pub async fn may_ask_about_patch(&self, wanted: &Wanted, request: &CallRequest) -> bool {
        let rules = self.rules().current().await;
        if !rules.patch_rules().is_empty() || rules.is_incomplete() {
            return true;
        }
        let prepared = prepare(self, wanted, request).await;
        prepared.is_ok_and(|(_, patch)| patch.is_some_and(|patch| !patch.protected.is_empty()))
    }
}

/// The name by which the user would open a protected place; none when it, or what it lies in, cannot be opened.
fn protected_name(plan: &Plan, place: &Path) -> Option<PathBuf> {
    let roots: Vec<&Path> = plan
        .writable
        .iter()
        .map(PathBuf::as_path)
        .chain(plan.repositories.iter().filter_map(|git| git.parent()))
        .collect();
    let name_of = |kept: &PathBuf| {
        let mut names = roots.iter().filter_map(|root| kept.strip_prefix(root).ok());
        names.find(|name| is_protected_name(name)).map(Path::to_owned)
    };
    let reserved = plan.reserved.iter().map(|reserved| &reserved.path);
    let kept = plan.read_only.iter().chain(reserved).filter(|kept| place.starts_with(kept));
    let names: Option<Vec<PathBuf>> = kept.map(name_of).collect();
    names?.into_iter().next()
}
