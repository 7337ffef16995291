//! From what was asked to what will be enforced: looks at the file system once, and decides everything.
//!
//! `pipeline` goes through the steps: `roots` finds what may be written, `protected` what inside it must not change,
//! `hidden` what must not be read, `caches` where build tools may keep what they fetch. `fallback` is what applies when
//! nobody asked for anything. The result is a `Plan`, which decides nothing more.

mod caches;
mod devices;
mod error;
mod fallback;
mod hidden;
mod host_facts;
mod host_sockets;
mod links;
mod nested;
mod pipeline;
mod protected;
mod repository;
mod roots;

pub use devices::devices;
pub use error::ResolveError;
pub use fallback::{FallbackPolicy, fallback_policy, is_systems};
pub(crate) use fallback::{SYSTEM, is_too_wide};
pub(crate) use host_facts::PRIVATE_VARIABLES;
pub use host_facts::{CachePolicy, HostFacts};
pub(crate) use host_sockets::HostSockets;
pub use pipeline::resolve;
pub use protected::{changed_by_git, has_protected_name, is_protected_name, runs_outside};
pub use repository::{repository_of, work_tree_of_folder};
pub use roots::real_path;
