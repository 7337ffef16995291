//! One sandbox: a plan, and what enforces it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use escalation_protocol::variables;
use rustix::fs::{Mode, OFlags, Stat, fstat};
use sandbox::environment::{EnvironmentPolicy, command_environment};
use sandbox::{Enforcement, Namespace, Plan};

use super::company::Company;
use crate::network::{Networks, Reach, SandboxNetwork};
use crate::sys::{LOOK, device_and_inode};
use crate::visible::visible;

/// Where programs run. Dropping the last reference ends everything in it.
#[derive(Debug)]
pub struct Sandbox {
    plan: Arc<Plan>,
    environment: Vec<OsString>,
    /// The last folder of the search path, where it is the server's own.
    search_last: Option<PathBuf>,
    told: Notices,
    company: Company,
    session: Arc<sandbox::Session>,
    /// The writable roots as they were: mounts and Landlock speak of these folders, not of others that get their names.
    roots: Vec<(PathBuf, Option<(u64, u64)>)>,
    /// Sockets of the host that may be reached. While they are held, their inodes are theirs.
    sockets: Vec<OwnedFd>,
    /// Hosts that are reached by name.
    network: Option<SandboxNetwork>,
    /// Why the kernel reports nothing here, once that has been found out.
    no_door: OnceLock<String>,
    /// Why build tools have no caches of their own, if they should have some.
    no_caches: Option<String>,
}

/// What a server has said already about its sandboxes, to the log and to callers: each thing is told once, not once per policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Notices(Arc<Mutex<HashSet<String>>>);

impl Notices {
    /// Tells whether these words are new, and takes note of them.
    fn is_news(&self, words: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(words.to_owned())
    }
}

impl Sandbox {
    /// Sets the sandbox up; blocks for some milliseconds.
    pub(super) fn set_up(
        launcher: &sandbox::Launcher,
        plan: Plan,
        environment: &EnvironmentPolicy,
        told: Notices,
        (networks, reach): (Option<&Networks>, Reach),
    ) -> Result<Sandbox, sandbox::SessionError> {
        let session = Arc::new(sandbox::Session::start(launcher, &plan)?);
        let enforcement = session.enforcement();
        for reason in enforcement.fallbacks.iter().filter(|reason| told.is_news(reason)) {
            tracing::warn!("the sandbox is {enforcement} only: {reason}");
        }
        for gap in enforcement.gaps.iter().filter(|gap| told.is_news(gap)) {
            // What the whole sandbox leaves open is in the manual; that it is not the whole one is news.
            if enforcement.protects_names() {
                tracing::info!("not protected by the sandbox ({enforcement}): {gap}");
            } else {
                tracing::warn!("not protected by the sandbox ({enforcement}): {gap}");
            }
        }
        let search_last = environment.search_last.clone();
        let mut environment = command_variables(&plan, enforcement, environment);
        if enforcement.has(Namespace::Mount) {
            own_terminals_sockets(&mut environment);
        }
        let plan = match plan.mode.is_enforced() && !enforcement.protects_names() {
            true => plan.without_protected_places(),
            false => plan,
        };
        // Where there are none, nothing of them can be written.
        let caches = plan.caches.clone().filter(|_| enforcement.caches.is_some());
        let has_lost = plan.mode.is_enforced() && caches.is_none();
        let no_caches = plan.caches.as_ref().filter(|_| has_lost).map(|caches| no_caches(&caches.store));
        for why in no_caches.iter().filter(|why| told.is_news(why)) {
            tracing::warn!("{why}");
        }
        let plan = Plan { caches, ..plan };
        let roots = plan.writable.iter().map(|root| (root.clone(), identity(root))).collect();
        let look = |path: &PathBuf| rustix::fs::open(path, LOOK | OFlags::CLOEXEC, Mode::empty()).ok();
        let sockets = plan.sockets.iter().filter_map(look).collect();
        let gateway = session.take_gateway().zip(plan.by_name.as_ref()).zip(networks);
        let network = gateway.and_then(|((gateway, by_name), networks)| {
            let served = networks.serve(gateway, by_name, reach, Arc::downgrade(&session));
            served.inspect_err(|error| tracing::error!(%error, "no host can be reached by name")).ok()
        });
        Ok(Sandbox {
            network,
            company: Company::default(),
            roots,
            sockets,
            plan: Arc::new(plan),
            environment,
            search_last,
            told,
            session,
            no_door: OnceLock::new(),
            no_caches,
        })
    }

