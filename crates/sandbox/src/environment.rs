//! The environment that a command gets: a pure function of the server's environment and the user's policy.
//!
//! Secrets are dropped by name, because a command has no use for most and a sandbox without network is no reason to
//! show them. The steps and their order are those of Codex's `shell_environment_policy`.

use crate::plan::Caches;
use crate::policy::Network;
use glob::{MatchOptions, Pattern};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where the environment of commands starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inherit {
    /// Everything that the server has.
    #[default]
    All,
    /// Only the variables of [`CORE`].
    Core,
    /// Nothing.
    None,
}

/// What [`Inherit::Core`] keeps.
pub const CORE: &[&str] = &[
    "HOME", "LOGNAME", "PATH", "SHELL", "USER", "USERNAME", "TMPDIR", "TEMP", "TMP", "LANG", "LC_ALL",
    "LC_CTYPE", "TZ",
];

/// Names that are taken for secrets, in any case of letters.
pub const SECRET_NAMES: &[&str] = &[
    "*KEY*",
    "*SECRET*",
    "*TOKEN*",
    "*PASSWORD*",
    "*PASSWD*",
    "*CREDENTIAL*",
    "*_PAT",
    "SSHPASS",
    "MYSQL_PWD",
    "OTEL_*HEADERS",
    "DATABASE_URL",
];

/// Names that may hold a password in a URL, without which the network that commands were given cannot be used.
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY"];

/// Names that look like secrets and are none.
const NOT_SECRET: &[&str] = &["SSH_ASKPASS_REQUIRE", "KEYBOARD*", "XKB_*", "KEYTIMEOUT", "GIT_CONFIG_KEY_*"];

/// What MCP clients tell their own child processes: sockets that control them, and marks by which their programs know
/// that they run inside. A command has no use for the first, and is misled by the second.
pub const PRIVATE_TO_CLIENTS: &[&str] = &[
    "CLAUDECODE",
    "CLAUDE_CODE_*SOCKET*",
    "CLAUDE_CODE_*PORT",
    "CLAUDE_CODE_CHILD_*",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_LAUNCHED_BY_*",
    "CLAUDE_CODE_MESSAGING_*",
    "CLAUDE_CODE_SESSION*",
    "CODEX_*",
    "GEMINI_CLI*",
    "VSCODE_*",
    "CURSOR_*",
];

/// Names that look like a client's own and are their user's.
const NOT_PRIVATE: &[&str] = &["CODEX_HOME"];

/// Variables that make a program load or run something before its first line; the server's own must not reach commands.
const NEVER: &[&str] = &[
    "BASH_ENV",
    "ENV",
    "LD_PRELOAD",
    "LD_AUDIT",
    "BASH_FUNC_*",
    "DYLD_*",
    "BASH_EXEC_WRAPPER",
    "EXEC_WRAPPER",
    "CODEX_ESCALATE_SOCKET",
];

/// What keeps tools from trying again for long where there is no network: npm alone waits for more than a minute. And from
/// looking for versions of themselves, about which a person would be asked.
const OFFLINE: &[(&str, &str)] = &[
    ("npm_config_fetch_retries", "0"),
    ("npm_config_update_notifier", "false"),
    ("PIP_RETRIES", "0"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("UV_HTTP_RETRIES", "0"),
    ("CARGO_NET_RETRY", "0"),
];

/// Which variables commands get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvironmentPolicy {
    /// The start.
    pub inherit: Inherit,
    /// Keeps names that look like secrets.
    pub keep_secret_names: bool,
    /// Patterns (`*`, `?`, any case of letters) of names to drop.
    pub exclude: Vec<String>,
    /// Variables to set, over everything above.
    pub set: BTreeMap<String, String>,
    /// Settings of Git, over its files and behind those that the environment has (git-config(1), `GIT_CONFIG_COUNT`).
    pub git_config: Vec<(String, String)>,
    /// A folder in which commands look for programs after those of their search path.
    pub search_last: Option<PathBuf>,
    /// When not empty, patterns of the only names to keep, also among the ones set.
    pub include_only: Vec<String>,
}

