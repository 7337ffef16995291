//! The sandbox that the user asks for: flags over the configuration file over the default, checked once.

use std::path::{Path, PathBuf};

use execpolicy::rights::{Granted, HostPattern};
use sandbox::environment::{BadPattern, EnvironmentPolicy, Inherit};
use sandbox::resolve::{CachePolicy, HostFacts, ResolveError, fallback_policy, is_protected_name, resolve};
use sandbox::{
    ByName, ClientState, Layers, Limits, Mode, Network, Placeholder, Plan, Reserved, Restrictions,
    SandboxPolicy, WorkspaceWrite,
};

use super::agent;
use super::file::{CachesWord, ConfigFile, NamespacesWord};
use super::network::Reachable;
use super::temporary;
use super::trusted::{Trusted, TrustedPlaceError};

/// What was typed about the sandbox.
#[derive(Clone, Debug, Default)]
pub struct SandboxSettings {
    /// The mode; by default the configuration file's, then `workspace-write` where that is harmless.
    pub mode: Option<Mode>,
    /// Folders to be writable besides the workspace; they mean `workspace-write`.
    pub writable_roots: Vec<PathBuf>,
    /// The host's network may be used.
    pub network: bool,
    /// Protected names that commands may write all the same, as in `.git/config`.
    pub protected: Vec<PathBuf>,
    /// The client's sandbox state may only narrow.
    pub distrust_client: bool,
    /// Files and folders of whoever serves, which no command reads.
    pub private: Vec<PathBuf>,
    /// The user is one of several whom a server serves.
    pub apart: Option<ApartSettings>,
}

/// What keeps users apart whom one server serves: commands read the system, and what is their user's own. Nothing that
/// a client says adds to that.
#[derive(Clone, Debug)]
pub struct ApartSettings {
    /// The user's own folder, which is the home of his commands.
    pub home: PathBuf,
    /// Where their temporary files go, in that folder.
    pub temporary: PathBuf,
}

/// Where the system is, for users who are kept apart.
const SYSTEM: &[&str] = &[
    "/bin",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/opt",
    "/proc",
    "/run/current-system",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/dpkg",
];

/// Why the sandbox that was asked for cannot be.
#[derive(Debug, thiserror::Error)]
pub enum SandboxSettingsError {
    /// The configuration file's mode does not exist.
    #[error("sandbox_mode in the configuration file: {0}")]
    Mode(#[from] sandbox::policy::UnknownMode),
    /// Folders to write to in a mode that has none of its own.
    #[error(
        "--writable-root {} contradicts the sandbox mode {mode}: only workspace-write has writable roots", root.display()
    )]
    RootsInMode {
        /// The first root.
        root: PathBuf,
        /// The mode.
        mode: Mode,
    },
    /// A path of the configuration file must be absolute.
    #[error("{key} in the configuration file: `{path}` is a relative path; give an absolute one")]
    Relative {
        /// The key.
        key: &'static str,
        /// The path.
        path: String,
    },
    /// It is not a name that is protected.
    #[error("`{}` is not a protected name; .git/config, .git/hooks, .vscode, .mcp.json and the like are", .0.display())]
    Protected(PathBuf),
    /// The rules for the environment are wrong.
    #[error("shell_environment_policy in the configuration file: {0}")]
    Environment(#[from] BadPattern),
    /// What says what commands may do would be writable.
    #[error(transparent)]
    Trusted(#[from] TrustedPlaceError),
    /// A path cannot be used.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// What is to be hidden in it is not known.
    #[error(
        "no home folder is known: HOME is not set, and the machine has none written down for this user, so nothing in it could be \
         hidden from commands; start the server with HOME set"
    )]
    NoHome,
    /// The folder that the server was started in cannot be told.
    #[error("cannot tell which folder the server was started in: {0}")]
    NoStart(std::io::Error),
}

/// What a server keeps from commands for its own sake.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    /// What says what commands may do, and the programs that the server starts; never writable.
    pub(super) trusted: Trusted,
    /// Its records and sockets; not even readable. They must exist.
    pub(super) private: Vec<PathBuf>,
    /// Its own program, which is the editor of commands.
    pub(super) program: Option<PathBuf>,
    /// The folder with the programs that commands find besides the user's.
    pub(super) offered: Option<PathBuf>,
}

