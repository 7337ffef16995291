//! Reads a `permissionProfile`, the newer way in which client programs describe a sandbox: a list of places, each with
//! an access, and a word for the network.
//!
//! A profile says more than the four modes can, so it becomes a policy plus [`Restrictions`]. What is not understood is
//! skipped only where that makes the sandbox stricter (a grant); an unknown *denial* is an error.

use super::json::{LONGEST_WORD, PolicyError, network_word, object, text, wrong_kind};
use super::location::{absolute_path, beginning};
use super::mode::{Network, SandboxPolicy, WorkspaceWrite};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// More entries than any profile seen; each costs a rule.
const MAX_ENTRIES: usize = 512;
/// What `{"kind":"minimal"}` stands for: what a dynamically linked program needs to start.
const MINIMAL: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/proc",
    "/sys",
    "/dev",
    "/nix/store",
    "/opt",
];

/// Narrows or details what a policy allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Restrictions {
    /// Places inside writable roots that stay read-only.
    pub read_only: Vec<PathBuf>,
    /// Places that cannot be read, on top of the built-in table.
    pub deny_read: Vec<PathBuf>,
    /// Glob patterns (absolute) of files that cannot be read; matched when the sandbox starts.
    pub deny_read_globs: Vec<String>,
    /// Exceptions to the built-in table of hidden places.
    pub allow_read: Vec<PathBuf>,
    /// Protected names inside writable roots that commands may write all the same, as in `.git/config`.
    pub protected: Vec<PathBuf>,
    /// Hosts that may be reached by name, and those that may not: `HOST`, `*.HOST`, `*`, with or without a port.
    pub allow_hosts: Vec<String>,
    /// See above.
    pub deny_hosts: Vec<String>,
    /// When present, nothing else (and no writable root's outside) can be read.
    pub only_readable: Option<Vec<PathBuf>>,
    /// Where that can be had, what cannot be read is not there either.
    pub bare: bool,
}

/// A profile's meaning.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) policy: SandboxPolicy,
    pub(super) restrictions: Restrictions,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    Deny,
}

/// What an entry's `path` stands for.
enum Place {
    Root,
    Minimal,
    Temporary,
    SlashTmp,
    Paths(Vec<PathBuf>),
    Glob(String),
    /// A kind from the future.
    Unknown(String),
}

/// Reads a profile; `workspace` is what `project_roots` and `current_working_directory` stand for.
pub(super) fn from_json(value: &Value, workspace: &[PathBuf]) -> Result<Profile, PolicyError> {
    let profile = object(value, "permissionProfile")?;
    let (network, hosts) = network(profile.get("network"))?;
    let mut profile = of_type(profile, network, workspace)?;
    profile.restrictions.allow_hosts = hosts.allow;
    profile.restrictions.deny_hosts = hosts.deny;
    Ok(profile)
}

fn of_type(
    profile: &Map<String, Value>,
    network: Network,
    workspace: &[PathBuf],
) -> Result<Profile, PolicyError> {
    match text(profile, "type")? {
        Some("disabled") => {
            Ok(Profile { policy: SandboxPolicy::DangerFullAccess, restrictions: Restrictions::default() })
        }
        Some("external") => Ok(Profile {
            policy: SandboxPolicy::ExternalSandbox { network },
            restrictions: Restrictions::default(),
        }),
        Some("managed") | None => {
            let files = profile.get("file_system").or_else(|| profile.get("fileSystem"));
            managed(files, network, workspace)
        }
        Some(other) => Err(PolicyError::Word {
            field: "permissionProfile.type",
            found: beginning(other, LONGEST_WORD),
            expected: "`managed`, `external` or `disabled`",
        }),
    }
}

fn managed(files: Option<&Value>, network: Network, workspace: &[PathBuf]) -> Result<Profile, PolicyError> {
    let Some(files) = files.filter(|files| !files.is_null()) else {
        return Err(wrong_kind("permissionProfile.file_system", "an object"));
    };
    let files = object(files, "permissionProfile.file_system")?;
    match text(files, "type")? {
        Some("unrestricted") => {
            let mut grants = Grants::default();
            grants.write(Path::new("/").to_owned());
            Ok(grants.into_profile(network))
        }
        Some("restricted") | None => {
            let entries = files.get("entries").and_then(Value::as_array);
            let entries =
                entries.ok_or_else(|| wrong_kind("permissionProfile.file_system.entries", "a list"))?;
            if entries.len() > MAX_ENTRIES {
                return Err(PolicyError::TooMany { field: "entries", limit: MAX_ENTRIES });
            }
            let mut grants = Grants::default();
            for entry in entries {
                grants.add(entry, workspace)?;
            }
            Ok(grants.into_profile(network))
        }
        Some(other) => Err(PolicyError::Word {
            field: "permissionProfile.file_system.type",
            found: beginning(other, LONGEST_WORD),
            expected: "`restricted` or `unrestricted`",
        }),
    }
}

