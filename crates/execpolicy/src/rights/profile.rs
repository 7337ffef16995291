//! Grants with a name, as one file defines them.

use super::given::ProfileName;
use super::grants::Grants;
use super::run::Run;
use crate::origin::Origin;

/// One `profile(…)`.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name; that of a program says how the program runs where a rule says nothing about it.
    pub name: ProfileName,
    /// The profile that it adds to.
    pub base: Option<ProfileName>,
    /// How programs run with it; `None`: as with the base, or with the profile of this name that it stands in for.
    pub run: Option<Run>,
    /// What it grants besides the base.
    pub grants: Grants,
    /// What to be careful about, in its author's words.
    pub warning: Option<String>,
    /// What it is for, in its author's words.
    pub justification: Option<String>,
    /// Where it was written.
    pub origin: Origin,
}

/// A profile with all that it takes from others.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeProfile {
    /// Its name.
    pub name: ProfileName,
    /// How programs run with it.
    pub run: Run,
    /// What it grants.
    pub grants: Grants,
    /// What to be careful about, its bases' words after its own.
    pub warnings: Vec<String>,
    /// What it is for, in its author's words.
    pub justification: Option<String>,
    /// Where it was written.
    pub origin: Origin,
}
