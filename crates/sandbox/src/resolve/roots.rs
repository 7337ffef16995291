//! The pipeline from policy to plan, and its first step: the writable roots.

use super::{hidden, protected};
use crate::plan::{Layers, Limits, Plan};
use crate::policy::{Restrictions, SandboxPolicy, WorkspaceWrite};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// File systems that are windows into the kernel: making them writable would make walls of sand.
const NEVER_WRITABLE: &[&str] = &["/proc", "/sys", "/dev"];

/// Facts about the server's surroundings that resolution needs; passed in, so that tests choose them.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Folders that `workspace-write` makes writable besides the listed roots.
    pub workspace: Vec<PathBuf>,
    /// The user's home folder.
    pub home: Option<PathBuf>,
    /// What `$TMPDIR` says.
    pub temporary: Option<PathBuf>,
    /// The server's own folders (runtime, audit log, spool), never readable inside; they must exist already.
    pub private: Vec<PathBuf>,
    /// Programs that commands must be able to execute and must not change: the shell and the wrapper.
    pub programs: Vec<PathBuf>,
    /// Variables of the server's environment that name sockets and credential files (see [`Surroundings::from_process`]).
    pub variables: Vec<(String, OsString)>,
}

impl Surroundings {
    /// Reads the facts from this process's environment; workspace and private folders are the caller's to add.
    #[must_use]
    pub fn from_process() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let variables =
            hidden::VARIABLES.iter().filter_map(|(name, _)| Some(((*name).to_owned(), variable(name)?)));
        Surroundings {
            workspace: Vec::new(),
            home: variable("HOME").map(PathBuf::from),
            temporary: variable("TMPDIR").map(PathBuf::from),
            private: Vec::new(),
            programs: Vec::new(),
            variables: variables.collect(),
        }
    }
}

/// Says why a policy cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// A root that was asked for by name is not there.
    #[error("the writable root {path} cannot be used: {source}")]
    Root {
        /// The root, as given.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A relative path.
    #[error("`{0}` is a relative path; give an absolute one")]
    Relative(PathBuf),
    /// A root in `/proc`, `/sys` or `/dev`.
    #[error("{0} cannot be a writable root: it is a window into the kernel")]
    KernelFiles(PathBuf),
    /// Hidden and writable at once.
    #[error("{hidden} cannot be unreadable while {root} inside it is writable")]
    Contradiction {
        /// The place that was to be hidden.
        hidden: PathBuf,
        /// The root inside it.
        root: PathBuf,
    },
    /// A pattern that is not one.
    #[error("`{pattern}` is not a glob pattern: {source}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        #[source]
        source: glob::PatternError,
    },
}

/// Resolves a policy into a plan.
///
/// Reads the file system; makes nothing. Roots are made canonical once, here; one that is a link is named in the notes.
///
/// # Errors
/// [`ResolveError`] names the path that cannot be used.
pub fn resolve(
    policy: &SandboxPolicy,
    restrictions: &Restrictions,
    surroundings: &Surroundings,
) -> Result<Plan, ResolveError> {
    let mut plan = Plan::unenforced(policy.mode(), policy.network());
    let workspace_write = match policy {
        SandboxPolicy::DangerFullAccess | SandboxPolicy::ExternalSandbox { .. } => return Ok(plan),
        SandboxPolicy::ReadOnly { .. } => None,
        SandboxPolicy::WorkspaceWrite(workspace_write) => Some(workspace_write),
    };
    plan.limits = Limits::default();
    plan.layers = Layers::Best;
    let roots = match workspace_write {
        None => Roots::default(),
        Some(asked) => writable(asked, surroundings, &mut plan.notes)?,
    };
    plan.writable = roots.all();
    protected::add(&mut plan, &roots.named, restrictions, surroundings)?;
    hidden::add(&mut plan, restrictions, surroundings)?;
    plan.only_readable = restrictions.only_readable.as_ref().map(|paths| {
        let existing = paths.iter().filter_map(|path| path.canonicalize().ok());
        let programs = surroundings.programs.iter().filter_map(|path| path.canonicalize().ok());
        existing.chain(programs).chain(plan.writable.iter().cloned()).collect()
    });
    Ok(plan)
}

