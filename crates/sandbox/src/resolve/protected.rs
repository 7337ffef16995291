//! What inside writable roots must not change: files that someone outside trusts and runs later.
//!
//! A command that may write `.git/config` or `.vscode/tasks.json` has the user run its code at the next `git status` or
//! editor start, outside the sandbox. So these stay read-only, and names that do not exist are reserved.

use super::error::ResolveError;
use super::host_facts::HostFacts;
use super::links::{is_git_directory, linked_folder, value_of, work_tree_of};
use super::nested::repositories_below;
use super::repository::Elsewhere;
use crate::git_names::{self, IN_GIT, IN_WORKTREE};
use crate::placeholder::is_placeholder;
use crate::plan::{Placeholder, Plan, Reserved};
use crate::policy::Restrictions;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Names at the top of a workspace. A missing one is held by an empty *folder*, also where a file is usual: Git does
/// not take empty folders along with `git add -A`.
const IN_WORKSPACE: &[(&str, &str)] = &[
    (".codex", "rules and configuration of agents, trusted at the next start"),
    (".agents", "as .codex"),
    (".claude", "as .codex; hooks run commands"),
    (".cursor", "as .codex"),
    (".gemini", "as .codex"),
    (".mcp.json", "lists programs that clients start"),
    (".vscode", "tasks and settings name programs to run"),
    (".idea", "run configurations"),
];

/// Names in the home folder that a shell, a desktop or Git reads at every start. A missing one is held only in the home
/// folder itself, by an empty file, which for these means the same as none.
const START_UP_FILES: &[&str] = &[
    ".bashrc",
    ".bash_logout",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".zlogin",
    ".zlogout",
    ".kshrc",
    ".login",
    ".xprofile",
    ".xsessionrc",
    ".pam_environment",
    ".gitconfig",
];

/// As above, but an empty one would mean something (a desktop without programs, no system-wide key bindings, another
/// file not read), so they are protected only where they exist.
const START_UP_FILES_NOT_HELD: &[&str] =
    &[".bash_profile", ".bash_login", ".cshrc", ".tcshrc", ".inputrc", ".xinitrc", ".xsession"];

/// As above, but folders and deeper files, protected where they exist.
const START_UP_PLACES: &[&str] = &[
    ".config/fish",
    ".config/git",
    ".config/environment.d",
    ".config/autostart",
    ".config/systemd",
    ".config/nushell",
    ".ssh",
    ".cargo/config",
    ".cargo/config.toml",
    ".npmrc",
    ".config/pip",
    ".bashrc.d",
    ".zsh",
    ".oh-my-zsh",
];

/// As above, but never protected, since no workspace holds them: programs, and what programs load or obey.
const RUN_FROM_HOME: &[&str] = &[
    ".local/bin",
    "bin",
    ".cargo/bin",
    "go/bin",
    ".bun/bin",
    ".deno/bin",
    ".npm-global",
    ".local/lib",
    ".local/share/applications",
    ".local/share/systemd",
    ".local/share/keyrings",
    ".local/share/fish",
    ".gnupg",
    ".rustup",
    ".nvm",
    ".pyenv",
    ".asdf",
    ".vim",
    ".vimrc",
    ".config/nvim",
    ".emacs.d",
    ".config/Code",
    ".config/direnv",
    ".config/mise",
    ".config/gh",
    ".docker",
    ".kube",
    "Library/LaunchAgents",
];

/// Tells whether the name of a path, or of one around it, is one that is protected in a workspace.
#[must_use]
pub fn has_protected_name(path: &Path) -> bool {
    let names: Vec<&std::ffi::OsStr> = path.iter().collect();
    let is = |name: &std::ffi::OsStr, listed: &str| name == listed;
    names.iter().any(|name| {
        let start_up = START_UP_FILES.iter().chain(START_UP_FILES_NOT_HELD).any(|listed| is(name, listed));
        start_up || IN_WORKSPACE.iter().any(|(listed, _)| is(name, listed))
    }) || (1..names.len()).filter(|at| is(names[at - 1], ".git")).any(|at| {
        let below: PathBuf = names[at..].iter().collect();
        IN_GIT.iter().any(|(listed, _, _)| below.starts_with(listed))
    })
}

