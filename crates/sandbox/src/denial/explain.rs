//! Decides what the sandbox refused.
//!
//! The kernel does not tell a supervisor which call of a command it refused. So this looks for paths that the command's
//! own last lines of output name beside an error of the right kind, and asks two questions that the output cannot
//! forge: does the plan refuse that path, and would the user be allowed without the sandbox? Only when both are
//! answered yes is it reported, as possible. What the kernel's door has seen being refused is certain, and nothing is
//! offered for what it has not. What the kernel does count, refused routes of the private network, is certain where
//! nothing else ran beside the command.

use super::evidence::{Denied, Evidence, Routes};
use super::host_ports;
use super::remedy::remedy;
use super::words::{self, Kind};
use crate::plan::Plan;
use crate::resolve::real_path;
use rustix::fs::{Access as UnixAccess, AtFlags, CWD};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// Only this much of the end of the output is looked at, in bytes: the error is near the end.
const LOOKED_AT: usize = 16 * 1024;
/// More than this helps nobody.
const MAX_DENIALS: usize = 8;

/// Of what stands in the output alone.
const ONLY_SAID: &str = "nothing that the command started was refused that, so there is nothing to allow";

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
        write!(formatter, "{possibly}denied by the sandbox: ")?;
        match &self.denied {
            Denied::Write(path) => write!(formatter, "writing {}", path.display())?,
            Denied::Read(path) => write!(formatter, "reading {}", path.display())?,
            Denied::Call(what) => formatter.write_str(what)?,
            Denied::Network => formatter.write_str("the network")?,
            Denied::HostPort(port) => write!(formatter, "port {port} of the host's localhost")?,
            Denied::Tracing => formatter.write_str("tracing a process (ptrace)")?,
            Denied::Counters => formatter.write_str("the processor's counters (perf_event_open)")?,
        }
        write!(formatter, "; {}", self.remedy)
    }
}

/// Says what the sandbox possibly refused; empty when nothing points to it. Each way to allow something is named once.
#[must_use]
pub fn explain(plan: &Plan, evidence: &Evidence<'_>) -> Vec<Denial> {
    if !plan.mode.is_enforced() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&evidence.output[evidence.output.len().saturating_sub(LOOKED_AT)..]);
    let lines: Vec<&str> = text.lines().collect();
    let mut found = BTreeSet::new();
    let mut network_named = false;
    for (at, line) in lines.iter().enumerate() {
        match words::kind(line) {
            None => {}
            Some(Kind::Network) => network_named = true,
            Some(Kind::Connection) => found.extend(on_the_host(plan, line, evidence)),
            Some(Kind::Call(denied)) => {
                found.extend((denied != Denied::Tracing || !plan.debug).then_some(denied));
            }
            Some(Kind::File) => found.extend(in_error(&lines, at, evidence, |path| judge(plan, path))),
            Some(Kind::Missing) => {
                found.extend(in_error(&lines, at, evidence, |path| hidden(plan, path)));
            }
        }
    }
    let is_certain = with_counted(&mut found, evidence.refused);
    let mut denials: Vec<Denial> = Vec::new();
    for denied in found {
        let is_only_said = matches!(&denied, Denied::Write(path) if evidence.writes.lack(path));
        let remedy = if is_only_said { ONLY_SAID.to_owned() } else { remedy(plan, &denied, evidence) };
        let is_of_a_file = matches!(denied, Denied::Write(_) | Denied::Read(_));
        let is_told = is_of_a_file && denials.iter().any(|known| known.remedy == remedy);
        if denials.len() < MAX_DENIALS && !is_told {
            let certain = is_certain(&denied) || was_seen(evidence, &denied);
            denials.push(Denial { certain, denied, remedy });
        }
    }
    let certain = evidence.routes == Routes::Refused;
    let is_refused = match evidence.routes {
        Routes::Refused => true,
        Routes::RefusedToSomeone | Routes::Uncounted => network_named,
        Routes::NotRefused => false,
    };
    if !plan.network.is_enabled() && is_refused {
        let remedy = remedy(plan, &Denied::Network, evidence);
        denials.push(Denial { denied: Denied::Network, certain, remedy });
    }
    denials
}

/// Whether something in an output may tell of a denial.
#[must_use]
pub fn may_tell(output: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&output[output.len().saturating_sub(LOOKED_AT)..]);
    text.lines().any(|line| words::kind(line).is_some())
}

