//! What whoever starts a server says about serving over HTTP.

use std::path::PathBuf;
use std::time::Duration;

use shell_engine::{ConfigError, TooFewDescriptors};

use super::address::Address;
use super::keys::KeysError;
use super::proxies::Proxy;
use super::workers::{UidRange, WorkersError};

/// How to serve over HTTP.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Where to listen.
    pub address: Address,
    /// Names that the server answers to besides its address's: `name`, or `name:port`.
    pub hosts: Vec<String>,
    /// Pages of other hosts that may ask, as `https://app.example.com`.
    pub origins: Vec<String>,
    /// The folder for sessions, which servers may share; by default one of the server's own in the user's folder.
    pub session_store: Option<PathBuf>,
    /// How long running calls may take to end when the server is told to.
    pub drain_timeout: Duration,
    /// The most connections at a time.
    pub connections: usize,
    /// The most sessions of one principal.
    pub sessions: usize,
    /// How it is known who asks; nothing: whoever can ask at all is the user who has started the server.
    pub identity: IdentityOptions,
    /// The address that clients use, where a proxy has another one than the server.
    pub resource: Option<String>,
    /// The folder for workspaces, one for each principal; by default the one that the server was started in.
    pub workspaces: Option<PathBuf>,
    /// The users that principals' commands run as, one for each; by default all run as whoever starts the server.
    pub tenant_uids: Option<UidRange>,
    /// The most principals that are served at a time.
    pub principals: usize,
    /// The most requests of one principal that are answered at a time.
    pub requests: usize,
    /// The most questions of one principal that are open at a time; more are refused.
    pub questions: usize,
    /// The most commands of all principals that run at a time.
    pub calls: usize,
}

/// How it is known who asks.
#[derive(Clone, Debug, Default)]
pub struct IdentityOptions {
    /// A file of tokens, and whom each stands for.
    pub token_file: Option<PathBuf>,
    /// The keys by which signed tokens are checked: a file, or an `https:` address.
    pub jwks: Option<String>,
    /// Who signs them.
    pub issuer: Option<String>,
    /// What this server is called in them; by default the address that clients use.
    pub audience: Option<String>,
    /// Proxies whose word counts.
    pub proxies: Vec<Proxy>,
    /// The header in which they say who asks.
    pub proxy_header: Option<String>,
    /// Names of those who may answer the questions of everybody's commands.
    pub approvers: Vec<String>,
}

impl IdentityOptions {
    /// Whether somebody can say who he is.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.token_file.is_some() || self.jwks.is_some() || !self.proxies.is_empty()
    }
}

impl HttpOptions {
    /// What commands of those who ask must not read: tokens, and who has which session.
    pub(super) fn private(&self) -> impl Iterator<Item = &PathBuf> {
        self.identity.token_file.iter().chain(&self.session_store)
    }

    /// Connections at a time when nothing else is said.
    pub const CONNECTIONS: usize = 4096;

    /// Sessions of one principal when nothing else is said.
    pub const SESSIONS: usize = 2048;

    /// Principals at a time when nothing else is said.
    pub const PRINCIPALS: usize = 512;

    /// Requests of one principal at a time when nothing else is said.
    pub const REQUESTS: usize = 256;

    /// Open questions of one principal at a time when nothing else is said.
    pub const QUESTIONS: usize = 16;

    /// Commands of all principals at a time when nothing else is said.
    pub const CALLS: usize = 256;

    /// Where to listen, and for all else what most want.
    #[must_use]
    pub fn at(address: Address) -> HttpOptions {
        HttpOptions {
            address,
            hosts: Vec::new(),
            origins: Vec::new(),
            session_store: None,
            drain_timeout: Duration::from_secs(25),
            connections: HttpOptions::CONNECTIONS,
            sessions: HttpOptions::SESSIONS,
            identity: IdentityOptions::default(),
            resource: None,
            workspaces: None,
            tenant_uids: None,
            principals: HttpOptions::PRINCIPALS,
            requests: HttpOptions::REQUESTS,
            questions: HttpOptions::QUESTIONS,
            calls: HttpOptions::CALLS,
        }
    }
}

/// Why a server cannot serve over HTTP.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Somebody from elsewhere would run commands.
    #[error(
        "{0} can be reached from other machines, and nothing says who may ask: give --token-file, --jwks or --proxy, or listen on a loopback address or a Unix socket"
    )]
    NoIdentity(Address),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: Address,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder of the server's own cannot be used.
    #[error(transparent)]
    Folder(#[from] shell_engine::private::PrivateFolderError),
    /// A file of the server's own cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Commands could say who asks.
    #[error(
        "with --network commands reach the server as its proxy on this machine does, and could say that they are anybody; keep them from the network, or have the proxy elsewhere"
    )]
    ProxyInReach,
    /// Tokens could not be checked.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The header's name is none.
    #[error("`{0}` is no name of a header")]
    Header(String),
    /// Principals would not be kept from each other's memory and processor time.
    #[error("memory_max and cpu_max cannot be had, so nobody is served: {0}")]
    NotBounded(String),
    /// Principals cannot have users of their own.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// How commands are to be run is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system allows too little.
    #[error(transparent)]
    Descriptors(#[from] TooFewDescriptors),
    /// The system gives no random numbers, or no signals.
    #[error("the system does not help: {0}")]
    System(#[source] std::io::Error),
}