/// Tells whether a folder holds, or lies in, what is run or obeyed outside: programs, start-up files, agents' settings, Git
/// directories, private keys.
#[must_use]
pub fn runs_outside(folder: &Path, homes: &[PathBuf]) -> bool {
    let meets = |place: &Path| folder.starts_with(place) || place.starts_with(folder);
    let is_trusted_name = |name: &std::ffi::OsStr| {
        name == ".git" || name == ".husky" || IN_WORKSPACE.iter().any(|(trusted, _)| name == *trusted)
    };
    let in_home =
        IN_WORKSPACE.iter().map(|(name, _)| name).chain(START_UP_FILES).chain(START_UP_FILES_NOT_HELD);
    let in_home: Vec<&&str> = in_home.chain(START_UP_PLACES).chain(RUN_FROM_HOME).collect();
    let homes = homes.iter().map(|home| home.canonicalize().unwrap_or_else(|_| home.clone()));
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    is_git_directory(folder)
        || folder.components().any(|part| is_trusted_name(part.as_os_str()))
        || homes.into_iter().any(|home| in_home.iter().any(|name| meets(&home.join(name))))
        || std::env::split_paths(&search_path).any(|place| place.is_absolute() && meets(&place))
}

/// More submodules than any repository has; each costs two mounts.
const MAX_SUBMODULES: usize = 200;
/// How deep submodules' folders are looked for (`.git/modules/a/b/c`).
const MAX_SUBMODULE_DEPTH: usize = 5;

/// Whether a name, relative to a workspace, is protected as a whole.
#[must_use]
pub fn is_protected_name(name: &Path) -> bool {
    let in_workspace = IN_WORKSPACE.iter().map(|(name, _)| *name);
    let start_up = START_UP_FILES.iter().chain(START_UP_FILES_NOT_HELD).chain(START_UP_PLACES).copied();
    let in_git = |name: &Path| IN_GIT.iter().any(|(known, ..)| Path::new(known) == name);
    in_workspace.chain(start_up).any(|known| Path::new(known) == name)
        || name.strip_prefix(".git").is_ok_and(in_git)
}

/// Lists what work with Git changes of what is protected: its configuration, and what a commit may hold for other programs.
pub fn changed_by_git() -> impl Iterator<Item = &'static str> {
    let of_work_trees =
        IN_WORKSPACE.iter().map(|(name, _)| *name).filter(|name| ![".codex", ".agents"].contains(name));
    [".git/config", ".git/config.worktree"].into_iter().chain(of_work_trees)
}

