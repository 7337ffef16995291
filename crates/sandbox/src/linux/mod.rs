//! Enforcement and process lifetimes on Linux.
//!
//! `guard` → (set-up) → `init` → `supervisor` → `child`: four small processes between the server and a program, three
//! of them living for the whole session. None of them runs an async runtime or a second thread.

mod canonical;
mod child;
mod each_namespace;
mod guard;
mod init;
mod landlock_rules;
mod limits;
mod mounts;
mod namespaces;
pub(crate) mod packet;
mod process_tree;
mod repair;
pub(crate) mod request;
mod seccomp;
mod setup;
mod stand_ins;
mod supervisor;
mod sys;
pub(crate) mod wire;

pub use guard::run_session_process;
pub use request::Inherited;

pub(crate) use each_namespace::try_each as try_each_namespace;
pub(crate) use landlock_rules::LEAST_ALONE as LANDLOCK_LEAST_ALONE;
pub(crate) use sys::{landlock_abi, user_namespaces_are_filtered};
