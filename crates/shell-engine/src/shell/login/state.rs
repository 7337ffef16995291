//! The state of a shell as it writes it down itself, and the Bash code that makes one state out of another.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::config::{EDITOR_ARGUMENT, EDITOR_VARIABLES, UNSET};

/// Variables that are Bash's own, or belong to one shell only.
const NOT_CARRIED: &[&str] = &[
    "BASH",
    "BASHOPTS",
    "BASHPID",
    "BASH_ALIASES",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_ARGV0",
    "BASH_CMDS",
    "BASH_COMMAND",
    "BASH_EXECUTION_STRING",
    "BASH_LINENO",
    "BASH_REMATCH",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASH_VERSINFO",
    "BASH_VERSION",
    "COMP_WORDBREAKS",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "LINENO",
    "OLDPWD",
    "OPTERR",
    "OPTIND",
    "PIPESTATUS",
    "PPID",
    "PWD",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "UID",
    "_",
    NAME_VARIABLE,
    NAMES_VARIABLE,
];

/// The variables that [`SCRIPT`] uses itself.
const NAME_VARIABLE: &str = "__shell_tool_name";
const NAMES_VARIABLE: &str = "__shell_tool_names";

/// The number of the descriptor that the state is written to.
pub(super) const STATE_NUMBER: i32 = 240;

/// Has Bash write its state down: records that end with a NUL byte, the first letter of each saying what it is. Nothing
/// is executed, and what start-up files may have defined under the names of builtins is passed by. Lists are read at once:
/// `IFS= read` makes a new environment each time, of all exported variables.
pub(super) const SCRIPT: &str = r#"{
builtin printf 'o'; builtin shopt -p; builtin shopt -po; builtin printf '\0'
builtin set +eux +o posix
builtin printf 'u'; builtin umask -p; builtin printf '\0'
builtin mapfile -t __shell_tool_names < <(builtin compgen -v)
for __shell_tool_name in "${__shell_tool_names[@]}"; do
builtin printf 'v%s\n' "$__shell_tool_name"; builtin declare -p -- "$__shell_tool_name"; builtin printf '\0'
done
builtin mapfile -t __shell_tool_names < <(builtin compgen -A function)
for __shell_tool_name in "${__shell_tool_names[@]}"; do
builtin printf 'f%s\n' "$__shell_tool_name"; builtin declare -f -- "$__shell_tool_name"; builtin printf '\0'
done
builtin printf 'x'; builtin declare -Fx; builtin printf '\0'
for __shell_tool_name in "${!BASH_ALIASES[@]}"; do
builtin printf 'a%s\n' "$__shell_tool_name"; builtin alias -- "$__shell_tool_name"; builtin printf '\0'
done
builtin printf 'e\0'
} >&240 2>/dev/null"#;

/// What ends a state that was written to its end.
pub(super) const END: &[u8] = b"\0e\0";