/// Adds what was counted to what was found in words, drops what would have been counted, and tells which of all is certain.
fn with_counted<'a>(
    found: &mut BTreeSet<Denied>,
    counted: Option<&'a BTreeMap<Denied, String>>,
) -> impl Fn(&Denied) -> bool + use<'a> {
    let was_counted = move |denied: &Denied| counted.is_some_and(|counted| counted.contains_key(denied));
    if let Some(counted) = counted {
        let would_be = [Denied::Tracing, Denied::Counters, words::NAMESPACES, words::MOUNTS];
        found.retain(|denied| !would_be.contains(denied));
        found.extend(counted.keys().cloned());
        if found.contains(&words::BROWSER) {
            found.remove(&words::NAMESPACES);
        }
    }
    move |denied| {
        let counted_as = if *denied == words::BROWSER { &words::NAMESPACES } else { denied };
        was_counted(counted_as)
    }
}

fn was_seen(evidence: &Evidence<'_>, denied: &Denied) -> bool {
    matches!(denied, Denied::Write(path) if evidence.writes.has(path))
}

/// Finds what an error is about: in its own line, or else in one near it.
fn in_error(
    lines: &[&str],
    at: usize,
    evidence: &Evidence<'_>,
    judge: impl Fn(&Path) -> Option<Denied>,
) -> BTreeSet<Denied> {
    let directories = evidence.directories;
    // A relative name is that of its meanings which was seen being refused, or the first that the sandbox refuses.
    let judged = |name: &str| {
        let seen_from = directories.iter().filter(|folder| name.starts_with('/') || folder.is_dir());
        let mut refused = seen_from.map(|folder| folder.join(name)).filter_map(|path| judge(&normal(&path)));
        let first = refused.next()?;
        let was_seen = |denied: &Denied| was_seen(evidence, denied);
        if was_seen(&first) { Some(first) } else { refused.find(was_seen).or(Some(first)) }
    };
    let mut found = BTreeSet::new();
    let mut line = words::without_speaker(lines[at]).to_owned();
    for path in words::paths_with_blanks(&line.clone(), directories) {
        // Words that only seem to be one path lie in no folder.
        if let Some(denied) = judged(path).filter(is_in_a_folder) {
            found.insert(denied);
            line = line.replace(path, "");
        }
    }
    found.extend(words::names(&line, directories).filter_map(judged).take(MAX_DENIALS));
    let names_a_path = !found.is_empty() || words::whole_paths(&line).next().is_some();
    if !names_a_path {
        let near = words::around(lines, at).flat_map(words::whole_paths);
        found.extend(near.filter_map(|path| judge(&normal(Path::new(path)))).next());
    }
    found
}

/// A refused connection is the sandbox's doing where the host has what listens on that port and the command has a loopback
/// of its own.
fn on_the_host(plan: &Plan, line: &str, evidence: &Evidence<'_>) -> Option<Denied> {
    let has_its_own = !plan.network.is_enabled() && evidence.routes != Routes::Uncounted;
    let ports = has_its_own.then(|| words::ports(line, evidence.command));
    host_ports::first_served(ports.into_iter().flatten()).map(Denied::HostPort)
}

fn is_in_a_folder(denied: &Denied) -> bool {
    match denied {
        Denied::Write(path) | Denied::Read(path) => path.parent().is_some_and(Path::is_dir),
        Denied::Call(_) | Denied::Network | Denied::HostPort(_) | Denied::Tracing | Denied::Counters => false,
    }
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
    if let Some(denied) = hidden(plan, path) {
        return user_may(path, UnixAccess::READ_OK).then_some(denied);
    }
    (!plan.may_write(path) && user_may(path, UnixAccess::WRITE_OK)).then(|| Denied::Write(path.to_owned()))
}

/// Reports a path that lies in what is hidden, whether it is there or not: which names there are is hidden, too.
fn hidden(plan: &Plan, path: &Path) -> Option<Denied> {
    let is_hidden = plan.hidden.iter().any(|hidden| path.starts_with(hidden));
    is_hidden.then(|| Denied::Read(path.to_owned()))
}

