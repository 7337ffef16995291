//! The sandboxes of one server: one per policy, and the outside.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sandbox::{Mode, Network, Plan};
use tokio::sync::Mutex;

use super::sandbox::{Notices, Sandbox};
use crate::config::{Sandboxing, TrustedPlaceError, Wanted};

/// Policies that keep a sandbox at the same time. A client that sends another policy with each call pays for it with set-up
/// time; what the oldest sandbox still runs ends with it.
const MAX_SANDBOXES: usize = 16;

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

/// All sandboxes of a server.
#[derive(Debug)]
pub struct SandboxPool {
    launcher: sandbox::Launcher,
    sandboxing: Arc<Sandboxing>,
    /// Newest last.
    known: Mutex<Vec<(Wanted, Arc<Sandbox>)>>,
    outside: Mutex<Option<Arc<Sandbox>>>,
    told: Notices,
    /// Names are brokered, as long as the kernel reports what makes them.
    brokered: AtomicBool,
}

impl SandboxPool {
    /// None yet. `launcher` is a program that becomes a session's process when it is started with the argument
    /// [`SESSION_ARGUMENT`]; by default this one.
    pub fn new(sandboxing: Arc<Sandboxing>, launcher: Option<PathBuf>) -> SandboxPool {
        SandboxPool {
            launcher: session_launcher(launcher),
            sandboxing,
            known: Mutex::default(),
            outside: Mutex::default(),
            told: Notices::default(),
            brokered: AtomicBool::new(false),
        }
    }

    /// The same, for who answers for the names that programs in the sandboxes make.
    #[must_use]
    pub(crate) fn with_broker(self, brokered: bool) -> SandboxPool {
        SandboxPool { brokered: brokered.into(), ..self }
    }

    /// The sandbox for a policy; set up when nobody had it before, or when its session has ended.
    pub async fn sandbox(&self, wanted: &Wanted) -> Result<Arc<Sandbox>, SandboxError> {
        let mut known = self.known.lock().await;
        if let Some(at) = known.iter().position(|(other, _)| other == wanted) {
            let found = known.remove(at);
            if found.1.is_usable() {
                let sandbox = Arc::clone(&found.1);
                known.push(found);
                return Ok(sandbox);
            }
            if found.1.lacks_its_broker() {
                self.brokered.store(false, Ordering::Relaxed);
            }
            leave(found.1);
        }
        let plan = self.sandboxing.plan(wanted)?;
        self.sandboxing.check(&plan)?;
        let plan = Plan { brokered: self.brokered.load(Ordering::Relaxed), ..plan };
        let sandbox = self.set_up(plan).await?;
        if !sandbox.protects_names() {
            self.sandboxing.check_without_mounts(sandbox.plan())?;
        }
        if known.len() >= MAX_SANDBOXES {
            leave(known.remove(0).1);
        }
        known.push((wanted.clone(), Arc::clone(&sandbox)));
        Ok(sandbox)
    }

    /// Where programs run that are let out of the sandbox: nothing is enforced there, but they are kept in sight to their end.
    pub(crate) async fn outside(&self) -> Result<Arc<Sandbox>, SandboxError> {
        let mut outside = self.outside.lock().await;
        match outside.as_ref().filter(|sandbox| sandbox.is_usable()) {
            Some(sandbox) => Ok(Arc::clone(sandbox)),
            None => {
                let plan = Plan::unenforced(Mode::DangerFullAccess, Network::Enabled);
                Ok(Arc::clone(outside.insert(self.set_up(plan).await?)))
            }
        }
    }

    /// Another sandbox like this one, in which nothing runs yet. It ends with its last reference.
    pub(crate) async fn another(&self, sandbox: &Sandbox) -> Result<Arc<Sandbox>, SandboxError> {
        self.set_up((**sandbox.plan()).clone()).await
    }

    /// What is in force in the sandboxes that there are, and in the configuration's own.
    pub(crate) async fn plans(&self) -> Vec<Arc<Plan>> {
        let own = self.sandboxing.plan(&self.sandboxing.wanted(&[], None)).map(Arc::new);
        let known = self.known.lock().await;
        own.into_iter().chain(known.iter().map(|(_, sandbox)| Arc::clone(sandbox.plan()))).collect()
    }

    async fn set_up(&self, plan: Plan) -> Result<Arc<Sandbox>, SandboxError> {
        let environment = self.sandboxing.environment(plan.mode);
        let (launcher, told) = (self.launcher.clone(), self.told.clone());
        let made = tokio::task::spawn_blocking(move || Sandbox::set_up(&launcher, plan, &environment, told));
        Ok(Arc::new(made.await.map_err(|_| SandboxError::Broken)??))
    }
}

/// Ending a session takes some milliseconds in which the server must not stand still.
fn leave(sandbox: Arc<Sandbox>) {
    tokio::task::spawn_blocking(move || drop(sandbox));
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
    }
}
