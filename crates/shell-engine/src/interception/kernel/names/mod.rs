//! The broker of protected names: makes, replaces and removes what lies directly in folders that are mounted read-only inside,
//! because a protected name belongs there ([`sandbox::NameRules`]).
//!
//! The thread of the door looks at each reported call without ever waiting for a file system (`quick`). Nearly all happen as
//! they are. The others go to the call's own broker, a thread with the capabilities of programs inside and no umask: it does
//! what is asked for by (directory, name), for free names. What is not free, not clear or not its business happens, and the kernel
//! refuses it: the mount is read-only. So a path that is exchanged after the look leads nowhere.
//!
//! # Layout
//!
//! * `wish`: what a call asks for, read from the asker's memory. `place`: where that is, in the asker's view.
//! * `broker`: the thread of one call. `work`: what it does. `change`: modes, owners, times, lengths, attributes.
//! * `unmounted`: what is refused where nothing is mounted. `firsts`: what Git makes once. `made`: what of it this call has made. `git_config`: whether theirs says anything that runs.
//! * `indexes`: what becomes an index. `git_index`: whether its paths lie in a work tree. `copied`: files that get their names as copies.

mod broker;
mod change;
mod copied;
mod firsts;
mod git_config;
mod git_index;
mod indexes;
mod made;
mod place;
mod unmounted;
mod wish;
mod work;

pub(in crate::interception::kernel) use broker::{Broker, Names};
pub(crate) use made::MadeByCall;
