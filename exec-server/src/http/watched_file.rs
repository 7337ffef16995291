//! A file that is read anew when it has changed: secrets are exchanged while a server runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How often it is looked whether the file has changed.
const LOOK: Duration = Duration::from_secs(1);

/// The longest file that is read, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// A file, and what it says.
pub(super) struct WatchedFile<T> {
    path: PathBuf,
    read: fn(&str) -> Result<T, String>,
    state: Mutex<State<T>>,
}

struct State<T> {
    looked: Instant,
    stamp: Option<Stamp>,
    value: Arc<T>,
}

#[derive(PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
}

impl<T> WatchedFile<T> {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not understood.
    pub(super) fn open(path: PathBuf, read: fn(&str) -> Result<T, String>) -> io::Result<WatchedFile<T>> {
        let stamp = stamp(&path)?;
        let value = Arc::new(load(&path, read)?);
        let state = Mutex::new(State { looked: Instant::now(), stamp: Some(stamp), value });
        Ok(WatchedFile { path, read, state })
    }

    /// What it says now. A file that is broken says what it said before.
    pub(super) fn current(&self) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK {
            state.looked = Instant::now();
            let now = stamp(&self.path).ok();
            if now != state.stamp {
                match load(&self.path, self.read) {
                    Ok(value) => state.value = Arc::new(value),
                    Err(error) => {
                        tracing::warn!(path = %self.path.display(), %error, "the file has changed, but cannot be used");
                    }
                }
                state.stamp = now;
            }
        }
        Arc::clone(&state.value)
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = std::fs::metadata(path)?;
    if metadata.len() > MAX_BYTES {
        return Err(io::Error::other("it is too long"));
    }
    Ok(Stamp { modified: metadata.modified()?, length: metadata.len() })
}

fn load<T>(path: &Path, read: fn(&str) -> Result<T, String>) -> io::Result<T> {
    read(&std::fs::read_to_string(path)?).map_err(io::Error::other)
}
