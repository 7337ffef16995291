//! The smallest thing that allows what was refused, and gives nothing else away.
//!
//! Whoever reads it may be a model that does as it is told, and what was refused may be chosen by a command. So no advice
//! names a folder that holds code or settings which run outside, and none opens a private key.

use super::caches;
use super::evidence::{Denied, Evidence};
use super::words;
use crate::plan::Plan;
use crate::resolve::{is_systems, is_too_wide, runs_outside};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Git's commands that change a repository's settings, as rules name them.
const CHANGE_SETTINGS: &[&str] = &[
    "branch",
    "checkout",
    "clone",
    "config",
    "init",
    "lfs",
    "pull",
    "push",
    "remote",
    "submodule",
    "switch",
    "worktree",
];

/// Programs that are given credentials to work with, and do not show them.
const WITH_CREDENTIALS: &[&str] =
    &["git push", "git pull", "git fetch", "git clone", "ssh", "gh", "aws", "kubectl", "gcloud", "docker"];

/// Where temporary files go that are told nothing else.
const TEMPORARY: &[&str] = &["/tmp", "/var/tmp"];

/// Says where it is to be written: a bare flag would be added to the command by whoever reads this.
pub(super) fn remedy(plan: &Plan, denied: &Denied, evidence: &Evidence<'_>) -> String {
    let config = evidence.config.display();
    const ARGUMENTS: &str = "to the server's args in the MCP client";
    match denied {
        Denied::Network if plan.by_name.is_some() => format!(
            "hosts are reached by their names, over TCP; a person can allow an address, too: add \"--allow-host\", \"ADDRESS:PORT\" {ARGUMENTS}, \
             or all of the network: \"--network\", or network_access = true below [sandbox_workspace_write] in {config}"
        ),
        Denied::Network => format!(
            "a person can allow it: add \"--network\" {ARGUMENTS}, or network_access = true below [sandbox_workspace_write] in {config}"
        ),
        Denied::HostPort(port) if plan.by_name.is_some() => format!(
            "commands have a localhost of their own, where nothing listens on {port}; start the server in a command, or have a person allow \
             that port: add \"--allow-host\", \"localhost:{port}\" {ARGUMENTS}, or allow = [\"localhost:{port}\"] below [shell_tool.network] in \
             {config}"
        ),
        Denied::HostPort(port) => format!(
            "commands have a localhost of their own, where nothing listens on {port}; start the server in a command, or have a person allow \
             the network: add \"--network\" {ARGUMENTS}, or network_access = true below [sandbox_workspace_write] in {config}"
        ),
        Denied::Tracing => format!("a person can allow it: add debug = true below [shell_tool] in {config}"),
        Denied::Counters => "nothing inside may use them; run the profiler outside the sandbox".to_owned(),
        Denied::Call(_) => "no command may do this, because it leads around the sandbox; a person can have a program do it outside, by a \
                            rule that asks: "
            .to_owned()
            + &rule_for_whom(denied, evidence),
        Denied::Read(path) if holds_secrets(path) => {
            let hidden = "it is hidden, because it holds keys, passwords or the like, which no command gets";
            match known(evidence, WITH_CREDENTIALS) {
                Some(words) => format!(
                    "{hidden}; a person can have the program that needs it run outside, by a rule that asks: {}",
                    prefix_rule(&words)
                ),
                None => format!(
                    "{hidden}; of programs that work with it without showing it (ssh, git push, gh) a person can let one, by a rule"
                ),
            }
        }
        Denied::Read(path) => format!(
            "it is hidden from commands; a person can allow it: add allow_read = [\"{}\"] below [shell_tool] in {config}",
            path.display()
        ),
        Denied::Write(path)
            if plan
                .reserved
                .iter()
                .any(|held| held.path.ends_with(".git") && path.starts_with(&held.path)) =>
        {
            "a repository of the workspace itself is yours to make: run git init there, or add a rule that asks you, \
             prefix_rule([\"git\", \"init\"], \"prompt\")"
                .to_owned()
        }
        Denied::Write(path) if plan.is_protected(path) => {
            let protected = "it is protected, because programs outside trust it; a person can";
            let is_of_git = path.components().any(|part| part.as_os_str() == ".git");
            let rule = if is_of_git { Some(of_git(evidence)) } else { rule_for_only(evidence) };
            match (rule, name_in_workspace(plan, path)) {
                (Some(rule), _) => format!("{protected} have it changed outside, by a rule that asks: {rule}"),
                (None, Some(name)) => format!(
                    "{protected} let all commands write it: add \"--protected\", \"{name}\" {ARGUMENTS}, or protected = [\"{name}\"] below \
                     [shell_tool] in {config}"
                ),
                (None, None) => format!("{protected} change it outside"),
            }
        }
        Denied::Write(path) => write(plan, path, evidence),
    }
}

