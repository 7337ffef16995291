//! Evaluates the text of one rules file and collects what it declares.

use std::collections::HashMap;
use std::path::Path;

use starlark::environment::{Globals, GlobalsBuilder, Module};
use starlark::eval::Evaluator;
use starlark::syntax::{AstModule, Dialect};

use super::collector::Collector;
use super::excerpt::problem;
use super::{api, bounded};
use crate::errors::Problem;
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
    bounded::check_shape(file, text)?;
    let collector = Collector::new(file, home);
    evaluate(file, text, &collector)
        .map_err(|error| problem(file, text, &error, collector.last.borrow().as_ref()))?;
    let Collector { declared, pending, .. } = collector;
    let mut declared = declared.into_inner();
    for pending in pending.into_inner() {
        pending.verify(&declared).map_err(|error| problem(file, text, &error, None))?;
        declared.examples.extend(pending.into_examples(&declared.rules));
    }
    Ok(declared)
}

fn evaluate(file: &Path, text: &str, collector: &Collector) -> starlark::Result<()> {
    let dialect = Dialect { enable_load: false, enable_f_strings: true, ..Dialect::Extended };
    let mut tree = AstModule::parse(&file.to_string_lossy(), text.to_owned(), &dialect)?;
    tree.replace_binary_operators(
        &bounded::OPERATORS.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect::<HashMap<_, _>>(),
    );
    let globals = globals();
    Module::with_temp_heap(|module| {
        let mut evaluator = Evaluator::new(&module);
        evaluator.extra = Some(collector);
        bounded::limit(&mut evaluator)?;
        evaluator.eval_module(tree, &globals)?;
        Ok(())
    })
}

/// The standard functions, the language's own, and the bounded forms of what can grow without end.
fn globals() -> Globals {
    GlobalsBuilder::standard().with(api::rules).with(bounded::functions).build()
}