/// Hosts that a profile names.
#[derive(Debug, Default)]
struct Hosts {
    allow: Vec<String>,
    deny: Vec<String>,
}

/// Accepts the word and the object forms that exist: `"enabled"`, `{"enabled":true}`, `{"type":"restricted"}`, with or without
/// lists of hosts. Where there are such, the network is not the whole one.
fn network(value: Option<&Value>) -> Result<(Network, Hosts), PolicyError> {
    let Some(object) = value.and_then(Value::as_object) else {
        return Ok((network_word(value, "permissionProfile.network")?, Hosts::default()));
    };
    let network = match object.get("enabled") {
        Some(enabled) => enabled
            .as_bool()
            .map(Network::from)
            .ok_or_else(|| wrong_kind("permissionProfile.network.enabled", "true or false"))?,
        None => network_word(object.get("type"), "permissionProfile.network.type")?,
    };
    let mut hosts = Hosts::default();
    for (key, allows) in [
        ("allowed_domains", true),
        ("allowedDomains", true),
        ("denied_domains", false),
        ("deniedDomains", false),
    ] {
        let list = if allows { &mut hosts.allow } else { &mut hosts.deny };
        let wrong = || wrong_kind(&format!("permissionProfile.network.{key}"), "a list of hosts");
        match object.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::Array(given)) => {
                for host in given {
                    list.extend(patterns(host.as_str().ok_or_else(wrong)?));
                }
            }
            Some(_) => return Err(wrong()),
        }
    }
    let wrong = || wrong_kind("permissionProfile.network.domains", "hosts, each with `allow` or `deny`");
    match object.get("domains") {
        None | Some(Value::Null) => {}
        Some(Value::Object(given)) => {
            for (host, word) in given {
                match word.as_str().ok_or_else(wrong)? {
                    "allow" => hosts.allow.extend(patterns(host)),
                    "deny" => hosts.deny.extend(patterns(host)),
                    _ => return Err(wrong()),
                }
            }
        }
        Some(_) => return Err(wrong()),
    }
    if hosts.allow.len() + hosts.deny.len() > MAX_ENTRIES {
        return Err(PolicyError::TooMany { field: "permissionProfile.network", limit: MAX_ENTRIES });
    }
    if hosts.allow.is_empty() && hosts.deny.is_empty() {
        return Ok((network, hosts));
    }
    match network {
        // All but what is denied.
        Network::Enabled if hosts.allow.is_empty() => hosts.allow.push("*".to_owned()),
        Network::Enabled => {}
        // A network that is off allows nobody.
        Network::Restricted if object.get("enabled").is_some() => hosts.allow.clear(),
        Network::Restricted => {}
    }
    Ok((Network::Restricted, hosts))
}

/// A host as Codex writes it: `**.x` is `x` and all below it.
fn patterns(host: &str) -> Vec<String> {
    match host.strip_prefix("**.") {
        Some(name) => vec![name.to_owned(), format!("*.{name}")],
        None => vec![host.to_owned()],
    }
}

/// Collects entries until all are known: which read entries are carve-outs depends on the others.
#[derive(Default)]
struct Grants {
    read_everywhere: bool,
    readable: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    slash_tmp: bool,
    temporary: bool,
    denied: Vec<PathBuf>,
    denied_globs: Vec<String>,
}

