//! The code that a call runs at the moment: a kept shell gets one command after the other.

use std::sync::{Arc, Mutex, PoisonError};

/// The code that a call runs. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Script(Arc<Mutex<Arc<str>>>);

impl Script {
    /// It runs this.
    pub(crate) fn new(code: &str) -> Script {
        Script(Arc::new(Mutex::new(code.into())))
    }

    /// It runs this from now on.
    pub(crate) fn replace(&self, code: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = code.into();
    }

    /// What it runs.
    pub(super) fn read(&self) -> Arc<str> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