/// A shell's state. Values are Bash code that sets them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LoginState {
    options: Vec<Vec<u8>>,
    umask: Vec<u8>,
    variables: BTreeMap<Vec<u8>, Vec<u8>>,
    functions: BTreeMap<Vec<u8>, Vec<u8>>,
    exported_functions: BTreeSet<Vec<u8>>,
    aliases: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl LoginState {
    /// Reads what [`SCRIPT`] has written. `None`: it is not complete.
    pub(super) fn read(written: &[u8]) -> Option<LoginState> {
        let written = written.strip_suffix(END)?;
        let mut state = LoginState::default();
        for record in written.split(|byte| *byte == 0) {
            let (kind, rest) = record.split_first()?;
            match kind {
                b'o' => state.options = lines(rest).map(<[u8]>::to_vec).collect(),
                b'u' => state.umask = rest.trim_ascii().to_vec(),
                b'v' => insert(&mut state.variables, rest),
                b'f' => insert(&mut state.functions, rest),
                b'a' => insert(&mut state.aliases, rest),
                b'x' => {
                    let names = lines(rest).filter_map(|line| line.rsplit(|byte| *byte == b' ').next());
                    state.exported_functions = names.map(<[u8]>::to_vec).collect();
                }
                _ => return None,
            }
        }
        Some(state)
    }

    /// The Bash code that makes this state out of `before`, beginning with `first`. Empty lists leave nothing behind.
    ///
    /// Builtins are named as such where functions of the same names may exist by then. Functions are read with extended
    /// patterns, which they may contain whatever the option is in the end; aliases come last, for they change how all
    /// that follows is read.
    pub(super) fn code_from(&self, before: &LoginState, first: &str) -> Vec<u8> {
        let mut code = Code(first.as_bytes().to_vec());
        code.line(&[b"{"]);
        for name in before.variables.keys().filter(|name| !self.variables.contains_key(*name)) {
            code.line(&[b"unset -v -- ", name]);
        }
        for (_, declaration) in changed(&before.variables, &self.variables) {
            code.line(&[declaration]);
        }
        code.line(&[b":; } 2> /dev/null"]);
        if changed(&before.functions, &self.functions).next().is_some() {
            code.line(&[b"shopt -s extglob"]);
        }
        for (_, definition) in changed(&before.functions, &self.functions) {
            code.line(&[definition]);
        }
        code.line(&[b"{"]);
        for name in self.exported_functions.difference(&before.exported_functions) {
            code.line(&[b"builtin export -f -- ", name]);
        }
        if self.umask != before.umask {
            code.line(&[b"builtin ", &self.umask]);
        }
        let extglob = |line: &&Vec<u8>| line.ends_with(b" extglob");
        let options = self.options.iter().filter(|line| !before.options.contains(line) || extglob(line));
        // Whether it is a login shell cannot be set; the call is started as one.
        for line in options.filter(|line| !line.ends_with(b" login_shell")) {
            code.line(&[b"builtin ", line]);
        }
        for (_, alias) in changed(&before.aliases, &self.aliases) {
            code.line(&[b"builtin ", alias]);
        }
        code.line(&[b":; } 2> /dev/null"]);
        code.0
    }

    /// Puts the search path that a shell had `before` in front again: files such as Debian's `/etc/profile` replace it,
    /// and with it virtual environments and version managers would be lost. What they have added follows, each folder
    /// once.
    pub(super) fn keep_search_path(&mut self, before: &LoginState) {
        const NAME: &[u8] = b"PATH";
        let path = |state: &LoginState| state.variables.get(NAME).and_then(|code| exported(code));
        let (Some(before), Some(after)) = (path(before), path(self)) else { return };
        let value = |entry: OsString| entry.into_vec().split_off(NAME.len() + 1);
        let joined = joined(&value(before), &value(after));
        self.variables.insert(NAME.to_vec(), export(NAME, &joined));
    }

    /// Adds what another shell has exported, NUL after each: the variables that are not there, and the folders of its search
    /// path in its order. What the shell had `before` and that path does not have stays in front.
    pub(super) fn add_exported(&mut self, before: &LoginState, exported_there: &[u8]) {
        let pairs = exported_there.split(|byte| *byte == 0).filter_map(|entry| split_at_first(entry, b'='));
        for (name, value) in pairs.filter(|(name, _)| is_plain_name(name)) {
            if name == b"PATH" {
                let path = |state: &LoginState| {
                    let value = exported(state.variables.get(name)?)?.into_vec().split_off(name.len() + 1);
                    Some(value)
                };
                let missing = |state: &LoginState| {
                    let path = path(state).unwrap_or_default();
                    let folders = path.split(|byte| *byte == b':').filter(|folder| {
                        !folder.is_empty() && !value.split(|byte| *byte == b':').any(|there| there == *folder)
                    });
                    folders.map(<[u8]>::to_vec).collect::<Vec<_>>().join(&b':')
                };
                let own = missing(before);
                let own: &[&[u8]] = if own.is_empty() { &[value] } else { &[&own, value] };
                let (front, rest) = (own.join(&b':'), missing(self));
                let path = if rest.is_empty() { front } else { joined(&front, &rest) };
                self.variables.insert(name.to_vec(), export(name, &path));
            } else if !self.variables.contains_key(name) && !is_of_terminals(name) {
                self.variables.insert(name.to_vec(), export(name, value));
            }
        }
    }

    /// Puts a folder last on the search path, where it is on it.
    pub(super) fn search_last(&mut self, folder: &Path) {
        const NAME: &[u8] = b"PATH";
        let folder = folder.as_os_str().as_bytes();
        let Some(entry) = self.variables.get(NAME).and_then(|code| exported(code)) else { return };
        let value = entry.into_vec().split_off(NAME.len() + 1);
        let (its, mut folders): (Vec<&[u8]>, Vec<&[u8]>) =
            value.split(|byte| *byte == b':').partition(|one| *one == folder);
        folders.extend(its.first());
        let value = folders.join(&b':');
        self.variables.insert(NAME.to_vec(), export(NAME, &value));
    }

    /// Puts the editors that a shell had `before` in force again, where these are the ones that say that nobody is there: one that
    /// start-up files name would wait for a person.
    pub(super) fn keep_editors(&mut self, before: &LoginState) {
        let is_ours = |code: &Vec<u8>| code.ends_with(format!(" {EDITOR_ARGUMENT}\"").as_bytes());
        let ours = EDITOR_VARIABLES
            .iter()
            .map(|name| (name.as_bytes().to_vec(), before.variables.get(name.as_bytes())));
        let ours: Vec<_> =
            ours.filter_map(|(name, code)| Some((name, code.filter(|code| is_ours(code))?))).collect();
        if ours.is_empty() {
            return;
        }
        self.variables.extend(ours.into_iter().map(|(name, code)| (name, code.clone())));
        self.variables.retain(|name, _| !UNSET.iter().any(|asks| asks.as_bytes() == name));
    }

    /// The exported strings that are not as they were `before`, `NAME=value` each.
    pub(super) fn exported_since(&self, before: &LoginState) -> Vec<OsString> {
        changed(&before.variables, &self.variables).filter_map(|(_, code)| exported(code)).collect()
    }
}

