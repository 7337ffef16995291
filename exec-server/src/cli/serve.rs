//! `serve --http`: many clients, over HTTP.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use exec_server::{Address, HttpOptions, IdentityOptions, Proxy, UidRange};
use shell_engine::Settings;

use super::server::ServerArguments;
use crate::say;

/// Serves many clients over HTTP (MCP's streamable HTTP), instead of one over standard input and output
///
/// It prints the address to give to clients, which has a secret in it: whoever knows it can run commands. On a Unix
/// socket, processes of this user may ask. With --token-file, --jwks or --proxy clients say who they are, and each of
/// them has a workspace and state of his own. SIGTERM lets running commands end, and begins no others. With
/// OTEL_EXPORTER_OTLP_ENDPOINT in the environment, a collector gets a span for each call.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Where to listen: a port of this machine's own (8808), an address (127.0.0.1:8808), or unix:PATH
    #[arg(long, value_name = "ADDRESS")]
    http: Address,

    /// A name that the server answers to besides its address's, as in a proxy's requests (shell.example.com); can be
    /// repeated
    #[arg(long, value_name = "NAME", help_heading = "HTTP")]
    server_name: Vec<String>,

    /// Web pages of another host that may ask (https://app.example.com); can be repeated
    #[arg(long, value_name = "ORIGIN", help_heading = "HTTP")]
    allow_origin: Vec<String>,

    /// The folder in which sessions are kept for the next server, or for another one that shares it
    #[arg(long, value_name = "FOLDER", help_heading = "HTTP")]
    session_store: Option<PathBuf>,

    /// How many seconds running commands may take to end after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value = "25", value_parser = seconds, help_heading = "HTTP")]
    drain_timeout: Duration,

    /// Connections at a time; more wait
    #[arg(long, value_name = "NUMBER", default_value_t = HttpOptions::CONNECTIONS, help_heading = "HTTP")]
    max_connections: usize,

    /// How the log is written on standard error; json has a line for each request and each call
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text, help_heading = "HTTP")]
    pub(crate) log_format: LogFormat,

    /// A file of tokens, a line each: NAME TOKEN, and what NAME may do if not just run commands (shell:run shell:approve)
    #[arg(long, value_name = "FILE", help_heading = "Who may ask")]
    token_file: Option<PathBuf>,

    /// The keys of an OAuth authorization server, by which the tokens (JWT) that it has signed are checked: a file, or
    /// an https address
    #[arg(long, value_name = "FILE|URL", help_heading = "Who may ask")]
    jwks: Option<String>,

    /// The authorization server, as its tokens name it (iss), and as clients find it
    #[arg(long, value_name = "URL", requires = "jwks", help_heading = "Who may ask")]
    issuer: Option<String>,

    /// What tokens must be for (aud); by default the address that clients use
    #[arg(long, value_name = "NAME", requires = "jwks", help_heading = "Who may ask")]
    audience: Option<String>,

    /// The address that clients use, where a proxy stands before the server (https://shell.example.com/mcp)
    #[arg(long, value_name = "URL", help_heading = "Who may ask")]
    resource: Option<String>,

    /// A proxy that says who asks, as by a client's certificate: an address, a network (10.0.0.0/24), or unix for
    /// whoever can connect to the socket; can be repeated
    #[arg(long, value_name = "ADDRESS", help_heading = "Who may ask")]
    proxy: Vec<Proxy>,

    /// The header in which proxies say it
    #[arg(long, value_name = "NAME", default_value = "X-Forwarded-User", help_heading = "Who may ask")]
    proxy_header: String,

    /// Somebody who may answer the questions of everybody's commands, as shell:approve in his token would; can be
    /// repeated
    #[arg(long, value_name = "NAME", help_heading = "Who may ask")]
    approver: Vec<String>,

    /// The folder for workspaces, one for each who asks; by default the current one
    #[arg(long, value_name = "FOLDER", help_heading = "Who may ask")]
    workspaces: Option<PathBuf>,

    /// User numbers of nobody's (FIRST-LAST), one of which each who asks gets: his commands, and all that is done for him, run
    /// as that user. Only root can start a server so
    #[arg(long, value_name = "RANGE", help_heading = "Who may ask")]
    tenant_uids: Option<UidRange>,

    /// Whether this process serves one of them: who that is, it is told on its standard input
    #[arg(long, hide = true)]
    pub(crate) tenant_worker: bool,

    /// The most who are served at a time
    #[arg(long, value_name = "NUMBER", default_value_t = HttpOptions::PRINCIPALS, help_heading = "Who may ask")]
    max_principals: usize,

    /// The most questions of each that are open at a time; what would ask more is refused
    #[arg(long, value_name = "NUMBER", default_value_t = HttpOptions::QUESTIONS, help_heading = "Who may ask")]
    max_questions: usize,

    #[command(flatten)]
    server: ServerArguments,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people: what went wrong.
    Text,
    /// A JSON object a line.
    Json,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "a number of seconds".into())
}

impl ServeArguments {
    pub(crate) fn settings(self) -> (Settings, HttpOptions) {
        let identity = IdentityOptions {
            token_file: self.token_file,
            jwks: self.jwks,
            issuer: self.issuer,
            audience: self.audience,
            proxies: self.proxy,
            proxy_header: Some(self.proxy_header),
            approvers: self.approver,
        };
        let options = HttpOptions {
            hosts: self.server_name,
            origins: self.allow_origin,
            session_store: self.session_store,
            drain_timeout: self.drain_timeout,
            connections: self.max_connections,
            identity,
            resource: self.resource,
            workspaces: self.workspaces,
            tenant_uids: self.tenant_uids,
            principals: self.max_principals,
            questions: self.max_questions,
            ..HttpOptions::at(self.http)
        };
        (self.server.settings(), options)
    }
}

/// Tells the address to whoever waits for it: a program on standard output, a person beside it.
pub(crate) fn announce(address: &str) {
    let page = address.starts_with("http").then(|| address.replacen("/mcp", "/approve", 1));
    let page = page.map(|page| format!("; questions at {page}")).unwrap_or_default();
    say::say(&format!("serving MCP at {address}{page}; Ctrl-C ends it"));
    let mut output = std::io::stdout();
    // Nobody need listen.
    let _ = writeln!(output, "{address}").and_then(|()| output.flush());
}
