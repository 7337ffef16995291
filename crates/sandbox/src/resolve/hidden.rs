//! What must not be read or reached: credentials, and sockets behind which something outside acts for whoever asks.
//!
//! Only what exists when the sandbox starts can be covered. `allow_read` takes entries out, `deny_read` adds some.

use super::error::ResolveError;
use super::fallback::SYSTEM;
use super::host_facts::HostFacts;
use super::host_sockets::HostSockets;
use crate::placeholder::is_placeholder;
use crate::plan::{Placeholder, Plan};
use crate::policy::Restrictions;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// In the home folder.
const IN_HOME: &[(&str, &str)] = &[
    (".ssh", "private keys"),
    (".gnupg", "private keys"),
    (".aws", "cloud credentials"),
    (".azure", "cloud credentials"),
    (".config/gcloud", "cloud credentials"),
    (".config/doctl", "cloud credentials"),
    (".oci", "cloud credentials"),
    (".kube", "cluster credentials"),
    (".docker/run", "Docker Desktop's sockets"),
    (".config/containers/auth.json", "registry credentials"),
    (".netrc", "passwords"),
    (".config/gh", "GitHub token"),
    (".config/hub", "GitHub token"),
    (".config/glab-cli", "GitLab token"),
    (".pypirc", "registry password"),
    (".gem/credentials", "registry token"),
    (".composer/auth.json", "registry token"),
    (".terraform.d/credentials.tfrc.json", "cloud token"),
    (".vault-token", "secret store"),
    (".password-store", "passwords"),
    (".local/share/keyrings", "passwords"),
    (".config/op", "passwords"),
    (".pgpass", "passwords"),
    (".databrickscfg", "cloud credentials"),
    (".config/rclone", "cloud credentials"),
    (".s3cfg", "cloud credentials"),
    (".boto", "cloud credentials"),
    (".codex/auth.json", "agent's credentials"),
    (".claude/.credentials.json", "agent's credentials"),
    (".claude.json", "agent's credentials"),
    (".gemini/oauth_creds.json", "agent's credentials"),
    (".local/share/opencode/auth.json", "agent's credentials"),
    (".config/github-copilot", "agent's credentials"),
    (".qwen/oauth_creds.json", "agent's credentials"),
    (".config/opencode/auth.json", "agent's credentials"),
    (".config/goose/secrets.yaml", "agent's credentials"),
    (".config/cursor/auth.json", "agent's credentials"),
    (".copilot/config.json", "agent's credentials"),
    (".factory/auth.json", "agent's credentials"),
    (".local/share/amp/secrets.json", "agent's credentials"),
    (".local/share/crush/crush.json", "agent's credentials"),
    (".grok/user-settings.json", "agent's credentials"),
    (".kimi/credentials", "agent's credentials"),
    (".augment/session.json", "agent's credentials"),
    (".codeium/config.json", "agent's credentials"),
    (".continue/config.yaml", "agent's credentials"),
    (".continue/.env", "agent's credentials"),
    (".aider.conf.yml", "agent's credentials"),
    (".local/share/amazon-q", "agent's credentials"),
    (".local/share/kiro-cli", "agent's credentials"),
    (".config/io.datasette.llm/keys.json", "agent's credentials"),
    (".gemini/google_accounts.json", "agent's credentials"),
    (".codex/history.jsonl", "what was said to an agent, secrets among it"),
    (".codex/sessions", "as .codex/history.jsonl"),
    (".codex/archived_sessions", "as .codex/history.jsonl"),
    (".claude/history.jsonl", "as .codex/history.jsonl"),
    (".claude/projects", "as .codex/history.jsonl"),
    (".gemini/tmp", "as .codex/history.jsonl"),
    (".qwen/tmp", "as .codex/history.jsonl"),
    (".local/share/opencode/storage", "as .codex/history.jsonl"),
    (".ollama/id_ed25519", "private key"),
    (".cache/huggingface/stored_tokens", "registry tokens"),
    (".huggingface", "registry token"),
    (".kaggle", "registry token"),
    (".config/composer/auth.json", "registry token"),
    (".jfrog", "registry credentials"),
    (".pulumi/credentials.json", "cloud token"),
    (".fly/config.yml", "cloud token"),
    (".config/hcloud", "cloud token"),
    (".config/scw", "cloud credentials"),
    (".config/linode-cli", "cloud token"),
    (".aliyun", "cloud credentials"),
    (".snowflake", "cloud credentials"),
    (".local/share/com.vercel.cli", "cloud token"),
    (".config/netlify", "cloud token"),
    (".wrangler", "cloud token"),
    (".config/.wrangler", "cloud token"),
    (".supabase/access-token", "cloud token"),
    (".config/stripe", "payment keys"),
    (".config/argocd", "cluster credentials"),
    (".sentryclirc", "token"),
    (".config/circleci", "token"),
    (".circleci/cli.yml", "token"),
    (".config/ngrok", "tunnel token"),
    (".ngrok2", "tunnel token"),
    (".config/sops/age", "private keys"),
    (".config/age", "private keys"),
    (".age", "private keys"),
    (".config/wireguard", "private keys"),
    (".putty", "private keys, hosts"),
    (".config/1Password", "passwords"),
    (".config/Bitwarden CLI", "passwords"),
    (".config/filezilla", "passwords"),
    (".local/share/remmina", "passwords"),
    (".msmtprc", "mail password"),
    (".fetchmailrc", "mail password"),
    (".mbsyncrc", "mail password"),
    (".offlineimaprc", "mail password"),
    (".subversion/auth", "passwords"),
    (".smbcredentials", "password"),
    (".config/solana", "wallet"),
    (".config/Slack", "messages"),
    (".config/discord", "messages"),
    (".local/share/TelegramDesktop", "messages"),
    (".config/Cursor/User/globalStorage", "editor's secrets"),
    (".mozilla", "browser profile: passwords, cookies"),
    (".thunderbird", "mail"),
    (".config/google-chrome", "browser profile"),
    (".config/chromium", "browser profile"),
    (".config/BraveSoftware", "browser profile"),
    (".config/microsoft-edge", "browser profile"),
    (".config/Code/User/globalStorage", "editor's secrets"),
    (".config/Signal", "messages"),
    (".bitcoin", "wallet"),
    (".ethereum", "wallet"),
    (".electrum", "wallet"),
    (".bash_history", "commands with secrets in them"),
    (".zsh_history", "as .bash_history"),
    (".python_history", "as .bash_history"),
    (".local/share/fish/fish_history", "as .bash_history"),
    (".local/share/atuin", "as .bash_history, and its key"),
    (".node_repl_history", "as .bash_history"),
    (".irb_history", "as .bash_history"),
    (".ipython/profile_default/history.sqlite", "as .bash_history"),
    (".sqlite_history", "as .bash_history"),
    (".rediscli_history", "as .bash_history"),
    (".lesshst", "as .bash_history"),
    (".viminfo", "as .bash_history, and pieces of edited files"),
    (".ash_history", "as .bash_history"),
    (".ksh_history", "as .bash_history"),
    (".sh_history", "as .bash_history"),
    (".history", "as .bash_history"),
    (".local/state/bash", "as .bash_history"),
    (".local/state/zsh", "as .bash_history"),
    (".config/nushell/history.txt", "as .bash_history"),
    (".config/nushell/history.sqlite3", "as .bash_history"),
    (".local/share/powershell/PSReadLine", "as .bash_history"),
    (".local/share/xonsh", "as .bash_history"),
    (".local/state/nvim/shada", "as .viminfo"),
    (".pry_history", "as .bash_history"),
    (".php_history", "as .bash_history"),
    (".ghc/ghci_history", "as .bash_history"),
    (".julia/logs", "as .bash_history"),
    (".Rhistory", "as .bash_history"),
    (".duckdb_history", "as .bash_history"),
    (".mongodb", "as .bash_history"),
    (".gdb_history", "as .bash_history"),
    (".psql_history", "as .bash_history"),
    (".mysql_history", "as .bash_history"),
    (".Xauthority", "lets programs type into the user's windows"),
];

