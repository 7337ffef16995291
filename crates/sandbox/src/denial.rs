//! Explains what the sandbox probably refused to a command that failed, and the smallest way to allow it.
//!
//! The kernel does not tell a supervisor which call of a command it refused. So this looks for paths that the command's
//! own last lines of output name beside an error of the right kind, and asks two questions that the output cannot
//! forge: does the plan refuse that path, and would the user be allowed without the sandbox? Only when both are
//! answered yes is it reported, as possible. What the kernel does count, refused routes of the private network, is
//! certain.

use crate::plan::Plan;
use crate::resolve::{SYSTEM, is_too_wide, real_path};
use rustix::fs::{Access as UnixAccess, AtFlags, CWD};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Only this much of the end of the output is looked at, in bytes: the error is near the end.
const LOOKED_AT: usize = 16 * 1024;
/// More than this helps nobody.
const MAX_DENIALS: usize = 8;

const QUOTES: [char; 5] = ['\'', '"', '`', '‘', '’'];

/// What a command wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// To write, make, rename or remove.
    Write(PathBuf),
    /// To read.
    Read(PathBuf),
    /// To reach the network.
    Network,
    /// To trace a process, as debuggers do.
    Tracing,
    /// To read the processor's counters, as profilers do.
    Counters,
}

/// One denial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What was refused.
    pub denied: Denied,
    /// Whether the kernel told; otherwise it is only possible.
    pub certain: bool,
    /// The smallest way to allow it, for the user.
    pub remedy: String,
}

impl std::fmt::Display for Denial {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let possibly = if self.certain { "" } else { "possibly " };
        match &self.denied {
            Denied::Write(path) => {
                write!(formatter, "{possibly}denied by the sandbox: writing {}", path.display())?
            }
            Denied::Read(path) => {
                write!(formatter, "{possibly}denied by the sandbox: reading {}", path.display())?
            }
            Denied::Network => write!(formatter, "{possibly}denied by the sandbox: the network")?,
            Denied::Tracing => {
                write!(formatter, "{possibly}denied by the sandbox: tracing a process (ptrace)")?
            }
            Denied::Counters => write!(
                formatter,
                "{possibly}denied by the sandbox: the processor's counters (perf_event_open)"
            )?,
        }
        write!(formatter, "; {}", self.remedy)
    }
}

/// What is known about a command that failed.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Its output, or the end of it.
    pub output: &'a [u8],
    /// The folders that relative names in its output may be seen from, the likeliest first: a command goes to other
    /// folders.
    pub directories: &'a [PathBuf],
    /// The file with the user's settings, for the advice.
    pub config: &'a Path,
    /// Whether the kernel counted refused routes while it ran (see `Session::routes_were_refused`); `None` where it
    /// does not count them for the session alone, so that only words point to the network.
    pub refused_routes: Option<bool>,
}

/// Says what the sandbox possibly refused; empty when nothing points to it.
#[must_use]
pub fn explain(plan: &Plan, evidence: &Evidence<'_>) -> Vec<Denial> {
    if !plan.mode.is_enforced() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&evidence.output[evidence.output.len().saturating_sub(LOOKED_AT)..]);
    let mut found = BTreeSet::new();
    let mut network_named = false;
    for line in text.lines() {
        match kind(line) {
            None => {}
            Some(Kind::Network) => network_named = true,
            Some(Kind::Call(denied)) => {
                found.extend((denied != Denied::Tracing || !plan.debug).then_some(denied));
            }
            Some(Kind::File) => {
                // A relative name is the first of its meanings that the sandbox refuses.
                let judged = |name: &str| {
                    evidence.directories.iter().find_map(|folder| judge(plan, &normal(&folder.join(name))))
                };
                let mut line = line.to_owned();
                for path in paths_with_blanks(&line.clone(), evidence.directories) {
                    if let Some(denied) = judged(path) {
                        found.insert(denied);
                        line = line.replace(path, "");
                    }
                }
                found.extend(names(&line, evidence.directories).filter_map(judged).take(MAX_DENIALS));
            }
        }
    }
    let mut denials: Vec<Denial> = found
        .into_iter()
        .take(MAX_DENIALS)
        .map(|denied| Denial { remedy: remedy(plan, &denied, evidence.config), denied, certain: false })
        .collect();
    if !plan.network.is_enabled() && evidence.refused_routes.unwrap_or(network_named) {
        let remedy = remedy(plan, &Denied::Network, evidence.config);
        let certain = evidence.refused_routes.is_some();
        denials.push(Denial { denied: Denied::Network, certain, remedy });
    }
    denials
}

