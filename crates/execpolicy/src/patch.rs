//! `patch_rule`: which files a patch may change. Parsed and matched here; whoever applies patches asks.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::decision::Decision;
use crate::pattern::{Expression, Reading};
use crate::rule::Origin;

/// One `patch_rule(…)`.
#[derive(Clone, Debug)]
pub struct PatchRule {
    /// The files, or folders with all that is in them; never empty.
    pub paths: Vec<PatchGlob>,
    /// What the rule says.
    pub decision: Decision,
    /// Why, in its author's words; never blank.
    pub justification: Option<String>,
    /// Where it was written.
    pub origin: Origin,
}

/// A glob over paths: absolute, or as seen from any of the folders that commands may write.
#[derive(Clone, Debug)]
pub struct PatchGlob {
    pub(crate) is_absolute: bool,
    pub(crate) glob: Expression,
}

impl PatchRule {
    /// Whether the rule is about a file, given by its absolute path without links; `roots` are what relative globs are
    /// relative to.
    #[must_use]
    pub fn fits(&self, path: &Path, roots: &[PathBuf]) -> bool {
        let reading = Reading::from(self.decision);
        self.paths.iter().any(|glob| glob.fits(path, roots, reading))
    }
}

impl PatchGlob {
    fn fits(&self, path: &Path, roots: &[PathBuf], reading: Reading) -> bool {
        let fits = |path: &Path| {
            // What fits a folder is about all that is in it.
            let places = path.ancestors().filter(|place| !place.as_os_str().is_empty());
            places.into_iter().any(|place| self.glob.matches(place.as_os_str().as_bytes(), reading))
        };
        match self.is_absolute {
            true => fits(path),
            false => roots.iter().filter_map(|root| path.strip_prefix(root).ok()).any(fits),
        }
    }
}

/// What the rules say about one file.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub struct PatchVerdict<'a> {
    /// The strictest decision of a rule that fits; none when no rule speaks.
    pub decision: Option<Decision>,
    /// The rule that decided.
    pub rule: Option<&'a PatchRule>,
}

/// Judges a file by the strictest of the rules that fit it, the first of those where several are as strict.
pub(crate) fn judge<'a>(rules: &'a [PatchRule], path: &Path, roots: &[PathBuf]) -> PatchVerdict<'a> {
    let mut decided: Option<&PatchRule> = None;
    for rule in rules.iter().filter(|rule| rule.fits(path, roots)) {
        if decided.is_none_or(|before| before.decision < rule.decision) {
            decided = Some(rule);
        }
    }
    PatchVerdict { decision: decided.map(|rule| rule.decision), rule: decided }
}