/// Anywhere.
const ABSOLUTE: &[(&str, &str)] = &[
    ("/run/docker.sock", "as good as root"),
    ("/run/docker", "as good as root"),
    ("/run/containerd", "as good as root"),
    ("/run/podman", "as good as root"),
    ("/run/crio", "as good as root"),
    ("/run/libvirt", "as good as root"),
    ("/run/lxd.socket", "as good as root"),
    ("/run/k3s", "as good as root"),
    ("/run/host-services", "Docker Desktop's way to the user's ssh-agent"),
    ("/run/WSL", "starts Windows programs"),
    ("/mnt/wslg", "types into the user's windows"),
    ("/run/snapd.socket", "installs software"),
    ("/run/dbus", "asks system services to act"),
    ("/run/systemd/private", "starts programs outside"),
    ("/run/systemd/notify", "speaks for services"),
    ("/run/systemd/journal", "writes the system's log"),
    ("/run/user", "D-Bus, Wayland, audio and agents of the users' sessions"),
    ("/run/secrets", "a container's secrets"),
    ("/run/credentials", "services' secrets"),
    ("/run/nscd", "name service outside"),
    ("/run/avahi-daemon", "network discovery"),
    ("/run/cups", "printers"),
    ("/run/pcscd", "smart cards"),
    ("/tmp/.X11-unix", "types into the user's windows"),
    ("/tmp/.ICE-unix", "the desktop's session"),
    ("/etc/shadow", "password hashes"),
    ("/etc/gshadow", "password hashes"),
    ("/etc/sudoers", "who may become root"),
    ("/etc/sudoers.d", "who may become root"),
    ("/etc/ssh/ssh_host_rsa_key", "the host's identity"),
    ("/etc/ssh/ssh_host_ecdsa_key", "the host's identity"),
    ("/etc/ssh/ssh_host_ed25519_key", "the host's identity"),
    ("/etc/ssl/private", "private keys"),
    ("/etc/kubernetes", "cluster credentials"),
    ("/var/run/secrets", "a pod's credentials"),
    ("/proc/kcore", "memory"),
    ("/sys/kernel/security", "the kernel's own rules"),
    ("/sys/firmware", "the machine's secrets"),
];

