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
///
/// One that is found through a link that commands can write is refused, with a note: they would point it elsewhere, and
/// the next session would write there.
pub(super) fn writable(
    asked: &WorkspaceWrite,
    facts: &HostFacts,
    notes: &mut Vec<String>,
) -> Result<Roots, ResolveError> {
    let mut named = Vec::new();
    for root in asked.writable_roots.iter().chain(&facts.workspace) {
        named.push((root.clone(), canonical_root(root)?));
    }
    // Temporary folders are a convenience: one that is not there is nobody's mistake.
    let slash_tmp = (!asked.exclude_slash_tmp).then(|| PathBuf::from("/tmp"));
    let variable = facts.temporary.clone().filter(|_| !asked.exclude_tmpdir_env_var);
    let variable = variable.filter(|folder| may_hold_passing_files(folder, facts, notes));
    let mut temporary = Vec::new();
    for folder in [slash_tmp, variable].into_iter().flatten() {
        if folder.is_absolute() && folder.is_dir() {
            temporary.push((folder.clone(), canonical_root(&folder)?));
        }
    }
    let all: Vec<PathBuf> = named.iter().chain(&temporary).map(|(_, real)| real.clone()).collect();
    let mut roots = Roots::default();
    for (root, real) in &named {
        if is_led_by_commands(root, real, &all, notes) {
            continue;
        }
        if root != real && root.components().ne(real.components()) {
            notes.push(format!("the writable root {} is {}", root.display(), real.display()));
        }
        if !roots.named.contains(real) {
            roots.named.push(real.clone());
        }
    }
    temporary.retain(|(folder, real)| !is_led_by_commands(folder, real, &all, notes));
    roots.temporary = temporary.into_iter().map(|(_, real)| real).collect();
    Ok(roots)
}

/// Tells whether a link on the way to a root lies in one of the roots, where commands can replace it.
fn is_led_by_commands(root: &Path, real: &Path, all: &[PathBuf], notes: &mut Vec<String>) -> bool {
    let leads = links_on_the_way(root)
        .into_iter()
        .find(|link| link.parent().is_some_and(|folder| all.iter().any(|other| folder.starts_with(other))));
    if let Some(link) = &leads {
        notes.push(format!(
            "{} is not writable: {} is a link in a folder that commands can write, so it could lead anywhere; if {} is meant, name that",
            root.display(),
            link.display(),
            real.display()
        ));
    }
    leads.is_some()
}

/// Lists the links that a path is found through, each by the real path of its folder.
fn links_on_the_way(path: &Path) -> Vec<PathBuf> {
    /// As the kernel's (path_resolution(7)).
    const MOST: usize = 40;
    let mut links = Vec::new();
    let mut left: Vec<PathBuf> =
        path.components().rev().map(|part| PathBuf::from(part.as_os_str())).collect();
    let mut there = PathBuf::new();
    while let Some(part) = left.pop() {
        if part == Path::new("..") {
            there.pop();
            continue;
        }
        let next = there.join(&part);
        match next.read_link() {
            Ok(target) if links.len() < MOST => {
                left.extend(target.components().rev().map(|part| PathBuf::from(part.as_os_str())));
                links.push(next);
            }
            Ok(_) | Err(_) => there = next,
        }
    }
    links
}

/// Whether what `$TMPDIR` names may be written because of that alone. The variable is often inherited and seldom looked at, so it
/// does not give the system or a home folder away; of the kernel's windows a session has its own.
fn may_hold_passing_files(folder: &Path, facts: &HostFacts, notes: &mut Vec<String>) -> bool {
    let Ok(canonical) = folder.canonicalize() else { return false };
    let is_kernels = NEVER_WRITABLE.iter().any(|kernel| canonical.starts_with(kernel));
    if let Some(before) = facts.temporary_before.as_ref().filter(|before| **before != canonical) {
        notes.push(format!(
            "TMPDIR is {}, which led to {} before and leads to {} now, so it is not writable; if that is your change, name the real path",
            folder.display(),
            before.display(),
            canonical.display()
        ));
        return false;
    }
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

fn canonical_root(root: &Path) -> Result<PathBuf, ResolveError> {
    if !root.is_absolute() {
        return Err(ResolveError::Relative(root.to_owned()));
    }
    let canonical =
        root.canonicalize().map_err(|source| ResolveError::Root { path: root.to_owned(), source })?;
    if NEVER_WRITABLE.iter().any(|kernel| canonical.starts_with(kernel)) {
        return Err(ResolveError::KernelFiles(canonical));
    }
    Ok(canonical)
}
