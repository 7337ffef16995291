//! Whose state a request meets: each principal has a server of his own, which nobody else reaches.
//!
//! Handles (outputs, sessions, questions, background processes) are looked up there and nowhere else, so that another
//! one's are simply unknown.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shell_engine::approval::QuestionObserver;
use shell_engine::private::{PrivateFolderError, make_private};
use shell_engine::shell::{CallRequest, Observer, Places};
use shell_engine::{ApartSettings, Config, Settings, Shell};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::endpoint::Endpoint;
use super::metrics::{Metrics, Now};
use super::options::HttpError;
use super::principal::{Identity, Way};
use super::room::Room;
use super::session_store::FolderStore;
use super::sessions::Sessions;
use super::traces::{Exporter, Spans};
use crate::channels::{Desk, approval_chain_with};
use crate::mcp::ShellServer;

/// How long a principal is kept who does nothing.
const IDLE: Duration = Duration::from_secs(60 * 60);

/// How long the calls of one who makes room may take to end.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(1200);

/// How often it is looked whether commands still run.
const LOOK: Duration = Duration::from_millis(100);

/// How long a trial may take.
const TRIAL: Duration = Duration::from_secs(30);

/// Bytes of what a trial has said that tell why it failed.
const SAID: u64 = 2000;

/// Where principals' things are.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    /// Their workspaces, a folder for each.
    pub(super) workspaces: PathBuf,
    /// Their rules, records and answers, which no command reads.
    pub(super) homes: PathBuf,
    /// Their sessions.
    pub(super) sessions: PathBuf,
    /// The folder of whoever runs the server: its rules and its configuration are for all.
    pub(super) operator: PathBuf,
}

/// What every principal's server is made by.
pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) folders: Folders,
    /// What nobody knows of the names of workspaces: who knows a name could ask the system whether it is there.
    pub(super) secret: String,
    /// Tells this server's events from another's.
    pub(super) server: String,
    /// The most sessions of one.
    pub(super) sessions: usize,
    /// The most requests that are answered for one at a time.
    pub(super) requests: usize,
    /// The most questions of one that are open at a time.
    pub(super) questions: usize,
    /// The most that are served.
    pub(super) most: usize,
    /// Ends all streams.
    pub(super) streams: CancellationToken,
    /// What all of them share to run commands.
    pub(super) places: Places,
    /// Counts what happens.
    pub(super) metrics: Arc<Metrics>,
    /// The way to a collector of traces, if there is one.
    pub(super) exporter: Option<Exporter>,
    /// Where everybody's questions are.
    pub(super) desk: Desk,
    /// Whether views are told who asks by another process, which knows.
    pub(super) unnamed: bool,
}

/// The servers of all principals.
pub(super) struct Tenants {
    plan: Plan,
    live: Mutex<BTreeMap<Identity, Arc<Tenant>>>,
}

/// One principal's server.
pub(super) struct Tenant {
    pub(super) identity: Identity,
    pub(super) server: ShellServer,
    pub(super) endpoint: Endpoint,
    pub(super) requests: Arc<Semaphore>,
    /// For his messages.
    pub(super) room: Room,
    used: Mutex<Instant>,
}

/// Why somebody is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotServed {
    #[error("the server serves as many as it may; ask again later")]
    Full,
    #[error("what the server needs for you cannot be made")]
    Made(#[from] HttpError),
}

impl Tenants {
    /// None yet.
    pub(super) fn new(plan: Plan) -> Tenants {
        Tenants { plan, live: Mutex::default() }
    }

    /// The only one, who is there from the start.
    pub(super) fn with_one(self, identity: Identity, config: Config) -> Result<Tenants, HttpError> {
        let sessions = self.plan.folders.sessions.clone();
        let one = self.plan.tenant(identity.clone(), config, &sessions)?;
        self.live().insert(identity, Arc::new(one));
        Ok(self)
    }

    /// Somebody's server, which is made when he comes first.
    pub(super) async fn of(&self, identity: &Identity) -> Result<Arc<Tenant>, NotServed> {
        if let Some(tenant) = self.live().get(identity) {
            tenant.touch();
            return Ok(Arc::clone(tenant));
        }
        if self.live().len() >= self.plan.most {
            let idle = self.take_idle().ok_or(NotServed::Full)?;
            idle.server.leave(CLOSE_TIMEOUT).await;
        }
        let mut live = self.live();
        if let Some(tenant) = live.get(identity) {
            return Ok(Arc::clone(tenant));
        }
        let tenant = Arc::new(self.plan.make(identity)?);
        live.insert(identity.clone(), Arc::clone(&tenant));
        Ok(tenant)
    }

    /// Whether somebody's server is there already.
    pub(super) fn has(&self, identity: &Identity) -> bool {
        self.live().contains_key(identity)
    }

    /// How much there is at the moment.
    pub(super) async fn now(&self) -> Now {
        let mut now = Now::default();
        for tenant in self.all() {
            let shell = tenant.server.shell();
            now.principals += 1;
            now.running += shell.running().count();
            now.waiting += shell.load().1;
            now.sandboxes += shell.sandbox_count().await;
        }
        now
    }

