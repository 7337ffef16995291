//! What this room knows of calls: somebody who can be asked, and who hears what became of connections.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use execpolicy::Ancestry;

/// The program that connects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    /// Its file.
    pub(crate) program: PathBuf,
    /// What it was started with, its own name first.
    pub(crate) argv: Vec<Vec<u8>>,
    /// Where it works.
    pub(crate) workdir: PathBuf,
    /// The programs that have started it, the nearest first, to be shown.
    pub(crate) parents: Vec<String>,
    /// It and the programs that have started it, as rules name them.
    pub(crate) ancestry: Ancestry,
}

/// A connection that somebody must decide about.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// The host.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// Who wants it.
    pub(crate) caller: Caller,
    /// The rule that asks, as `file:line`, and what it says about it; none where no rule speaks.
    pub(crate) rule: Option<(String, Option<String>)>,
}

/// What a person said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Said {
    /// Yes, by this person's way of answering.
    Yes(String),
    /// No, or nobody can be asked, for this reason.
    No(String),
}

/// What became of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) record: egress::Record,
    /// The host, as rules name it.
    pub(crate) host: String,
    /// The program's file, where that is known.
    pub(crate) program: PathBuf,
    /// Why it was refused by rules, settings or a person, with what was said.
    pub(crate) refused: Option<String>,
    /// What would allow it, where that is not a rule that is missing.
    pub(crate) remedy: Option<&'static str>,
}

/// The call that a connection belongs to.
pub(crate) trait Party: Send + Sync {
    /// Asks whether a connection may be made. Dropping the future withdraws the question.
    fn ask<'p>(&'p self, wish: &'p Wish) -> Pin<Box<dyn Future<Output = Said> + Send + 'p>>;

    /// Hears what became of a connection.
    fn ended(&self, ended: &Ended);

    /// Hears that a program met no way to an address that it was given as such.
    fn has_no_way(&self, to: SocketAddr, program: &Path);
}
