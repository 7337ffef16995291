//! Evaluates the text of one rules file and collects what it declares.

use std::path::Path;

use super::api;
use super::collector::Collector;
use crate::errors::Problem;
use crate::evaluator::run;
use crate::examples::Example;
use crate::host::HostExecutables;
use crate::network::NetworkRule;
use crate::rule::PrefixRule;

/// What one file declares.
#[derive(Debug, Default)]
pub(crate) struct Declarations {
    pub(crate) rules: Vec<PrefixRule>,
    pub(crate) hosts: HostExecutables,
    pub(crate) network: Vec<NetworkRule>,
    pub(crate) examples: Vec<Example>,
}

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
}
