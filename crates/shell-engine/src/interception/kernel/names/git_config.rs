//! Whether a Git configuration names nothing that runs: that of a repository as `git init` and `git clone` make it; and whether a
//! change of one that may do so only selects files, adds a submodule, or says which branch follows which. Pure.
//!
//! A list of what is harmless, not of what is not: Git gets new keys that name programs.

use std::path::{Component, Path, PathBuf};

/// Keys that a new repository has, by section; `*` stands for any subsection.
const HARMLESS: &[(&str, &str, &[&str])] = &[
    (
        "core",
        "",
        &[
            "repositoryformatversion",
            "filemode",
            "bare",
            "logallrefupdates",
            "symlinks",
            "ignorecase",
            "precomposeunicode",
            "sparsecheckout",
            "sparsecheckoutcone",
        ],
    ),
    (
        "extensions",
        "",
        &["objectformat", "refstorage", "partialclone", "compatobjectformat", "worktreeconfig"],
    ),
    ("index", "", &["sparse"]),
    ("submodule", "", &["active"]),
    ("submodule", "*", &["url", "active"]),
    ("remote", "*", &["url", "fetch", "tagopt", "promisor", "partialclonefilter"]),
    ("branch", "*", &["remote", "merge", "rebase"]),
    ("user", "", &["name", "email"]),
    ("init", "", &["defaultbranch"]),
];

/// Keys that anybody may set: they say which files of a repository are there, by a switch.
const SELECTING: &[(&str, &str)] = &[
    ("core", "sparsecheckout"),
    ("core", "sparsecheckoutcone"),
    ("index", "sparse"),
    // What it has Git read is protected as the configuration is.
    ("extensions", "worktreeconfig"),
];

/// What `git submodule` says of a submodule.
const OF_SUBMODULE: &[&str] = &["url", "active"];

/// What says which branch follows which.
const TRACKING: &[&str] = &["remote", "merge", "rebase"];

/// One line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting<'a> {
    /// Small letters.
    section: String,
    subsection: Option<&'a str>,
    /// Small letters.
    key: String,
    /// As it stands there; none for a key alone.
    value: Option<&'a str>,
}

/// Tells whether all that it says is known to run nothing. Whatever is not plain is taken to run something. `is_work_tree` tells
/// whether a work tree may be called so.
pub(super) fn is_harmless(text: &[u8], is_work_tree: impl Fn(&str) -> bool) -> bool {
    let Some(settings) = settings(text) else { return false };
    settings.iter().all(|setting| {
        let Some(value) = setting.value.filter(|value| is_plain(value)) else { return false };
        let is_known = HARMLESS.iter().any(|(section, subsection, keys)| {
            *section == setting.section
                && subsection.is_empty() == setting.subsection.is_none()
                && keys.contains(&setting.key.as_str())
        });
        let is_core = setting.section == "core" && setting.subsection.is_none();
        is_known || is_core && setting.key == "worktree" && is_work_tree(value)
    })
}