impl Grants {
    fn add(&mut self, entry: &Value, workspace: &[PathBuf]) -> Result<(), PolicyError> {
        let entry = object(entry, "entries[]")?;
        let access = match text(entry, "access")? {
            Some("read") => Access::Read,
            Some("write") => Access::Write,
            Some("none" | "deny") => Access::Deny,
            other => {
                return Err(PolicyError::Word {
                    field: "entries[].access",
                    found: beginning(other.unwrap_or_default(), LONGEST_WORD),
                    expected: "`read`, `write`, `none` or `deny`",
                });
            }
        };
        let path = entry.get("path").ok_or_else(|| wrong_kind("entries[].path", "an object"))?;
        match (place(path, workspace)?, access) {
            (Place::Root, Access::Read) => self.read_everywhere = true,
            (Place::Root, Access::Write) => self.write(PathBuf::from("/")),
            (Place::Root | Place::Minimal | Place::Temporary | Place::SlashTmp, Access::Deny) => {
                return Err(PolicyError::Word {
                    field: "entries[].access",
                    found: "none".to_owned(),
                    expected: "`read` or `write` for a special place",
                });
            }
            (Place::Minimal, Access::Read | Access::Write) => {
                self.readable.extend(MINIMAL.iter().map(PathBuf::from));
            }
            (Place::Temporary, Access::Write) => self.temporary = true,
            (Place::SlashTmp, Access::Write) => self.slash_tmp = true,
            (Place::SlashTmp, Access::Read) => self.readable.push(PathBuf::from("/tmp")),
            (Place::Paths(paths), Access::Read) => self.readable.extend(paths),
            (Place::Paths(paths), Access::Write) => paths.into_iter().for_each(|path| self.write(path)),
            (Place::Paths(paths), Access::Deny) => self.denied.extend(paths),
            (Place::Glob(pattern), Access::Deny) => self.denied_globs.push(pattern),
            // A grant that is not understood is not given; reading the folder that `$TMPDIR` names is not worth knowing
            // the environment here.
            (Place::Glob(_) | Place::Unknown(_), Access::Read | Access::Write)
            | (Place::Temporary, Access::Read) => {}
            (Place::Unknown(kind), Access::Deny) => {
                return Err(PolicyError::Word {
                    field: "entries[].path.value.kind",
                    found: beginning(&kind, LONGEST_WORD),
                    expected: "a known place, because a denial cannot be skipped",
                });
            }
        }
        Ok(())
    }

    fn write(&mut self, path: PathBuf) {
        self.read_everywhere |= path == Path::new("/");
        self.writable.push(path);
    }

    fn into_profile(self, network: Network) -> Profile {
        let carved = |path: &&PathBuf| {
            self.writable.iter().any(|root| path.starts_with(root) && path.as_path() != root.as_path())
        };
        let restrictions = Restrictions {
            read_only: self.readable.iter().filter(carved).cloned().collect(),
            deny_read: self.denied.clone(),
            deny_read_globs: self.denied_globs.clone(),
            allow_read: Vec::new(),
            protected: Vec::new(),
            allow_hosts: Vec::new(),
            deny_hosts: Vec::new(),
            bare: false,
            only_readable: (!self.read_everywhere).then(|| self.readable.clone()),
        };
        let writes = !self.writable.is_empty() || self.slash_tmp || self.temporary;
        let policy = if writes {
            SandboxPolicy::WorkspaceWrite(WorkspaceWrite {
                writable_roots: self.writable,
                network,
                exclude_tmpdir_env_var: !self.temporary,
                exclude_slash_tmp: !self.slash_tmp,
            })
        } else {
            SandboxPolicy::ReadOnly { network }
        };
        Profile { policy, restrictions }
    }
}

fn place(value: &Value, workspace: &[PathBuf]) -> Result<Place, PolicyError> {
    let path_error = |source| PolicyError::Path { field: "entries[].path", source };
    if let Some(text) = value.as_str() {
        return Ok(Place::Paths(vec![absolute_path(text).map_err(path_error)?]));
    }
    let path = object(value, "entries[].path")?;
    match text(path, "type")? {
        Some("path") => {
            let text = text(path, "path")?.ok_or_else(|| wrong_kind("entries[].path.path", "a string"))?;
            Ok(Place::Paths(vec![absolute_path(text).map_err(path_error)?]))
        }
        Some("glob_pattern") => {
            let pattern =
                text(path, "pattern")?.ok_or_else(|| wrong_kind("entries[].path.pattern", "a string"))?;
            Ok(Place::Glob(absolute_pattern(pattern, workspace)))
        }
        Some("special") => {
            let special = path.get("value").ok_or_else(|| wrong_kind("entries[].path.value", "an object"))?;
            special_place(special, workspace)
        }
        other => Err(PolicyError::Word {
            field: "entries[].path.type",
            found: beginning(other.unwrap_or_default(), LONGEST_WORD),
            expected: "`path`, `glob_pattern` or `special`",
        }),
    }
}

fn special_place(value: &Value, workspace: &[PathBuf]) -> Result<Place, PolicyError> {
    let special = object(value, "entries[].path.value")?;
    Ok(match text(special, "kind")? {
        Some("root") => Place::Root,
        Some("minimal") => Place::Minimal,
        Some("tmpdir") => Place::Temporary,
        Some("slash_tmp") => Place::SlashTmp,
        Some("project_roots" | "current_working_directory") => {
            let below = text(special, "subpath")?.unwrap_or_default();
            let is_plain = Path::new(below)
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
            if !is_plain || below.contains('\0') {
                return Err(wrong_kind("entries[].path.value.subpath", "a relative path without `..`"));
            }
            let join = |root: &PathBuf| if below.is_empty() { root.clone() } else { root.join(below) };
            Place::Paths(workspace.iter().map(join).collect())
        }
        other => Place::Unknown(other.unwrap_or_default().to_owned()),
    })
}

