//! Parses and evaluates one file.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use starlark::environment::{GlobalsBuilder, Module};
use starlark::eval::Evaluator;
use starlark::syntax::{AstModule, Dialect};

use super::values::Context;
use super::{bounded, excerpt};
use crate::errors::{Problem, RuleError};

/// Bytes of stack for one file, of which the deepest file that is let through needs a part.
pub const STACK: usize = 64 << 20;

/// Evaluates a file with the standard functions and those of a language, which fill the state. `finish` then
/// makes something of it.
///
/// # Errors
/// The first problem: Starlark cannot go on after one.
pub(crate) fn run<S: Any, T>(
    file: &Path,
    text: &str,
    functions: fn(&mut GlobalsBuilder),
    state: S,
    finish: impl FnOnce(&S) -> starlark::Result<T>,
) -> Result<T, Problem> {
    bounded::check_shape(file, text)?;
    // All that the evaluation has touched goes with it.
    let evaluated = catch_unwind(AssertUnwindSafe(|| run_here(file, text, functions, state, finish)));
    evaluated.unwrap_or_else(|_| {
        let message = "the evaluator failed on this file".to_owned();
        let rendered = excerpt::render(file, text, &message, None, None);
        Err(Problem { message, position: None, rendered })
    })
}

fn run_here<S: Any, T>(
    file: &Path,
    text: &str,
    functions: fn(&mut GlobalsBuilder),
    state: S,
    finish: impl FnOnce(&S) -> starlark::Result<T>,
) -> Result<T, Problem> {
    let context = Context { state: Box::new(state), last: Default::default() };
    let result = evaluate(file, text, functions, &context);
    result.map_err(|error| excerpt::problem(file, text, &error, context.last.borrow().as_ref()))?;
    let lost = || fail(RuleError::Rule("the state of the evaluation is lost".into()));
    context
        .state
        .downcast_ref::<S>()
        .ok_or_else(lost)
        .and_then(finish)
        .map_err(|error| excerpt::problem(file, text, &error, None))
}

fn evaluate(
    file: &Path,
    text: &str,
    functions: fn(&mut GlobalsBuilder),
    context: &Context,
) -> starlark::Result<()> {
    let dialect = Dialect { enable_load: false, enable_f_strings: true, ..Dialect::Extended };
    let mut tree = AstModule::parse(&file.to_string_lossy(), text.to_owned(), &dialect)?;
    let operators: HashMap<String, String> = bounded::OPERATORS
        .iter()
        .map(|(operator, function)| ((*operator).into(), (*function).into()))
        .collect();
    tree.replace_binary_operators(&operators);
    let globals = GlobalsBuilder::standard().with(functions).with(bounded::functions).build();
    Module::with_temp_heap(|module| {
        let mut evaluator = Evaluator::new(&module);
        evaluator.extra = Some(context);
        bounded::limit(&mut evaluator)?;
        evaluator.eval_module(tree, &globals)?;
        Ok(())
    })
}

/// The state that the functions of a language fill.
pub(crate) fn state<'a, S: Any>(evaluator: &Evaluator<'_, 'a, '_>) -> starlark::Result<&'a S> {
    evaluator
        .extra
        .and_then(|extra| extra.downcast_ref::<Context>())
        .and_then(|context| context.state.downcast_ref::<S>())
        .ok_or_else(|| fail(RuleError::Rule("called outside of a rules file".into())))
}

/// Makes an error of a call; its position is that of the call.
pub(crate) fn fail(error: RuleError) -> starlark::Error {
    starlark::Error::new_other(error)
}
