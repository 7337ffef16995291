//! From what was asked to what will be enforced: looks at the file system once, and decides everything.
//!
//! `roots` finds what may be written, `protected` what inside it must not change, `hidden` what must not be read,
//! `fallback` what applies when nobody asked for anything. The result is a `Plan`, which decides nothing more.

mod fallback;
mod hidden;
mod protected;
mod roots;

pub(crate) use hidden::VARIABLES as HIDDEN_VARIABLES;

pub(crate) use fallback::is_too_wide;
pub use fallback::{FallbackPolicy, fallback_policy};
pub use roots::{ResolveError, Surroundings, resolve};
