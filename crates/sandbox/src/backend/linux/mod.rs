//! Enforcement and process lifetimes on Linux.
//!
//! `guard` → (set-up) → `init` → `supervisor` → `child`: four small processes between the server and a program, three
//! of them living for the whole session. None of them runs an async runtime or a second thread.

mod accounts;
mod awaited;
mod bare;
mod call;
mod canonical;
mod child;
mod container;
mod each_namespace;
mod gateway;
mod guard;
mod init;
mod landlock_rules;
mod laying;
mod limits;
mod mended;
mod mending;
mod mounts;
mod namespaces;
mod netlink;
mod newcomers;
mod own_sockets;
mod packet;
mod placeholders;
mod probe;
mod process_tree;
mod repair;
mod reporting;
mod routes;
mod seccomp;
mod session;
mod setup;
mod supervisor;
mod sys;
mod system;
mod watch;
mod watch_service;
mod wire;

pub(crate) use system::Linux;
