//! Waiting for what comes a moment later: files, the end of processes, and anything in asynchronous tests.

use std::fmt::Display;
use std::path::Path;
use std::time::Instant;

use eventually::PAUSE;
pub use eventually::{PATIENCE, eventually};

/// As [`eventually()`], while the client of an asynchronous test goes on.
///
/// # Panics
///
/// When it does not come, with what there was instead.
pub async fn eventually_async<T, E: Display>(mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(instead) => assert!(begun.elapsed() < PATIENCE, "{instead}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits for a file, and returns what is in it without the blanks around. Whoever writes more than nothing renames it
/// into place.
///
/// # Panics
///
/// When it does not come.
#[must_use]
#[track_caller]
pub fn written(path: &Path) -> String {
    let text =
        eventually(|| std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display())));
    text.trim().to_owned()
}

/// Waits for the end of a process.
///
/// # Panics
///
/// When it goes on.
#[track_caller]
pub fn ended(pid: &str) {
    let process = Path::new("/proc").join(pid);
    eventually(|| if process.exists() { Err(format!("process {pid} goes on")) } else { Ok(()) });
}