    /// Completes when no command runs: also none whose client has lost its connection, or has to come back with answers.
    pub(super) async fn all_ended(&self) {
        while self.all().iter().any(|tenant| tenant.server.shell().running().is_busy()) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends all that runs, and waits for it, but not for long.
    pub(super) async fn close(&self, timeout: Duration) {
        let mut closing = tokio::task::JoinSet::new();
        for tenant in self.all() {
            closing.spawn(async move { tenant.server.leave(timeout).await });
        }
        while closing.join_next().await.is_some() {}
    }

    /// All that there are now.
    pub(super) fn all(&self) -> Vec<Arc<Tenant>> {
        self.live().values().cloned().collect()
    }

    /// Takes out the one who has done nothing for longest, and long enough.
    fn take_idle(&self) -> Option<Arc<Tenant>> {
        let mut live = self.live();
        let idle = live.values().filter(|tenant| tenant.is_idle());
        let longest = idle.min_by_key(|tenant| tenant.used()).map(|tenant| tenant.identity.clone())?;
        live.remove(&longest)
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<Identity, Arc<Tenant>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Folders {
    /// What is asked for with what is somebody's: rules and records in `home`, the workspace in `own`.
    pub(super) fn settings(
        &self,
        settings: &Settings,
        home: &Path,
        own: &Path,
    ) -> Result<Settings, PrivateFolderError> {
        let (workspace, temporary) = (own.join("workspace"), own.join("tmp"));
        for folder in [home, own, &workspace, &temporary] {
            make_private(folder)?;
        }
        let mut settings = settings.clone();
        settings.codex_home = Some(home.to_owned());
        settings.operator_home = Some(self.operator.clone());
        settings.started_in = Some(workspace);
        settings.sandbox.apart = Some(ApartSettings { home: own.to_owned(), temporary });
        Ok(settings)
    }
}

impl Plan {
    /// Tries whether somebody's commands can run, and says why not.
    pub(super) async fn try_out(&self, config: Config) -> Result<(), HttpError> {
        let sessions = self.folders.sessions.clone();
        let nobody = Identity { way: Way::Proxy, name: "nobody".into() };
        let tenant = self.tenant(nobody, config, &sessions)?;
        let workspace = tenant.server.shell().config().sandboxing.started_in();
        let request = CallRequest::new(":", workspace, TRIAL, false);
        let request = request.map_err(|error| HttpError::System(io::Error::other(error)))?;
        let outcome = tenant.server.run(request, None).await;
        let outcome = outcome.map_err(|error| HttpError::System(io::Error::other(error)))?;
        tenant.server.leave(CLOSE_TIMEOUT).await;
        match outcome.ending.exit_code() {
            0 => Ok(()),
            _ => Err(HttpError::System(io::Error::other(
                String::from_utf8_lossy(&outcome.output.end(SAID)).into_owned(),
            ))),
        }
    }

    fn make(&self, identity: &Identity) -> Result<Tenant, HttpError> {
        let name = identity.folder_name("");
        let home = self.folders.homes.join(&name);
        let own = self.folders.workspaces.join(identity.folder_name(&self.secret));
        let config = Config::new(self.folders.settings(&self.settings, &home, &own)?)?;
        self.tenant(identity.clone(), config, &self.folders.sessions.join(&name))
    }

    fn tenant(&self, identity: Identity, config: Config, sessions: &Path) -> Result<Tenant, HttpError> {
        make_private(sessions)?;
        let shell = Shell::new(Arc::new(config)).sharing(&self.places);
        if let (Some(why), true) = (shell.not_bounded(), identity.way != Way::Owner) {
            return Err(HttpError::NotBounded(why));
        }
        let spans = Spans::new(Arc::clone(&self.metrics), self.exporter.clone());
        let shell = shell.observed(Arc::new(spans) as Arc<dyn Observer>);
        let is_named = identity.way != Way::Owner && !self.unnamed;
        let asker = is_named.then(|| identity.name.clone());
        let desk = self.desk.channel(asker.clone());
        let approvals = approval_chain_with(&shell, Some(&desk), asker.as_deref());
        let approvals = approvals.observed(Arc::clone(&self.metrics) as Arc<dyn QuestionObserver>);
        // The owner waits for his own answers.
        let approvals = match identity.way {
            Way::Owner => approvals,
            Way::Token | Way::OAuth | Way::Proxy => approvals.refusing_beyond(self.questions),
        };
        let server = ShellServer::new(shell, approvals).map_err(HttpError::System)?;
        let store = FolderStore::new(sessions.to_owned());
        let sessions = Sessions::new(&self.server, self.sessions);
        // There is nobody whom the owner could keep waiting.
        let (requests, room) = match identity.way {
            Way::Owner => (Semaphore::MAX_PERMITS, Room::endless()),
            Way::Token | Way::OAuth | Way::Proxy => (self.requests, Room::new()),
        };
        Ok(Tenant {
            identity,
            endpoint: Endpoint::new(server.clone(), &sessions, Some(store), self.streams.clone()),
            server,
            requests: Arc::new(Semaphore::new(requests)),
            room,
            used: Mutex::new(Instant::now()),
        })
    }
}

impl Tenant {
    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether he has nothing running, and has not asked for long.
    pub(super) fn is_idle(&self) -> bool {
        let is_owner = self.identity.way == Way::Owner;
        !is_owner && self.used().elapsed() > IDLE && self.server.shell().running().is_idle()
    }
}
