//! Which sandbox a patch is applied in: that of commands, or where it changes protected files one like it in which those can
//! be written. Nothing but the program that applies the patch runs there, and that not before a person has said yes or a
//! rule allows it (`judgement`).

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox::Plan;
use sandbox::resolve::is_protected_name;

use super::request::{CallRequest, PatchText};
use super::shared::Shell;
use crate::config::Wanted;
use crate::judgement::{CallPatch, in_words};
use crate::visible::{code, visible};

/// Finds the files that a call's patch changes, and the sandbox that it needs; for other calls nothing.
///
/// # Errors
///
/// In words, when a path leads nowhere or to what no patch may change.
pub(super) async fn prepare<'w>(
    shell: &Shell,
    wanted: &'w Wanted,
    request: &CallRequest,
) -> Result<(Cow<'w, Wanted>, Option<Arc<CallPatch>>), String> {
    let Some(text) = &request.patch else { return Ok((Cow::Borrowed(wanted), None)) };
    let sandboxing = Arc::clone(&shell.config.sandboxing);
    let (text, workdir, own) = (Arc::clone(text), request.workdir.clone(), wanted.clone());
    // File systems may take their time.
    let found = tokio::task::spawn_blocking(move || {
        let plan = sandboxing.plan(&own).map_err(|error| error.to_string())?;
        places(&plan, &text, &workdir)
    });
    let (patch, opened) = found.await.map_err(|error| error.to_string())??;
    let wanted = if opened.is_empty() { Cow::Borrowed(wanted) } else { Cow::Owned(wanted.opening(opened)) };
    Ok((wanted, Some(Arc::new(patch))))
}

/// The files, and the protected names that have to be open for them.
fn places(plan: &Plan, text: &PatchText, workdir: &Path) -> Result<(CallPatch, Vec<PathBuf>), String> {
    let places = patches::places(&text.patch, workdir).map_err(|failure| in_words(&failure))?;
    let (mut protected, mut opened) = (Vec::new(), Vec::new());
    let kept = plan.mode.is_enforced().then_some(plan);
    for place in &places {
        let Some(plan) = kept.filter(|plan| plan.is_protected(place)) else { continue };
        let name = protected_name(plan, place).ok_or_else(|| {
            let place = code(&visible(place.as_os_str().as_encoded_bytes()));
            format!("{place} says what commands may do or is the server's own, and cannot be patched; nothing was changed")
        })?;
        opened.push(name);
        protected.push(place.clone());
    }
    Ok((CallPatch { patch: text.patch.clone(), places, protected }, opened))
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