/// The user's side of the sandbox.
#[derive(Clone, Debug)]
pub struct Sandboxing {
    /// The mode that was chosen; none means the default.
    mode: Option<Mode>,
    workspace_write: WorkspaceWrite,
    network: Network,
    restrictions: Restrictions,
    limits: Limits,
    layers: Layers,
    /// Commands may trace each other.
    debug: bool,
    distrust_client: bool,
    /// Folders that clients name are none of the workspace.
    apart: bool,
    started_in: PathBuf,
    trusted: Trusted,
    facts: HostFacts,
    environment: EnvironmentPolicy,
    /// Whether names that look like secrets are dropped is said in the configuration file.
    secrets_decided: bool,
}

/// One policy that calls can have, before the file system is looked at. Equal ones share a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    own: OwnPolicy,
    client: Option<ClientState>,
    /// Protected names that may be written all the same, because a person is asked about each change.
    opened: Vec<PathBuf>,
    /// What is reached by name besides names, where the network is not the host's.
    reachable: Reachable,
}

impl Wanted {
    /// The folders of the workspace.
    #[must_use]
    pub fn workspace(&self) -> &[PathBuf] {
        self.client.as_ref().map_or(&self.own.workspace, |client| &client.workspace)
    }

    /// The same, where these protected names may be written.
    #[must_use]
    pub(crate) fn opening(&self, mut names: Vec<PathBuf>) -> Wanted {
        names.sort();
        names.dedup();
        Wanted { opened: names, ..self.clone() }
    }

    /// What is reached by name besides names, with these hosts.
    #[must_use]
    pub(crate) fn reachable(&self, hosts: &[HostPattern]) -> ByName {
        self.reachable.with(hosts)
    }