/// Files in the home folder that tools read at every start and that may hold a token: these look empty instead of failing,
/// because the tools would fail with them.
const EMPTIED: &[(&str, &str)] = &[
    (".npmrc", "npm and pnpm"),
    (".yarnrc.yml", "yarn"),
    (".m2/settings.xml", "Maven"),
    (".gradle/gradle.properties", "Gradle"),
    (".docker/config.json", "docker, and everything that pulls images"),
    (".my.cnf", "mysql"),
    (".cache/huggingface/token", "Hugging Face's libraries"),
    (".config/pypoetry/auth.toml", "Poetry"),
    (".local/share/uv/credentials/credentials.toml", "uv"),
    (".terraformrc", "terraform"),
    (".nuget/NuGet/NuGet.Config", "dotnet"),
    (".pip/pip.conf", "pip"),
    (".config/pip/pip.conf", "pip"),
    (".git-credentials", "git"),
    (".config/git/credentials", "git"),
    (".cargo/credentials", "cargo"),
    (".cargo/credentials.toml", "cargo"),
];

/// More files than a pattern is meant for.
const MAX_MATCHES: usize = 2000;

/// Adds what is hidden to the plan.
pub(super) fn add(
    plan: &mut Plan,
    restrictions: &Restrictions,
    facts: &HostFacts,
) -> Result<(), ResolveError> {
    let mut asked = Vec::new();
    for path in &restrictions.deny_read {
        if !path.is_absolute() {
            return Err(ResolveError::Relative(path.clone()));
        }
        asked.push(path.clone());
    }
    for pattern in &restrictions.deny_read_globs {
        asked.extend(matches(pattern, &mut plan.notes)?);
    }
    asked.extend(facts.private.iter().cloned());
    let allowed: Vec<PathBuf> =
        restrictions.allow_read.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let mut hidden: Vec<PathBuf> = Vec::new();
    for path in asked.iter().filter_map(|path| path.canonicalize().ok()) {
        if let Some(root) = plan.writable.iter().find(|root| root.starts_with(&path)) {
            return Err(ResolveError::Contradiction { hidden: path, root: root.clone() });
        }
        hidden.push(path);
    }
    let is_allowed =
        |path: &Path| allowed.iter().any(|allowed| path.starts_with(allowed) || allowed.starts_with(path));
    // What cannot be listed cannot be covered: nothing starts without.
    let host_sockets = HostSockets::now().map_err(ResolveError::Sockets)?;
    let sockets: Vec<PathBuf> = host_sockets.bound.into_keys().collect();
    let folders = plan.writable.clone();
    let folders = folders.iter().flat_map(|root| socket_folders(root));
    let places: Vec<PathBuf> = built_in(facts).chain(folders).chain(sockets.iter().cloned()).collect();
    for path in places.iter().filter_map(|path| path.canonicalize().ok()) {
        let holds_a_root = plan.writable.iter().any(|root| root.starts_with(&path));
        if holds_a_root {
            plan.notes.push(format!("{} is usually hidden, but holds a writable folder", path.display()));
        }
        if !is_allowed(&path) && !holds_a_root {
            hidden.push(path);
        }
    }
    // A key may be a link to where it really lies.
    let linked: Vec<PathBuf> = hidden.iter().flat_map(|folder| linked_files(folder)).collect();
    let of_others = |path: &PathBuf| {
        let is_systems = SYSTEM.iter().any(|system| path.starts_with(system));
        !is_systems && !plan.writable.iter().any(|root| path.starts_with(root))
    };
    hidden.extend(linked.into_iter().filter(|path| !is_allowed(path)).filter(of_others));
    // `/proc` is replaced where it can be; an entry of the host's would not be there.
    hidden.retain(|path| path != Path::new("/") && path != Path::new("/dev/null"));
    hidden.sort();
    hidden.dedup();
    let all = hidden.clone();
    // What lies below something hidden is hidden.
    hidden.retain(|path| !all.iter().any(|other| path != other && path.starts_with(other)));
    let emptied = EMPTIED.iter().flat_map(|(name, _)| facts.in_homes(name));
    let emptied = emptied.filter_map(|path| path.canonicalize().ok());
    let needed = |path: &PathBuf| !is_allowed(path) && !plan.writable.contains(path);
    plan.emptied =
        emptied.filter(needed).filter(|path| !hidden.iter().any(|other| path.starts_with(other))).collect();
    plan.hidden = hidden;
    // One that is named counts also where the kernel knows it by another name: bound by a relative one, or renamed since.
    plan.sockets =
        sockets.into_iter().chain(allowed.iter().filter(|path| is_socket(path)).cloned()).collect();
    plan.sockets
        .retain(|path| is_allowed(path) && !plan.hidden.iter().any(|hidden| path.starts_with(hidden)));
    plan.sockets.sort();
    plan.sockets.dedup();
    Ok(())
}