    /// What is enforced: a protected place that nothing here protects is not in it.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The folder of the server's own programs, last on the search path of commands.
    pub(crate) fn search_last(&self) -> Option<&Path> {
        self.search_last.as_deref()
    }

    /// The environment that commands in here start with, `NAME=value` each.
    pub(crate) fn environment(&self) -> &[OsString] {
        &self.environment
    }

    /// What is really in force.
    pub fn enforcement(&self) -> &Enforcement {
        self.session.enforcement()
    }

    /// What this sandbox does not protect although it should, unless a caller has been told before.
    pub(crate) fn shortcomings(&self) -> Option<String> {
        if !self.plan.mode.is_enforced() || self.enforcement().is_whole() {
            return None;
        }
        let words = format!(
            "{}, so the sandbox protects less (`{} doctor` says why): {}",
            if self.enforcement().namespaces.is_empty() {
                "there are no namespaces"
            } else {
                "some namespaces could not be had"
            },
            crate::user_command::user_command(),
            self.enforcement().gaps.join("; ")
        );
        Some(words).filter(|words| self.told.is_news(words))
    }

    /// That build tools find their caches read-only, once for each sandbox.
    pub(crate) fn missing_caches(&self) -> Option<String> {
        self.no_caches.clone().filter(|why| self.told.is_news(&format!("in a result: {why}")))
    }

    /// Whether the kernel may report here what programs execute; it has not refused so far.
    pub(crate) fn may_have_door(&self) -> bool {
        self.no_door.get().is_none()
    }

    /// Why the kernel reports nothing here, if that has been found out.
    pub(crate) fn why_no_door(&self) -> Option<&str> {
        self.no_door.get().map(String::as_str)
    }

    /// The kernel does not report here what programs execute, for this reason.
    pub(crate) fn has_no_door(&self, why: String) {
        let why = self.no_door.get_or_init(|| why);
        if self.told.is_news(why) {
            tracing::warn!("no kernel's door, so only what commands' own shells execute is judged: {why}");
        }
    }

    /// That there is no door of the kernel's, and why, unless a caller has been told before.
    pub(crate) fn missing_door(&self) -> Option<String> {
        let why = self.no_door.get()?;
        let words = format!(
            "there is no kernel's door, so rules bind only what the command's own shell executes: {why}"
        );
        Some(words).filter(|words| self.told.is_news(words))
    }

    /// Whether a caller has not been told this before; from now on one has.
    pub(crate) fn is_news(&self, words: &str) -> bool {
        self.told.is_news(words)
    }

    /// Whether this is a socket of the host that may be reached.
    pub(crate) fn grants_socket(&self, file: &Stat) -> bool {
        self.sockets
            .iter()
            .filter_map(|held| fstat(held).ok())
            .any(|held| device_and_inode(&held) == device_and_inode(file))
    }

    /// The hosts that are reached by name, where there are any.
    pub(crate) fn network(&self) -> Option<&SandboxNetwork> {
        self.network.as_ref()
    }

    /// Why no host is reached by name although the plan says so.
    pub(crate) fn reaches_no_host(&self) -> Option<String> {
        let should = self.plan.by_name.is_some() && self.network.is_none();
        let why = self.enforcement().no_gateway.clone();
        should.then(|| why.unwrap_or_else(|| "the sandbox has no network namespace of its own".to_owned()))
    }