/// Tells whether one configuration differs from another only in what selects files, adds submodules, says which branch follows which,
/// or where a submodule has its work tree. What it says besides may be anything, as long as all of it is as it was, in the same
/// order. `is_work_tree` tells whether a work tree may be called so.
pub(super) fn is_harmless_change(before: &[u8], after: &[u8], is_work_tree: impl Fn(&str) -> bool) -> bool {
    let (Some(before), Some(after)) = (settings(before), settings(after)) else { return false };
    let is_of_new_submodule = |setting: &Setting<'_>| {
        let is_known = |known: &Setting<'_>| {
            // An older way to name one.
            known.section.starts_with("submodule.")
                || (&known.section, known.subsection, &known.key)
                    == (&setting.section, setting.subsection, &setting.key)
        };
        setting.section == "submodule"
            && setting.subsection.is_some()
            && OF_SUBMODULE.contains(&setting.key.as_str())
            && !before.iter().any(is_known)
    };
    let is_switch = |setting: &Setting<'_>| {
        setting.subsection.is_none() && SELECTING.contains(&(setting.section.as_str(), setting.key.as_str()))
    };
    let tracks = |setting: &Setting<'_>| {
        setting.section == "branch"
            && setting.subsection.is_some()
            && TRACKING.contains(&setting.key.as_str())
    };
    let is_place = |setting: &Setting<'_>| {
        let is_core = setting.section == "core" && setting.subsection.is_none();
        is_core && setting.key == "worktree" && setting.value.is_some_and(&is_work_tree)
    };
    // A branch follows one of a remote that there is, which leads nobody elsewhere.
    let is_remote = |name: &str| {
        name == "." || before.iter().any(|known| known.section == "remote" && known.subsection == Some(name))
    };
    let follows = |key: &str, value: &str| match key {
        "remote" => is_remote(value),
        "merge" => value.starts_with("refs/heads/") && is_plain(value),
        _ => ["true", "false"].contains(&value),
    };
    let added = after.iter().filter(|setting| !before.contains(setting));
    let may_be_added = added.into_iter().all(|setting| match setting.value {
        Some(value) if is_switch(setting) => ["true", "false"].contains(&value),
        Some(value) if is_of_new_submodule(setting) => is_plain(value),
        Some(value) if tracks(setting) => follows(&setting.key, value),
        Some(value) if is_place(setting) => is_plain(value),
        Some(_) | None => false,
    });
    let rest = |settings: &[Setting<'_>]| -> Vec<String> {
        let may_change = |setting: &Setting<'_>| {
            is_switch(setting) || is_of_new_submodule(setting) || tracks(setting) || is_place(setting)
        };
        let rest = settings.iter().filter(|setting| !may_change(setting));
        rest.map(|setting| format!("{setting:?}")).collect()
    };
    may_be_added && rest(&before) == rest(&after)
}

/// How many bytes the names of objects have in the repository of a configuration. None where that is not certain.
pub(super) fn object_name_length(text: &[u8]) -> Option<usize> {
    const SHA_1: usize = 20;
    const SHA_256: usize = 32;
    let names = |value: &str, name: &str| value.to_ascii_lowercase().contains(name);
    let Some(settings) = settings(text) else {
        // No command has written it, for it would have to be understood.
        let text = String::from_utf8_lossy(text);
        return Some(if names(&text, "sha256") { SHA_256 } else { SHA_1 });
    };
    let is_format = |setting: &&Setting<'_>| {
        setting.section == "extensions" && setting.subsection.is_none() && setting.key == "objectformat"
    };
    let mut found = settings.iter().filter(is_format).map(|setting| match setting.value {
        Some(value) if names(value, "sha256") && !names(value, "sha1") => Some(SHA_256),
        Some(value) if names(value, "sha1") && !names(value, "sha256") => Some(SHA_1),
        Some(_) | None => None,
    });
    let first = found.next().unwrap_or(Some(SHA_1))?;
    found.all(|other| other == Some(first)).then_some(first)
}

/// Where a relative path from a folder leads, by its words alone.
pub(super) fn leads_to(folder: &Path, path: &str) -> Option<PathBuf> {
    let mut place = folder.to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => place.pop().then_some(())?,
            Component::CurDir => {}
            Component::Normal(name) => place.push(name),
            Component::Prefix(_) | Component::RootDir => return None,
        }
    }
    Some(place)
}

/// Reads all settings. None where a line is not one of those of which is certain how Git reads them (git-config(1), "Syntax"): a
/// header, a key, a comment, each alone on its line, which ends where it seems to.
fn settings(text: &[u8]) -> Option<Vec<Setting<'_>>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut settings = Vec::new();
    let mut section: Option<(String, Option<&str>)> = None;
    for line in text.split('\n') {
        let line = line.trim_matches([' ', '\t']);
        if line.ends_with('\\') || line.contains(['\r', '\0', '\u{b}', '\u{c}']) {
            return None;
        }
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with('[') {
            section = Some(header(line)?);
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key.trim_matches([' ', '\t']), Some(value.trim_matches([' ', '\t']))),
            None => (line, None),
        };
        let (section, subsection) = section.clone()?;
        settings.push(Setting { section, subsection, key: word(key, &[])?, value });
    }
    Some(settings)
}

