//! The life of a server behind HTTP, from the first line to the last answer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderName;
use sandbox::{Bounds, Group};
use serde_json::Value;
use shell_engine::private::make_private;
use shell_engine::sandboxes::most_sandboxes;
use shell_engine::shell::{Places, Turns};
use shell_engine::{Config, Settings};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address::Address;
use super::connection::accept_all;
use super::gate::{Gate, Known};
use super::hosts::Hosts;
use super::keys::Keys;
use super::life::Life;
use super::listener::Listener;
use super::metrics::Metrics;
use super::oauth::OAuth;
use super::options::{HttpError, HttpOptions, IdentityOptions};
use super::page::Page;
use super::principal::Identity;
use super::proxies::{Proxies, Proxy};
use super::router::router;
use super::secret::{self, Sealed};
use super::session_store::write_whole;
use super::site::{Served, Site};
use super::tenants::{Folders, Plan, Tenants};
use super::tokens::Tokens;
use super::traces::{Collector, Exporter};
use super::watched_file::WatchedFile;
use super::workers::{self, Asked, Seat, UidRange, Workers, WorkersError};
use crate::channels::Desk;
use crate::told_to_end::told_to_end;

/// How long the last answers may take to be written.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// The server's own folder for serving over HTTP, below its private one.
const FOLDER: &str = "http";

/// Letters of the machine's name that the server's begins with.
const MACHINE_LETTERS: usize = 63;

/// One of those who ask has one part of so many of the places to run commands.
const SHARE: usize = 4;

/// How often a process that serves one principal looks whether he has had nothing to do for long.
const LOOK_FOR_REST: Duration = Duration::from_secs(60);

/// Where proxies say who asks, when nothing else is said.
const PROXY_HEADER: &str = "x-forwarded-user";

/// Serves MCP over HTTP until a signal comes, and all that runs then has ended. `ready` is told the endpoint's address.
///
/// # Errors
///
/// When the server cannot begin.
pub async fn serve_http(
    mut settings: Settings,
    options: HttpOptions,
    ready: impl FnOnce(&str),
) -> Result<(), HttpError> {
    let mut told = std::pin::pin!(told_to_end().map_err(HttpError::System)?);
    if !options.address.is_local() && !options.identity.is_known() {
        return Err(HttpError::NoIdentity(options.address));
    }
    // No client has started this server.
    settings.sandbox.distrust_client = true;
    settings.sandbox.private.extend(options.private().cloned());
    let server = secret::random().map_err(HttpError::System)?;
    let name = server_name(&server);
    settings.server_name = Some(name.clone());
    let config = Config::new(settings.clone())?;
    if options.identity.is_known() && !config.sandboxing.mode().is_enforced() {
        tracing::warn!(
            "there is no sandbox ({}), so those who ask are not kept apart",
            config.sandboxing.mode()
        );
    }
    if config.sandboxing.network().is_enabled() && options.identity.proxies.iter().any(Proxy::is_in_reach) {
        return Err(HttpError::ProxyInReach);
    }
    if options.tenant_uids.is_none() && options.identity.proxies.iter().any(Proxy::is_in_reach) {
        tracing::warn!(
            "whoever reaches the server as the proxy on this machine does can say that he is anybody: no rule may let \
             commands reach its address (localhost), or run outside what they choose"
        );
    }
    if let Some(range) = options.tenant_uids {
        can_be_apart(range, &config, &options)?;
    } else if options.identity.is_known() {
        // Who sets bounds for many has them between these many, or no server.
        bounded(config.limits.bounds)?;
    }
    shell_engine::raise_descriptor_limit()?;
    let folder = private_folder(&config, FOLDER)?;
    let cannot_listen = |source| HttpError::Listen { address: options.address.clone(), source };
    let listener = Listener::bind(&options.address).await.map_err(cannot_listen)?;
    let address = listener.address().map_err(HttpError::System)?;
    let path = folder.join("path");
    let secret = kept_secret(&path).map_err(|source| HttpError::File { path, source })?;
    let way_in = way_in(&address, &secret, &options).await?;

    let mut places = options.calls;
    if options.identity.is_known() {
        if options.tenant_uids.is_none() {
            // Each of those who run a command needs a sandbox of his own, and leaves others some.
            places = places.min(most_sandboxes());
        }
        let own = config.limits.concurrent_calls.min((places / SHARE).max(1));
        settings.limits.concurrent_calls = Some(own);
    }
    let workspaces = options.workspaces.clone().map_or_else(std::env::current_dir, Ok);
    let workspaces = workspaces.and_then(std::path::absolute).map_err(HttpError::System)?;
    let common = Common::new();
    let served = if let Some(uids) = options.tenant_uids {
        let sockets = folder.join("workers");
        make_private(&sockets)?;
        let workers = Workers::new(workers::Plan {
            uids,
            workspaces,
            sessions: options.session_store.clone(),
            sockets,
            secret,
            server: name,
            operator: config.codex_home.clone(),
            calls: settings.limits.concurrent_calls.unwrap_or(config.limits.concurrent_calls),
            requests: options.requests,
            most: options.principals,
            places: Places::new(places),
        });
        let workers = tokio::select! {
            workers = workers => workers?,
            () = told.as_mut() => return Ok(()),
        };
        Served::Apart(Arc::new(workers))
    } else {
        let folders = Folders {
            workspaces,
            homes: folder.join("principals"),
            sessions: options.session_store.clone().unwrap_or_else(|| folder.join("sessions")),
            operator: config.codex_home.clone(),
        };
        let plan = Plan { secret, ..common.plan((settings, server), folders, &options, Places::new(places)) };
        let tenants = Tenants::new(plan);
        Served::Here(Box::new(match options.identity.is_known() {
            true => tenants,
            false => tenants.with_one(Identity::owner(), config)?,
        }))
    };
    let listening = match address {
        Address::Tcp(address) => Some(address),
        Address::Unix(_) => None,
    };
    let hosts = Hosts::new(listening, &options.hosts, &options.origins);
    let WayIn { gate, metadata, endpoint } = way_in;
    let site = common.site((hosts, gate, metadata), served);
    live(site, listener, &options, || ready(&endpoint), told).await
}

