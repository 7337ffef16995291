//! What the functions of the language write into while a file is evaluated.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use super::declarations::Declarations;
use super::examples::Pending;

/// The declarations of one file, growing.
#[derive(Debug)]
pub(super) struct Collector {
    pub(super) file: Arc<Path>,
    /// The user's home folder, for `~/`.
    pub(super) home: Option<String>,
    pub(super) declared: RefCell<Declarations>,
    pub(super) pending: RefCell<Vec<Pending>>,
}

impl Collector {
    pub(super) fn new(file: &Path, home: Option<&str>) -> Self {
        Self {
            file: Arc::from(file),
            home: home.map(str::to_owned),
            declared: RefCell::default(),
            pending: RefCell::default(),
        }
    }
}