/// The section that a line opens.
fn header(line: &str) -> Option<(String, Option<&str>)> {
    let inner = line.strip_prefix('[')?.strip_suffix(']')?;
    match inner.split_once(' ') {
        None => Some((word(inner, &['.'])?, None)),
        Some((name, rest)) => {
            let subsection = rest.strip_prefix('"')?.strip_suffix('"')?;
            (!subsection.contains(['"', '\\'])).then_some((word(name, &['.'])?, Some(subsection)))
        }
    }
}

/// A name, in small letters.
fn word(name: &str, more: &[char]) -> Option<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || more.contains(&letter);
    (!name.is_empty() && name.chars().all(is_part)).then(|| name.to_ascii_lowercase())
}

/// A value on one line, without quotes, that names no program as a remote helper (`helper::address`, gitremote-helpers(7)).
fn is_plain(value: &str) -> bool {
    !value.contains("::") && !value.contains(['"', '\\', '\r', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_harmless(text: &[u8]) -> bool {
        super::is_harmless(text, |work_tree| work_tree == "../../../sub")
    }

    fn is_harmless_change(before: &[u8], after: &[u8]) -> bool {
        super::is_harmless_change(before, after, |work_tree| work_tree == "../../../sub")
    }

    #[test]
    fn a_new_repository_is_harmless() {
        let text = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n[remote \"origin\"]\n\turl = \
                    https://x.example/y.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n[branch \"main\"]\n\tremote = \
                    origin\n\tmerge = refs/heads/main\n";
        assert!(is_harmless(text.as_bytes()) && is_harmless(b""));
    }

    #[test]
    fn only_what_selects_files_or_adds_a_submodule_may_change() {
        let before = "[core]\n\tbare = false\n\tfsmonitor = mine\n[submodule \"old\"]\n\turl = /old\n";
        let changed =
            |from: &str, to: &str| is_harmless_change(before.as_bytes(), before.replace(from, to).as_bytes());
        let added = |text: &str| is_harmless_change(before.as_bytes(), format!("{before}{text}").as_bytes());
        for text in [
            "",
            "[extensions]\n\tworktreeConfig = true\n",
            "# nothing\n[core]\n\tsparseCheckout = true\n[index]\n\tsparse = false\n",
            "[submodule \"new\"]\n\turl = https://x.example/y\n\tactive = true\n",
        ] {
            assert!(added(text), "{text}");
        }
        for text in [
            "[core]\n\tsparseCheckout = !evil\n",
            "[core]\n\tsparseCheckout\n",
            "[core]\n\thooksPath = x\n",
            "[submodule \"new\"]\n\turl = ext::evil\n",
            "[submodule \"new\"]\n\tupdate = !evil\n",
            "[submodule \"old\"]\n\turl = /new\n",
            "[core]\n\tsparseCheckout = true\\\n",
            "\tx = 1\n",
        ] {
            assert!(!added(text), "{text}");
        }
        assert!(changed("\tbare", "\tsparseCheckout = true\n\tbare"));
        assert!(changed("url = /old\n", "url = /old\n\tactive = true\n"));
        for (from, to) in [
            ("mine", "evil"),
            ("\tfsmonitor", "[index]\n\tsparse = true\n\tfsmonitor"),
            ("\tbare = false\n", ""),
            ("[core]\n", "[core]\n\tbare = false\n"),
            ("url = /old", "url = /new"),
            ("old", "new"),
        ] {
            assert!(!changed(from, to), "{from:?} to {to:?}");
        }
        assert!(!is_harmless_change(b"[core] x = y\n", b"[core] x = y\n[index]\n\tsparse = true\n"));
        assert!(is_harmless_change(b"[core]\n\tsparseCheckout = true\n", b"[core]\n"));
    }

    #[test]
    fn branches_follow_those_of_remotes_that_there_are() {
        const OLD: &str = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = /x\n[branch \"old\"]\n\tremote = origin\n\tdescription = x\n";
        let may = |new: &str| is_harmless_change(OLD.as_bytes(), new.as_bytes());
        let more = |text: &str| may(&format!("{OLD}{text}"));
        assert!(more("") && more("[branch \"new\"]\n\tremote = origin\n\tmerge = refs/heads/new\n"));
        assert!(more("\tmerge = refs/heads/other\n\trebase = true\n"));
        assert!(more("[branch \"a\"]\n\tremote = .\n"));
        assert!(may(&OLD.replace("\tremote = origin\n", "")), "it may follow nothing");
        assert!(!may(&OLD.replace("\tdescription = x\n", "")) && !may("[core]\n\tbare = false\n"));
        for evil in [
            "[branch \"new\"]\n\tremote = https://evil.example\n",
            "[branch \"new\"]\n\tremote = other\n",
            "[branch \"new\"]\n\tmerge = evil::x\n",
            "[branch \"new\"]\n\trebase = x\n",
            "[branch \"new\"]\n\tpushRemote = origin\n",
            "[branch \"new\"] remote = https://evil.example\n",
            "[branch \"new\"]\n\tremote = origin\\\n\tmerge = refs/heads/x\n",
            "[branch \"n\\\"w\"]\n\tremote = origin\n",
            "[remote \"evil\"]\n\turl = x\n[branch \"a\"]\n\tremote = evil\n",
            "[branch]\n\tautoSetupMerge = always\n",
        ] {
            assert!(!more(evil), "{evil}");
        }
    }

    #[test]
    fn a_submodule_has_its_work_tree_where_it_belongs() {
        assert!(is_harmless(b"[core]\n\tworktree = ../../../sub\n"));
        assert!(!is_harmless(b"[core]\n\tworktree = /home/ann\n"));
        let (without, with) =
            ("[core]\n\tbare = false\n", "[core]\n\tbare = false\n\tworktree = ../../../sub\n");
        let may = |before: &str, after: &str| is_harmless_change(before.as_bytes(), after.as_bytes());
        assert!(may(without, with) && may(with, without) && may(with, with));
        assert!(!may(with, &with.replace("../../../sub", "/home/ann")));
        assert!(!may(&with.replace("../../../sub", "/home/ann"), without));
        let modules = Path::new("/w/.git/modules/a");
        assert_eq!(leads_to(modules, "../../../a"), Some("/w/a".into()));
        assert_eq!(leads_to(modules, "/a"), None);
    }

    #[test]
    fn the_format_of_objects_is_what_is_set() {
        let format =
            |value: &str| object_name_length(format!("[extensions]\n\tobjectFormat = {value}\n").as_bytes());
        assert_eq!(
            [object_name_length(b""), format("sha1"), format("sha256")],
            [Some(20), Some(20), Some(32)]
        );
        assert_eq!([format("other"), format("sha1\n\tobjectFormat = sha256")], [None, None]);
        assert_eq!(
            object_name_length(b"# sha256\n[core]\n\tbare = false\n"),
            Some(20),
            "a remark says nothing"
        );
        assert_eq!(object_name_length(b"[core] bare = false\n"), Some(20));
    }

    #[test]
    fn whatever_may_run_something_is_not() {
        for text in [
            "[core]\n\tfsmonitor = ./evil\n",
            "[core] fsmonitor = ./evil\n",
            "[core]\n\thooksPath = x\n",
            "[core]\n\tbare = false\\\n\tfsmonitor = x\n",
            "[include]\n\tpath = x\n",
            "[remote \"o\"]\n\turl = ext::sh -c evil\n",
            "[remote \"o\"]\n\tuploadpack = evil\n",
            "[remote]\n\turl = x\n",
            "[core \"x\"]\n\tbare = true\n",
            "[remote \"o\\\"]\n[core]\n",
            "[alias]\n\tst = !evil\n",
            "[filter \"x\"]\n\tsmudge = evil\n",
            "bare = true\n",
            "[core]\n\tbare\n",
            "[core]\r\n\tfsmonitor = x\r\n",
            "[core.x]\n\tbare = true\n",
        ] {
            assert!(!is_harmless(text.as_bytes()), "{text}");
        }
    }
}