enum Kind {
    File,
    Network,
    /// A system call that the sandbox refuses, whatever it is about.
    Call(Denied),
}

/// Recognises the C library's words for the errors that the sandbox causes. They only select lines to look at.
fn kind(line: &str) -> Option<Kind> {
    const FILE: &[&str] = &[
        "Read-only file system",
        "Permission denied",
        "Operation not permitted",
        "Device or resource busy",
        "EROFS",
        "EACCES",
        "EPERM",
        "EBUSY",
    ];
    const NETWORK: &[&str] = &[
        "Network is unreachable",
        "Temporary failure in name resolution",
        "Could not resolve host",
        "ENETUNREACH",
        "EAI_AGAIN",
        "dns error",
        "Name or service not known",
    ];
    let names = |words: &[&str]| words.iter().any(|word| line.contains(word));
    if names(NETWORK) {
        return Some(Kind::Network);
    }
    if line.contains("LeakSanitizer does not work under ptrace") {
        return Some(Kind::Call(Denied::Tracing));
    }
    if !names(FILE) {
        return None;
    }
    let call = if names(&["ptrace", "PTRACE_"]) {
        Kind::Call(Denied::Tracing)
    } else if names(&["perf_event_open"]) {
        Kind::Call(Denied::Counters)
    } else {
        Kind::File
    };
    Some(call)
}

/// Finds what may be paths in a line: words with or without quotes around them, absolute or relative to one of the
/// folders.
///
/// A bare word may be anything. It is taken for a name when it is one there, or stands where programs put the name of
/// what they could not make: in quotes, or right before the error (`bash: line 1: name: Read-only file system`).
fn names<'a>(line: &'a str, folders: &'a [PathBuf]) -> impl Iterator<Item = &'a str> {
    let separators = |c: char| c.is_whitespace() || "'\"`‘’“”()[]<>,;|".contains(c);
    let quoted = line.split(QUOTES).skip(1).step_by(2);
    let before_the_error = line.rsplit(": ").nth(1).filter(|word| !word.contains(char::is_whitespace));
    let is_named = move |word: &str| {
        line.contains("Read-only file system")
            && (before_the_error == Some(word)
                || line.split(QUOTES).skip(1).step_by(2).any(|quoted| quoted == word))
    };
    line.split(separators)
        .chain(quoted)
        .map(|word| word.trim_end_matches([':', '.', '!']).trim_start_matches("path:"))
        .filter(|word| !word.is_empty() && word.len() < 4096)
        .filter(move |word| {
            (word.contains('/') && word.len() > 1)
                || (word.starts_with('.') && word.len() > 1)
                || is_named(word)
                || folders.iter().any(|folder| folder.join(word).symlink_metadata().is_ok())
        })
}

/// Finds paths with blanks in a line: what is in quotes, and what stands between colons where the folder is one with a
/// blank or the whole is there. Their words may be paths, too (`cannot link /a to /b`).
fn paths_with_blanks<'a>(line: &'a str, folders: &'a [PathBuf]) -> impl Iterator<Item = &'a str> {
    let quoted = line.split(QUOTES).skip(1).step_by(2).filter(|path| path.contains('/'));
    let between_colons =
        line.split(": ").map(|part| part.find(" /").map_or(part, |blank| &part[blank + 1..]));
    let is_there = |path: &str| folders.iter().any(|folder| folder.join(path).symlink_metadata().is_ok());
    let is_one = move |path: &&str| match path.trim_end_matches('/').rsplit_once('/') {
        Some((folder, _)) => folder.contains(' ') || is_there(path),
        None => false,
    };
    quoted.chain(between_colons.filter(is_one)).filter(|path| path.contains(' ') && path.len() < 4096)
}

