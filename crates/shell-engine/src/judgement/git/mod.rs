//! Git outside the sandbox: it runs what a repository's configuration says, and a repository can be written from
//! inside.
//!
//! So, while a sandbox is enforced:
//!
//! * hooks and `core.fsmonitor` are switched off for every escalated `git` (`hardening`): also hooks that the user
//!   wrote run what lies in the workspace;
//! * where the configuration of the repository can be written from inside, or the arguments make Git run a program or
//!   write elsewhere, an `allow` is not enough: a person is asked (`repository`, `arguments`). No list of settings
//!   could be complete there (aliases, filters, drivers and remotes have names of their own);
//! * the same where Git would show a command what it may not read (`reading`);
//! * the same where Git would talk to a repository that may be on this machine and in the sandbox's reach (`remotes`),
//!   start itself in a submodule, or write through a link (`entries`).

mod arguments;
mod entries;
mod hardening;
mod reading;
mod remotes;
mod repository;

pub(super) use hardening::hardening;