/// Serves one principal, as whose user this process runs, until the front that has started it is gone or says so.
///
/// # Errors
///
/// When it cannot begin.
pub async fn serve_tenant(mut settings: Settings, options: HttpOptions) -> Result<(), HttpError> {
    let told = told_to_end().map_err(HttpError::System)?;
    let (seat, link, listener) = Seat::take().map_err(HttpError::System)?;
    let listener = Listener::made(listener).map_err(HttpError::System)?;
    let folders = Folders {
        workspaces: seat.own.clone(),
        homes: seat.home.clone(),
        sessions: seat.sessions.clone(),
        operator: seat.operator.clone(),
    };
    settings.sandbox.distrust_client = true;
    settings.sandbox.private.extend(options.private().cloned());
    settings.server_name = Some(seat.server.clone());
    settings.limits.concurrent_calls = Some(seat.calls);
    let settings = folders.settings(&settings, &seat.home, &seat.own)?;
    let config = Config::new(settings.clone())?;
    shell_engine::raise_descriptor_limit()?;
    link.set_nonblocking(true).map_err(HttpError::System)?;
    let (turns, front) = Asked::over(tokio::net::UnixStream::from_std(link).map_err(HttpError::System)?);
    let places = Places::new(seat.calls).taking_turns(Arc::clone(&turns) as Arc<dyn Turns>);
    let server = secret::random().map_err(HttpError::System)?;
    let common = Common::new();
    let plan = Plan { unnamed: true, ..common.plan((settings, server), folders, &options, places) };
    let Some(identity) = seat.identity else {
        // Nobody gives turns to a trial.
        let plan = Plan { places: Places::new(1), ..plan };
        return tokio::select! {
            tried = plan.try_out(config) => tried,
            () = front => Ok(()),
        };
    };
    let tenants = Tenants::new(plan).with_one(identity.clone(), config)?;
    let hosts = Hosts::new(None, &[], &[]);
    let site = common.site((hosts, Gate::Told(identity.clone()), None), Served::Here(Box::new(tenants)));
    let resting = {
        let site = Arc::clone(&site);
        async move {
            loop {
                tokio::time::sleep(LOOK_FOR_REST).await;
                if let Served::Here(tenants) = &site.served
                    && tenants.all().iter().all(|tenant| tenant.is_idle())
                {
                    turns.idle();
                }
            }
        }
    };
    let resting = tokio::spawn(resting);
    // It is spoken with to the end.
    let front = tokio::spawn(front);
    let over = async {
        tokio::select! {
            () = told => {}
            _ = front => {}
        }
    };
    let lived = live(site, listener, &options, || {}, over).await;
    resting.abort();
    lived
}