/// Resolves `.` and `..` by text, and links as far as the path exists.
fn normal(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(component),
        }
    }
    real_path(&plain)
}

/// Reports a path only when the plan refuses it *and* the user could have it without the sandbox.
fn judge(plan: &Plan, path: &Path) -> Option<Denied> {
    const OUR_OWN: &[&str] = &["/dev", "/proc", "/sys"];
    if OUR_OWN.iter().any(|kernel| path.starts_with(kernel)) {
        return None;
    }
    if plan.hidden.iter().any(|hidden| path.starts_with(hidden)) {
        return user_may(path, UnixAccess::READ_OK).then(|| Denied::Read(path.to_owned()));
    }
    (!plan.may_write(path) && user_may(path, UnixAccess::WRITE_OK)).then(|| Denied::Write(path.to_owned()))
}

/// Asks the kernel, outside the sandbox; of what does not exist, whether it could be made.
fn user_may(path: &Path, access: UnixAccess) -> bool {
    let asked = if path.symlink_metadata().is_ok() { Some(path) } else { path.parent() };
    asked.is_some_and(|path| rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS).is_ok())
}

/// Says where it is to be written: a bare flag would be added to the command by whoever reads this.
fn remedy(plan: &Plan, denied: &Denied, config: &Path) -> String {
    let config = config.display();
    const ARGUMENTS: &str = "to the server's args in the MCP client";
    match denied {
        Denied::Network => format!(
            "a person can allow it: add \"--network\" {ARGUMENTS}, or network_access = true below [sandbox_workspace_write] in {config}"
        ),
        Denied::Tracing => format!("a person can allow it: add debug = true below [shell_tool] in {config}"),
        Denied::Counters => "nothing inside may use them; run the profiler outside the sandbox".to_owned(),
        Denied::Read(path) => format!(
            "it is hidden from commands; a person can allow it: add allow_read = [\"{}\"] below [shell_tool] in {config}",
            path.display()
        ),
        Denied::Write(path) if plan.reserved.iter().any(|held| held.path.ends_with(".git") && path.starts_with(&held.path)) => {
            "a repository of the workspace itself is yours to make: run git init there, or add a rule that asks you, prefix_rule([\"git\", \"init\"], \"prompt\")".to_owned()
        }
        Denied::Write(path) if plan.is_protected(path) => {
            "it is protected, because programs outside trust it; run the command outside the sandbox if it must change".to_owned()
        }
        Denied::Write(path) => {
            let folder = if path.is_dir() { path.as_path() } else { path.parent().unwrap_or(path) };
            if may_be_offered(folder) {
                let folder = folder.display();
                format!(
                    "a person can allow it: add \"--writable-root\", \"{folder}\" {ARGUMENTS}, or writable_roots = [\"{folder}\"] below \
                     [sandbox_workspace_write] in {config}"
                )
            } else {
                "commands may write in the workspace; use a folder there".to_owned()
            }
        }
    }
}

