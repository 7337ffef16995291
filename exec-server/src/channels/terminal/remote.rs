//! A server behind HTTP, as the terminal's end sees it: its questions come in a stream of events, answers are posted.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use tokio::sync::mpsc;
use ureq::Agent;

use crate::fetching;

use super::protocol::{FromServer, FromTerminal, MAX_MESSAGE};

/// How long connecting, and the beginning of an answer, may take.
const ANSWER: Duration = Duration::from_secs(30);

/// How long to wait before the server is looked at again.
const AGAIN: Duration = Duration::from_secs(1);

/// Where questions are asked, and what proves that one may answer them.
#[derive(Clone)]
pub struct Remote {
    base: String,
    token: Option<String>,
}

/// Why an address is none where questions are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// It is no address of the web.
    #[error("the address must begin with https:// or http://, such as http://127.0.0.1:8808/approve/3f0c…")]
    NoAddress,
    /// The token would travel for everybody to read.
    #[error("a token is not sent over http:// to another machine; give an https:// address")]
    Unprotected,
}

/// What is heard.
pub(super) enum Heard {
    Message(FromServer),
    /// The connection ended, or there was none; and why.
    Lost(String),
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Remote").finish_non_exhaustive()
    }
}

impl Remote {
    /// The server of this address: of its page for questions, or the one that clients are given.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn new(url: &str, token: Option<String>) -> Result<Remote, RemoteError> {
        let url = url.trim_end_matches('/');
        let at = url.find("://").map(|at| at + 3).ok_or(RemoteError::NoAddress)?;
        let (scheme, rest) = url.split_at_checked(at).ok_or(RemoteError::NoAddress)?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        match scheme {
            "https://" => {}
            "http://" if token.is_none() || is_here(host) => {}
            "http://" => return Err(RemoteError::Unprotected),
            _ => return Err(RemoteError::NoAddress),
        }
        // The last of them: a proxy may have the server below a path of its own.
        let path = match path.rfind("/mcp") {
            Some(at) if !path.contains("/approve") => {
                format!(
                    "{}/approve{}",
                    path.get(..at).unwrap_or_default(),
                    path.get(at + 4..).unwrap_or_default()
                )
            }
            _ if path.is_empty() => "/approve".to_owned(),
            _ => path.to_owned(),
        };
        Ok(Remote { base: format!("{scheme}{host}{path}"), token })
    }

    /// The server's, without what is secret in its address.
    pub(super) fn name(&self) -> &str {
        self.base.find("/approve").and_then(|at| self.base.get(..at)).unwrap_or(&self.base)
    }

    /// Tells `heard` what the server says, and the server what is answered, until either is gone.
    pub(super) fn attend(
        self,
        mut answers: mpsc::Receiver<FromTerminal>,
        heard: impl Fn(Heard) -> bool + Send + 'static,
    ) {
        let poster = self.clone();
        // Threads of their own, which end with the process.
        std::thread::spawn(move || {
            while let Some(answer) = answers.blocking_recv() {
                // One that comes too late counts for nothing, and the stream says what is open.
                let _ = poster.post(&answer);
            }
        });
        std::thread::spawn(move || {
            loop {
                let why = self.listen(&heard);
                if !heard(Heard::Lost(why)) {
                    return;
                }
                std::thread::sleep(AGAIN);
            }
        });
    }

    fn agent(timeout: Option<Duration>) -> Agent {
        let config =
            Agent::config_builder().timeout_connect(Some(ANSWER)).timeout_recv_response(Some(ANSWER));
        fetching::agent(config.timeout_global(timeout).max_redirects(0).build())
    }

    fn authorization(&self) -> Option<String> {
        self.token.as_ref().map(|token| format!("Bearer {token}"))
    }

    fn post(&self, answer: &FromTerminal) -> Result<(), ureq::Error> {
        let mut request = Remote::agent(Some(ANSWER)).post(format!("{}/answers", self.base));
        if let Some(authorization) = self.authorization() {
            request = request.header("Authorization", authorization);
        }
        let body = serde_json::to_string(answer).unwrap_or_default();
        request.header("Content-Type", "application/json").send(body).map(drop)
    }

    /// Hears the events of one connection, and says why there are no more.
    fn listen(&self, heard: &impl Fn(Heard) -> bool) -> String {
        let mut request = Remote::agent(None).get(format!("{}/events", self.base));
        if let Some(authorization) = self.authorization() {
            request = request.header("Authorization", authorization);
        }
        let answer = match request.call() {
            Ok(answer) => answer,
            Err(ureq::Error::StatusCode(401)) => {
                return "it does not know who asks: give --token-file".into();
            }
            Err(ureq::Error::StatusCode(403)) => return "the token lacks the scope shell:approve".into(),
            Err(error) => return error.to_string(),
        };
        let mut lines = BufReader::new(answer.into_body().into_reader());
        loop {
            let mut line = String::new();
            match (&mut lines).take(u64::from(MAX_MESSAGE)).read_line(&mut line) {
                Ok(0) => return "the connection has ended".into(),
                Ok(_) => {}
                Err(error) => return error.to_string(),
            }
            let Some(data) = line.strip_prefix("data:") else { continue };
            let Ok(message) = serde_json::from_str(data) else {
                return "it says what is not understood".into();
            };
            if !heard(Heard::Message(without_folder(message))) {
                return String::new();
            }
        }
    }
}

/// Whether a host, with a port or without one, is this machine.
fn is_here(host: &str) -> bool {
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let name = name.trim_matches(['[', ']']);
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Another machine's folder is none of ours, whatever it says.
fn without_folder(message: FromServer) -> FromServer {
    match message {
        FromServer::Hello { version, server, folder, .. } => {
            FromServer::Hello { version, server, folder, codex_home: None }
        }
        other @ (FromServer::Refused { .. }
        | FromServer::Asked(_)
        | FromServer::Closed { .. }
        | FromServer::Connections { .. }) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_address_of_a_server_leads_to_its_questions() {
        let base = |url: &str| Remote::new(url, None).map(|remote| remote.base);
        for (url, expected) in [
            ("http://127.0.0.1:8808/mcp/abc", "http://127.0.0.1:8808/approve/abc"),
            ("http://127.0.0.1:8808/approve/abc/", "http://127.0.0.1:8808/approve/abc"),
            ("https://shell.example.com/mcp", "https://shell.example.com/approve"),
            ("https://shell.example.com", "https://shell.example.com/approve"),
            ("https://example.com/team/mcp", "https://example.com/team/approve"),
        ] {
            assert_eq!(base(url).as_deref(), Ok(expected), "{url}");
        }
        assert_eq!(base("unix:/run/x"), Err(RemoteError::NoAddress));
        assert_eq!(base("file:///etc/passwd"), Err(RemoteError::NoAddress));
        assert_eq!(Remote::new("http://127.0.0.1:1/mcp/secret", None).unwrap().name(), "http://127.0.0.1:1");
    }

    #[test]
    fn a_token_is_not_shown_to_the_network() {
        let with_token = |url: &str| Remote::new(url, Some("t".into())).map(drop);
        for url in ["https://shell.example.com/mcp", "http://localhost:1/mcp", "http://[::1]:1/mcp"] {
            assert_eq!(with_token(url), Ok(()), "{url}");
        }
        for url in ["http://10.0.0.1/mcp", "http://localhost.example.com/mcp"] {
            assert_eq!(with_token(url), Err(RemoteError::Unprotected), "{url}");
        }
    }
}
