//! What the functions of the language write into while a file is evaluated.

#![expect(
    unsafe_code,
    reason = "the derive implements Starlark's unsafe marker trait; it derives the fact that it promises (the type without lifetimes)"
)]

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use starlark::any::ProvidesStaticType;
use starlark::codemap::FileSpan;

use super::examples::Pending;
use super::file::Declarations;

/// The declarations of one file, growing; reachable from the functions as the evaluator's `extra`.
#[derive(Debug, ProvidesStaticType)]
pub(super) struct Collector {
    pub(super) file: Arc<Path>,
    /// The user's home folder, for `~/`.
    pub(super) home: Option<String>,
    pub(super) declared: RefCell<Declarations>,
    pub(super) pending: RefCell<Vec<Pending>>,
    /// The statement that runs.
    pub(super) last: RefCell<Option<FileSpan>>,
}

impl Collector {
    pub(super) fn new(file: &Path, home: Option<&str>) -> Self {
        Self {
            file: Arc::from(file),
            home: home.map(str::to_owned),
            declared: RefCell::default(),
            pending: RefCell::default(),
            last: RefCell::default(),
        }
    }
}
