//! Waiting in tests for what comes a moment later: the one place that looks again and again, until a deadline.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Long enough for a machine that is busy with something else, and tests that run beneath it (`nice`); one that waits
/// so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// How long to wait between two looks.
pub const PAUSE: Duration = Duration::from_millis(10);

/// Looks until there is what was looked for, and returns it.
///
/// # Panics
///
/// When it does not come, with what there was instead.
#[track_caller]
pub fn eventually<T, E: Display>(mut look: impl FnMut() -> Result<T, E>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) => assert!(begun.elapsed() < PATIENCE, "{instead}"),
        }
        std::thread::sleep(PAUSE);
    }
}

/// Looks until something is so.
///
/// # Panics
///
/// When it does not become so, with its name.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    eventually(|| if is_so() { Ok(()) } else { Err(format!("not in time: {what}")) });
}
