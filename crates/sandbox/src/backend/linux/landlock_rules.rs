//! Landlock: read and execute where allowed, write only under writable roots, no TCP, no signals or abstract sockets to
//! the outside.
//!
//! Applied once to init; every call inherits it. Landlock can only grant whole hierarchies, so what lies protected
//! inside a writable root is the mounts' work; without mounts that is a gap, and it is said.

use super::canonical;
use crate::plan::Plan;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope,
};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The newest ABI that the library knows; the kernel's own is found out by the library.
const NEWEST: ABI = ABI::V10;
/// From this ABI on, files outside cannot be truncated: without that, Landlock alone does not protect writing.
pub(crate) const LEAST_ALONE: u32 = 3;
/// From this ABI on, TCP is restricted.
pub(super) const TCP_SINCE: u32 = 4;
/// From this ABI on, signals and abstract sockets are restricted; from the other one on, Unix sockets by path.
pub(super) use crate::enforcement::{
    LANDLOCK_SCOPE as SCOPE_SINCE, LANDLOCK_UNIX_SOCKETS as UNIX_SOCKETS_SINCE,
};
/// Rules for reading around hidden places, without mounts: more than any home folder needs.
const MAX_RULES: usize = 20_000;
/// Devices that commands write to, and that nothing outside reads from.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];
/// Only where `/dev` is the session's own (where `ptmx` lies in it): the host's are the user's other terminals.
const OWN_TERMINALS: &[&str] = &["/dev/pts"];

/// Why Landlock could not be applied.
#[derive(Debug, thiserror::Error)]
pub(super) enum LandlockError {
    #[error("could not build the Landlock rules: {0}")]
    Rules(#[from] RulesetError),
    #[error("could not open {path} for a Landlock rule: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("too many places around hidden ones to list for Landlock")]
    TooManyRules,
    #[error("the kernel enforces only part of the Landlock rules")]
    Partly,
}

/// Which namespaces the session has of its own, on which the rules depend.
pub(super) struct OwnNamespaces {
    /// Mounts hide and protect; Landlock need not go around hidden places.
    pub(super) mounts: bool,
    /// The session has a loopback of its own, which may be used freely.
    pub(super) network: bool,
}

/// Restricts this process and its descendants. Returns the ABI in force, or none where the kernel has no Landlock.
/// `caches` are the folders that commands may write besides the plan's.
pub(super) fn restrict(
    plan: &Plan,
    caches: &[PathBuf],
    own: &OwnNamespaces,
) -> Result<Option<u32>, LandlockError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?;
    // Without network and without a loopback of its own: no TCP at all (no port is granted).
    if !plan.network.is_enabled() && !own.network {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST))?;
    }
    let ruleset = ruleset.scope(Scope::from_all(NEWEST))?.create()?;
    let ruleset = grant_reading(ruleset, plan, own)?;
    let ruleset = grant_writing(ruleset, plan, caches, own)?;
    let ruleset = grant_execution(ruleset, plan)?;
    let status = ruleset.restrict_self()?;
    abi_in_force(&status)
}

/// Grants the right to be executed where only some files have it.
fn grant_execution(mut ruleset: RulesetCreated, plan: &Plan) -> Result<RulesetCreated, LandlockError> {
    for path in plan.execution.only.iter().flatten() {
        ruleset = rule(ruleset, path, AccessFs::Execute.into())?;
    }
    Ok(ruleset)
}

/// From this ABI on, a domain need not forbid moving files between folders.
const DOMAINS_SINCE: u32 = 2;

/// Puts this process and what it starts into a domain of their own, which takes nothing away: processes of other
/// domains beside it cannot look into it (`/proc/PID/fd`, `environ`, `mem`; landlock(7), "Ptrace restrictions").
pub(super) fn enter_own_domain(abi: Option<u32>) -> Result<(), LandlockError> {
    if abi.is_none_or(|abi| abi < DOMAINS_SINCE) {
        return Ok(());
    }
    match domain_of_its_own()?.ruleset {
        RulesetStatus::FullyEnforced => Ok(()),
        RulesetStatus::PartiallyEnforced | RulesetStatus::NotEnforced => Err(LandlockError::Partly),
    }
}

/// Puts this process and what it starts into such a domain, in which nothing is mounted or unmounted either, whoever
/// asks (`hook_sb_mount` and others in security/landlock/fs.c). Returns the ABI in force, or none where the kernel has no
/// Landlock.
pub(super) fn forbid_mounting() -> Result<Option<u32>, LandlockError> {
    abi_in_force(&domain_of_its_own()?)
}

fn domain_of_its_own() -> Result<RestrictionStatus, LandlockError> {
    // The one right that every domain denies unless it grants it.
    let moving = BitFlags::from(AccessFs::Refer);
    let ruleset = Ruleset::default().handle_access(moving)?.create()?;
    Ok(rule(ruleset, Path::new("/"), moving)?.restrict_self()?)
}

