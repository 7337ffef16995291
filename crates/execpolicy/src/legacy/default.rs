//! The descriptions that are there without any file.

use std::path::Path;

use super::policy::LegacyPolicy;
use crate::errors::ParseError;

/// The text of the default policy.
const TEXT: &str = include_str!("default.policy");

/// The default policy: a few programs that read and print, and `cp`.
///
/// # Errors
/// None in practice: a test reads the text.
pub fn default_policy() -> Result<LegacyPolicy, ParseError> {
    LegacyPolicy::from_text(Path::new("default.policy"), TEXT)
}