/// What a server has whoever it serves.
struct Common {
    desk: Desk,
    streams: CancellationToken,
    metrics: Arc<Metrics>,
    exporter: Option<Exporter>,
}

impl Common {
    fn new() -> Common {
        let metrics = Arc::new(Metrics::new());
        let collector = Collector::from_environment(|name| std::env::var(name).ok());
        let exporter = collector.map(|collector| Exporter::start(collector, Arc::clone(&metrics)));
        Common { desk: Desk::new(), streams: CancellationToken::new(), metrics, exporter }
    }

    /// What principals' servers are made by, but for the secret.
    fn plan(
        &self,
        (settings, server): (Settings, String),
        folders: Folders,
        options: &HttpOptions,
        places: Places,
    ) -> Plan {
        Plan {
            settings,
            folders,
            secret: String::new(),
            server,
            sessions: options.sessions,
            requests: options.requests,
            questions: options.questions,
            most: options.principals,
            streams: self.streams.clone(),
            places,
            metrics: Arc::clone(&self.metrics),
            exporter: self.exporter.clone(),
            desk: self.desk.clone(),
            unnamed: false,
        }
    }

    fn site(self, (hosts, gate, metadata): (Hosts, Gate, Option<Value>), served: Served) -> Arc<Site> {
        Arc::new(Site {
            hosts,
            gate,
            served,
            metadata,
            life: Life::default(),
            metrics: self.metrics,
            connections: TaskTracker::new(),
            desk: self.desk,
            page: Page::new(),
            streams: self.streams,
            exporter: self.exporter,
        })
    }
}

/// Answers requests until `told` completes, and all that runs then has ended.
async fn live(
    site: Arc<Site>,
    listener: Listener,
    options: &HttpOptions,
    ready: impl FnOnce(),
    told: impl Future<Output = ()>,
) -> Result<(), HttpError> {
    let stop = CancellationToken::new();
    let (life, connections) = (&site.life, &site.connections);
    let router = router(Arc::clone(&site));
    let accepting =
        tokio::spawn(accept_all(listener, router, options.connections, connections.clone(), stop.clone()));
    ready();

    told.await;
    let told_again = told_to_end().map_err(HttpError::System)?;
    life.leave();
    let finished = async {
        // What is on its way to others has reached them then.
        life.all_answered().await;
        site.served.leave();
        site.served.all_ended().await;
        life.all_answered().await;
    };
    tokio::select! {
        () = finished => {}
        () = tokio::time::sleep(options.drain_timeout) => {}
        () = told_again => {}
    }
    site.served.close().await;
    let _ = tokio::time::timeout(LAST_ANSWERS, life.all_answered()).await;
    accepting.abort();
    site.streams.cancel();
    stop.cancel();
    connections.close();
    let _ = tokio::time::timeout(LAST_ANSWERS, connections.wait()).await;
    if let Some(exporter) = site.exporter.clone() {
        exporter.flush().await;
    }
    Ok(())
}

/// Whether principals can have users of their own as this is to be run.
fn can_be_apart(range: UidRange, config: &Config, options: &HttpOptions) -> Result<(), WorkersError> {
    if !options.identity.is_known() {
        return Err(WorkersError::NobodyKnown);
    }
    if config.approvals.command.is_some() || config.approvals.webhook.is_some() {
        return Err(WorkersError::Approvals);
    }
    let is_unix = matches!(options.address, Address::Unix(_));
    if !is_unix && options.identity.proxies.iter().any(Proxy::is_in_reach) {
        return Err(WorkersError::ProxyInReach);
    }
    if !config.limits.bounds.is_none() {
        return Err(WorkersError::Bounds);
    }
    workers::can_become(range)
}

/// Whether all commands of a principal can be bounded so; what is made for it is removed again.
fn bounded(bounds: Bounds) -> Result<(), HttpError> {
    match bounds.is_none() {
        true => Ok(()),
        false => Group::make(bounds).map(drop).map_err(|why| HttpError::NotBounded(why.to_string())),
    }
}