fn is_plain_name(name: &[u8]) -> bool {
    let is_word = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    is_word
        && name.first().is_some_and(|first| !first.is_ascii_digit())
        && !NOT_CARRIED.iter().any(|own| own.as_bytes() == name)
}

/// Whether a variable is about the terminal that nobody is at, or about the shell that set it.
fn is_of_terminals(name: &[u8]) -> bool {
    const EXACT: &[&str] = &[
        "PS1",
        "PS2",
        "PS4",
        "PROMPT",
        "RPROMPT",
        "PROMPT_COMMAND",
        "BASH_ENV",
        "ENV",
        "COLUMNS",
        "LINES",
        "TTY",
        "GPG_TTY",
    ];
    const BEGIN: &[&[u8]] = &[b"BASH", b"HIST", b"TERM", b"P9K_", b"STARSHIP_", b"ZSH", b"FISH", b"LD_"];
    EXACT.iter().any(|exact| exact.as_bytes() == name) || BEGIN.iter().any(|begin| name.starts_with(begin))
}

/// `NAME=value` of `declare -x NAME="value"`, as Bash writes exported strings down; `None` for everything else.
fn exported(declaration: &[u8]) -> Option<OsString> {
    let (attributes, rest) = split_at_first(declaration.strip_prefix(b"declare -")?, b' ')?;
    let (name, quoted) = split_at_first(rest, b'=')?;
    let quoted = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if !attributes.contains(&b'x') || attributes.iter().any(|attribute| b"aAn".contains(attribute)) {
        return None;
    }
    let mut entry = [name, b"="].concat();
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        // Within double quotes a backslash only stands before what would end or expand them.
        entry.push(if *byte == b'\\' { *bytes.next()? } else { *byte });
    }
    Some(OsString::from_vec(entry))
}

/// The other way round.
fn export(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut code = [b"declare -x ", name, b"=\""].concat();
    for byte in value {
        if b"\"$`\\".contains(byte) {
            code.push(b'\\');
        }
        code.push(*byte);
    }
    code.push(b'"');
    code
}

/// The folders of both search paths, those of `first` as they are and in front.
fn joined(first: &[u8], then: &[u8]) -> Vec<u8> {
    let mut folders: Vec<&[u8]> = first.split(|byte| *byte == b':').collect();
    for folder in then.split(|byte| *byte == b':') {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders.join(&b':')
}

fn split_at_first(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let (before, rest) = bytes.split_at_checked(bytes.iter().position(|byte| *byte == at)?)?;
    Some((before, rest.get(1..)?))
}

struct Code(Vec<u8>);

impl Code {
    fn line(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.0.extend_from_slice(part);
        }
        self.0.push(b'\n');
    }
}

fn changed<'a>(
    before: &'a BTreeMap<Vec<u8>, Vec<u8>>,
    after: &'a BTreeMap<Vec<u8>, Vec<u8>>,
) -> impl Iterator<Item = (&'a Vec<u8>, &'a Vec<u8>)> {
    after.iter().filter(|(name, value)| before.get(*name) != Some(value) && !value.is_empty())
}