/// The writable roots: those asked for, whose configuration files are protected, and those for passing files.
#[derive(Default)]
struct Roots {
    named: Vec<PathBuf>,
    temporary: Vec<PathBuf>,
}

impl Roots {
    fn all(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = Vec::new();
        for root in self.named.iter().chain(&self.temporary) {
            if !all.contains(root) {
                all.push(root.clone());
            }
        }
        all
    }
}

fn writable(
    asked: &WorkspaceWrite,
    surroundings: &Surroundings,
    notes: &mut Vec<String>,
) -> Result<Roots, ResolveError> {
    let mut roots = Roots::default();
    for root in asked.writable_roots.iter().chain(&surroundings.workspace) {
        let root = canonical_root(root, notes)?;
        if !roots.named.contains(&root) {
            roots.named.push(root);
        }
    }
    // Temporary folders are a convenience: one that is not there is nobody's mistake.
    let slash_tmp = (!asked.exclude_slash_tmp).then(|| PathBuf::from("/tmp"));
    let variable = surroundings.temporary.clone().filter(|_| !asked.exclude_tmpdir_env_var);
    for folder in [slash_tmp, variable].into_iter().flatten() {
        if folder.is_absolute() && folder.is_dir() {
            roots.temporary.push(canonical_root(&folder, &mut Vec::new())?);
        }
    }
    Ok(roots)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, Network};

    fn workspace(roots: &[&Path]) -> SandboxPolicy {
        SandboxPolicy::WorkspaceWrite(WorkspaceWrite {
            writable_roots: roots.iter().map(|root| root.to_path_buf()).collect(),
            exclude_slash_tmp: true,
            ..WorkspaceWrite::default()
        })
    }

    #[test]
    fn roots_are_canonical_links_are_shown_and_duplicates_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let surroundings = Surroundings { workspace: vec![real.clone()], ..Surroundings::default() };
        let plan = resolve(&workspace(&[&link]), &Restrictions::default(), &surroundings).unwrap();
        assert_eq!(plan.writable, std::slice::from_ref(&real));
        assert!(plan.notes.iter().any(|note| note.contains("link is ")), "{:?}", plan.notes);
        assert!(plan.reserved.iter().any(|reserved| reserved.path == real.join(".codex")));
    }

    #[test]
    fn roots_that_cannot_be_are_named() {
        for (root, expected) in [
            ("relative", "relative path"),
            ("/no/such/folder", "/no/such/folder cannot be used: No such file"),
            ("/proc", "window into the kernel"),
            ("/dev/shm", "window into the kernel"),
        ] {
            let error =
                resolve(&workspace(&[Path::new(root)]), &Restrictions::default(), &Surroundings::default());
            let error = error.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn temporary_folders_are_writable_unless_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let temporary = folder.path().canonicalize().unwrap();
        let surroundings = Surroundings { temporary: Some(temporary.clone()), ..Surroundings::default() };
        let mut asked = WorkspaceWrite::default();
        let of = |asked: &WorkspaceWrite| {
            resolve(&SandboxPolicy::WorkspaceWrite(asked.clone()), &Restrictions::default(), &surroundings)
                .unwrap()
        };
        assert_eq!(of(&asked).writable, [PathBuf::from("/tmp").canonicalize().unwrap(), temporary]);
        asked.exclude_slash_tmp = true;
        asked.exclude_tmpdir_env_var = true;
        assert!(of(&asked).writable.is_empty());
    }

    #[test]
    fn modes_without_enforcement_resolve_to_everything() {
        let plan = resolve(
            &SandboxPolicy::of_mode(Mode::DangerFullAccess),
            &Restrictions::default(),
            &Surroundings::default(),
        );
        assert_eq!(plan.unwrap(), Plan::unenforced(Mode::DangerFullAccess, Network::Enabled));
    }
}