fn abi_in_force(status: &RestrictionStatus) -> Result<Option<u32>, LandlockError> {
    match (&status.ruleset, &status.landlock) {
        (RulesetStatus::NotEnforced, _) => Ok(None),
        (_, LandlockStatus::Available { effective_abi, .. }) => {
            // The library's numbers are the kernel's.
            let abi = *effective_abi as u32;
            if status.no_new_privs { Ok(Some(abi)) } else { Err(LandlockError::Partly) }
        }
        (RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced, _) => Err(LandlockError::Partly),
    }
}

fn grant_reading(
    mut ruleset: RulesetCreated,
    plan: &Plan,
    own: &OwnNamespaces,
) -> Result<RulesetCreated, LandlockError> {
    let mut read = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute;
    if plan.execution.only.is_some() {
        read.remove(AccessFs::Execute);
    }
    let everywhere = [PathBuf::from("/")];
    let roots: &[PathBuf] = plan.only_readable.as_deref().unwrap_or(&everywhere);
    let mut hidden: Vec<PathBuf> = plan.hidden.iter().chain(&plan.emptied).cloned().collect();
    // The host's devices: disks with every hidden file on them, the user's terminals with what is typed there, memory
    // that programs share. What commands need of it is granted below.
    hidden.push("/dev".into());
    // Going around something in /proc would leave out every process that starts later, our own among them. What is
    // hidden there is the kernel's, and demands capabilities that nothing inside has.
    hidden.retain(|path| !path.starts_with("/proc"));
    let go_around: &[PathBuf] = if own.mounts { &[] } else { &hidden };
    let mut places = Vec::new();
    for root in roots.iter().filter(|root| root.exists()) {
        around(root, go_around, &mut places)?;
        if !go_around.is_empty() {
            // Names may be listed everywhere; contents only where granted below.
            ruleset = rule(ruleset, root, AccessFs::ReadDir.into())?;
        }
    }
    for place in &places {
        ruleset = rule(ruleset, place, read)?;
    }
    Ok(ruleset)
}

/// Lists the largest places under `root` that contain nothing hidden.
fn around(root: &Path, hidden: &[PathBuf], places: &mut Vec<PathBuf>) -> Result<(), LandlockError> {
    if places.len() >= MAX_RULES {
        return Err(LandlockError::TooManyRules);
    }
    if hidden.iter().any(|path| root.starts_with(path)) {
        return Ok(());
    }
    if !hidden.iter().any(|path| path.starts_with(root)) {
        places.push(root.to_owned());
        return Ok(());
    }
    let Ok(entries) = fs::read_dir(root) else { return Ok(()) };
    for entry in entries.flatten() {
        // A link needs no right of its own, and where it leads is granted or not by itself.
        if entry.file_type().is_ok_and(|kind| !kind.is_symlink()) {
            around(&entry.path(), hidden, places)?;
        }
    }
    Ok(())
}

fn grant_writing(
    mut ruleset: RulesetCreated,
    plan: &Plan,
    caches: &[PathBuf],
    own: &OwnNamespaces,
) -> Result<RulesetCreated, LandlockError> {
    let mut everything = AccessFs::from_all(NEWEST);
    if plan.execution.only.is_some() {
        everything.remove(AccessFs::Execute);
    }
    for root in plan.writable.iter().chain(caches) {
        ruleset = rule(ruleset, root, everything)?;
    }
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev | AccessFs::Truncate;
    let terminals = if own.mounts { OWN_TERMINALS } else { &[] };
    let granted = plan.devices.iter().map(PathBuf::as_path);
    for path in DEVICES.iter().chain(terminals).map(Path::new).chain(granted).filter(|path| path.exists()) {
        ruleset = rule(ruleset, path, device | AccessFs::ReadDir)?;
    }
    // The host's holds memory that other programs share.
    let shared = Path::new("/dev/shm");
    if own.mounts && shared.is_dir() {
        return rule(ruleset, shared, everything);
    }
    Ok(ruleset)
}

/// Adds one rule; rights that make no sense for a file are left out for one.
fn rule(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, LandlockError> {
    // Entries of /proc and of temporary folders go away between listing and opening; not granting them is safe.
    let opened = match canonical::open(path) {
        Ok(opened) => opened,
        Err(_) if !path.exists() => return Ok(ruleset),
        Err(source) => return Err(LandlockError::Open { path: path.to_owned(), source }),
    };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    // A file that is granted by name has no names in it to be listed, and the kernel knows no rule that grants nothing.
    if access.is_empty() {
        return Ok(ruleset);
    }
    Ok(ruleset.add_rule(PathBeneath::new(opened, access))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_places_are_gone_around() {
        let home = tempfile::tempdir().unwrap();
        for folder in [".ssh", ".config/gh", ".config/other", "work/deep"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        fs::write(home.path().join(".netrc"), "secret").unwrap();
        fs::write(home.path().join("notes"), "text").unwrap();
        let hidden = [".ssh", ".config/gh", ".netrc"].map(|name| home.path().join(name));
        let mut places = Vec::new();
        around(home.path(), &hidden, &mut places).unwrap();
        places.sort();
        let expected = [".config/other", "notes", "work"].map(|name| home.path().join(name));
        assert_eq!(places, expected);
    }
}
