//! Rules that hold, and probably do not do what their author thinks.

use std::path::PathBuf;

use execpolicy::Policy;

use super::sources::RuleSource;

/// What is probably a mistake in rules, or more than was meant, in the names of their files, and in where they lie; a
/// line each.
#[must_use]
pub fn doubts(policy: &Policy, sources: &[RuleSource], left_out: &[PathBuf]) -> Vec<String> {
    let misnamed = sources.iter().flat_map(|source| source.misnamed().unwrap_or_default());
    let misnamed =
        misnamed.map(|file| format!("{}: not read, for its name does not end in .rules", file.display()));
    let left_out = left_out.iter().map(|file| {
        format!(
            "{}: not read, for the project is not trusted (--trust-project-rules, or trust_level = \"trusted\" for it in config.toml)",
            file.display()
        )
    });
    policy.lint().into_iter().chain(misnamed).chain(left_out).chain(policy.handing_on()).collect()
}
