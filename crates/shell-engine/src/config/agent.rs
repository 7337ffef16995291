//! The environment that suits a program which reads output instead of a person, and has nobody at a terminal.

use std::path::Path;

/// Variables that keep programs from colours, pagers and other languages, as agents of this kind have always set them,
/// and from asking. The user's own settings come before them.
const VARIABLES: &[(&str, &str)] = &[
    ("NO_COLOR", "1"),
    ("TERM", "dumb"),
    ("COLORTERM", ""),
    ("LANG", "C.UTF-8"),
    ("LC_CTYPE", "C.UTF-8"),
    ("LC_ALL", "C.UTF-8"),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("GH_PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("PIP_NO_INPUT", "1"),
    ("npm_config_yes", "true"),
];

/// Variables that name programs which ask a person, or an editor that would come before ours.
pub(crate) const UNSET: &[&str] = &["GIT_ASKPASS", "SSH_ASKPASS", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR"];

/// Variables that name an editor.
pub(crate) const EDITOR_VARIABLES: &[&str] = &["EDITOR", "VISUAL"];

/// Git's settings that name one. They come before `EDITOR`, and what a command itself says by `git -c` before them.
const EDITOR_SETTINGS: &[&str] = &["core.editor", "sequence.editor"];

/// Git tidies up while the command waits: in the background it would be one of the user's processes, and may be ended
/// half-way.
const TIDYING: &[(&str, &str)] = &[("maintenance.autoDetach", "false"), ("gc.autoDetach", "false")];

/// The argument by which this program is the editor of commands.
pub(crate) const EDITOR_ARGUMENT: &str = "no-editor";

/// What the editor says, on standard error.
pub(crate) const NO_EDITOR: &str = "No editor: nobody is at a terminal. Say the text on the command line \
    (git commit -m TEXT or -F FILE, git tag -m TEXT), keep what there is (git commit --amend --no-edit, git merge --no-edit, \
    git -c core.editor=true rebase --continue), or name a program that edits by itself (GIT_SEQUENCE_EDITOR='sed -i …' git rebase -i).";

/// What is set for commands, name and value each.
pub(super) struct Set {
    pub(super) variables: Vec<(String, String)>,
    pub(super) git_config: Vec<(String, String)>,
}

impl Set {
    /// `program` is this program, as commands find it.
    pub(super) fn new(program: Option<&Path>) -> Set {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut variables: Vec<_> = VARIABLES.iter().map(|(name, value)| pair(name, value)).collect();
        let mut git_config: Vec<_> = TIDYING.iter().map(|(key, value)| pair(key, value)).collect();
        if let Some(editor) = program.and_then(editor) {
            variables.extend(EDITOR_VARIABLES.iter().map(|name| pair(name, &editor)));
            git_config.extend(EDITOR_SETTINGS.iter().map(|key| pair(key, &editor)));
        }
        Set { variables, git_config }
    }
}

/// The command line of the editor, as shells and those who only split words read it.
fn editor(program: &Path) -> Option<String> {
    Some(format!("{} {EDITOR_ARGUMENT}", shlex::try_quote(program.to_str()?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_editor_is_one_word_and_an_argument_wherever_it_is() {
        let editor = |path: &str| editor(Path::new(path)).unwrap();
        assert_eq!(editor("/opt/x/exec-server"), "/opt/x/exec-server no-editor");
        assert_eq!(editor("/my programs/exec-server"), "'/my programs/exec-server' no-editor");
    }
}
