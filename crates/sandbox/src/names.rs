//! Which names inside writable folders may be made, replaced and removed, where whoever hears of the calls that do it answers.
//!
//! A *held* folder has a protected name in it, and is mounted read-only inside; the folders in it are mounted writable again. So
//! nothing is made directly in it but by whoever answers, for a *free* name. What else appears there came from outside, and is
//! protected as it is. Pure: paths in, an answer out.

use crate::git_names::{self, GitName};
use crate::plan::Plan;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What is equal to ASCII letters in a folder that does not tell cases apart (`NFDICF` of ext4 and f2fs: full case folding).
const FOLDED: &[(char, &str)] = &[
    ('\u{df}', "ss"),
    ('\u{17f}', "s"),
    ('\u{1e9e}', "ss"),
    ('\u{212a}', "k"),
    ('\u{fb00}', "ff"),
    ('\u{fb01}', "fi"),
    ('\u{fb02}', "fl"),
    ('\u{fb03}', "ffi"),
    ('\u{fb04}', "ffl"),
    ('\u{fb05}', "st"),
    ('\u{fb06}', "st"),
];

/// What a plan says about names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameRules {
    /// Mounts hold what is held, too; else only whoever answers does.
    has_mounts: bool,
    held: BTreeSet<PathBuf>,
    /// Protected or hidden, folded.
    closed: Vec<PathBuf>,
    /// Writable roots, folded.
    open: Vec<PathBuf>,
    /// Protected names that the user lets commands write, folded.
    opened: Vec<PathBuf>,
    /// Git directories, also those that roots may get.
    repositories: Vec<PathBuf>,
    /// The same, folded.
    folded_repositories: Vec<PathBuf>,
}

impl NameRules {
    /// Takes them from a plan. `has_mounts`: held folders are mounted read-only.
    #[must_use]
    pub fn of(plan: &Plan, has_mounts: bool) -> NameRules {
        let hidden = plan.hidden.iter().chain(&plan.emptied).map(PathBuf::as_path);
        // One that comes later is a Git directory as those are that there are. What is obeyed in folders that are held all the way
        // down is told by its name, and may go with all that it belongs to.
        let is_told_apart = |path: &Path| {
            let mut below = plan.repositories.iter().filter_map(|known| path.strip_prefix(known).ok());
            below.any(|below| {
                below == Path::new("") || git_names::is_held_whole(below) && git_names::is_obeyed(below)
            })
        };
        let closed = protected(plan).filter(|path| !is_told_apart(path));
        NameRules {
            has_mounts,
            held: held(plan),
            closed: closed.chain(hidden).map(folded).collect(),
            open: plan.writable.iter().map(|root| folded(root)).collect(),
            opened: plan.opened.iter().map(|path| folded(path)).collect(),
            repositories: plan.repositories.clone(),
            folded_repositories: plan.repositories.iter().map(|path| folded(path)).collect(),
        }
    }

    /// Returns the innermost held folder that a path is or lies in.
    #[must_use]
    pub fn holder(&self, path: &Path) -> Option<&Path> {
        path.ancestors().find_map(|ancestor| self.held.get(ancestor)).map(PathBuf::as_path)
    }

    /// Tells whether held folders are mounted read-only, so that the kernel refuses what is let happen wrongly.
    #[must_use]
    pub fn has_mounts(&self) -> bool {
        self.has_mounts
    }

    /// Tells whether what has this path would lie on the read-only mount of a held folder, if there were mounts: it is one, or
    /// lies in one and not in a folder there that is writable for commands.
    #[must_use]
    pub fn is_kept(&self, path: &Path) -> bool {
        let Some(holder) = self.holder(path) else { return false };
        let first = path.strip_prefix(holder).ok().and_then(|below| below.iter().next());
        first.is_none_or(|first| !self.is_opened(&holder.join(first)))
    }

    /// Tells the same of a name: the folder that it is in is kept, or what is held would move along with it.
    #[must_use]
    pub fn is_kept_name(&self, path: &Path) -> bool {
        !self.is_free(path) || path.parent().is_some_and(|folder| self.is_kept(folder))
    }