    /// That hosts should be reached by name and are not, and why, unless a caller has been told before.
    pub(crate) fn missing_gateway(&self) -> Option<String> {
        let why = self.reaches_no_host()?;
        let words = format!("no host can be reached by name here, so there is no network: {why}");
        Some(words).filter(|words| self.told.is_news(words))
    }

    /// Who runs in here beside whom.
    pub(super) fn company(&self) -> &Company {
        &self.company
    }

    /// Whether what lies protected in a writable folder is protected.
    pub(super) fn protects_names(&self) -> bool {
        self.enforcement().protects_names()
    }

    /// The session that starts programs in here.
    pub(crate) fn session(&self) -> &sandbox::Session {
        &self.session
    }

    /// Ends everything in here, when it does not answer. Nothing is started in here afterwards.
    pub(crate) async fn retire(self: &Arc<Self>) {
        let sandbox = Arc::clone(self);
        // A task that breaks has nothing more to wait for.
        let _ = tokio::task::spawn_blocking(move || sandbox.session.retire()).await;
    }

    /// Looks whether all that protects or hides is in place, and has put back what is not.
    pub(crate) async fn mend(self: Arc<Self>) -> std::io::Result<()> {
        tokio::task::spawn_blocking(move || self.session.mend()).await.map_err(std::io::Error::other)?
    }

    /// Whether programs can still be started in here.
    pub(super) fn is_usable(&self) -> bool {
        self.session.is_alive() && !self.lacks_its_broker() && !self.is_left_behind()
    }

    /// Whether a root was moved or removed, and another one made in its place. While the session lives, its number is taken.
    fn is_left_behind(&self) -> bool {
        self.roots.iter().any(|(root, was)| identity(root).is_some_and(|is| Some(is) != *was))
    }

    /// Whether nobody answers for names here although they wait for somebody: none can be made then.
    pub(super) fn lacks_its_broker(&self) -> bool {
        self.session.names().is_some() && !self.may_have_door()
    }

    /// The level in force, in one word, such as `namespaces+landlock-7+seccomp`.
    pub fn level(&self) -> String {
        self.enforcement().to_string()
    }
}

/// Which file it is, wherever it goes.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    rustix::fs::stat(path).ok().map(|found| device_and_inode(&found))
}

fn no_caches(store: &Path) -> String {
    format!(
        "build tools find their caches read-only, because none can be kept below {}",
        visible(store.as_os_str().as_encoded_bytes())
    )
}

/// Gives tmux inside a place of the session's own for its socket: the usual one is held for the user's.
fn own_terminals_sockets(environment: &mut Vec<OsString>) {
    const VARIABLE: &str = "TMUX_TMPDIR";
    let users =
        std::env::var_os(VARIABLE).map(|value| [VARIABLE.as_ref(), value.as_os_str()].join("=".as_ref()));
    let is_set = |entry: &OsString| entry.as_encoded_bytes().starts_with(b"TMUX_TMPDIR=");
    environment.retain(|entry| Some(entry) != users.as_ref());
    if !environment.iter().any(is_set) {
        environment.push("TMUX_TMPDIR=/dev/shm".into());
    }
}

fn command_variables(plan: &Plan, enforcement: &Enforcement, policy: &EnvironmentPolicy) -> Vec<OsString> {
    let own = std::env::vars_os().filter(|(name, _)| !variables::ALL.iter().any(|private| name == private));
    let made = command_environment(own, policy, plan.mode.is_enforced(), plan.network);
    // The policy's patterns were checked when the server started.
    let mut made = made.unwrap_or_default();
    if let (Some(caches), Some(with_layers)) = (&plan.caches, &enforcement.caches) {
        made.lead_to(caches, with_layers, policy);
    }
    if let Some(port) = enforcement.by_proxy {
        made.lead_to_proxy(port);
    }
    made.to_list()
}