    /// The same, where this is reached by name.
    #[must_use]
    pub(crate) fn reaching(&self, reachable: Reachable) -> Wanted {
        Wanted { reachable, ..self.clone() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OwnPolicy {
    policy: SandboxPolicy,
    workspace: Vec<PathBuf>,
    /// Why it is not more, for the user.
    reason: Option<String>,
}

impl Sandboxing {
    /// Puts flags and file together.
    pub(super) fn new(
        settings: SandboxSettings,
        file: &ConfigFile,
        own: Own,
        started_in: PathBuf,
    ) -> Result<Sandboxing, SandboxSettingsError> {
        let from_file = file.sandbox_mode.as_deref().map(str::parse).transpose()?;
        let roots_typed = settings.writable_roots.first();
        let mode = settings.mode.or(roots_typed.map(|_| Mode::WorkspaceWrite)).or(from_file);
        if let (Some(root), Some(mode)) = (roots_typed, mode)
            && mode != Mode::WorkspaceWrite
        {
            return Err(SandboxSettingsError::RootsInMode { root: root.clone(), mode });
        }
        let table = &file.sandbox_workspace_write;
        let network = settings.network || table.network_access;
        // What is typed is meant from where it is typed.
        let typed = settings.writable_roots.iter().map(|root| started_in.join(root));
        let mut restrictions = restrictions(file, &settings.protected)?;
        restrictions.read_only.extend(own.trusted.places());
        let mut environment = environment(file, own.program.as_deref());
        if let Some(apart) = &settings.apart {
            restrictions.only_readable = Some(SYSTEM.iter().map(PathBuf::from).collect());
            restrictions.bare = true;
            // What the server has in its environment is not for those whom it serves.
            if file.shell_environment_policy.inherit.is_none() {
                environment.inherit = Inherit::Core;
            }
            environment.set.insert("HOME".into(), apart.home.display().to_string());
            environment.set.insert("TMPDIR".into(), apart.temporary.display().to_string());
        }
        let apart = settings.apart.as_ref().map(|apart| apart.home.clone());
        let sandboxing = Sandboxing {
            mode,
            workspace_write: WorkspaceWrite {
                writable_roots: typed
                    .chain(table.writable_roots.iter().cloned())
                    .chain(apart.clone())
                    .collect(),
                network: network.into(),
                exclude_tmpdir_env_var: table.exclude_tmpdir_env_var || apart.is_some(),
                exclude_slash_tmp: table.exclude_slash_tmp || apart.is_some(),
            },
            network: network.into(),
            restrictions,
            limits: limits(file),
            layers: match file.shell_tool.namespaces {
                None | Some(NamespacesWord::Auto) => Layers::Best,
                Some(NamespacesWord::Require) => Layers::RequireNamespaces,
                Some(NamespacesWord::Off) => Layers::WithoutNamespaces,
            },
            debug: file.shell_tool.debug == Some(true),
            apart: apart.is_some(),
            distrust_client: settings.distrust_client
                || apart.is_some()
                || file.shell_tool.trust_client_sandbox == Some(false),
            started_in,
            trusted: own.trusted.clone(),
            facts: HostFacts {
                caches: match file.shell_tool.caches.unwrap_or_default() {
                    CachesWord::Own => crate::caches::folder().map_or(CachePolicy::Off, CachePolicy::Own),
                    CachesWord::Shared => CachePolicy::Shared,
                    CachesWord::Off => CachePolicy::Off,
                },
                devices: file.shell_tool.devices.clone(),
                ..facts(own.trusted.programs.clone(), own.private, &own.trusted.home)
            },
            environment: EnvironmentPolicy { search_last: own.offered, ..environment },
            secrets_decided: file.shell_environment_policy.ignore_default_excludes.is_some(),
        };
        // Errors are told at the start, not with the first call.
        let plan = sandboxing.plan(&sandboxing.wanted(&[], None))?;
        if plan.mode.is_enforced() && sandboxing.facts.homes().next().is_none() {
            return Err(SandboxSettingsError::NoHome);
        }
        sandboxing.check(&plan)?;
        if sandboxing.layers == Layers::WithoutNamespaces {
            sandboxing.check_without_mounts(&plan)?;
        }
        sandbox::environment::command_environment([], &sandboxing.environment, true, Network::Restricted)?;
        Ok(sandboxing)
    }

    /// What a call gets: the client's state where there is one, else what the user asked for, else the default.
    pub fn wanted(&self, client_roots: &[PathBuf], client: Option<ClientState>) -> Wanted {
        Wanted { own: self.own(client_roots), client, opened: Vec::new(), reachable: Reachable::default() }
    }

    /// The user's own mode, as long as the client says nothing.
    pub fn mode(&self) -> Mode {
        self.own(&[]).policy.mode()
    }

    /// The folder that the server was started in.
    pub fn started_in(&self) -> &Path {
        &self.started_in
    }

    /// Whether folders that clients name are of the workspace.
    pub fn takes_client_roots(&self) -> bool {
        !self.apart
    }

    /// The user's home folder.
    pub fn home(&self) -> Option<&Path> {
        self.facts.home.as_deref()
    }

    /// What decides about commands, which no program outside changes: what is there, and what could be made.
    pub(crate) fn deciding(&self) -> (Vec<PathBuf>, Vec<Reserved>) {
        let (there, missing): (Vec<PathBuf>, Vec<PathBuf>) =
            self.trusted.deciding().into_iter().partition(|place| place.symlink_metadata().is_ok());
        let reserved = missing.into_iter().filter(|place| place.parent().is_some_and(Path::is_dir));
        let reserved = reserved.map(|path| {
            let placeholder = match path.extension() {
                Some(_) => Placeholder::FileHolding(String::new()),
                None => Placeholder::Folder,
            };
            Reserved { path, placeholder }
        });
        (there, reserved.collect())
    }

    /// Whether commands have the network, as long as the client says nothing.
    pub fn network(&self) -> Network {
        self.network
    }

    /// The folders that are the workspace as far as the user is concerned.
    pub fn workspace(&self, client_roots: &[PathBuf]) -> Vec<PathBuf> {
        self.own(client_roots).workspace
    }

    /// Whether a place says what commands may do, or is the server's own, whether it exists or not.
    pub(crate) fn keeps(&self, place: &Path) -> bool {
        self.trusted.places().any(|kept| place.starts_with(kept))
    }

    fn own(&self, client_roots: &[PathBuf]) -> OwnPolicy {
        let client_roots = if self.apart { &[] } else { client_roots };
        let homes: Vec<PathBuf> = self.facts.homes().cloned().collect();
        let fallback = fallback_policy(client_roots, &self.started_in, &homes);
        let write = || SandboxPolicy::WorkspaceWrite(self.workspace_write.clone());
        let (policy, reason) = match self.mode {
            Some(Mode::DangerFullAccess) => (SandboxPolicy::DangerFullAccess, None),
            Some(Mode::ExternalSandbox) => (SandboxPolicy::ExternalSandbox { network: self.network }, None),
            Some(Mode::ReadOnly) => (SandboxPolicy::ReadOnly { network: self.network }, None),
            Some(Mode::WorkspaceWrite) => (write(), fallback.reason),
            // Roots of the configuration file are to be written, whatever the start folder is.
            None if !self.workspace_write.writable_roots.is_empty() => (write(), fallback.reason),
            None => match fallback.policy.mode() {
                Mode::WorkspaceWrite => (write(), fallback.reason),
                Mode::ReadOnly | Mode::DangerFullAccess | Mode::ExternalSandbox => {
                    (SandboxPolicy::ReadOnly { network: self.network }, fallback.reason)
                }
            },
        };
        OwnPolicy { policy, workspace: fallback.workspace, reason }
    }

    /// Looks at the file system and decides everything that will be enforced.
    pub(crate) fn plan(&self, wanted: &Wanted) -> Result<Plan, ResolveError> {
        self.plan_with(wanted, &Granted::default())
    }

    /// The same, with what a rule grants besides but the network: places that are to be written or read, sockets, devices,
    /// protected names. What the user denies stays denied.
    pub(crate) fn plan_with(&self, wanted: &Wanted, granted: &Granted) -> Result<Plan, ResolveError> {
        let mut granted = granted.clone();
        granted.protected.extend(wanted.opened.iter().map(|name| name.to_string_lossy().into_owned()));
        let granted = &granted;
        let plan = match &wanted.client {
            None => self.own_plan(&wanted.own, granted)?,
            Some(client) => {
                let restrictions = self.with_own_restrictions(&client.restrictions);
                let theirs = self.resolve(&client.policy, &restrictions, &client.workspace, granted)?;
                if self.distrust_client {
                    self.own_plan(&wanted.own, granted)?.narrowed_by(&theirs)
                } else {
                    theirs
                }
            }
        };
        let is_whole = plan.network.is_enabled() && !(plan.mode.is_enforced() && wanted.reachable.is_bounded);
        let is_by_name = plan.mode.is_enforced() && !is_whole;
        Ok(Plan {
            network: is_whole.into(),
            by_name: is_by_name.then(|| wanted.reachable.with(&granted.hosts)),
            limits: self.limits,
            layers: self.layers,
            debug: self.debug,
            ..plan
        })
    }

    /// Whether commands are given the host's network, as far as an administrator does not keep some hosts from it.
    pub(crate) fn gives_network(&self, wanted: &Wanted) -> bool {
        let own = wanted.own.policy.network().is_enabled();
        match &wanted.client {
            None => own,
            Some(client) => client.policy.network().is_enabled() && (own || !self.distrust_client),
        }
    }

    /// The hosts that the client allows, and those that it denies.
    pub(crate) fn hosts_of_client(&self, wanted: &Wanted) -> (Vec<HostPattern>, Vec<HostPattern>) {
        let Some(client) = &wanted.client else { return Default::default() };
        let read = |text: &String| HostPattern::parse(text).ok();
        let allowed = client.restrictions.allow_hosts.iter().filter(|_| !self.distrust_client);
        // What is denied in words that nobody understands could be anything.
        let denied = client.restrictions.deny_hosts.iter();
        let denied = denied.map(|text| read(text).unwrap_or_else(HostPattern::whole_network));
        (allowed.filter_map(read).collect(), denied.collect())
    }

    /// Refuses a plan in which a command could write what says what commands may do.
    pub(crate) fn check(&self, plan: &Plan) -> Result<(), TrustedPlaceError> {
        self.trusted.check_wishes(plan)
    }

    /// The same where the sandbox has turned out to have no mounts of its own.
    pub(crate) fn check_without_mounts(&self, plan: &Plan) -> Result<(), TrustedPlaceError> {
        self.trusted.check_without_mounts(plan)
    }

    fn own_plan(&self, own: &OwnPolicy, granted: &Granted) -> Result<Plan, ResolveError> {
        let mut plan = self.resolve(&own.policy, &self.restrictions, &own.workspace, granted)?;
        plan.notes.extend(own.reason.clone());
        Ok(plan)
    }

    fn resolve(
        &self,
        policy: &SandboxPolicy,
        restrictions: &Restrictions,
        workspace: &[PathBuf],
        granted: &Granted,
    ) -> Result<Plan, ResolveError> {
        let mut facts = HostFacts { workspace: workspace.to_vec(), ..self.facts.clone() };
        facts.devices.extend(granted.devices.iter().cloned());
        let mut restrictions = restrictions.clone();
        let shown = granted.read.iter().chain(&granted.write).chain(&granted.sockets);
        restrictions.allow_read.extend(shown.cloned());
        restrictions.deny_read.extend(granted.denied_read.iter().cloned());
        restrictions.read_only.extend(granted.denied_write.iter().cloned());
        restrictions.protected.extend(granted.protected.iter().map(PathBuf::from));
        if let Some(readable) = &mut restrictions.only_readable {
            readable.extend(granted.read.iter().chain(&granted.write).cloned());
        }
        // What could not be made is not there to be written.
        // Of a repository that is granted, what Git obeys stays as it is.
        let repositories = granted.write.iter().filter(|place| place.join("HEAD").is_file());
        let obeyed = |place: &PathBuf| ["config", "config.worktree", "hooks"].map(|name| place.join(name));
        restrictions.read_only.extend(repositories.flat_map(obeyed));
        let written: Vec<PathBuf> = granted.write.iter().filter(|place| place.exists()).cloned().collect();
        match policy {
            SandboxPolicy::WorkspaceWrite(asked) if !written.is_empty() => {
                let mut asked = asked.clone();
                asked.writable_roots.extend(written);
                resolve(&SandboxPolicy::WorkspaceWrite(asked), &restrictions, &facts)
            }
            SandboxPolicy::ReadOnly { network } if !written.is_empty() => {
                let asked = WorkspaceWrite {
                    writable_roots: written,
                    network: *network,
                    exclude_tmpdir_env_var: true,
                    exclude_slash_tmp: true,
                };
                facts.workspace.clear();
                resolve(&SandboxPolicy::WorkspaceWrite(asked), &restrictions, &facts)
            }
            SandboxPolicy::WorkspaceWrite(_)
            | SandboxPolicy::ReadOnly { .. }
            | SandboxPolicy::DangerFullAccess
            | SandboxPolicy::ExternalSandbox { .. } => resolve(policy, &restrictions, &facts),
        }
    }

    /// A client may add to what cannot be read; what the user denies stays denied.
    fn with_own_restrictions(&self, client: &Restrictions) -> Restrictions {
        let mut all = client.clone();
        all.deny_read.extend(self.restrictions.deny_read.iter().cloned());
        all.deny_read_globs.extend(self.restrictions.deny_read_globs.iter().cloned());
        all.read_only.extend(self.restrictions.read_only.iter().cloned());
        all.allow_read.extend(self.restrictions.allow_read.iter().cloned());
        all.protected.extend(self.restrictions.protected.iter().cloned());
        all
    }

    /// The rules for the environment of commands in a mode. With full access secrets stay, unless the user has decided.
    pub(crate) fn environment(&self, mode: Mode) -> EnvironmentPolicy {
        let keep = mode == Mode::DangerFullAccess && !self.secrets_decided;
        EnvironmentPolicy {
            keep_secret_names: self.environment.keep_secret_names || keep,
            ..self.environment.clone()
        }
    }
}

fn facts(programs: Vec<PathBuf>, private: Vec<PathBuf>, codex_home: &Path) -> HostFacts {
    let facts = HostFacts { programs, private, ..HostFacts::from_process() };
    let temporary = facts.temporary.as_ref().filter(|folder| folder.is_absolute());
    let temporary_before = temporary.and_then(|folder| temporary::first_led_to(codex_home, folder));
    HostFacts { temporary_before, ..facts }
}

fn restrictions(file: &ConfigFile, typed: &[PathBuf]) -> Result<Restrictions, SandboxSettingsError> {
    let absolute = |key: &'static str, path: &Path| {
        if path.is_absolute() {
            Ok(path.to_owned())
        } else {
            Err(SandboxSettingsError::Relative { key, path: path.display().to_string() })
        }
    };
    let mut restrictions = Restrictions::default();
    for text in &file.shell_tool.deny_read {
        let path = absolute("deny_read", Path::new(text))?;
        if text.contains(['*', '?', '[']) {
            restrictions.deny_read_globs.push(text.clone());
        } else {
            restrictions.deny_read.push(path);
        }
    }
    for path in &file.shell_tool.allow_read {
        restrictions.allow_read.push(absolute("allow_read", path)?);
    }
    restrictions.protected = typed.iter().chain(&file.shell_tool.protected).cloned().collect();
    if let Some(name) = restrictions.protected.iter().find(|name| !is_protected_name(name)) {
        return Err(SandboxSettingsError::Protected(name.clone()));
    }
    Ok(restrictions)
}

fn limits(file: &ConfigFile) -> Limits {
    let default = Limits::default();
    Limits {
        processes: file.shell_tool.max_processes.unwrap_or(default.processes),
        open_files: file.shell_tool.max_open_files.unwrap_or(default.open_files),
    }
}

fn environment(file: &ConfigFile, program: Option<&Path>) -> EnvironmentPolicy {
    let table = &file.shell_environment_policy;
    let mut policy = EnvironmentPolicy {
        inherit: table.inherit.map(Into::into).unwrap_or_default(),
        keep_secret_names: table.ignore_default_excludes == Some(true),
        exclude: table.exclude.clone(),
        set: table.set.clone(),
        git_config: Vec::new(),
        search_last: None,
        include_only: table.include_only.clone(),
    };
    if file.shell_tool.for_agents() {
        let excluded = |name: &str| table.exclude.iter().any(|pattern| pattern.eq_ignore_ascii_case(name));
        let agent::Set { variables, git_config } = agent::Set::new(program);
        for (name, value) in variables.into_iter().filter(|(name, _)| !excluded(name)) {
            policy.set.entry(name).or_insert(value);
        }
        policy.git_config = git_config;
        policy.exclude.extend(agent::UNSET.iter().map(|name| (*name).to_owned()));
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandboxing(settings: SandboxSettings, file: &str) -> Result<Sandboxing, String> {
        let file = toml::from_str(file).unwrap();
        let here = std::env::current_dir().unwrap();
        Sandboxing::new(settings, &file, Own::default(), here).map_err(|error| error.to_string())
    }

    fn mode_of(sandboxing: &Sandboxing) -> Mode {
        sandboxing.plan(&sandboxing.wanted(&[], None)).unwrap().mode
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_default() {
        let default = sandboxing(SandboxSettings::default(), "").unwrap();
        assert_eq!(mode_of(&default), Mode::WorkspaceWrite);
        let file = sandboxing(SandboxSettings::default(), "sandbox_mode = \"read-only\"").unwrap();
        assert_eq!(mode_of(&file), Mode::ReadOnly);
        let typed = SandboxSettings { mode: Some(Mode::DangerFullAccess), ..SandboxSettings::default() };
        assert_eq!(
            mode_of(&sandboxing(typed, "sandbox_mode = \"read-only\"").unwrap()),
            Mode::DangerFullAccess
        );
    }

    #[test]
    fn what_contradicts_itself_or_is_not_there_is_an_error_at_the_start() {
        let typed = SandboxSettings {
            mode: Some(Mode::ReadOnly),
            writable_roots: vec!["/tmp".into()],
            ..SandboxSettings::default()
        };
        assert!(sandboxing(typed, "").unwrap_err().contains("contradicts the sandbox mode read-only"));
        let typed = SandboxSettings { writable_roots: vec!["/no/such".into()], ..SandboxSettings::default() };
        assert!(sandboxing(typed, "").unwrap_err().contains("/no/such"));
        for (file, expected) in [
            ("sandbox_mode = \"off\"", "unknown sandbox mode `off`"),
            ("[sandbox_workspace_write]\nwritable_roots = [\"x\"]", "`x` is a relative path"),
            ("[shell_tool]\ndeny_read = [\"x\"]", "deny_read"),
            ("[shell_environment_policy]\nexclude = [\"[\"]", "shell_environment_policy"),
        ] {
            let error = sandboxing(SandboxSettings::default(), file).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_client_widens_only_when_it_is_trusted_and_never_past_what_the_user_denies() {
        let folder = tempfile::tempdir().unwrap();
        let state = serde_json::json!({"sandboxPolicy": {"type": "danger-full-access"}});
        let client = ClientState::from_json(&state, &[]).unwrap();
        let settings = |distrust_client| SandboxSettings {
            mode: Some(Mode::ReadOnly),
            distrust_client,
            ..SandboxSettings::default()
        };
        let trusting = sandboxing(settings(false), "").unwrap();
        let plan = trusting.plan(&trusting.wanted(&[], Some(client.clone()))).unwrap();
        assert_eq!(plan.mode, Mode::DangerFullAccess);
        let wary = sandboxing(settings(true), "").unwrap();
        assert_eq!(wary.plan(&wary.wanted(&[], Some(client))).unwrap().mode, Mode::ReadOnly);

        let secret = folder.path().canonicalize().unwrap().join("secret");
        std::fs::write(&secret, "").unwrap();
        let file = format!("[shell_tool]\ndeny_read = [{:?}]", secret.display().to_string());
        let denying = sandboxing(SandboxSettings::default(), &file).unwrap();
        let state = serde_json::json!({"sandboxPolicy": {"type": "workspace-write"}, "sandboxCwd": "/tmp"});
        let client = ClientState::from_json(&state, &[]).unwrap();
        let plan = denying.plan(&denying.wanted(&[], Some(client))).unwrap();
        assert!(plan.hidden.contains(&secret), "{:?}", plan.hidden);
    }
}
