//! The clock of a call: execution counts, waiting for a human does not.

mod stopwatch;

pub use stopwatch::Stopwatch;