fn write(plan: &Plan, path: &Path, evidence: &Evidence<'_>) -> String {
    let temporary = temporary(plan);
    let is_temporary =
        |path: &Path| path.parent().is_some_and(|folder| TEMPORARY.iter().any(|it| folder == *it));
    // It has another name each time.
    if let Some(place) = temporary.as_ref().filter(|_| is_temporary(path)) {
        return format!(
            "temporary files go where TMPDIR says; begin it with `mkdir -p {0}; export TMPDIR={0};`",
            place.display()
        );
    }
    if let Some(assignment) = temporary.as_ref().and_then(|place| caches::instead(path, &homes(), place)) {
        return format!(
            "it is the user's cache, which the user's own tools trust; the command can have its own: begin it with `export {assignment};`"
        );
    }
    let itself =
        || (words::is_about_a_folder(evidence.output) && !path.exists()).then(|| (path.to_owned(), false));
    let offered = |root: &(PathBuf, bool)| may_be_offered(&root.0);
    let Some((folder, is_there)) = root_for(path).filter(offered).or_else(itself).filter(offered) else {
        return match temporary {
            Some(place) => {
                format!("commands may write in the workspace and in {}; use a folder there", place.display())
            }
            None => "commands may write in the workspace; use a folder there".to_owned(),
        };
    };
    let make = if is_there {
        String::new()
    } else {
        format!("make the folder {0} (mkdir {0}), then ", folder.display())
    };
    let folder = folder.display();
    format!(
        "a person can allow it: {make}add \"--writable-root\", \"{folder}\" to the server's args in the MCP client, or writable_roots = \
         [\"{folder}\"] below [sandbox_workspace_write] in {}",
        evidence.config.display()
    )
}

/// Chooses the smallest folder that would do, and tells whether it is there: what is missing between it and the path is
/// the command's to make.
fn root_for(path: &Path) -> Option<(PathBuf, bool)> {
    if path.is_dir() {
        return Some((path.to_owned(), true));
    }
    let parent = path.parent()?;
    if parent.is_dir() {
        return Some((parent.to_owned(), true));
    }
    let missing = path.ancestors().find(|ancestor| ancestor.parent().is_some_and(Path::is_dir))?;
    Some((missing.to_owned(), false))
}

/// The folder for passing files that commands may write, if there is one.
fn temporary(plan: &Plan) -> Option<PathBuf> {
    let usual = Path::new("/tmp").canonicalize().ok().filter(|folder| plan.writable.contains(folder));
    usual.or_else(|| Some(plan.writable.first()?.join(".cache")))
}

/// A rule for the only program that a command names; the shell's own words are none, and write what they are redirected to.
fn rule_for_only(evidence: &Evidence<'_>) -> Option<String> {
    const OF_THE_SHELL: &[&str] = &[
        ":", ".", "[", "cd", "echo", "exit", "export", "false", "printf", "set", "source", "test", "true",
        "umask",
    ];
    let mut programs: Vec<Vec<&str>> = words::commands(evidence.command)
        .filter(|words| !OF_THE_SHELL.contains(&words[0]))
        .map(|words| words::plain(&words))
        .collect();
    programs.dedup();
    match &programs[..] {
        [one] if !evidence.command.contains('>') && one[0] == "git" => Some(prefix_rule(one)),
        [one] if !evidence.command.contains('>') => Some(outside_rule(one)),
        _ => None,
    }
}

/// The top-level name of a workspace that a path is or lies in, if it is plain.
fn name_in_workspace(plan: &Plan, path: &Path) -> Option<String> {
    let root = plan.writable.iter().find(|root| path.starts_with(root))?;
    let name = path.strip_prefix(root).ok()?.iter().next()?.to_str()?;
    (!name.contains(['"', '\\'])).then(|| name.to_owned())
}

