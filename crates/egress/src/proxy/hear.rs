//! Hears what a program wants, in whichever way it asks, and answers it in the same.

use super::wanted::{Begun, Wanted, Way};
use super::{http, socks};
use crate::exchange::send_all;
use crate::judge::Failure;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a program may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// Hears what a program wants; nothing when it has given up, or cannot be understood, of which it is told.
pub(crate) async fn hear(program: &TcpStream) -> Option<Wanted> {
    let heard = tokio::time::timeout(PATIENCE, async {
        let mut begun = Begun { program, said: Vec::new() };
        begun.at_least(1).await?;
        if begun.said.first() == Some(&socks::VERSION) {
            socks::hear(&mut begun).await
        } else {
            http::hear(&mut begun).await
        }
    });
    heard.await.ok().and_then(Result::ok).flatten()
}

impl Way {
    /// Tells the program that its connection is made.
    pub(crate) async fn made(self, program: &TcpStream) -> io::Result<()> {
        match self {
            Way::Tunnel => send_all(program, http::MADE).await,
            Way::Request => Ok(()),
            Way::Socks => send_all(program, &socks::answer(None)).await,
        }
    }

    /// Tells the program that it is not, and why.
    pub(crate) async fn failed(self, program: &TcpStream, failure: &Failure) -> io::Result<()> {
        match self {
            Way::Tunnel | Way::Request => send_all(program, &http::refusal(failure)).await,
            Way::Socks => send_all(program, &socks::answer(Some(failure))).await,
        }
    }
}