    /// Tells whether what is called so may be made, replaced and removed: not what is protected or hidden, a writable root, what
    /// Git obeys, or on the way to one of these. Letters are equal whatever their case, for folders that do not tell cases apart.
    #[must_use]
    pub fn is_free(&self, path: &Path) -> bool {
        let path = folded(path);
        let depth = |place: &PathBuf| path.starts_with(place).then(|| place.components().count());
        // The innermost place decides, as in `Plan::may_write`.
        let (closed, open) =
            (self.closed.iter().filter_map(depth).max(), self.open.iter().filter_map(depth).max());
        let mut all = self.closed.iter().chain(&self.open).chain(&self.folded_repositories);
        closed.is_none_or(|closed| open.is_some_and(|open| open > closed))
            && !all.any(|place| place.starts_with(&path))
            && (self.is_let(&path) || !self.below_repositories(&path).any(git_names::is_obeyed))
    }

    /// Tells whether a path lies in a writable root.
    #[must_use]
    pub fn is_in_root(&self, path: &Path) -> bool {
        let path = folded(path);
        self.open.iter().any(|root| path.starts_with(root) && path != *root)
    }

    /// Whether the user lets commands write it: a name that is opened, what lies in it, or the file by which Git replaces it.
    fn is_let(&self, folded: &Path) -> bool {
        let replaced = (folded.extension() == Some(OsStr::new("lock"))).then(|| folded.with_extension(""));
        self.opened.iter().any(|opened| folded.starts_with(opened) || replaced.as_ref() == Some(opened))
    }

    /// Tells whether a folder in a held one is writable for commands: not where every name in it is of consequence.
    #[must_use]
    pub fn is_opened(&self, folder: &Path) -> bool {
        folder.parent().is_some_and(|parent| self.held.contains(parent))
            && self.is_free(folder)
            && !self.is_held_whole(folder)
    }

    /// Tells whether a path is, or lies in, a folder of a Git directory in which every name is of consequence.
    #[must_use]
    pub fn is_held_whole(&self, path: &Path) -> bool {
        self.below_repositories(&folded(path)).any(git_names::is_held_whole)
    }

    /// Tells whether a symbolic link may be called so: not where Git writes what it finds by name.
    #[must_use]
    pub fn takes_links(&self, path: &Path) -> bool {
        !self
            .below_repositories(&folded(path))
            .any(|below| below.iter().count() == 1 || git_names::is_held_whole(below))
    }

    /// Returns the Git directory that a path is or lies in, and what it is there, if Git makes it once and obeys it afterwards.
    #[must_use]
    pub fn git_name<'a>(&'a self, path: &'a Path) -> Option<(&'a Path, GitName<'a>)> {
        self.repositories
            .iter()
            .find_map(|known| Some((known.as_path(), GitName::of(path.strip_prefix(known).ok()?)?)))
    }

    /// Tells whether it is what says that a Git directory is one, and Git never removes.
    #[must_use]
    pub fn is_head(&self, path: &Path) -> bool {
        self.below_repositories(&folded(path)).any(git_names::is_head)
    }

    /// Tells whether it is a Git index: the paths in it are written wherever they lead.
    #[must_use]
    pub fn is_index(&self, path: &Path) -> bool {
        self.below_repositories(&folded(path)).any(git_names::is_index)
    }

    /// Tells whether a path lies among the Git directories of submodules.
    #[must_use]
    pub fn is_in_modules(&self, path: &Path) -> bool {
        self.below_repositories(&folded(path)).any(git_names::is_in_modules)
    }

    /// Returns the top of the work tree whose Git directory a path lies in, if it stands there.
    #[must_use]
    pub fn work_tree(&self, path: &Path) -> Option<&Path> {
        let known = self.repositories.iter().find(|known| path.starts_with(known))?;
        known.parent().filter(|_| known.ends_with(".git"))
    }

    /// Returns the names that make a work tree's top a Git directory together with this one.
    #[must_use]
    pub fn completing(&self, path: &Path) -> Option<[PathBuf; 2]> {
        let (top, name) = (path.parent()?, path.file_name()?.to_str()?);
        let is_top =
            self.repositories.iter().any(|known| known.ends_with(".git") && known.parent() == Some(top));
        let is_repository = self.repositories.iter().any(|known| known == top);
        let at = git_names::MARKS.iter().position(|mark| mark.eq_ignore_ascii_case(name))?;
        let other = |step: usize| top.join(git_names::MARKS[(at + step) % git_names::MARKS.len()]);
        (is_top && !is_repository).then(|| [other(1), other(2)])
    }

    /// What a path is below each Git directory that it lies in; not where it lies in a writable root that is itself obeyed.
    fn below_repositories<'a>(&'a self, folded: &'a Path) -> impl Iterator<Item = &'a Path> {
        self.folded_repositories.iter().filter_map(|known| {
            let asked_for = |root: &PathBuf| {
                root != known
                    && folded.starts_with(root)
                    && root.strip_prefix(known).is_ok_and(git_names::is_obeyed)
            };
            folded.strip_prefix(known).ok().filter(|_| !self.open.iter().any(asked_for))
        })
    }
}