/// Whether a folder is one to advise somebody to make writable. What a command prints must not talk a user, or an agent
/// that speaks for him, into giving the system or the home folder away.
fn may_be_offered(folder: &Path) -> bool {
    let homes: Vec<PathBuf> = home_folder::find().into_iter().collect();
    !SYSTEM.iter().any(|system| folder.starts_with(system)) && !is_too_wide(folder, &homes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, Network};
    use std::fs;

    fn place() -> (tempfile::TempDir, Plan, PathBuf) {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let base = folder.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("ws/.git/hooks")).unwrap();
        fs::create_dir_all(base.join("home/.ssh")).unwrap();
        fs::create_dir_all(base.join("out")).unwrap();
        let mut plan = Plan::unenforced(Mode::WorkspaceWrite, Network::Restricted);
        plan.writable = vec![base.join("ws")];
        plan.read_only = vec![base.join("ws/.git/hooks")];
        plan.hidden = vec![base.join("home/.ssh")];
        (folder, plan, base)
    }

    fn explained(plan: &Plan, base: &Path, output: &str) -> Vec<String> {
        explained_in(plan, base, &[base.join("ws")], output)
    }

    fn explained_in(plan: &Plan, base: &Path, directories: &[PathBuf], output: &str) -> Vec<String> {
        let config = Path::new("/c/config.toml");
        let evidence = Evidence { output: output.as_bytes(), directories, config, refused_routes: None };
        explain(plan, &evidence)
            .iter()
            .map(|denial| denial.to_string().replace(base.to_str().unwrap(), "BASE"))
            .collect()
    }

    #[test]
    fn a_write_outside_names_the_folder_to_allow() {
        let (_folder, plan, base) = place();
        for output in [
            format!("sh: 1: cannot create {}/out/x: Read-only file system\n", base.display()),
            "touch: cannot touch '../out/x': Permission denied\n".to_owned(),
            format!("Error: EROFS: read-only file system, open '{}/out/x'", base.display()),
        ] {
            assert_eq!(
                explained(&plan, &base, &output),
                [
                    "possibly denied by the sandbox: writing BASE/out/x; a person can allow it: add \"--writable-root\", \"BASE/out\" to the \
                     server's args in the MCP client, or writable_roots = [\"BASE/out\"] below [sandbox_workspace_write] in /c/config.toml"
                ],
                "{output}"
            );
        }
    }

    #[test]
    fn a_path_with_blanks_is_one() {
        let (_folder, plan, base) = place();
        fs::create_dir_all(base.join("out/a folder")).unwrap();
        let base_text = base.display();
        for output in [
            format!("sh: 1: cannot create {base_text}/out/a folder/x: Read-only file system\n"),
            format!("bash: line 1: {base_text}/out/a folder/x: Permission denied\n"),
            "bash: line 1: ../out/a folder/x: Permission denied\n".to_owned(),
            format!("OSError: [Errno 30] Read-only file system: '{base_text}/out/a folder/x'\n"),
        ] {
            let denied = explained(&plan, &base, &output);
            assert_eq!(denied.len(), 1, "{output}: {denied:?}");
            assert!(denied[0].contains("writing BASE/out/a folder/x; "), "{output}: {denied:?}");
        }
        let words = explained(&plan, &base.join("out"), "rm: cannot remove a folder/: Permission denied\n");
        assert!(words.is_empty(), "{words:?}");
        let two = format!("ln: cannot link {base_text}/out/a to {base_text}/out/b: Read-only file system");
        let denied = explained(&plan, &base, &two);
        assert_eq!(denied.len(), 2, "{denied:?}");
    }

    #[test]
    fn a_new_name_without_a_folder_is_one_of_the_working_folder() {
        let (_folder, mut plan, base) = place();
        for output in [
            "touch: cannot touch 'new': Read-only file system",
            "mkdir: cannot create directory ‘new’: Read-only file system",
            "bash: line 1: new: Read-only file system",
            "OSError: [Errno 30] Read-only file system: 'new'",
        ] {
            assert!(explained(&plan, &base, output).is_empty(), "{output}: the folder is writable");
            let writable = std::mem::take(&mut plan.writable);
            let denied = explained(&plan, &base, output);
            assert!(
                denied[0].starts_with("possibly denied by the sandbox: writing BASE/ws/new; "),
                "{denied:?}"
            );
            plan.writable = writable;
        }
    }

    #[test]
    fn a_relative_name_is_of_the_folder_that_the_command_went_to() {
        let (_folder, mut plan, base) = place();
        let seen_from = |plan: &Plan, folders: &[&str], output: &str| {
            let folders: Vec<PathBuf> = folders.iter().map(|folder| base.join(folder)).collect();
            explained_in(plan, &base, &folders, output)
        };
        // `cd out && touch y`: in the workspace, where it began, it could have been written.
        let touch = "touch: cannot touch 'y': Read-only file system";
        let denied = seen_from(&plan, &["out", "ws"], touch);
        assert!(denied[0].contains("writing BASE/out/y; "), "{denied:?}");
        let denied = seen_from(&plan, &["out", "ws"], "bash: line 1: z: Read-only file system");
        assert!(denied[0].contains("writing BASE/out/z; "), "{denied:?}");
        // `cd ws && touch y` from a folder that cannot be written either: not the one where it began.
        plan.writable.clear();
        let denied = seen_from(&plan, &["ws", "out"], touch);
        assert!(denied.len() == 1 && denied[0].contains("writing BASE/ws/y; "), "{denied:?}");
    }

    #[test]
    fn protected_hidden_and_network_are_told_apart() {
        let (_folder, plan, base) = place();
        let hook = explained(&plan, &base, "cannot create .git/hooks/x: Read-only file system");
        assert!(hook[0].contains("writing BASE/ws/.git/hooks/x; it is protected"), "{hook:?}");
        let key = explained(&plan, &base, &format!("cat: {}/home/.ssh: Permission denied", base.display()));
        assert!(key[0].contains("reading BASE/home/.ssh; it is hidden"), "{key:?}");
        let network = explained(&plan, &base, "curl: (6) Could not resolve host: example.org");
        assert!(
            network[0].starts_with("possibly denied by the sandbox: the network; a person can allow it: add \"--network\" to the server's args"),
            "{network:?}"
        );
        let config = Path::new("/c/config.toml");
        let evidence = Evidence { output: b"", directories: &[], config, refused_routes: Some(true) };
        assert!(explain(&plan, &evidence)[0].certain);
    }

    /// A command can print what it likes; it must not get anybody to give the system or a home away.
    #[test]
    fn no_advice_gives_the_system_or_a_home_away() {
        assert!(may_be_offered(Path::new("/srv/project/out")));
        for folder in ["/", "/usr/local/share", "/etc", "/root", "/home", "/home/ann", "/bin"] {
            assert!(!may_be_offered(Path::new(folder)), "{folder}");
        }
    }

    /// Output that only sounds like a denial: Codex's server calls all of these "sandbox denied".
    #[test]
    fn a_debugger_is_told_what_allows_it_unless_it_is_allowed() {
        let (_folder, mut plan, base) = place();
        for output in [
            "strace: ptrace(PTRACE_TRACEME, ...): Operation not permitted\n",
            "warning: ptrace: Operation not permitted\n",
            "==9==HINT: LeakSanitizer does not work under ptrace (strace, gdb, etc)\n",
        ] {
            let expected = "possibly denied by the sandbox: tracing a process (ptrace); a person can allow it: add debug = true below \
                            [shell_tool] in /c/config.toml";
            assert_eq!(explained(&plan, &base, output), [expected]);
        }
        let counters = "perf_event_open(...) failed: Operation not permitted\n";
        assert!(explained(&plan, &base, counters).concat().contains("nothing inside may use them"));
        plan.debug = true;
        assert_eq!(explained(&plan, &base, "ptrace: Operation not permitted.\n"), [""; 0]);
    }

    #[test]
    fn words_alone_prove_nothing() {
        let (_folder, plan, base) = place();
        for output in [
            "sandbox\n",
            "seccomp landlock permission denied\n",
            "Permission denied\n",
            "./file: Permission denied\n",
            "/etc/no-such-folder/x: No such file or directory\n",
            "cannot write /proc/sys/x: Read-only file system\n",
        ] {
            assert!(
                explained(&plan, &base, output).is_empty(),
                "{output}: {:?}",
                explained(&plan, &base, output)
            );
        }
    }
}