/// Asks the kernel, outside the sandbox; of what does not exist, whether it could be made, with the folders that are
/// missing on the way.
fn user_may(path: &Path, access: UnixAccess) -> bool {
    let asked = path.ancestors().find(|path| path.symlink_metadata().is_ok());
    asked.is_some_and(|asked| {
        (asked == path || asked.is_dir())
            && rustix::fs::accessat(CWD, asked, access, AtFlags::EACCESS).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::super::evidence::{NONE_SEEN, Writes};
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
        let evidence = Evidence {
            command: "git push && make all",
            output: output.as_bytes(),
            directories,
            config,
            routes: Routes::Uncounted,
            refused: None,
            writes: &NONE_SEEN,
        };
        explain(plan, &evidence)
            .iter()
            .map(|denial| denial.to_string().replace(base.to_str().unwrap(), "BASE"))
            .collect()
    }

    #[test]
    fn the_program_that_complains_is_not_what_it_complains_about() {
        let (_folder, plan, base) = place();
        let program = base.join("out/program");
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let complains = |about: &str| {
            explained(&plan, &base, &format!("{}: line 1: {about}: Permission denied\n", program.display()))
        };
        assert_eq!(complains("x"), Vec::<String>::new());
        let about = base.join("out/file").display().to_string();
        let [one] = &complains(&about)[..] else { panic!("one: {:?}", complains(&about)) };
        assert!(one.contains("BASE/out/file") && !one.contains("program"), "{one}");
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

    /// What was seen being refused is certain, whatever folder its name seems to be seen from; what was not is only said.
    #[test]
    fn nothing_is_offered_for_what_was_not_tried() {
        let (_folder, plan, base) = place();
        let explained = |output: &str, seen: &[&str], is_all: bool| {
            let writes = Writes { seen: seen.iter().map(|path| base.join(path)).collect(), is_all };
            let directories = [base.join("home"), base.join("ws")];
            let evidence = Evidence {
                command: "x",
                output: output.as_bytes(),
                directories: &directories,
                config: Path::new("/c"),
                routes: Routes::Uncounted,
                refused: None,
                writes: &writes,
            };
            let told = explain(&plan, &evidence);
            told.iter()
                .map(|denial| (denial.denied.clone(), denial.certain, denial.remedy != ONLY_SAID))
                .collect::<Vec<_>>()
        };
        let absolute = format!("touch: cannot touch '{}/out/x': Read-only file system", base.display());
        let write = |path: &str| Denied::Write(base.join(path));
        assert_eq!(explained(&absolute, &["out/x"], true), [(write("out/x"), true, true)]);
        assert_eq!(explained(&absolute, &["out/x.lock"], true), [(write("out/x"), false, true)]);
        assert_eq!(explained(&absolute, &["home/x"], true), [(write("out/x"), false, false)]);
        assert_eq!(explained(&absolute, &[], false), [(write("out/x"), false, true)]);
        let relative = "bash: ../f: Read-only file system";
        assert_eq!(explained(relative, &["f"], true), [(write("f"), true, true)]);
    }

    #[test]
    fn a_connection_that_only_the_host_would_have_taken_is_explained() {
        let (_folder, plan, base) = place();
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let explained = |command: &str, output: &str, routes| {
            let directories = [base.join("ws")];
            let config = Path::new("/c/config.toml");
            let evidence = Evidence {
                command,
                output: output.as_bytes(),
                directories: &directories,
                config,
                routes,
                refused: None,
                writes: &NONE_SEEN,
            };
            explain(&plan, &evidence).iter().map(|denial| denial.denied.clone()).collect::<Vec<_>>()
        };
        for output in [
            format!(
                "curl: (7) Failed to connect to localhost port {port} after 0 ms: Couldn't connect to server"
            ),
            format!("Error: connect ECONNREFUSED 127.0.0.1:{port}"),
            format!(
                "connection to server at \"localhost\" (127.0.0.1), port {port} failed: Connection refused"
            ),
        ] {
            assert_eq!(explained("x", &output, Routes::NotRefused), [Denied::HostPort(port)], "{output}");
            assert_eq!(explained("x", &output, Routes::Uncounted), []);
        }
        let silent = "[Errno 111] Connection refused";
        let named = format!("python3 -c 'connect((\"127.0.0.1\", {port}))'");
        assert_eq!(explained(&named, silent, Routes::NotRefused), [Denied::HostPort(port)]);
        drop(listener);
        assert_eq!(explained(&named, silent, Routes::NotRefused), [], "nobody listens outside either");
    }

    #[test]
    fn what_an_error_is_about_may_stand_in_other_lines_and_letters() {
        let (_folder, plan, base) = place();
        let at = base.display();
        for output in [
            format!(
                "error: failed to create directory `{at}/out/x`\n\nCaused by:\n  Read-only file system (os error 30)\n"
            ),
            format!("mkdir {at}/out/x: read-only file system\n"),
            format!("npm error code EROFS\nnpm error syscall open\nnpm error path {at}/out/x\n"),
        ] {
            let denied = explained(&plan, &base, &output);
            assert_eq!(denied.len(), 1, "{output}: {denied:?}");
            assert!(denied[0].contains("writing BASE/out/x; "), "{denied:?}");
        }
        // What we say ourselves of a program that was not let run.
        let ours =
            format!("Execution denied: forbidden (rule {at}/out/x:1)\nfopen: Read-only file system.\n");
        assert!(explained(&plan, &base, &ours).is_empty());
        // Lines of a stack trace are the program's own.
        let trace = format!("    at {at}/out/x\nError: Permission denied\n");
        assert!(explained(&plan, &base, &trace).is_empty());
    }

    #[test]
    fn what_is_missing_on_the_way_is_looked_through() {
        let (_folder, plan, base) = place();
        let output = format!("mkdir {}/out/new/deep/x: read-only file system", base.display());
        let denied = explained(&plan, &base, &output);
        assert!(
            denied[0].contains("make the folder BASE/out/new (mkdir BASE/out/new), then add"),
            "{denied:?}"
        );
        assert!(denied[0].contains("writable_roots = [\"BASE/out/new\"]"), "{denied:?}");
    }

    #[test]
    fn a_way_to_allow_something_is_named_once() {
        let (_folder, plan, base) = place();
        let line = |name: &str| {
            format!("touch: cannot touch '{}/out/{name}': Read-only file system\n", base.display())
        };
        assert_eq!(explained(&plan, &base, &(line("a") + &line("b"))).len(), 1);
    }

    #[test]
    fn calls_that_are_refused_to_all_are_named() {
        let (_folder, plan, base) = place();
        let denied = explained(&plan, &base, "unshare: unshare failed: Operation not permitted");
        assert!(denied[0].starts_with("possibly denied by the sandbox: new namespaces; "), "{denied:?}");
    }

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
    fn what_is_counted_is_certain_and_what_is_only_printed_is_not_told() {
        let (_folder, plan, base) = place();
        let told = |output: &str, refused: &[Denied]| {
            let refused = refused.iter().map(|denied| (denied.clone(), "make".to_owned())).collect();
            let evidence = Evidence {
                command: "make",
                output: output.as_bytes(),
                directories: std::slice::from_ref(&base),
                config: Path::new("/c/config.toml"),
                routes: Routes::NotRefused,
                refused: Some(&refused),
                writes: &NONE_SEEN,
            };
            let denials = explain(&plan, &evidence);
            denials.into_iter().map(|denial| (denial.denied, denial.certain)).collect::<Vec<_>>()
        };
        let traced = "ptrace: Operation not permitted.";
        assert_eq!(told(traced, &[]), []);
        assert_eq!(told(traced, &[Denied::Tracing]), [(Denied::Tracing, true)]);
        assert_eq!(told("", &[words::NAMESPACES]), [(words::NAMESPACES, true)]);
        assert_eq!(told("No usable sandbox!", &[words::NAMESPACES]), [(words::BROWSER, true)]);
    }

    #[test]
    fn a_hidden_file_that_seems_missing_is_named_and_a_key_is_never_offered() {
        let (_folder, mut plan, base) = place();
        plan.hidden.push(base.join("ws/.env"));
        let at = base.display();
        for output in [
            format!("cat: {at}/home/.ssh/id: No such file or directory"),
            format!("FileNotFoundError: [Errno 2] No such file or directory: '{at}/home/.ssh/id'"),
        ] {
            let denied = explained(&plan, &base, &output);
            assert!(denied[0].contains("reading BASE/home/.ssh/id; it is hidden"), "{denied:?}");
        }
        let denied = explained(&plan, &base, "cat: .env: No such file or directory");
        assert!(denied[0].contains("allow_read = [\"BASE/ws/.env\"]"), "{denied:?}");
        fs::write(base.join("ws/.env"), "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
        let denied = explained(&plan, &base, "cat: .env: No such file or directory");
        assert!(denied[0].contains("holds keys") && !denied[0].contains("allow_read"), "{denied:?}");
        assert!(explained(&plan, &base, "cat: x: No such file or directory").is_empty());
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
        let two = format!("ln: cannot link {base_text}/out/a to {base_text}/other/b: Read-only file system");
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
        assert!(hook[0].ends_with("prefix_rule([\"git\", \"push\"], decision=\"prompt\")"), "{hook:?}");
        let key = explained(&plan, &base, &format!("cat: {}/home/.ssh: Permission denied", base.display()));
        assert!(key[0].contains("reading BASE/home/.ssh; it is hidden"), "{key:?}");
        let network = explained(&plan, &base, "curl: (6) Could not resolve host: example.org");
        assert!(
            network[0].starts_with("possibly denied by the sandbox: the network; a person can allow it: add \"--network\" to the server's args"),
            "{network:?}"
        );
        let told = |output: &str, routes: Routes| {
            let config = Path::new("/c/config.toml");
            let evidence = Evidence {
                command: "",
                output: output.as_bytes(),
                directories: &[],
                config,
                routes,
                refused: None,
                writes: &NONE_SEEN,
            };
            explain(&plan, &evidence).iter().map(|denial| denial.certain).collect::<Vec<_>>()
        };
        let words = "Network is unreachable";
        assert_eq!(told("", Routes::Refused), [true]);
        assert_eq!(told("", Routes::RefusedToSomeone), [false; 0]);
        assert_eq!(told(words, Routes::RefusedToSomeone), [false]);
        assert_eq!(told(words, Routes::NotRefused), [false; 0], "what is only printed");
    }

    /// Output that only sounds like a denial: Codex's server calls all of these "sandbox denied".
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