/// Relative patterns are meant from the workspace (only the first root: a profile knows one).
fn absolute_pattern(pattern: &str, workspace: &[PathBuf]) -> String {
    match workspace.first() {
        Some(root) if !pattern.starts_with('/') => {
            format!("{}/{pattern}", glob::Pattern::escape(&root.to_string_lossy()))
        }
        Some(_) | None => pattern.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Profile, PolicyError> {
        from_json(&value, &[PathBuf::from("/repo")])
    }

    fn managed(entries: Value, network: &str) -> Value {
        json!({"type":"managed","file_system":{"type":"restricted","entries":entries,"glob_scan_max_depth":3},"network":network})
    }

    fn special(kind: &str, access: &str) -> Value {
        json!({"path":{"type":"special","value":{"kind":kind}},"access":access})
    }

    #[test]
    fn read_only_and_workspace_write_profiles() {
        let profile = read(managed(json!([special("root", "read")]), "restricted")).unwrap();
        assert_eq!(profile.policy, SandboxPolicy::ReadOnly { network: Network::Restricted });
        assert_eq!(profile.restrictions, Restrictions::default());

        let entries = json!([special("root", "read"), special("project_roots", "write"), special("slash_tmp", "write"),
            {"path":{"type":"special","value":{"kind":"project_roots","subpath":".git"}},"access":"read"},
            {"path":{"type":"glob_pattern","pattern":"**/.env"},"access":"none"},
            {"path":{"type":"path","path":"file:///secret"},"access":"deny"}]);
        let profile = read(managed(entries, "enabled")).unwrap();
        assert_eq!(
            profile.policy,
            SandboxPolicy::WorkspaceWrite(WorkspaceWrite {
                writable_roots: vec!["/repo".into()],
                network: Network::Enabled,
                exclude_tmpdir_env_var: true,
                exclude_slash_tmp: false,
            })
        );
        assert_eq!(profile.restrictions.read_only, [PathBuf::from("/repo/.git")]);
        assert_eq!(profile.restrictions.deny_read, [PathBuf::from("/secret")]);
        assert_eq!(profile.restrictions.deny_read_globs, ["/repo/**/.env"]);
        assert_eq!(profile.restrictions.only_readable, None);
    }

    #[test]
    fn disabled_external_and_unrestricted_profiles() {
        assert_eq!(read(json!({"type":"disabled"})).unwrap().policy, SandboxPolicy::DangerFullAccess);
        assert_eq!(
            read(json!({"type":"external","network":"enabled"})).unwrap().policy,
            SandboxPolicy::ExternalSandbox { network: Network::Enabled }
        );
        let profile =
            read(json!({"type":"managed","file_system":{"type":"unrestricted"},"network":{"enabled":false}}))
                .unwrap();
        let SandboxPolicy::WorkspaceWrite(workspace) = profile.policy else { panic!("{profile:?}") };
        assert_eq!((workspace.writable_roots, workspace.network), (vec!["/".into()], Network::Restricted));
    }

    #[test]
    fn without_the_root_only_what_is_listed_can_be_read() {
        let entries =
            json!([special("minimal", "read"), {"path":{"type":"path","path":"/data"},"access":"read"}]);
        let profile = read(managed(entries, "restricted")).unwrap();
        let readable = profile.restrictions.only_readable.unwrap();
        assert!(readable.contains(&"/usr".into()) && readable.contains(&"/data".into()));
    }

    #[test]
    fn an_unknown_grant_is_dropped_but_an_unknown_denial_is_an_error() {
        let profile =
            read(managed(json!([special("root", "read"), special("future", "write")]), "restricted"));
        assert_eq!(profile.unwrap().policy, SandboxPolicy::ReadOnly { network: Network::Restricted });
        assert!(read(managed(json!([special("future", "none")]), "restricted")).is_err());
        assert!(read(managed(json!([special("root", "all")]), "restricted")).is_err());
        assert!(read(json!({"type":"magic"})).is_err());
        assert!(read(json!({"type":"managed"})).is_err());
        let up = json!([{"path":{"type":"special","value":{"kind":"project_roots","subpath":"../x"}},"access":"write"}]);
        assert!(read(managed(up, "restricted")).is_err());
    }
}
