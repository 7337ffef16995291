//! What may be written: the roots that were asked for, and the folders for passing files.

use super::error::ResolveError;
use super::fallback::{SYSTEM, is_too_wide};
use super::host_facts::HostFacts;
use crate::policy::WorkspaceWrite;
use std::path::{Path, PathBuf};

/// File systems that are windows into the kernel: making them writable would make walls of sand.
const NEVER_WRITABLE: &[&str] = &["/proc", "/sys", "/dev"];

/// The writable roots: those asked for, and those for passing files.
#[derive(Default)]
pub(super) struct Roots {
    /// Their configuration files are protected.
    pub(super) named: Vec<PathBuf>,
    temporary: Vec<PathBuf>,
}

impl Roots {
    pub(super) fn all(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = Vec::new();
        for root in self.named.iter().chain(&self.temporary) {
            if !all.contains(root) {
                all.push(root.clone());
            }
        }
        all
    }
}

/// Finds the roots, canonical; one that is a link is named in the notes.
pub(super) fn writable(
    asked: &WorkspaceWrite,
    facts: &HostFacts,
    notes: &mut Vec<String>,
) -> Result<Roots, ResolveError> {
    let mut roots = Roots::default();
    for root in asked.writable_roots.iter().chain(&facts.workspace) {
        let root = canonical_root(root, notes)?;
        if !roots.named.contains(&root) {
            roots.named.push(root);
        }
    }
    // Temporary folders are a convenience: one that is not there is nobody's mistake.
    let slash_tmp = (!asked.exclude_slash_tmp).then(|| PathBuf::from("/tmp"));
    let variable = facts.temporary.clone().filter(|_| !asked.exclude_tmpdir_env_var);
    let variable = variable.filter(|folder| may_hold_passing_files(folder, facts, notes));
    for folder in [slash_tmp, variable].into_iter().flatten() {
        if folder.is_absolute() && folder.is_dir() {
            roots.temporary.push(canonical_root(&folder, &mut Vec::new())?);
        }
    }
    Ok(roots)
}

/// Whether what `$TMPDIR` names may be written because of that alone. The variable is often inherited and seldom looked at, so it
/// does not give the system or a home folder away; of the kernel's windows a session has its own.
fn may_hold_passing_files(folder: &Path, facts: &HostFacts, notes: &mut Vec<String>) -> bool {
    let Ok(canonical) = folder.canonicalize() else { return false };
    let is_kernels = NEVER_WRITABLE.iter().any(|kernel| canonical.starts_with(kernel));
    let homes: Vec<PathBuf> = facts.homes().cloned().collect();
    let is_too_much = is_too_wide(&canonical, &homes)
        || canonical == Path::new("/var")
        || SYSTEM.iter().any(|system| canonical.starts_with(system));
    if is_too_much {
        notes.push(format!(
            "TMPDIR is {}, which is too much to be writable because of that alone; give it a folder of its own",
            folder.display()
        ));
    }
    !is_kernels && !is_too_much
}

/// The path without links, as far as it exists: folders of a plan are known by their real paths.
pub fn real_path(path: &Path) -> PathBuf {
    let real = |ancestor: &Path| {
        let rest = path.strip_prefix(ancestor).ok()?;
        let real = ancestor.canonicalize().ok()?;
        Some(if rest.as_os_str().is_empty() { real } else { real.join(rest) })
    };
    path.ancestors().find_map(real).unwrap_or_else(|| path.to_owned())
}

fn canonical_root(root: &Path, notes: &mut Vec<String>) -> Result<PathBuf, ResolveError> {
    if !root.is_absolute() {
        return Err(ResolveError::Relative(root.to_owned()));
    }
    let canonical =
        root.canonicalize().map_err(|source| ResolveError::Root { path: root.to_owned(), source })?;
    if canonical != root && root.components().ne(canonical.components()) {
        notes.push(format!("the writable root {} is {}", root.display(), canonical.display()));
    }
    if NEVER_WRITABLE.iter().any(|kernel| canonical.starts_with(kernel)) {
        return Err(ResolveError::KernelFiles(canonical));
    }
    Ok(canonical)
}