/// Lists the folders of protected names inside writable roots, and those on the way to a repository, with which it could be moved
/// away; not the root of everything, on which nothing can be laid.
pub(crate) fn held(plan: &Plan) -> BTreeSet<PathBuf> {
    let inside = |folder: &Path| plan.writable.iter().any(|root| folder.starts_with(root));
    let is_root = |folder: &Path| plan.writable.iter().any(|root| root == folder);
    let ways = plan.repositories.iter().flat_map(|known| {
        let above = known.ancestors().skip(1).take_while(|folder| !is_root(folder));
        std::iter::once(known.as_path()).chain(above)
    });
    // A root in a folder that is held all the way down is where the holding begins.
    let begins =
        plan.writable.iter().filter(|root| is_in_held_whole(plan, root) && !is_asked_for(plan, root));
    protected(plan)
        .filter_map(Path::parent)
        .chain(ways)
        .filter(|folder| *folder != Path::new("/") && inside(folder) && !is_in_held_whole(plan, folder))
        .chain(begins.map(PathBuf::as_path))
        .map(Path::to_owned)
        .collect()
}

/// Tells whether a root is itself something that Git obeys (`.git/hooks`), so that whoever named it wants it written.
fn is_asked_for(plan: &Plan, root: &Path) -> bool {
    let below = plan.repositories.iter().filter_map(|known| root.strip_prefix(known).ok());
    below.into_iter().any(git_names::is_obeyed)
}

/// Tells whether a path lies in a folder of a Git directory that is held all the way down.
pub(crate) fn is_in_held_whole(plan: &Plan, path: &Path) -> bool {
    let below = plan.repositories.iter().filter_map(|known| path.strip_prefix(known).ok());
    below.into_iter().any(git_names::is_held_whole)
}

/// Lists the protected places, whether they exist or not.
pub(crate) fn protected(plan: &Plan) -> impl Iterator<Item = &Path> {
    let reserved = plan.reserved.iter().map(|reserved| reserved.path.as_path());
    plan.read_only.iter().map(PathBuf::as_path).chain(reserved)
}

/// As a folder compares it that does not tell cases apart. What is not ASCII may be ignored there, and so is here: then more is
/// equal than is for the kernel, never less.
fn folded(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_ascii() {
        return OsStr::from_bytes(&bytes.to_ascii_lowercase()).into();
    }
    path.components().map(|component| folded_name(component.as_os_str())).collect()
}

