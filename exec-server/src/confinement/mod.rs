//! Where programs run: in a sandbox that enforces one policy, or outside.
//!
//! A [`Place`] is one set of processes that enforces one plan, entered by every call with that policy. [`Places`] makes them
//! when they are first needed and keeps them, so that a server left in the background by one call is reached by the next.

mod place;
mod places;

pub(crate) use place::Place;
pub(crate) use places::{PlaceError, Places};
#[cfg(target_os = "linux")]
pub(crate) use places::{SESSION_ARGUMENT, session_launcher};
