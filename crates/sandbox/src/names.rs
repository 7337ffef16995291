//! Which names inside writable folders may be made, replaced and removed, where whoever hears of the calls that do it answers.
//!
//! A *held* folder has a protected name in it, and is mounted read-only inside; the folders in it are mounted writable again. So
//! nothing is made directly in it but by whoever answers, for a *free* name. What else appears there came from outside, and is
//! protected as it is. Pure: paths in, an answer out.

use crate::plan::Plan;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Files that Git replaces by way of NAME.lock: where that cannot be made, it says at once that the file cannot be replaced.
const LOCKED_BY_GIT: &[&str] = &["config", "config.worktree"];

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
    held: BTreeSet<PathBuf>,
    /// Protected or hidden, folded.
    closed: Vec<PathBuf>,
    /// Writable roots, folded.
    open: Vec<PathBuf>,
}

impl NameRules {
    /// Takes them from a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> NameRules {
        let locks = protected(plan).filter_map(|path| {
            let name = path.file_name()?.to_str().filter(|name| LOCKED_BY_GIT.contains(name))?;
            Some(path.with_file_name(format!("{name}.lock")))
        });
        let hidden = plan.hidden.iter().chain(&plan.emptied).cloned();
        NameRules {
            held: held(plan),
            closed: protected(plan)
                .map(Path::to_owned)
                .chain(locks)
                .chain(hidden)
                .map(|path| folded(&path))
                .collect(),
            open: plan.writable.iter().map(|root| folded(root)).collect(),
        }
    }

    /// Returns the innermost held folder that a path is or lies in.
    #[must_use]
    pub fn holder(&self, path: &Path) -> Option<&Path> {
        path.ancestors().find_map(|ancestor| self.held.get(ancestor)).map(PathBuf::as_path)
    }

    /// Tells whether what is called so may be made, replaced and removed: not what is protected or hidden, a writable root, or
    /// on the way to one of these. Letters are equal whatever their case, for folders that do not tell cases apart.
    #[must_use]
    pub fn is_free(&self, path: &Path) -> bool {
        let path = folded(path);
        let depth = |place: &PathBuf| path.starts_with(place).then(|| place.components().count());
        // The innermost place decides, as in `Plan::may_write`.
        let (closed, open) =
            (self.closed.iter().filter_map(depth).max(), self.open.iter().filter_map(depth).max());
        closed.is_none_or(|closed| open.is_some_and(|open| open > closed))
            && !self.closed.iter().chain(&self.open).any(|place| place.starts_with(&path))
    }
}

/// Lists the folders of protected names inside writable roots; not the root of everything, on which nothing can be laid.
pub(crate) fn held(plan: &Plan) -> BTreeSet<PathBuf> {
    let inside = |folder: &Path| plan.writable.iter().any(|root| folder.starts_with(root));
    protected(plan)
        .filter_map(Path::parent)
        .filter(|folder| *folder != Path::new("/") && inside(folder))
        .map(Path::to_owned)
        .collect()
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
        NameRules::of(&plan)
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
}