/// `NAME\nCODE`; a name that Bash itself sets is passed by.
fn insert(map: &mut BTreeMap<Vec<u8>, Vec<u8>>, record: &[u8]) {
    let mut parts = record.splitn(2, |byte| *byte == b'\n');
    let (Some(name), Some(code)) = (parts.next(), parts.next()) else { return };
    if !NOT_CARRIED.iter().any(|own| own.as_bytes() == name) {
        map.insert(name.to_vec(), code.trim_ascii_end().to_vec());
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(records: &[&str]) -> LoginState {
        LoginState::read(format!("{}\0e\0", records.join("\0")).as_bytes()).expect("complete")
    }

    fn code(before: &[&str], after: &[&str]) -> String {
        String::from_utf8(state(after).code_from(&state(before), "")).unwrap()
    }

    #[test]
    fn only_differences_are_set() {
        let before = [
            "vHOME\ndeclare -x HOME=\"/h\"",
            "vGONE\ndeclare -- GONE=\"1\"",
            "oshopt -u extglob\nset +o errexit",
        ];
        let after = [
            "vHOME\ndeclare -x HOME=\"/h\"",
            "vPATH\ndeclare -x PATH=\"/p\n/q\"",
            "vSHLVL\ndeclare -x SHLVL=\"2\"",
            "fgreet\ngreet () \n{ \n    echo hi\n}",
            "xdeclare -fx greet",
            "all\nalias ll='ls -l'",
            "uumask 0077",
            "oshopt -u extglob\nset -o errexit\nshopt -s login_shell",
        ];
        assert_eq!(
            code(&before, &after),
            "{\nunset -v -- GONE\ndeclare -x PATH=\"/p\n/q\"\n:; } 2> /dev/null\nshopt -s extglob\n\
             greet () \n{ \n    echo hi\n}\n{\nbuiltin export -f -- greet\nbuiltin umask 0077\n\
             builtin shopt -u extglob\nbuiltin set -o errexit\nbuiltin alias ll='ls -l'\n:; } 2> /dev/null\n"
        );
    }

    #[test]
    fn exported_strings_are_known_by_their_values() {
        let before = ["vHOME\ndeclare -x HOME=\"/h\""];
        let after = [
            "vHOME\ndeclare -x HOME=\"/h\"",
            "vPATH\ndeclare -x PATH=\"/p \\\"q\\\" \\$r \\\\s\"",
            "vMINE\ndeclare -- MINE=\"1\"",
            "vLIST\ndeclare -ax LIST=([0]=\"1\")",
            "vODD\ndeclare -x ODD=$'a\\nb'",
        ];
        assert_eq!(state(&after).exported_since(&state(&before)), ["PATH=/p \"q\" $r \\s"]);
    }

    #[test]
    fn the_clients_search_path_stays_in_front() {
        let merged = |before: &str, after: &str| {
            let before = state(&[before]);
            let mut state = state(&[after]);
            state.keep_search_path(&before);
            String::from_utf8(state.variables.remove(&b"PATH"[..]).unwrap()).unwrap()
        };
        assert_eq!(
            merged(
                "vPATH\ndeclare -x PATH=\"/venv:/bin:/v\\$\"",
                "vPATH\ndeclare -x PATH=\"/bin:/home/u/bin:/sbin:/bin\""
            ),
            "declare -x PATH=\"/venv:/bin:/v\\$:/home/u/bin:/sbin\""
        );
        // Without one of its own, or with one that Bash writes in another way, that of the files counts.
        for before in ["vPATH\ndeclare -- PATH=\"/bin\"", "vPATH\ndeclare -x PATH=$'/a\\nb'"] {
            assert_eq!(merged(before, "vPATH\ndeclare -x PATH=\"/sbin\""), "declare -x PATH=\"/sbin\"");
        }
    }

    #[test]
    fn what_another_shell_exports_is_added_in_its_order() {
        let before = state(&["vPATH\ndeclare -x PATH=\"/venv:/bin\""]);
        let mut after =
            state(&["vPATH\ndeclare -x PATH=\"/venv:/bin:/extra\"", "vHERE\ndeclare -x HERE=\"1\""]);
        after.add_exported(
            &before,
            b"PATH=/shims:/bin\0HERE=2\0NVM_DIR=/h/.nvm\0PS1=$\0BASH_FUNC_x%%=() { :; }\0",
        );
        let value = |name: &str| {
            after.variables.get(name.as_bytes()).map(|code| String::from_utf8_lossy(code).into_owned())
        };
        assert_eq!(value("PATH").as_deref(), Some("declare -x PATH=\"/venv:/shims:/bin:/extra\""));
        assert_eq!(value("HERE").as_deref(), Some("declare -x HERE=\"1\""));
        assert_eq!(value("NVM_DIR").as_deref(), Some("declare -x NVM_DIR=\"/h/.nvm\""));
        assert_eq!((value("PS1"), value("BASH_FUNC_x%%")), (None, None));
    }

    #[test]
    fn a_state_that_breaks_off_or_says_something_else_is_none() {
        assert_eq!(LoginState::read(b"oshopt -u extglob\0vHOME\ndecl"), None);
        assert_eq!(LoginState::read(b""), None);
        assert_eq!(LoginState::read(b"welcome!\n\0e\0"), None);
    }
}
