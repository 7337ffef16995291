//! What a command prints: read to the end, kept within bounds, shown as text that fits.
//!
//! # Layout, in the order in which bytes meet it
//! - `capture`: reads the call's one pipe until nobody holds its other end, also when the call is long over.
//! - `spool`: which outputs can still be asked for.
//! - `recording`: one output, shared by the reader of the pipe and those who look at it.
//! - `head_and_tail`: the bytes that are kept of it: all, or the first and the last ones.
//! - `space`: the files without names that long outputs are kept in, and how large they may be together.
//! - `text`: from bytes to text: what is not UTF-8, ANSI sequences, progress bars.
//! - `budget`: the beginning and the end, when not all of it fits into an answer.
//! - `search`: parts of it, asked for later.

mod budget;
mod capture;
mod head_and_tail;
mod recording;
mod search;
mod space;
mod spool;
mod text;

pub use budget::{Presentation, View};
pub(crate) use capture::{CatchUp, Output};
pub use recording::Recording;
pub use search::{Awaited, Found, Query};
pub use spool::Spool;
