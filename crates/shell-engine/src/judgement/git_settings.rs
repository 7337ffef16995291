//! What is particular about a confined `git`: settings over its configuration, of which it executes nothing and so must not
//! fail on it; and that it reads credentials only where it talks to another side, for it shows any file that it can read.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::trust::Program;
use crate::config::Variables;

/// Always.
const ALWAYS: &[(&str, &str)] = &[
    // A monitor is a program; Git warns where it cannot be executed.
    ("core.fsmonitor", "false"),
];

/// Unless its profile names hooks among what it may run.
const WITHOUT_HOOKS: &[(&str, &str)] = &[
    // A hook that cannot be executed ends a commit.
    ("core.hooksPath", "/dev/null"),
];

/// Options before the subcommand that take a word of their own.
const WITH_VALUE: &[&str] =
    &["-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env"];

/// Subcommands that talk to another side.
const TALKING: &[&str] = &[
    "archive",
    "clone",
    "credential",
    "fetch",
    "fetch-pack",
    "ls-remote",
    "pull",
    "push",
    "remote",
    "send-pack",
    "submodule",
];

/// The options before a subcommand of Git's, and the subcommand; `None` where there is none.
pub(crate) fn subcommand(arguments: &[OsString]) -> Option<(Vec<OsString>, &OsStr)> {
    let mut options = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if !word.as_encoded_bytes().starts_with(b"-") {
            return Some((options, word));
        }
        options.push(word.clone());
        if WITH_VALUE.iter().any(|known| word == *known) {
            options.extend(words.next().cloned());
        }
    }
    None
}

/// Whether a program is Git, and has no need of credentials.
pub(super) fn needs_no_credentials(program: &Program, arguments: &[OsString]) -> bool {
    is_git(program)
        && subcommand(arguments).is_none_or(|(_, name)| !TALKING.iter().any(|talking| name == *talking))
}

fn is_git(program: &Program) -> bool {
    program.canonical.file_name() == Some(OsStr::new("git"))
}

/// Puts the settings over the configuration, behind those that the environment has already, if the program is Git.
pub(super) fn apply(program: &Program, may_run: &[String], variables: &mut Variables) {
    if !is_git(program) {
        return;
    }
    let names_hooks = |path: &String| Path::new(path).components().any(|part| part.as_os_str() == "hooks");
    let hooks = if may_run.iter().any(names_hooks) { &[] } else { WITHOUT_HOOKS };
    let settings: Vec<(&str, &str)> = ALWAYS.iter().chain(hooks).copied().collect();
    let count = variables.get(OsStr::new("GIT_CONFIG_COUNT"));
    let first: usize = count.and_then(|count| count.to_str()?.parse().ok()).unwrap_or(0);
    for (index, (key, value)) in (first..).zip(&settings) {
        variables.insert(format!("GIT_CONFIG_KEY_{index}").into(), (*key).into());
        variables.insert(format!("GIT_CONFIG_VALUE_{index}").into(), (*value).into());
    }
    variables.insert("GIT_CONFIG_COUNT".into(), OsString::from((first + settings.len()).to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subcommand_stands_behind_options() {
        let found = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            subcommand(&words).map(|(options, name)| (options.len(), name.to_owned()))
        };
        assert_eq!(found("-C /x -c a.b=c --no-pager push origin"), Some((5, "push".into())));
        assert_eq!(found("status"), Some((0, "status".into())));
        assert_eq!(found("--version"), None);
        assert_eq!(found("-C"), None);
    }
}