fn is_socket(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket())
}

fn built_in(facts: &HostFacts) -> impl Iterator<Item = PathBuf> {
    let in_home = IN_HOME.iter().flat_map(|(name, _)| facts.in_homes(name));
    let absolute = ABSOLUTE.iter().map(|(path, _)| PathBuf::from(path));
    let variables = facts.variables.iter().flat_map(|(_, value)| paths_of_variable(value));
    in_home.chain(absolute).chain(variables)
}

/// Finds the files that links in a folder lead to.
fn linked_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_MATCHES);
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    links.filter_map(|entry| entry.path().canonicalize().ok()).filter(|path| path.is_file()).collect()
}

/// Finds the paths in `/a:/b`, `unix:///run/x`, `unix:path=/run/x,guid=…` and `/tmp/tmux-0/default,123,0`.
fn paths_of_variable(value: &OsStr) -> Vec<PathBuf> {
    let text = value.to_string_lossy();
    text.split([',', ';'])
        .flat_map(|part| {
            let part =
                part.strip_prefix("unix:path=").or_else(|| part.strip_prefix("unix://")).unwrap_or(part);
            let is_elsewhere = part.contains("://");
            part.split(':').filter(|_| !is_elsewhere).map(PathBuf::from).collect::<Vec<_>>()
        })
        .filter(|path| path.is_absolute() && path.components().count() > 1)
        .collect()
}

