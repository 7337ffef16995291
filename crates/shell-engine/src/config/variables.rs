//! An environment as the engine holds it.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// Variables, name and value.
pub(crate) type Variables = BTreeMap<OsString, OsString>;
