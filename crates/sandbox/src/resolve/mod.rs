//! From what was asked to what will be enforced: looks at the file system once, and decides everything.
//!
//! `pipeline` goes through the steps: `roots` finds what may be written, `protected` what inside it must not change, `hidden`
//! what must not be read. `fallback` is what applies when nobody asked for anything. The result is a `Plan`, which decides
//! nothing more.

mod error;
mod fallback;
mod hidden;
mod pipeline;
mod protected;
mod roots;
mod surroundings;

pub use error::ResolveError;
pub use fallback::{FallbackPolicy, fallback_policy};
pub(crate) use fallback::{SYSTEM, is_too_wide};
pub use pipeline::resolve;
pub(crate) use surroundings::PRIVATE_VARIABLES;
pub use surroundings::Surroundings;