/// Folders of temporary ones in which programs look for each other's sockets by name, and so talk to whoever is there:
/// with X11 and desktops, tmux of every user, agents of OpenSSH.
fn socket_folders(temporary: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(temporary).into_iter().flatten().flatten();
    let named = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        name == b".X11-unix"
            || name == b".ICE-unix"
            || name.starts_with(b"tmux-")
            || name.starts_with(b"ssh-")
    });
    named.map(|entry| entry.path()).filter(|path| holds_sockets_alone(path)).collect()
}

/// Tells whether a folder holds nothing but sockets, and is not a placeholder.
fn holds_sockets_alone(path: &Path) -> bool {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    let is_socket = |entry: fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_socket());
    is_folder
        && !is_placeholder(path, &Placeholder::Folder)
        && fs::read_dir(path).is_ok_and(|entries| entries.flatten().all(is_socket))
}

fn matches(pattern: &str, notes: &mut Vec<String>) -> Result<Vec<PathBuf>, ResolveError> {
    let wrong = |source| ResolveError::Pattern { pattern: pattern.to_owned(), source };
    let found: Vec<PathBuf> = glob::glob(pattern).map_err(wrong)?.flatten().take(MAX_MATCHES).collect();
    if found.len() == MAX_MATCHES {
        notes.push(format!("`{pattern}` matches more than {MAX_MATCHES} files: not all are hidden"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, Network};

    fn plan() -> Plan {
        let mut plan = Plan::unenforced(Mode::ReadOnly, Network::Restricted);
        plan.writable = Vec::new();
        plan
    }

    #[test]
    fn credentials_that_exist_are_hidden_unless_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        fs::create_dir_all(home.join(".ssh")).unwrap();
        fs::create_dir_all(home.join(".aws")).unwrap();
        fs::write(home.join(".netrc"), "").unwrap();
        fs::write(home.join("app.env"), "").unwrap();
        let facts = HostFacts { home: Some(home.clone()), ..HostFacts::default() };
        let restrictions = Restrictions {
            allow_read: vec![home.join(".aws")],
            deny_read_globs: vec![format!("{}/**/*.env", home.display())],
            ..Restrictions::default()
        };
        let mut plan = plan();
        add(&mut plan, &restrictions, &facts).unwrap();
        for (name, is_hidden) in
            [(".ssh", true), (".netrc", true), ("app.env", true), (".aws", false), (".gnupg", false)]
        {
            assert_eq!(plan.hidden.contains(&home.join(name)), is_hidden, "{name}");
        }
    }

    #[test]
    fn what_is_hidden_in_one_home_is_hidden_in_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let [set, written_down] = ["set", "written-down"].map(|name| real.join(name));
        for home in [&set, &written_down] {
            fs::create_dir_all(home.join(".ssh")).unwrap();
        }
        for home in [Some(set.clone()), None] {
            let facts =
                HostFacts { home, written_down_home: Some(written_down.clone()), ..HostFacts::default() };
            let mut plan = plan();
            add(&mut plan, &Restrictions::default(), &facts).unwrap();
            assert!(plan.hidden.contains(&written_down.join(".ssh")), "{:?}", plan.hidden);
            assert_eq!(plan.hidden.contains(&set.join(".ssh")), facts.home.is_some());
        }
    }

    #[test]
    fn what_variables_move_and_what_links_lead_to_is_hidden_there() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        for name in ["moved/gh", ".ssh", "cargo", "keys"] {
            fs::create_dir_all(home.join(name)).unwrap();
        }
        for name in ["cargo/credentials.toml", "keys/id", "keys/other"] {
            fs::write(home.join(name), "").unwrap();
        }
        std::os::unix::fs::symlink(home.join("keys/id"), home.join(".ssh/id")).unwrap();
        let moved = vec![(".config", home.join("moved")), (".cargo", home.join("cargo"))];
        let facts = HostFacts { home: Some(home.clone()), moved, ..HostFacts::default() };
        let mut plan = plan();
        add(&mut plan, &Restrictions::default(), &facts).unwrap();
        for (name, is_hidden) in [("moved/gh", true), ("keys/id", true), ("keys/other", false)] {
            assert_eq!(plan.hidden.contains(&home.join(name)), is_hidden, "{name}: {:?}", plan.hidden);
        }
        assert!(plan.emptied.contains(&home.join("cargo/credentials.toml")), "{:?}", plan.emptied);
    }

    /// One name for each kind of thing that the documentation calls hidden and that a review could read.
    #[test]
    fn what_a_review_could_read_is_hidden() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        let names = [
            ".local/share/fish/fish_history",
            ".cache/huggingface/token",
            ".kaggle/kaggle.json",
            ".config/sops/age/keys.txt",
            ".qwen/oauth_creds.json",
            ".config/Slack/Cookies",
            ".pulumi/credentials.json",
            ".claude/projects/-ws/session.jsonl",
            ".copilot/config.json",
            ".local/state/zsh/history",
        ];
        for name in names {
            let path = home.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let facts = HostFacts { home: Some(home.clone()), ..HostFacts::default() };
        let mut plan = plan();
        add(&mut plan, &Restrictions::default(), &facts).unwrap();
        for name in names {
            let mut kept = plan.hidden.iter().chain(&plan.emptied);
            assert!(kept.any(|kept| home.join(name).starts_with(kept)), "{name}");
        }
    }

    #[test]
    fn a_socket_that_someone_listens_on_is_hidden() {
        // An address has room for 107 bytes (unix(7)), and temporary files may lie deeper.
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let path = folder.path().canonicalize().unwrap().join("agent.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let mut plan = plan();
        add(&mut plan, &Restrictions::default(), &HostFacts::default()).unwrap();
        assert!(plan.hidden.contains(&path));
    }

    #[test]
    fn variables_name_paths_in_several_ways() {
        for (value, expected) in [
            ("/tmp/ssh-x/agent.1", vec!["/tmp/ssh-x/agent.1"]),
            ("unix:path=/run/user/1/bus,guid=ab", vec!["/run/user/1/bus"]),
            ("unix:///run/docker.sock", vec!["/run/docker.sock"]),
            ("tcp://10.0.0.1:2375", vec![]),
            ("/a/config:/b/config", vec!["/a/config", "/b/config"]),
            ("/tmp/tmux-0/default,12,0", vec!["/tmp/tmux-0/default"]),
        ] {
            let expected: Vec<PathBuf> = expected.into_iter().map(PathBuf::from).collect();
            assert_eq!(paths_of_variable(OsStr::new(value)), expected, "{value}");
        }
    }

    #[test]
    fn hiding_what_holds_a_writable_root_is_a_contradiction() {
        let folder = tempfile::tempdir().unwrap();
        let outer = folder.path().canonicalize().unwrap();
        fs::create_dir(outer.join("ws")).unwrap();
        let mut plan = plan();
        plan.writable = vec![outer.join("ws")];
        let restrictions = Restrictions { deny_read: vec![outer], ..Restrictions::default() };
        assert!(matches!(
            add(&mut plan, &restrictions, &HostFacts::default()),
            Err(ResolveError::Contradiction { .. })
        ));
    }
}
