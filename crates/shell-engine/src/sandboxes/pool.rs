//! The sandboxes of one server: one per policy, and the outside.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use execpolicy::Run;
use execpolicy::rights::HostPattern;
use sandbox::resolve::is_systems;
use sandbox::{Mode, Network, Plan};
use tokio::sync::Mutex;

use super::given::{Given, written_by};
use super::neighbours::{MAX_SANDBOXES, Neighbour, Neighbours};
use super::sandbox::{Notices, Sandbox, identity};
use crate::config::{Sandboxing, TrustedPlaceError, Wanted};
use crate::network::{Networks, Reach};

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The policy names something that is not there.
    #[error(transparent)]
    Resolve(#[from] sandbox::resolve::ResolveError),
    /// A command could write what says what commands may do.
    #[error(transparent)]
    Trusted(#[from] TrustedPlaceError),
    /// The kernel does not enforce what was asked for. The reason is part of the text, and so not its source, too.
    #[error(
        "{reason}.\nNothing runs without the sandbox that was asked for; `{command} doctor` says what this machine can do. When a \
         container or virtual machine isolates the server already, start it with --sandbox external-sandbox{}",
        list(explained),
        command = crate::user_command::user_command()
    )]
    Session {
        /// What the kernel did not allow.
        reason: sandbox::SessionError,
        /// What on this machine explains it, and what to do.
        explained: Vec<sandbox::findings::Hint>,
    },
    /// One user has as many as he may.
    #[error(
        "there are {0} sandboxes of yours already, and commands run in each of them; end some, or keep to fewer sandbox policies"
    )]
    Share(usize),
    /// The task that sets it up broke.
    #[error("setting the sandbox up broke inside the server; its log says where")]
    Broken,
}

fn list(hints: &[sandbox::findings::Hint]) -> String {
    hints.iter().map(|hint| format!("\n* {hint}")).collect()
}

impl From<sandbox::SessionError> for SandboxError {
    fn from(reason: sandbox::SessionError) -> SandboxError {
        let refused = matches!(reason, sandbox::SessionError::NotEnforceable(_));
        let explained = if refused { sandbox::probe::explain_refusal() } else { Vec::new() };
        SandboxError::Session { reason, explained }
    }
}

/// What a sandbox is for. Whoever has the same purpose shares it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Purpose {
    /// Commands of this policy.
    Commands(Wanted),
    /// Programs that rules give these rights, in calls of this policy, where commands can write in these places, and sockets that
    /// are granted are these.
    Program(Wanted, Box<Given>, Vec<PathBuf>, Vec<Option<(u64, u64)>>),
}

/// All sandboxes of a server.
#[derive(Debug)]
pub struct SandboxPool {
    launcher: sandbox::Launcher,
    sandboxing: Arc<Sandboxing>,
    /// Newest last.
    known: Mutex<Vec<(Purpose, Arc<Sandbox>)>>,
    /// Those that made room while something ran in them.
    left: StdMutex<Vec<Weak<Sandbox>>>,
    outside: Mutex<Option<Arc<Sandbox>>>,
    told: Notices,
    /// Makes connections for programs in the sandboxes.
    networks: Option<Arc<Networks>>,
    /// Names are brokered, as long as the kernel reports what makes them.
    brokered: AtomicBool,
    /// Those of other users, where there are any.
    neighbours: OnceLock<Neighbours>,
    /// When one was last asked for.
    used: StdMutex<Instant>,
}

impl SandboxPool {
    /// None yet. `launcher` is a program that becomes a session's process when it is started with the argument
    /// [`SESSION_ARGUMENT`]; by default this one.
    pub fn new(sandboxing: Arc<Sandboxing>, launcher: Option<PathBuf>) -> SandboxPool {
        SandboxPool {
            launcher: session_launcher(launcher),
            sandboxing,
            known: Mutex::default(),
            left: StdMutex::default(),
            outside: Mutex::default(),
            told: Notices::default(),
            networks: None,
            brokered: AtomicBool::new(false),
            neighbours: OnceLock::new(),
            used: StdMutex::new(Instant::now()),
        }
    }

    /// Lets them end for those of other users while nobody uses them.
    pub(crate) fn join(self: &Arc<SandboxPool>, neighbours: &Neighbours) {
        neighbours.join(&(Arc::clone(self) as Arc<dyn Neighbour>));
        let _ = self.neighbours.set(neighbours.clone());
    }

    /// The same, for who answers for the names that programs in the sandboxes make.
    #[must_use]
    pub(crate) fn with_broker(self, brokered: bool) -> SandboxPool {
        SandboxPool { brokered: brokered.into(), ..self }
    }

    /// The same, in a control group that bounds all that runs in them.
    #[must_use]
    pub(crate) fn with_group(mut self, group: Option<Arc<sandbox::Group>>) -> SandboxPool {
        self.launcher.group = group;
        self
    }