/// A rule for the program that a command is about: the first that it names.
fn rule(evidence: &Evidence<'_>) -> String {
    let mut all = words::commands(evidence.command);
    let first = all.find(|words| !["cd", "export", "set", "source", "."].contains(&words[0]));
    outside_rule(&first.map_or_else(|| vec!["PROGRAM"], |words| words::plain(&words)))
}

/// A rule for the program to which a call was refused.
fn rule_for_whom(denied: &Denied, evidence: &Evidence<'_>) -> String {
    let counted_as = if *denied == words::BROWSER { &words::NAMESPACES } else { denied };
    let program =
        evidence.refused.and_then(|refused| refused.get(counted_as)).filter(|name| !name.is_empty());
    let Some(program) = program else { return rule(evidence) };
    let named = words::commands(evidence.command).find(|words| words::program_name(words[0]) == program);
    outside_rule(&named.map_or_else(|| vec![program.as_str()], |words| words::plain(&words)))
}

/// The first of these beginnings that a command has.
fn known<'a>(evidence: &Evidence<'_>, all: &[&'a str]) -> Option<Vec<&'a str>> {
    let commands: Vec<Vec<&str>> = words::commands(evidence.command).collect();
    let begins = |words: &[&str], named: &[&str]| {
        words.len() >= named.len()
            && words.iter().zip(named).all(|(word, name)| words::program_name(word) == *name)
    };
    let mut named = all.iter().map(|known| known.split(' ').collect::<Vec<_>>());
    named.find(|named| commands.iter().any(|words| begins(words, named)))
}

fn prefix_rule(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("prefix_rule([{}], decision=\"prompt\")", quoted.join(", "))
}

/// The same, where a yes must let the program out, whatever it is.
fn outside_rule(words: &[&str]) -> String {
    let rule = prefix_rule(words);
    format!("{}, run=\"outside\")", rule.trim_end_matches(')'))
}

/// A rule for what changes a repository's settings: the commands that were used, or else `git config` alone.
fn of_git(evidence: &Evidence<'_>) -> String {
    let mut used: Vec<&str> = Vec::new();
    for words in words::commands(evidence.command).filter(|words| words::program_name(words[0]) == "git") {
        let command = words.iter().skip(1).find(|word| CHANGE_SETTINGS.contains(word)).copied();
        // A script, which has this change them.
        let command = if command == Some("submodule") { Some("submodule--helper") } else { command };
        used.extend(command.filter(|command| !used.contains(command)));
    }
    match &used[..] {
        [] => "prefix_rule([\"git\", \"config\"], decision=\"prompt\")".to_owned(),
        [one] => format!("prefix_rule([\"git\", \"{one}\"], decision=\"prompt\")"),
        more => format!("prefix_rule([\"git\", [\"{}\"]], decision=\"prompt\")", more.join("\", \"")),
    }
}

/// Whether something hidden is nothing to give to commands at all: what is the user's own or the system's, and private keys
/// everywhere.
fn holds_secrets(path: &Path) -> bool {
    homes().iter().any(|home| path.starts_with(home))
        || SECRETS.iter().any(|place| path.starts_with(place))
        || is_private_key(path)
}

/// Where the system keeps what nobody but its own programs reads.
const SECRETS: &[&str] = &["/etc", "/run/secrets", "/var/run/secrets", "/run/credentials"];

/// Tells a private key by how its file begins (PEM, OpenSSH's own, PuTTY's).
fn is_private_key(path: &Path) -> bool {
    use std::os::unix::fs::OpenOptionsExt;
    /// A header, with the comments that may stand before it.
    const LOOKED_AT: u64 = 4096;
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let Some(file) = file.ok().filter(|_| is_file) else { return false };
    let mut beginning = Vec::new();
    // What cannot be read is not offered.
    if file.take(LOOKED_AT).read_to_end(&mut beginning).is_err() {
        return true;
    }
    let text = String::from_utf8_lossy(&beginning);
    ["PRIVATE KEY-----", "PuTTY-User-Key-File", "AGE-SECRET-KEY-"].iter().any(|mark| text.contains(mark))
}

fn homes() -> Vec<PathBuf> {
    home_folder::find().into_iter().chain(home_folder::written_down()).collect()
}

/// Whether a folder is one to advise somebody to make writable. What a command prints must not talk a user, or an agent
/// that speaks for him, into giving the system, the home folder, or what runs outside away.
pub(super) fn may_be_offered(folder: &Path) -> bool {
    let homes = homes();
    !is_systems(folder)
        && !folder.canonicalize().is_ok_and(|real| is_systems(&real))
        && !is_too_wide(folder, &homes)
        && !runs_outside(folder, &homes)
}

#[cfg(test)]
mod tests {
    use super::super::evidence::NONE_SEEN;
    use super::*;
    use crate::denial::Routes;

    fn evidence(command: &str) -> Evidence<'_> {
        Evidence {
            command,
            output: b"",
            directories: &[],
            config: Path::new("/c/config.toml"),
            routes: Routes::Uncounted,
            refused: None,
            writes: &NONE_SEEN,
        }
    }

    /// A command can print what it likes; it must not get anybody to give the system, a home, or what runs outside away.
    #[test]
    fn no_advice_gives_away_what_runs_outside() {
        assert!(may_be_offered(Path::new("/srv/project/out")));
        for folder in [
            "/",
            "/usr/local/share",
            "/etc",
            "/root",
            "/home",
            "/home/ann",
            "/bin",
            "/run",
            "/var/run",
            "/var/spool/cron",
            "/opt",
            "/opt/tool/lib",
            "/srv/project/.git/hooks",
            "/srv/project/.vscode",
        ] {
            assert!(!may_be_offered(Path::new(folder)), "{folder}");
        }
        let home = homes().first().unwrap().canonicalize().unwrap();
        for folder in [
            ".local/bin",
            ".local",
            ".cargo/bin",
            ".config",
            ".config/systemd/user",
            ".config/autostart",
            ".config/fish/conf.d",
            ".config/environment.d",
            ".claude/commands",
            ".codex",
            ".ssh",
            ".local/share/keyrings",
        ] {
            assert!(!may_be_offered(&home.join(folder)), "{folder}");
        }
        assert!(may_be_offered(&home.join("Documents/notes")));
    }

    #[test]
    fn a_rule_names_the_program_that_needs_it() {
        for (command, expected) in [
            ("cd x && GIT_TRACE=1 git push origin main 2>&1 | tail", Some(vec!["git", "push"])),
            ("/usr/bin/ssh host true", Some(vec!["ssh"])),
            ("cat key", None),
        ] {
            assert_eq!(known(&evidence(command), WITH_CREDENTIALS), expected, "{command}");
        }
        for (command, expected) in [
            ("make deploy", "[\"make\", \"deploy\"]"),
            ("export A=1; ./run.sh --now", "[\"run.sh\"]"),
            ("", "[\"PROGRAM\"]"),
        ] {
            let found = rule(&evidence(command));
            assert_eq!(
                found,
                format!("prefix_rule({expected}, decision=\"prompt\", run=\"outside\")"),
                "{command}"
            );
        }
        for (command, expected) in [
            (
                "cp /etc/hostname .mcp.json",
                Some("prefix_rule([\"cp\"], decision=\"prompt\", run=\"outside\")"),
            ),
            ("git checkout .mcp.json", Some("prefix_rule([\"git\", \"checkout\"], decision=\"prompt\")")),
            ("git status; cp a b", None),
            ("echo x > .mcp.json", None),
        ] {
            assert_eq!(rule_for_only(&evidence(command)).as_deref(), expected, "{command}");
        }
        let script = of_git(&evidence("git submodule deinit x"));
        assert_eq!(script, "prefix_rule([\"git\", \"submodule--helper\"], decision=\"prompt\")");
        let several = of_git(&evidence("git remote add o x; git -C . config a b && git status"));
        assert_eq!(several, "prefix_rule([\"git\", [\"remote\", \"config\"]], decision=\"prompt\")");
        let refused = [(words::NAMESPACES, "unshare".to_owned())].into();
        let whom = |command| Evidence { refused: Some(&refused), ..evidence(command) };
        let found = rule_for_whom(&words::BROWSER, &whom("sleep 9 & /usr/bin/unshare x"));
        assert_eq!(found, "prefix_rule([\"unshare\", \"x\"], decision=\"prompt\", run=\"outside\")");
        assert_eq!(
            rule_for_whom(&words::NAMESPACES, &whom("make")),
            "prefix_rule([\"unshare\"], decision=\"prompt\", run=\"outside\")"
        );
        assert_eq!(of_git(&evidence("npm ci")), "prefix_rule([\"git\", \"config\"], decision=\"prompt\")");
    }
}