/// A pattern that is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a pattern of variable names: {reason}")]
pub struct BadPattern {
    /// The pattern.
    pub pattern: String,
    /// Why.
    pub reason: String,
}

/// A command's environment, and what was left out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandEnvironment {
    /// The variables.
    pub variables: BTreeMap<OsString, OsString>,
    /// Names that were dropped because they look like secrets, for the user to see.
    pub dropped_secrets: Vec<String>,
}

/// What programs take proxies from; some know the one form, some the other. Not SOCKS: clients in Python refuse to start with a
/// scheme for which they miss a library.
const LEADING_TO_PROXY: &[&str] =
    &["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
/// What would lead them elsewhere, in small letters.
const LEADING_ELSEWHERE: &[&str] =
    &["no_proxy", "ftp_proxy", "npm_config_proxy", "npm_config_https_proxy", "npm_config_noproxy"];

impl CommandEnvironment {
    /// Leads build tools whose caches cannot be written as they are to others, unless the policy says where or that it
    /// does not want the variable.
    pub fn lead_to(&mut self, caches: &Caches, with_layers: &[PathBuf], policy: &EnvironmentPolicy) {
        let include_only = patterns(&policy.include_only).unwrap_or_default();
        let is_written = |place: &PathBuf| with_layers.contains(place);
        let led = caches.tools.iter().filter(|tool| !tool.places.iter().any(is_written));
        for (name, value) in led.flat_map(|tool| &tool.variables) {
            let wanted = include_only.is_empty() || matches_any(&include_only, OsStr::new(name));
            if !wanted || policy.set.contains_key(name) {
                continue;
            }
            let known = self.variables.get(OsStr::new(name)).filter(|_| value.starts_with('-'));
            // One option more for the tool; else the user's own place, which commands cannot write.
            let value = match known {
                Some(known) => [known, OsStr::new(value)].join(OsStr::new(" ")),
                None => value.into(),
            };
            self.variables.insert(name.into(), value);
        }
    }

    /// Leads programs to the proxy at this port of loopback, which is all that they reach; whatever else names proxies does not
    /// count.
    pub fn lead_to_proxy(&mut self, port: u16) {
        self.variables.retain(|name, _| {
            let name = name.to_string_lossy().to_ascii_lowercase();
            !LEADING_ELSEWHERE.contains(&name.as_str())
        });
        let proxy = format!("http://127.0.0.1:{port}");
        let proxies = LEADING_TO_PROXY.iter().map(|name| ((*name).into(), proxy.clone().into()));
        // Node's own clients look at the others only if this says so.
        self.variables.extend(proxies.chain([("NODE_USE_ENV_PROXY".into(), "1".into())]));
    }

    /// Returns `NAME=value` for each variable, in order.
    #[must_use]
    pub fn to_list(&self) -> Vec<OsString> {
        let pair = |(name, value): (&OsString, &OsString)| {
            let mut pair = name.clone();
            pair.push("=");
            pair.push(value);
            pair
        };
        self.variables.iter().map(pair).collect()
    }
}

/// Whether a variable is a client's own ([`PRIVATE_TO_CLIENTS`]).
#[must_use]
pub fn is_private_to_a_client(name: &OsStr) -> bool {
    let fits = |texts| patterns(texts).is_ok_and(|patterns| matches_any(&patterns, name));
    fits(PRIVATE_TO_CLIENTS) && !fits(NOT_PRIVATE)
}

/// Whether a value is a URL with a password in it (`https://user:password@host`).
fn has_password(value: &OsStr) -> bool {
    let Some((_, rest)) = value.to_str().and_then(|text| text.split_once("://")) else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    user.and_then(|user| user.split_once(':')).is_some_and(|(_, password)| !password.is_empty())
}

/// Applies the policy: inherit, drop secrets, exclude, set, include only; then what the sandbox itself sets.
///
/// In an enforced sandbox, variables that point at sockets and credential files which are hidden there are dropped too.
///
/// # Errors
/// [`BadPattern`] names a pattern that cannot be understood.
pub fn command_environment(
    own: impl IntoIterator<Item = (OsString, OsString)>,
    policy: &EnvironmentPolicy,
    enforced: bool,
    network: Network,
) -> Result<CommandEnvironment, BadPattern> {
    let secrets = patterns(SECRET_NAMES)?;
    let harmless = patterns(NOT_SECRET)?;
    let proxies = patterns(PROXIES)?;
    let never = patterns(NEVER)?;
    let private = patterns(PRIVATE_TO_CLIENTS)?;
    let users = patterns(NOT_PRIVATE)?;
    let exclude = patterns(&policy.exclude)?;
    let include_only = patterns(&policy.include_only)?;
    let mut result = CommandEnvironment::default();
    for (name, value) in own {
        let inherited = match policy.inherit {
            Inherit::All => true,
            Inherit::Core => CORE.iter().any(|core| OsStr::new(core) == name),
            Inherit::None => false,
        };
        if !inherited || matches_any(&never, &name) || matches_any(&exclude, &name) {
            continue;
        }
        if matches_any(&private, &name) && !matches_any(&users, &name) {
            continue;
        }
        if enforced && points_at_something_hidden(&name) {
            continue;
        }
        let is_secret = matches_any(&secrets, &name) && !matches_any(&harmless, &name);
        let is_secret = is_secret || has_password(&value) && !matches_any(&proxies, &name);
        if !policy.keep_secret_names && is_secret {
            result.dropped_secrets.push(name.to_string_lossy().into_owned());
            continue;
        }
        result.variables.insert(name, value);
    }
    if !network.is_enabled() {
        // npm's may be written in any case.
        let is_known = |name: &str| result.variables.keys().any(|known| known.eq_ignore_ascii_case(name));
        let unwanted = |name: &str| matches_any(&exclude, OsStr::new(name)) || is_known(name);
        let added: Vec<_> = OFFLINE.iter().filter(|(name, _)| !unwanted(name)).collect();
        result.variables.extend(added.iter().map(|(name, value)| (name.into(), value.into())));
    }
    for (name, value) in &policy.set {
        result.variables.insert(name.into(), value.into());
    }
    add_git_config(&mut result.variables, &policy.git_config);
    if !include_only.is_empty() {
        result.variables.retain(|name, _| matches_any(&include_only, name));
    }
    search_last(&mut result.variables, policy.search_last.as_deref());
    if !network.is_enabled() {
        result.variables.insert("CODEX_SANDBOX_NETWORK_DISABLED".into(), "1".into());
    } else {
        result.variables.remove(OsStr::new("CODEX_SANDBOX_NETWORK_DISABLED"));
    }
    result.dropped_secrets.sort();
    Ok(result)
}

/// Puts a folder behind those of a search path, if there is one.
fn search_last(variables: &mut BTreeMap<OsString, OsString>, folder: Option<&Path>) {
    let path = variables.get_mut(OsStr::new("PATH")).filter(|path| !path.is_empty());
    // One with a colon cannot be on it.
    if let (Some(path), Some(folder)) =
        (path, folder.filter(|folder| !folder.as_os_str().as_bytes().contains(&b':')))
    {
        *path = [path.as_os_str(), folder.as_os_str()].join(OsStr::new(":"));
    }
}

/// Adds settings behind those that are there. A count that Git would refuse is left for it to refuse.
fn add_git_config(variables: &mut BTreeMap<OsString, OsString>, settings: &[(String, String)]) {
    const COUNT: &str = "GIT_CONFIG_COUNT";
    let known = variables.get(OsStr::new(COUNT)).filter(|count| !count.is_empty());
    let known: Option<usize> = known.map_or(Some(0), |count| count.to_str()?.parse().ok());
    let Some(known) = known.filter(|_| !settings.is_empty()) else { return };
    for (index, (key, value)) in (known..).zip(settings) {
        variables.insert(format!("GIT_CONFIG_KEY_{index}").into(), key.into());
        variables.insert(format!("GIT_CONFIG_VALUE_{index}").into(), value.into());
    }
    variables.insert(COUNT.into(), (known + settings.len()).to_string().into());
}

fn points_at_something_hidden(name: &OsStr) -> bool {
    crate::resolve::PRIVATE_VARIABLES.iter().any(|(hidden, _)| OsStr::new(hidden) == name)
}

fn patterns(texts: &[impl AsRef<str>]) -> Result<Vec<Pattern>, BadPattern> {
    texts
        .iter()
        .map(|text| {
            Pattern::new(text.as_ref()).map_err(|error| BadPattern {
                pattern: text.as_ref().to_owned(),
                reason: error.msg.to_owned(),
            })
        })
        .collect()
}

fn matches_any(patterns: &[Pattern], name: &OsStr) -> bool {
    let options = MatchOptions { case_sensitive: false, ..MatchOptions::default() };
    let name = name.to_string_lossy();
    patterns.iter().any(|pattern| pattern.matches_with(&name, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<(OsString, OsString)> {
        [
            ("PATH", "/bin"),
            ("HOME", "/h"),
            ("EDITOR", "vi"),
            ("GITHUB_TOKEN", "x"),
            ("aws_secret_access_key", "x"),
            ("SSH_AUTH_SOCK", "/tmp/a"),
            ("LD_PRELOAD", "/x.so"),
            ("BASH_FUNC_ls%%", "() { :; }"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec()
    }

    fn names(policy: &EnvironmentPolicy, enforced: bool, network: Network) -> Vec<String> {
        let environment = command_environment(own(), policy, enforced, network).unwrap();
        environment.variables.keys().map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_password_in_a_url_is_a_secret() {
        for (value, is_one) in [
            ("postgres://me:secret@db/x", true),
            ("redis://:secret@cache", true),
            ("https://me@host/a:b@c", false),
            ("https://host:8080/", false),
            ("me:secret@host", false),
            ("", false),
        ] {
            assert_eq!(has_password(OsStr::new(value)), is_one, "{value}");
        }
    }

    #[test]
    fn by_default_secrets_and_loaders_are_dropped_and_told() {
        let environment =
            command_environment(own(), &EnvironmentPolicy::default(), true, Network::Restricted).unwrap();
        assert_eq!(environment.dropped_secrets, ["GITHUB_TOKEN", "aws_secret_access_key"]);
        let mut names: Vec<_> = environment.to_list();
        names.retain(|entry| !OFFLINE.iter().any(|(name, _)| entry.to_string_lossy().starts_with(name)));
        assert_eq!(names, ["CODEX_SANDBOX_NETWORK_DISABLED=1", "EDITOR=vi", "HOME=/h", "PATH=/bin"]);
    }

    #[test]
    fn without_enforcement_sockets_stay() {
        let names = names(&EnvironmentPolicy::default(), false, Network::Enabled);
        assert_eq!(names, ["EDITOR", "HOME", "PATH", "SSH_AUTH_SOCK"]);
    }

    #[test]
    fn the_steps_apply_in_order() {
        let mut policy = EnvironmentPolicy { inherit: Inherit::Core, ..EnvironmentPolicy::default() };
        assert_eq!(names(&policy, true, Network::Enabled), ["HOME", "PATH"]);
        policy.exclude = vec!["hom?".into()];
        policy.set = BTreeMap::from([("HOME".into(), "/set".into()), ("MY_TOKEN".into(), "wanted".into())]);
        assert_eq!(names(&policy, true, Network::Enabled), ["HOME", "MY_TOKEN", "PATH"]);
        policy.include_only = vec!["*TOKEN".into()];
        assert_eq!(names(&policy, true, Network::Enabled), ["MY_TOKEN"]);
        let all = EnvironmentPolicy { keep_secret_names: true, ..EnvironmentPolicy::default() };
        assert!(names(&all, true, Network::Enabled).contains(&"GITHUB_TOKEN".to_owned()));
        let none = EnvironmentPolicy { inherit: Inherit::None, ..EnvironmentPolicy::default() };
        assert_eq!(names(&none, true, Network::Enabled), [""; 0]);
        let only = EnvironmentPolicy { include_only: vec!["CODEX*".into()], ..none };
        assert_eq!(names(&only, true, Network::Restricted), ["CODEX_SANDBOX_NETWORK_DISABLED"]);
    }

    #[test]
    fn tools_give_up_at_once_where_there_is_no_network_unless_the_user_says_how_often_they_try() {
        let made = |own: &[(&str, &str)], network| {
            let own: Vec<_> = own.iter().map(|(name, value)| (name.into(), value.into())).collect();
            let policy = EnvironmentPolicy {
                exclude: vec!["PIP_*".into()],
                set: BTreeMap::from([("UV_HTTP_RETRIES".into(), "2".into())]),
                ..EnvironmentPolicy::default()
            };
            command_environment(own, &policy, true, network).unwrap().to_list()
        };
        assert_eq!(
            made(&[("NPM_CONFIG_FETCH_RETRIES", "3")], Network::Restricted),
            [
                "CARGO_NET_RETRY=0",
                "CODEX_SANDBOX_NETWORK_DISABLED=1",
                "NPM_CONFIG_FETCH_RETRIES=3",
                "UV_HTTP_RETRIES=2",
                "npm_config_update_notifier=false"
            ]
        );
        assert_eq!(made(&[], Network::Enabled), ["UV_HTTP_RETRIES=2"]);
    }

    #[test]
    fn what_is_a_clients_own_is_dropped_and_what_is_its_users_stays() {
        let own = [
            "CLAUDECODE",
            "CLAUDE_CODE_IDE_SOCKET_PATH",
            "CODEX_THREAD",
            "VSCODE_IPC_HOOK_CLI",
            "CODEX_HOME",
            "CLAUDE_CODE_USE_BEDROCK",
        ];
        let own = own.map(|name| (name.into(), "x".into()));
        let made = command_environment(own, &EnvironmentPolicy::default(), false, Network::Enabled).unwrap();
        assert_eq!(made.to_list(), ["CLAUDE_CODE_USE_BEDROCK=x", "CODEX_HOME=x"]);
        assert!(is_private_to_a_client(OsStr::new("CURSOR_TRACE_ID")));
        assert!(!is_private_to_a_client(OsStr::new("CODEX_HOME")));
    }

    #[test]
    fn settings_of_git_come_behind_those_that_are_there() {
        let policy = EnvironmentPolicy {
            git_config: vec![("a.b".into(), "c".into())],
            ..EnvironmentPolicy::default()
        };
        let list = |own: &[(&str, &str)]| {
            let own: Vec<_> = own.iter().map(|(name, value)| (name.into(), value.into())).collect();
            command_environment(own, &policy, false, Network::Enabled).unwrap().to_list()
        };
        assert_eq!(list(&[]), ["GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=a.b", "GIT_CONFIG_VALUE_0=c"]);
        let theirs = [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "x.y"), ("GIT_CONFIG_VALUE_0", "z")];
        assert_eq!(
            list(&theirs),
            [
                "GIT_CONFIG_COUNT=2",
                "GIT_CONFIG_KEY_0=x.y",
                "GIT_CONFIG_KEY_1=a.b",
                "GIT_CONFIG_VALUE_0=z",
                "GIT_CONFIG_VALUE_1=c"
            ]
        );
        assert_eq!(list(&[("GIT_CONFIG_COUNT", "many")]), ["GIT_CONFIG_COUNT=many"]);
    }

    #[test]
    fn a_broken_pattern_is_named() {
        let policy = EnvironmentPolicy { exclude: vec!["[".into()], ..EnvironmentPolicy::default() };
        let error = command_environment(own(), &policy, true, Network::Enabled).unwrap_err();
        assert_eq!(error.pattern, "[");
    }
}
