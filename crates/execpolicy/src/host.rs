//! `host_executable`: which files a bare program name may stand for.
//!
//! Without it, a rule for `git` fits every file of that name, also one that the asker wrote. It restricts
//! rules that allow; a rule that asks or forbids fits every file of its name regardless, or it could be
//! dodged by a copy elsewhere.

use std::collections::HashMap;

/// The listed paths of each name; a name with an empty list stands for no file.
#[derive(Clone, Debug, Default)]
pub struct HostExecutables {
    by_name: HashMap<String, Vec<String>>,
}

impl HostExecutables {
    /// Defines the paths of a name; the last definition wins.
    pub(crate) fn define(&mut self, name: String, mut paths: Vec<String>) {
        paths.sort();
        paths.dedup();
        self.by_name.insert(name, paths);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.by_name.extend(other.by_name);
    }

    /// The paths listed for a name; `None` when nothing was said about it.
    #[must_use]
    pub fn paths(&self, name: &str) -> Option<&[String]> {
        self.by_name.get(name).map(Vec::as_slice)
    }

    /// Whether the file at this path may be meant by the name: it is listed, or nothing was said about the
    /// name.
    pub(crate) fn admits(&self, name: &[u8], path: &[u8]) -> bool {
        if self.by_name.is_empty() {
            return true;
        }
        let Ok(name) = std::str::from_utf8(name) else { return true };
        self.paths(name).is_none_or(|paths| paths.iter().any(|listed| listed.as_bytes() == path))
    }
}

/// Checks the arguments of `host_executable` and expands `~/`.
///
/// # Errors
/// What is wrong with them, for the author.
pub(crate) fn parse(name: &str, paths: &[&str], home: Option<&str>) -> Result<Vec<String>, String> {
    if name.trim().is_empty() || name.contains('/') || name.contains('\\') || name == "." || name == ".." {
        return Err(format!("host_executable name must be a bare file name (got `{name}`)"));
    }
    paths.iter().map(|path| parse_path(name, path, home)).collect()
}

fn parse_path(name: &str, path: &str, home: Option<&str>) -> Result<String, String> {
    let expanded = match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => format!("{}/{rest}", home.trim_end_matches('/')),
        (Some(_), None) => return Err(format!("host_executable path `{path}` needs a home folder")),
        (None, _) => path.to_owned(),
    };
    if !expanded.starts_with('/') {
        return Err(format!("host_executable path must be absolute (got `{path}`)"));
    }
    if expanded.rsplit('/').next() != Some(name) {
        return Err(format!("host_executable path `{path}` must have basename `{name}`"));
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::{HostExecutables, parse};

    #[test]
    fn names_are_bare_and_paths_absolute_with_that_name() {
        assert_eq!(parse("git", &["/usr/bin/git"], None), Ok(vec!["/usr/bin/git".to_owned()]));
        assert_eq!(parse("git", &["~/bin/git"], Some("/home/me")), Ok(vec!["/home/me/bin/git".to_owned()]));
        for (name, path) in
            [("a/b", "/a/b"), ("", "/x"), ("git", "git"), ("git", "/usr/bin/hub"), ("git", "~/git")]
        {
            assert!(parse(name, &[path], None).is_err(), "{name} {path}");
        }
    }

    #[test]
    fn a_listed_name_admits_its_paths_only_and_the_last_list_wins() {
        let mut hosts = HostExecutables::default();
        assert!(hosts.admits(b"git", b"/ws/git"));
        hosts.define("git".into(), vec!["/ws/git".into()]);
        hosts.define("git".into(), vec!["/usr/bin/git".into()]);
        assert!(hosts.admits(b"git", b"/usr/bin/git"));
        assert!(!hosts.admits(b"git", b"/ws/git"));
        assert!(hosts.admits(b"hub", b"/ws/hub"));
        hosts.define("hub".into(), Vec::new());
        assert!(!hosts.admits(b"hub", b"/usr/bin/hub"));
    }
}