fn folded_name(name: &OsStr) -> OsString {
    let mut folded = String::new();
    for letter in String::from_utf8_lossy(name.as_bytes()).chars() {
        match FOLDED.iter().find(|(from, _)| *from == letter) {
            Some((_, to)) => folded.push_str(to),
            None if letter.is_ascii() => folded.push(letter.to_ascii_lowercase()),
            None => {}
        }
    }
    // Nothing that is protected has a name without a letter of ASCII; it must not become its own folder.
    if folded.is_empty() || folded == "." || folded == ".." { name.to_owned() } else { folded.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Placeholder, Reserved};
    use crate::policy::{Mode, Network};

    fn rules() -> NameRules {
        let mut plan = Plan::unenforced(Mode::WorkspaceWrite, Network::Restricted);
        plan.writable = vec!["/tmp".into(), "/tmp/a/ws".into(), "/tmp/a/ws/.git/hooks/mine".into()];
        plan.read_only = vec!["/tmp/a/ws/.git/hooks".into(), "/tmp/a/ws/.git/config".into()];
        let reserved = |path: &str| Reserved { path: path.into(), placeholder: Placeholder::Folder };
        plan.reserved = vec![reserved("/tmp/a/ws/.mcp.json"), reserved("/elsewhere/.git")];
        plan.hidden = vec!["/tmp/a/ws/.env".into()];
        plan.repositories = vec!["/tmp/a/ws/.git".into()];
        NameRules::of(&plan, true)
    }

    #[test]
    fn the_folders_of_protected_names_are_held() {
        let rules = rules();
        let holder = |path: &str| rules.holder(Path::new(path)).map(|path| path.to_str().unwrap().to_owned());
        assert_eq!(holder("/tmp/a/ws/src/x").as_deref(), Some("/tmp/a/ws"));
        assert_eq!(holder("/tmp/a/ws/.git/index").as_deref(), Some("/tmp/a/ws/.git"));
        assert_eq!(holder("/tmp/b"), None);
        assert_eq!(holder("/elsewhere/x"), None);
    }

    #[test]
    fn names_are_free_unless_something_hangs_on_them() {
        let rules = rules();
        for (name, is_free) in [
            ("src", true),
            (".git/index", true),
            (".git/config", false),
            (".git/config.lock", false),
            (".git/hooks/x", false),
            (".git/hooks/mine/x", true),
            (".git/hooks/mine", false),
            (".git", false),
            (".mcp.json", false),
            (".mcp.json/x", false),
            (".env", false),
            (".GIT", false),
            (".g\u{ad}it", false),
            (".git/hoo\u{212a}s", false),
            (".git/con\u{fb01}g", false),
            (".git/worktrees/w/commondir", false),
            (".git/worktrees/w/HEAD", true),
            (".git/modules/x/Config", false),
            (".gitignore", true),
            ("\u{e9}", true),
            ("\u{6587}\u{6863}", true),
            ("\u{6587}/\u{6863}.txt", true),
            (".\u{e9}", true),
            ("..\u{e9}", true),
        ] {
            assert_eq!(rules.is_free(&Path::new("/tmp/a/ws").join(name)), is_free, "{name}");
        }
        assert!(!rules.is_free(Path::new("/tmp/a")) && !rules.is_free(Path::new("/tmp/a/ws")));
    }

    #[test]
    fn where_git_writes_by_name_no_link_is_made_nor_anything_opened() {
        let rules = rules();
        let path = |name: &str| Path::new("/tmp/a/ws").join(name);
        for name in [".git/HEAD", ".git/logs/HEAD", ".git/refs/heads/x", ".git/LOGS"] {
            assert!(!rules.takes_links(&path(name)), "{name}");
        }
        assert!(rules.takes_links(&path("logs/HEAD")) && rules.takes_links(&path(".git/objects/x")));
        for (name, is) in
            [("src", true), (".git/objects", true), (".git/refs", false), (".git/modules", false)]
        {
            assert_eq!(rules.is_opened(&path(name)), is, "{name}");
        }
        assert!(rules.is_head(&path(".git/HEAD")) && !rules.is_head(&path("HEAD")));
        assert_eq!(rules.completing(&path("refs")), Some([path("HEAD"), path("objects")]));
        assert_eq!(rules.completing(&path("src/refs")), None);
    }
}
