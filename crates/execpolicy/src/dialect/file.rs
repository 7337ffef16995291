//! Evaluates the text of one rules file and collects what it declares.

use std::path::Path;

use super::api;
use super::collector::Collector;
use super::declarations::Declarations;
use super::wording::reword;
use crate::errors::Problem;
use crate::evaluator::run;

/// Reads one file's text; `file` appears in error messages and as the origin of rules.
///
/// # Errors
/// The first problem: Starlark cannot go on after one.
pub(crate) fn read(file: &Path, text: &str, home: Option<&str>) -> Result<Declarations, Problem> {
    run(file, text, api::rules, Collector::new(file, home), |collector| {
        let mut declared = collector.declared.take();
        for pending in collector.pending.take() {
            pending.verify(&declared)?;
            declared.examples.extend(pending.into_examples(&declared.rules));
        }
        Ok(declared)
    })
    .map_err(reword)
}