/// Adds what must not change to the plan. `workspaces` are the roots asked for, `repositories` theirs that lie elsewhere;
/// temporary folders hold no configuration.
pub(super) fn add(
    plan: &mut Plan,
    workspaces: &[PathBuf],
    repositories: &[Elsewhere],
    restrictions: &Restrictions,
    facts: &HostFacts,
) -> Result<(), ResolveError> {
    let mut found = Found { writable: plan.writable.clone(), ..Found::default() };
    for root in workspaces.iter().filter(|root| root.is_dir() && *root != Path::new("/")) {
        for (name, _) in IN_WORKSPACE {
            found.protect(root.join(name), Some(Placeholder::Folder));
        }
        for name in START_UP_FILES.iter().chain(START_UP_FILES_NOT_HELD).chain(START_UP_PLACES) {
            found.protect(root.join(name), None);
        }
        if is_git_directory(root) {
            found.protect_repository(root);
        }
        found.protect_around(root);
        found.protect_git(root);
        let nested = repositories_below(root);
        for folder in &nested.repositories {
            found.protect_nested(folder);
        }
        if nested.is_cut {
            found.notes.push(format!(
                "not every repository below {} is protected: too many folders",
                root.display()
            ));
        }
        // A workspace may lie in a repository's work tree.
        for folder in
            root.ancestors().skip(1).map(|folder| folder.join(".git")).filter(|folder| folder.is_dir())
        {
            found.protect_repository(&folder);
        }
    }
    for elsewhere in repositories {
        found.protect_git(&elsewhere.top);
    }
    let homes = facts.homes().filter_map(|home| home.canonicalize().ok());
    for home in homes.filter(|home| workspaces.iter().any(|root| home.starts_with(root))) {
        for name in START_UP_FILES {
            found.protect(home.join(name), Some(Placeholder::FileHolding(String::new())));
        }
        found.protect(home.join(".bash_profile"), Some(bash_profile(&home)));
        for name in START_UP_FILES_NOT_HELD.iter().chain(START_UP_PLACES) {
            found.protect(home.join(name), None);
        }
    }
    found.grant(workspaces, &restrictions.protected);
    // A development build, or a package installed in the workspace: a command that could replace the shell or the
    // wrapper would judge itself.
    for program in facts.programs.iter().filter_map(|path| path.canonicalize().ok()) {
        found.protect(program, None);
    }
    for path in &restrictions.read_only {
        if !path.is_absolute() {
            return Err(ResolveError::Relative(path.clone()));
        }
        found.protect(path.clone(), Some(Placeholder::Folder));
    }
    let socket_folders = socket_folders(facts)
        .into_iter()
        .filter(|(path, _)| plan.writable.iter().any(|root| path.starts_with(root) && path != root));
    plan.socket_folders = socket_folders
        .map(|(path, mode)| Reserved { path, placeholder: Placeholder::SocketFolder(mode) })
        .collect();
    // A place that was itself asked for by name as writable is not protected against that wish.
    found.read_only.retain(|path| !plan.writable.contains(path));
    found.reserved.retain(|reserved| !plan.writable.contains(&reserved.path));
    plan.read_only = found.read_only;
    plan.reserved = found.reserved;
    plan.opened = found.opened;
    plan.repositories = found.repositories;
    plan.notes.extend(found.notes);
    Ok(())
}

/// Folders in which programs outside look for sockets by name: whoever makes one first is who they talk to. With the mode
/// that they ask of it (tmux: nothing for others; X11: as `/tmp`).
fn socket_folders(facts: &HostFacts) -> Vec<(PathBuf, u32)> {
    let tmux = format!("tmux-{}", rustix::process::geteuid().as_raw());
    let of_tmux = [Some(PathBuf::from("/tmp")), facts.tmux_folder.clone()];
    let of_tmux = of_tmux.into_iter().flatten().filter_map(|folder| folder.canonicalize().ok());
    of_tmux.map(|folder| (folder.join(&tmux), 0o700)).chain([("/tmp/.X11-unix".into(), 0o1777)]).collect()
}

#[derive(Default)]
struct Found {
    writable: Vec<PathBuf>,
    read_only: Vec<PathBuf>,
    reserved: Vec<Reserved>,
    repositories: Vec<PathBuf>,
    opened: Vec<PathBuf>,
    notes: Vec<String>,
}