/// What a server is called in handles: the machine's name, which in a cluster is the pod's, and what no other one has.
fn server_name(random: &str) -> String {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let letters = machine.chars().filter(|letter| letter.is_ascii_alphanumeric() || "-.".contains(*letter));
    let machine: String = letters.take(MACHINE_LETTERS).collect();
    format!("{machine}-{}", random.get(..8).unwrap_or(random))
}

/// How one comes in.
struct WayIn {
    gate: Gate,
    /// What clients are told about who makes tokens.
    metadata: Option<Value>,
    /// The address that they use.
    endpoint: String,
}

async fn way_in(address: &Address, secret: &str, options: &HttpOptions) -> Result<WayIn, HttpError> {
    let base = match address {
        Address::Unix(path) => format!("unix:{}:", path.display()),
        Address::Tcp(address) => format!("http://{address}"),
    };
    let endpoint = format!("{base}/mcp");
    if options.identity.is_known() {
        let resource = options.resource.clone().unwrap_or_else(|| endpoint.clone());
        let (known, metadata) = known(&options.identity, &resource).await?;
        return Ok(WayIn { gate: Gate::Known(Box::new(known)), metadata, endpoint: resource });
    }
    match address {
        Address::Unix(_) => {
            let gate = Gate::User(rustix::process::geteuid().as_raw());
            Ok(WayIn { gate, metadata: None, endpoint })
        }
        Address::Tcp(_) => {
            let gate = Gate::Secret(Sealed::of(secret.as_bytes()));
            Ok(WayIn { gate, metadata: None, endpoint: format!("{endpoint}/{secret}") })
        }
    }
}

/// How it is known who asks, and what clients are told about that.
async fn known(options: &IdentityOptions, resource: &str) -> Result<(Known, Option<Value>), HttpError> {
    let tokens = options.token_file.clone().map(|path| {
        let opened = WatchedFile::open(path.clone(), Tokens::read);
        opened.map_err(|source| HttpError::File { path, source })
    });
    let oauth = match &options.jwks {
        Some(place) => {
            let keys = Keys::open(place).await?;
            let audience = options.audience.clone().unwrap_or_else(|| resource.to_owned());
            Some(OAuth::new(options.issuer.clone(), audience, keys))
        }
        None => None,
    };
    let proxies = match &options.proxies[..] {
        [] => None,
        trusted => {
            let header = options.proxy_header.as_deref().unwrap_or(PROXY_HEADER);
            let header = HeaderName::try_from(header).map_err(|_| HttpError::Header(header.to_owned()))?;
            Some(Proxies::new(trusted.to_vec(), header))
        }
    };
    let described =
        oauth.as_ref().map(|oauth| oauth.metadata(options.audience.as_deref().unwrap_or(resource)));
    let known = Known {
        tokens: tokens.transpose()?,
        metadata: oauth.is_some().then(|| metadata_address(resource)),
        oauth,
        proxies,
        approvers: options.approvers.clone(),
    };
    Ok((known, described))
}

/// Where the description of a resource is (RFC 9728, section 3.1).
fn metadata_address(resource: &str) -> String {
    let end = resource.find("://").map_or(0, |at| at + 3);
    let (host, path) = match resource.get(end..).and_then(|rest| rest.find('/')) {
        Some(at) => resource.split_at(end + at),
        None => (resource, ""),
    };
    format!("{host}/.well-known/oauth-protected-resource{}", path.trim_end_matches('/'))
}

/// The secret part of the path: the same for every server of this user, so that clients are told once.
fn kept_secret(path: &Path) -> io::Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().len() >= 32 => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let secret = secret::random()?;
    write_whole(path, format!("{secret}\n").as_bytes())?;
    // Another server may have made one at the same time: the file says which counts.
    Ok(std::fs::read_to_string(path)?.trim().to_owned())
}

/// A folder of the server's own, in the user's.
fn private_folder(config: &Config, name: &str) -> Result<PathBuf, HttpError> {
    let folder = shell_engine::private::private_folders(&config.codex_home).remove(0).join(name);
    make_private(&folder)?;
    Ok(folder)
}
