//! The pipeline from policy to plan.

use super::error::ResolveError;
use super::host_facts::HostFacts;
use super::repository::{self, Elsewhere};
use super::roots::{self, Roots};
use super::{caches, devices, hidden, protected};
use crate::plan::{Layers, Limits, Plan};
use crate::policy::{Restrictions, SandboxPolicy};
use std::path::PathBuf;

/// Resolves a policy into a plan.
///
/// Reads the file system; makes nothing. Roots are made canonical once, here; one that is a link is named in the notes.
///
/// # Errors
/// [`ResolveError`] names the path that cannot be used.
pub fn resolve(
    policy: &SandboxPolicy,
    restrictions: &Restrictions,
    facts: &HostFacts,
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
        Some(asked) => roots::writable(asked, facts, &mut plan.notes)?,
    };
    plan.writable = roots.all();
    let homes: Vec<PathBuf> = facts.homes().cloned().collect();
    let repositories: Vec<Elsewhere> =
        roots.named.iter().filter_map(|root| repository::elsewhere(root, &homes)).collect();
    for folder in repositories.iter().map(|elsewhere| &elsewhere.folder) {
        if !plan.writable.iter().any(|root| folder.starts_with(root)) {
            plan.writable.push(folder.clone());
        }
    }
    if workspace_write.is_some() {
        caches::add(&mut plan, &roots.named, restrictions, facts);
    }
    protected::add(&mut plan, &roots.named, &repositories, restrictions, facts)?;
    hidden::add(&mut plan, restrictions, facts)?;
    devices::add(&mut plan, &facts.devices)?;
    plan.only_readable = restrictions.only_readable.as_ref().map(|paths| {
        let existing = paths.iter().filter_map(|path| path.canonicalize().ok());
        let programs = facts.programs.iter().filter_map(|path| path.canonicalize().ok());
        existing.chain(programs).chain(plan.writable.iter().cloned()).collect()
    });
    plan.bare = restrictions.bare && plan.only_readable.is_some();
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, Network, WorkspaceWrite};
    use std::path::Path;

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
        let facts = HostFacts { workspace: vec![real.clone()], ..HostFacts::default() };
        let plan = resolve(&workspace(&[&link]), &Restrictions::default(), &facts).unwrap();
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
                resolve(&workspace(&[Path::new(root)]), &Restrictions::default(), &HostFacts::default());
            let error = error.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn temporary_folders_are_writable_unless_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let temporary = folder.path().canonicalize().unwrap();
        let facts = HostFacts { temporary: Some(temporary.clone()), ..HostFacts::default() };
        let mut asked = WorkspaceWrite::default();
        let of = |asked: &WorkspaceWrite| {
            resolve(&SandboxPolicy::WorkspaceWrite(asked.clone()), &Restrictions::default(), &facts).unwrap()
        };
        assert_eq!(of(&asked).writable, [PathBuf::from("/tmp").canonicalize().unwrap(), temporary]);
        asked.exclude_slash_tmp = true;
        asked.exclude_tmpdir_env_var = true;
        assert!(of(&asked).writable.is_empty());
    }

    #[test]
    fn a_variable_gives_neither_the_system_nor_a_home_away() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        std::fs::create_dir(home.join("scratch")).unwrap();
        for (temporary, is_noted) in
            [("/", true), ("/etc", true), ("/var", true), (home.to_str().unwrap(), true), ("/dev/shm", false)]
        {
            let facts = HostFacts {
                home: Some(home.clone()),
                temporary: Some(temporary.into()),
                ..HostFacts::default()
            };
            let plan = resolve(&workspace(&[]), &Restrictions::default(), &facts).unwrap();
            assert!(plan.writable.is_empty(), "{temporary}");
            assert_eq!(plan.notes.iter().any(|note| note.contains("TMPDIR")), is_noted, "{temporary}");
        }
        let temporary = Some(home.join("scratch"));
        let facts = HostFacts { home: Some(home.clone()), temporary, ..HostFacts::default() };
        let plan = resolve(&workspace(&[]), &Restrictions::default(), &facts).unwrap();
        assert!(plan.writable.contains(&home.join("scratch")));
    }

    #[test]
    fn a_root_that_commands_could_point_elsewhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for name in ["ws/.cache", "home/.local/bin", "other/tmp"] {
            std::fs::create_dir_all(base.join(name)).unwrap();
        }
        let link = base.join("ws/.cache/tmp");
        std::os::unix::fs::symlink("../../home/.local/bin", &link).unwrap();
        let of = |policy: &SandboxPolicy, facts: &HostFacts| {
            resolve(policy, &Restrictions::default(), facts).unwrap()
        };
        let facts = |temporary: &Path, before: Option<&Path>| HostFacts {
            workspace: vec![base.join("ws")],
            temporary: Some(temporary.to_owned()),
            temporary_before: before.map(Path::to_owned),
            ..HostFacts::default()
        };
        // As TMPDIR, and as a root that was asked for by name.
        let by_variable = of(&workspace(&[]), &facts(&link, None));
        let by_name = of(&workspace(&[&link]), &facts(Path::new("/none"), None));
        for plan in [by_variable, by_name] {
            assert_eq!(plan.writable, [base.join("ws")]);
            assert!(
                plan.notes.iter().any(|note| note.contains("tmp is a link in a folder")),
                "{:?}",
                plan.notes
            );
        }
        // Where it led before counts, also where nothing shows that a command has been there.
        let other = base.join("other/tmp");
        let plan = of(&workspace(&[]), &facts(&other, Some(&base.join("elsewhere"))));
        assert_eq!(plan.writable, [base.join("ws")]);
        assert!(plan.notes.iter().any(|note| note.contains("led to")), "{:?}", plan.notes);
        let plan = of(&workspace(&[]), &facts(&other, Some(&other)));
        assert_eq!(plan.writable, [base.join("ws"), other]);
    }

    #[test]
    fn modes_without_enforcement_resolve_to_everything() {
        let plan = resolve(
            &SandboxPolicy::of_mode(Mode::DangerFullAccess),
            &Restrictions::default(),
            &HostFacts::default(),
        );
        assert_eq!(plan.unwrap(), Plan::unenforced(Mode::DangerFullAccess, Network::Enabled));
    }
}