    /// The same, for programs that reach hosts by name.
    #[must_use]
    pub(crate) fn with_networks(self, networks: Arc<Networks>) -> SandboxPool {
        SandboxPool { networks: Some(networks), ..self }
    }

    /// The sandbox for a policy; set up when nobody had it before, or when its session has ended.
    pub async fn sandbox(&self, wanted: &Wanted) -> Result<Arc<Sandbox>, SandboxError> {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let mut known = self.known.lock().await;
        let purpose = Purpose::Commands(wanted.clone());
        if let Some(sandbox) = self.kept(&mut known, &purpose) {
            return Ok(sandbox);
        }
        self.make(&mut known, purpose, self.sandboxing.plan(wanted)?).await
    }

    /// The sandbox for programs that a rule gives these rights in calls of this policy.
    pub(crate) async fn given(&self, wanted: &Wanted, given: &Given) -> Result<Arc<Sandbox>, SandboxError> {
        let mut known = self.known.lock().await;
        let commands: Vec<Arc<Plan>> = known.iter().map(|(_, sandbox)| Arc::clone(sandbox.plan())).collect();
        // A service that starts anew has another socket.
        let sockets = given.granted.sockets.iter().map(|path| identity(path)).collect();
        let purpose =
            Purpose::Program(wanted.clone(), Box::new(given.clone()), written_by(&commands), sockets);
        if let Some(sandbox) = self.kept(&mut known, &purpose) {
            return Ok(sandbox);
        }
        // Nothing is made where the rest is refused, nor among the system's files.
        let plan = given.plan(&self.sandboxing, wanted, &commands)?;
        self.sandboxing.check(&plan)?;
        let missing = |place: &&PathBuf| !place.exists() && !is_systems(place);
        for place in given.granted.write.iter().filter(missing) {
            match make_missing(place) {
                Ok(()) => tracing::info!("made {}, which a rule grants to be written", place.display()),
                Err(error) => {
                    tracing::warn!(%error, "{}, which a rule grants, cannot be made", place.display())
                }
            }
        }
        self.make(&mut known, purpose, given.plan(&self.sandboxing, wanted, &commands)?).await
    }

    /// The sandbox that is kept for a purpose, if it can still be used.
    fn kept(&self, known: &mut Vec<(Purpose, Arc<Sandbox>)>, purpose: &Purpose) -> Option<Arc<Sandbox>> {
        let at = known.iter().position(|(other, _)| other == purpose)?;
        let found = known.remove(at);
        if found.1.is_usable() {
            let sandbox = Arc::clone(&found.1);
            known.push(found);
            return Some(sandbox);
        }
        if found.1.lacks_its_broker() {
            self.brokered.store(false, Ordering::Relaxed);
        }
        self.leave(found.1);
        None
    }

    async fn make(
        &self,
        known: &mut Vec<(Purpose, Arc<Sandbox>)>,
        purpose: Purpose,
        plan: Plan,
    ) -> Result<Arc<Sandbox>, SandboxError> {
        let is_enforced = plan.mode.is_enforced();
        if is_enforced || matches!(purpose, Purpose::Commands(_)) {
            self.sandboxing.check(&plan)?;
        }
        let plan = Plan { brokered: is_enforced && self.brokered.load(Ordering::Relaxed), ..plan };
        if let Some(neighbours) = self.neighbours.get().filter(|_| is_enforced) {
            let share = neighbours.share();
            if known.len() + self.left_alive() >= share {
                let idle = known.iter().position(|(_, sandbox)| is_idle(sandbox));
                let (_, sandbox) = known.remove(idle.ok_or(SandboxError::Share(share))?);
                // Its end takes some milliseconds.
                let _ = tokio::task::spawn_blocking(move || drop(sandbox)).await;
            }
            neighbours.make_room(known.len() + self.left_alive()).await;
        }
        let sandbox = self.set_up(plan, self.reach(&purpose)).await?;
        if is_enforced && !sandbox.protects_names() {
            self.sandboxing.check_without_mounts(sandbox.plan())?;
        }
        if known.len() >= MAX_SANDBOXES {
            self.leave(known.remove(0).1);
        }
        known.push((purpose, Arc::clone(&sandbox)));
        Ok(sandbox)
    }

    /// Where programs run that are let out of the sandbox: nothing is enforced there, but they are kept in sight to their end.
    pub(crate) async fn outside(&self) -> Result<Arc<Sandbox>, SandboxError> {
        let mut outside = self.outside.lock().await;
        match outside.as_ref().filter(|sandbox| sandbox.is_usable()) {
            Some(sandbox) => Ok(Arc::clone(sandbox)),
            None => {
                let plan = Plan::unenforced(Mode::DangerFullAccess, Network::Enabled);
                Ok(Arc::clone(outside.insert(self.set_up(plan, Reach::default()).await?)))
            }
        }
    }