impl Found {
    /// Protects one path if it lies inside a writable root: as it is, or, when it is missing, by holding its name.
    fn protect(&mut self, path: PathBuf, placeholder: Option<Placeholder>) {
        if !self.writable.iter().any(|root| path.starts_with(root)) {
            return;
        }
        // What another session holds is as good as missing.
        let held = placeholder.as_ref().is_some_and(|placeholder| is_placeholder(&path, placeholder));
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                self.notes.push(format!(
                    "{} is a link: what it points to is protected, the link itself is not",
                    path.display()
                ));
                if let Ok(target) = path.canonicalize() {
                    self.protect_existing(target);
                }
            }
            Ok(_) if !held => self.protect_existing(path),
            Ok(_) | Err(_) => {
                let Some(placeholder) = placeholder else { return };
                // A name whose folder is missing is held by holding the folder, which callers name themselves.
                let parent_is_there = path.parent().is_some_and(Path::is_dir);
                if parent_is_there && !self.reserved.iter().any(|reserved| reserved.path == path) {
                    self.reserved.push(Reserved { path, placeholder });
                }
            }
        }
    }

    fn protect_existing(&mut self, path: PathBuf) {
        let inside = self.writable.iter().any(|root| path.starts_with(root));
        if inside && !self.read_only.contains(&path) {
            self.read_only.push(path);
        }
    }

    /// Takes back the protection of names that the user lets commands write.
    fn grant(&mut self, workspaces: &[PathBuf], names: &[PathBuf]) {
        for path in workspaces.iter().flat_map(|root| names.iter().map(|name| root.join(name))) {
            let real = path.parent().and_then(|folder| folder.canonicalize().ok()).zip(path.file_name());
            let real = real.map(|(folder, name)| folder.join(name));
            let is_it = |place: &PathBuf| *place == path || real.as_ref() == Some(place);
            let before = self.read_only.len() + self.reserved.len();
            self.read_only.retain(|place| !is_it(place));
            self.reserved.retain(|reserved| !is_it(&reserved.path));
            if self.read_only.len() + self.reserved.len() < before {
                self.opened.push(real.unwrap_or_else(|| path.clone()));
                self.notes.push(format!(
                    "commands may write {}, which programs outside obey: the user lets them",
                    path.display()
                ));
            }
        }
    }

    /// Protects a workspace's repository: a folder, a link or a `gitdir:` file; without one, its name.
    fn protect_git(&mut self, root: &Path) {
        let place = root.join(".git");
        if place.is_dir() && !is_placeholder(&place, &Placeholder::Folder) {
            if let Ok(folder) = place.canonicalize() {
                self.protect_repository(&folder);
                self.protect_hooks_of(root, &folder);
            }
            if fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_symlink()) {
                self.notes.push(format!("{} is a link, which can be replaced", place.display()));
            }
            return;
        }
        self.protect(place.clone(), Some(Placeholder::Folder));
        if self.reserved.iter().any(|reserved| reserved.path == place) {
            self.repositories.push(place.clone());
        }
        let Some(folder) = linked_folder(&place, "gitdir:") else { return };
        self.protect_repository(&folder);
        // A linked worktree's settings are those of its main repository.
        let common = linked_folder(&folder.join("commondir"), "");
        if let Some(common) = &common {
            self.protect_repository(common);
        }
        self.protect_hooks_of(root, common.as_deref().unwrap_or(&folder));
    }

    /// Protects, in a root that lies in a Git directory (of a linked work tree, of submodules), what that obeys. Who names a place
    /// that is obeyed wants it written.
    fn protect_around(&mut self, root: &Path) {
        let around = root.ancestors().skip(1).find(|folder| is_git_directory(folder));
        let is_asked_for = |folder: &Path| root.strip_prefix(folder).is_ok_and(git_names::is_obeyed);
        if let Some(folder) = around.filter(|folder| !is_asked_for(folder)) {
            self.protect_repository(folder);
            if !self.repositories.iter().any(|known| known == folder) {
                self.repositories.push(folder.to_owned());
            }
        }
    }

    /// Protects the folder in a work tree that `core.hooksPath` names. Where that is `X/_`, what is in it runs what is in `X` (husky).
    fn protect_hooks_of(&mut self, work_tree: &Path, repository: &Path) {
        let Some(named) = value_of(&repository.join("config"), "hookspath") else { return };
        let path = Path::new(&named);
        let path = if path.ends_with("_") { path.parent().unwrap_or(path) } else { path };
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let folder: PathBuf = work_tree.join(path).components().collect();
        if (is_plain || path.is_absolute()) && !work_tree.starts_with(&folder) {
            self.protect(folder, Some(Placeholder::Folder));
        }
    }

    /// Protects a repository below a workspace's top folder, bare or not; of a submodule, what leads to it.
    fn protect_nested(&mut self, folder: &Path) {
        let place = folder.join(".git");
        let is_known = |target: PathBuf| self.repositories.iter().any(|known| target.starts_with(known));
        if is_git_directory(folder) {
            self.protect_repository(folder);
        } else if linked_folder(&place, "gitdir:").is_some_and(is_known) {
            self.protect(place, None);
        } else {
            self.protect_git(folder);
        }
    }

    fn protect_repository(&mut self, folder: &Path) {
        if self.writable.iter().any(|root| folder.starts_with(root)) {
            self.repositories.push(folder.to_owned());
        }
        for (name, text, _) in IN_GIT {
            self.protect(folder.join(name), Some(holding(*text)));
        }
        let mut left = MAX_SUBMODULES;
        let worktrees = fs::read_dir(folder.join("worktrees")).into_iter().flatten().flatten();
        for worktree in worktrees.take(MAX_SUBMODULES) {
            for name in IN_WORKTREE {
                self.protect(worktree.path().join(name), None);
            }
            self.protect(
                worktree.path().join("config.worktree"),
                Some(Placeholder::FileHolding(String::new())),
            );
            self.protect_submodules(&worktree.path().join("modules"), MAX_SUBMODULE_DEPTH, &mut left);
        }
        self.protect_submodules(&folder.join("modules"), MAX_SUBMODULE_DEPTH, &mut left);
    }

    fn protect_submodules(&mut self, folder: &Path, depth: usize, left: &mut usize) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            let path = entry.path();
            if *left == 0 {
                self.notes.push(format!("more than {MAX_SUBMODULES} submodules: not all are protected"));
                return;
            }
            if path.join("HEAD").is_file() {
                *left -= 1;
                for (name, text, _) in IN_GIT {
                    self.protect(path.join(name), Some(holding(*text)));
                }
                // The file in its work tree that leads here: pointed elsewhere, it would lead to other settings.
                if let Some(work_tree) = work_tree_of(&path) {
                    self.protect(work_tree.join(".git"), None);
                }
                self.protect_submodules(&path.join("modules"), depth.saturating_sub(1), left);
            } else if depth > 0 {
                self.protect_submodules(&path, depth - 1, left);
            }
        }
    }
}

fn holding(text: Option<&str>) -> Placeholder {
    text.map_or(Placeholder::Folder, |text| Placeholder::FileHolding(text.to_owned()))
}

/// What a missing `.bash_profile` must say: Bash reads the first of three files, so an empty one would keep it from the
/// others.
fn bash_profile(home: &Path) -> Placeholder {
    let next = [".bash_login", ".profile"].into_iter().find(|name| home.join(name).exists());
    Placeholder::FileHolding(next.map_or_else(String::new, |name| format!(". ~/{name}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, Network};

    fn plan_of(root: &Path, facts: &HostFacts) -> Plan {
        let mut plan = Plan::unenforced(Mode::WorkspaceWrite, Network::Restricted);
        plan.writable = vec![root.to_owned()];
        add(&mut plan, &[root.to_owned()], &[], &Restrictions::default(), facts).unwrap();
        plan
    }

    fn reserved(plan: &Plan) -> Vec<PathBuf> {
        plan.reserved.iter().map(|reserved| reserved.path.clone()).collect()
    }

    #[test]
    fn a_name_that_the_user_lets_commands_write_is_not_protected_and_all_others_are() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join(".git/hooks")).unwrap();
        fs::write(root.join(".git/config"), "").unwrap();
        fs::create_dir_all(root.join("bin")).unwrap();
        let facts = HostFacts { programs: vec![root.join("bin")], ..HostFacts::default() };
        let mut plan = Plan::unenforced(Mode::WorkspaceWrite, Network::Restricted);
        plan.writable = vec![root.clone()];
        let protected = [".git/config", ".mcp.json", "bin"].map(PathBuf::from).into();
        let restrictions = Restrictions { protected, ..Restrictions::default() };
        add(&mut plan, std::slice::from_ref(&root), &[], &restrictions, &facts).unwrap();
        for name in [".git/config", ".mcp.json"] {
            assert!(plan.may_write(&root.join(name)), "{name}: {plan:?}");
        }
        for name in [".git/hooks", ".git/commondir", ".vscode", "bin"] {
            assert!(!plan.may_write(&root.join(name)), "{name}: {plan:?}");
        }
        assert_eq!(plan.notes.iter().filter(|note| note.contains("the user lets them")).count(), 2);
        for (name, is_protected) in [
            (".git/config", true),
            (".vscode", true),
            (".bashrc", true),
            (".git", false),
            ("src", false),
            ("", false),
        ] {
            assert_eq!(is_protected_name(Path::new(name)), is_protected, "{name}");
        }
    }

    #[test]
    fn existing_places_are_read_only_and_missing_ones_reserved() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join(".git/hooks")).unwrap();
        fs::create_dir_all(root.join(".vscode")).unwrap();
        fs::write(root.join(".bashrc"), "").unwrap();
        let plan = plan_of(&root, &HostFacts::default());
        for name in [".git/hooks", ".vscode", ".bashrc"] {
            assert!(plan.read_only.contains(&root.join(name)), "{name}: {:?}", plan.read_only);
        }
        for name in [".git/config", ".git/remotes", ".git/branches", ".codex", ".mcp.json"] {
            assert!(reserved(&plan).contains(&root.join(name)), "{name}: {:?}", plan.reserved);
        }
        fs::write(root.join(".git/config"), "[core]\n\thooksPath = .husky/_\n").unwrap();
        assert!(reserved(&plan_of(&root, &HostFacts::default())).contains(&root.join(".husky")));
        // Start-up files mean nothing outside a home folder, and `.git` itself stays writable for commits.
        for name in [".zshrc", ".git"] {
            assert!(!reserved(&plan).contains(&root.join(name)));
        }
    }

    #[test]
    fn without_a_repository_its_name_is_reserved_and_a_home_folder_has_its_start_up_files_held() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let facts = HostFacts { home: Some(root.clone()), ..HostFacts::default() };
        let plan = plan_of(&root, &facts);
        for name in [".git", ".zshrc", ".gitconfig"] {
            assert!(reserved(&plan).contains(&root.join(name)), "{name}");
        }
    }

    #[test]
    fn a_pipe_in_place_of_a_file_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join(".git/modules/e")).unwrap();
        fs::write(root.join(".git/modules/e/HEAD"), "").unwrap();
        for name in [".git/modules/e/config", ".git/modules/e/commondir", "pipe"] {
            assert!(std::process::Command::new("mkfifo").arg(root.join(name)).status().unwrap().success());
        }
        let plan = plan_of(&root, &HostFacts::default());
        assert!(plan.read_only.contains(&root.join(".git/modules/e/config")));
        assert_eq!(linked_folder(&root.join("pipe"), "gitdir:"), None);
    }

    #[test]
    fn gitdir_files_and_submodules_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let common = base.join("main/.git");
        let linked = common.join("worktrees/w");
        fs::create_dir_all(&linked).unwrap();
        fs::create_dir_all(common.join("modules/a/b")).unwrap();
        fs::write(common.join("modules/a/b/HEAD"), "").unwrap();
        fs::write(common.join("modules/a/b/config"), "[core]\n\tworktree = ../../../../b\n").unwrap();
        fs::create_dir(base.join("main/b")).unwrap();
        fs::write(base.join("main/b/.git"), "gitdir: ../.git/modules/a/b\n").unwrap();
        fs::write(common.join("config"), "").unwrap();
        fs::write(linked.join("commondir"), "../..\n").unwrap();
        fs::create_dir(base.join("w")).unwrap();
        fs::write(base.join("w/.git"), format!("gitdir: {}\n", linked.display())).unwrap();
        let mut plan = Plan::unenforced(Mode::WorkspaceWrite, Network::Restricted);
        plan.writable = vec![base.join("w"), base.join("main")];
        add(&mut plan, &[base.join("w")], &[], &Restrictions::default(), &HostFacts::default()).unwrap();
        for path in [
            base.join("main/b/.git"),
            base.join("w/.git"),
            common.join("config"),
            common.join("modules/a/b/config"),
            linked.join("commondir"),
        ] {
            assert!(plan.read_only.contains(&path), "{path:?}: {:?}", plan.read_only);
        }
        assert!(reserved(&plan).contains(&common.join("hooks")));
    }
}