    /// Another sandbox like this one, in which nothing runs yet and no host is reached. It ends with its last reference.
    pub(crate) async fn another(&self, sandbox: &Sandbox) -> Result<Arc<Sandbox>, SandboxError> {
        self.set_up(Plan { by_name: None, ..(**sandbox.plan()).clone() }, Reach::default()).await
    }

    /// What is in force in the sandboxes that there are, and in the configuration's own.
    pub(crate) async fn plans(&self) -> Vec<Arc<Plan>> {
        let own = self.sandboxing.plan(&self.sandboxing.wanted(&[], None)).map(Arc::new);
        let known = self.known.lock().await;
        own.into_iter().chain(known.iter().map(|(_, sandbox)| Arc::clone(sandbox.plan()))).collect()
    }

    /// The hosts that are reached by name without being asked about, besides those that rules and settings allow.
    fn reach(&self, purpose: &Purpose) -> Reach {
        let (wanted, given) = match purpose {
            Purpose::Commands(wanted) => (wanted, None),
            Purpose::Program(wanted, given, ..) => (wanted, Some(given)),
        };
        let (allowed, denied) = self.sandboxing.hosts_of_client(wanted);
        let mut granted = given.map(|given| given.granted.hosts.clone()).unwrap_or_default();
        let has_those_of_commands = given.is_none_or(|given| given.run == Run::Inside);
        if has_those_of_commands && self.sandboxing.gives_network(wanted) {
            granted.push(HostPattern::whole_network());
        }
        let only_granted = given.is_some_and(|given| given.run == Run::Confined);
        Reach { granted, only_granted, allowed, denied }
    }

    /// Ends one as soon as nothing runs in it. Ending a session takes some milliseconds in which the server must not stand
    /// still.
    fn leave(&self, sandbox: Arc<Sandbox>) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&sandbox));
        tokio::task::spawn_blocking(move || drop(sandbox));
    }

    /// How many there still are of those that made room.
    fn left_alive(&self) -> usize {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|sandbox| sandbox.strong_count() > 0);
        left.len()
    }

    /// How many sandboxes for commands and programs there are.
    pub(crate) async fn count(&self) -> usize {
        self.known.lock().await.len()
    }

    async fn set_up(&self, plan: Plan, reach: Reach) -> Result<Arc<Sandbox>, SandboxError> {
        let environment = self.sandboxing.environment(plan.mode);
        let (launcher, told) = (self.launcher.clone(), self.told.clone());
        let networks = self.networks.clone();
        let made = tokio::task::spawn_blocking(move || {
            Sandbox::set_up(&launcher, plan, &environment, told, (networks.as_deref(), reach))
        });
        Ok(Arc::new(made.await.map_err(|_| SandboxError::Broken)??))
    }
}

/// Makes what a rule grants to be written: a folder, or one of the files that tools keep.
fn make_missing(place: &Path) -> std::io::Result<()> {
    const FILES: [&str; 1] = ["known_hosts"];
    let is_file = FILES.iter().any(|name| place.file_name().is_some_and(|own| own == *name));
    match place.parent().filter(|_| is_file) {
        Some(folder) if folder.is_dir() => std::fs::File::create_new(place).map(drop),
        Some(_) => Ok(()),
        None => std::fs::create_dir_all(place),
    }
}

impl Neighbour for SandboxPool {
    fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counted(&self) -> (usize, bool) {
        // Somebody makes one, or looks for one, at the moment.
        let Ok(known) = self.known.try_lock() else { return (1, false) };
        (known.len() + self.left_alive(), known.iter().any(|(_, sandbox)| is_idle(sandbox)))
    }

    fn take_idle(&self) -> Option<Arc<Sandbox>> {
        let mut known = self.known.try_lock().ok()?;
        let at = known.iter().position(|(_, sandbox)| is_idle(sandbox))?;
        Some(known.remove(at).1)
    }
}

/// Whether nothing runs in it: whoever has something there holds it.
fn is_idle(sandbox: &Arc<Sandbox>) -> bool {
    Arc::strong_count(sandbox) == 1
}

/// The argument that makes [`crate::become_session_process`] take over.
pub const SESSION_ARGUMENT: &str = "sandbox-session";

/// Programs get the descriptor limit that the user started the server with.
pub fn session_launcher(program: Option<PathBuf>) -> sandbox::Launcher {
    sandbox::Launcher {
        // Not by its path: a package manager may have replaced the file meanwhile.
        program: program.unwrap_or_else(|| "/proc/self/exe".into()),
        arguments: vec![SESSION_ARGUMENT.into()],
        descriptor_limit: crate::descriptor_limit::soft_descriptor_limit(),
        group: None,
    }
}
