//! The functions of the `.policy` language.

#![expect(clippy::too_many_arguments, reason = "they are the arguments of a function of the language")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use regex::Regex;
use starlark::codemap::FileSpan;
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::{Heap, UnpackValue, Value, ValueLike};

use super::call::Call;
use super::matcher::{ArgMatcher, CONSTANTS, Cardinality};
use super::policy::LegacyPolicy;
use super::spec::{OptionSpec, ProgramSpec};
use crate::errors::{ParseError, Problem, RuleError};
use crate::evaluator::{Tagged, fail, run, state};

type Items<'v> = UnpackListOrTuple<Value<'v>>;

/// The policy of one file, growing, with the position of each description.
#[derive(Default)]
struct Draft {
    policy: RefCell<LegacyPolicy>,
    spans: RefCell<Vec<Option<FileSpan>>>,
}

impl LegacyPolicy {
    /// Reads a policy from text; the path stands for the file in errors.
    ///
    /// # Errors
    /// What is wrong with the text, with line, column and excerpt; also an example that is not what it should
    /// be.
    pub fn from_text(file: &Path, text: &str) -> Result<Self, ParseError> {
        read(file, text)
            .map_err(|problem| ParseError::Rules { file: file.to_owned(), problem: Box::new(problem) })
    }
}

/// Reads a file's text and tries its examples.
///
/// # Errors
/// The first problem.
fn read(file: &Path, text: &str) -> Result<LegacyPolicy, Problem> {
    run(file, text, functions, Draft::default(), |draft| {
        let policy = draft.policy.take();
        for (spec, span) in policy.programs.iter().zip(draft.spans.take()) {
            if let Some(what) = wrong_example(spec) {
                let mut error = bad(what);
                if let Some(span) = span {
                    error.set_span(span.span, &span.file);
                }
                return Err(error);
            }
        }
        Ok(policy)
    })
}

fn wrong_example(spec: &ProgramSpec) -> Option<String> {
    let fits = |args: &Vec<String>| spec.check(&Call { program: spec.program.clone(), args: args.clone() });
    let program = &spec.program;
    let unmatched = spec.should_match.iter().find_map(|args| Some((args, fits(args).err()?)));
    if let Some((args, error)) = unmatched {
        return Some(format!("expected example to match `{program}` {args:?}: {error}"));
    }
    let matched = spec.should_not_match.iter().find(|args| fits(args).is_ok());
    matched.map(|args| format!("expected example to not match `{program}` {args:?}"))
}

fn bad(what: String) -> starlark::Error {
    fail(RuleError::Rule(what))
}

/// The tag of a matcher's constant; the text is its name.
const MATCHER: &str = "matcher";

fn functions(builder: &mut GlobalsBuilder) {
    for (name, _) in CONSTANTS {
        builder.set(name, Tagged::new(MATCHER, name));
    }
    calls(builder);
}

#[starlark_module]
fn calls(builder: &mut GlobalsBuilder) {
    /// Describes the calls of a program that are known.
    fn define_program<'v>(
        program: &'v str,
        #[starlark(default = NoneOr::None)] system_path: NoneOr<Items<'v>>,
        #[starlark(default = false)] option_bundling: bool,
        #[starlark(default = false)] combined_format: bool,
        #[starlark(default = NoneOr::None)] options: NoneOr<Items<'v>>,
        #[starlark(default = NoneOr::None)] args: NoneOr<Items<'v>>,
        #[starlark(default = NoneOr::None)] forbidden: NoneOr<&'v str>,
        #[starlark(default = NoneOr::None)] should_match: NoneOr<Items<'v>>,
        #[starlark(default = NoneOr::None)] should_not_match: NoneOr<Items<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        // Accepted for old files; no description ever gave them a meaning.
        let _unused = (option_bundling, combined_format);
        let draft = state::<Draft>(eval)?;
        let args = list(args).iter().map(|value| matcher(*value)).collect::<starlark::Result<Vec<_>>>()?;
        let spec = ProgramSpec {
            program: program.to_owned(),
            system_path: strings(list(system_path))?,
            options: option_specs(&list(options))?,
            args,
            forbidden: forbidden.into_option().map(str::to_owned),
            should_match: examples(list(should_match))?,
            should_not_match: examples(list(should_not_match))?,
        };
        draft.policy.borrow_mut().programs.push(spec);
        draft.spans.borrow_mut().push(eval.call_stack_top_location());
        Ok(NoneType)
    }

    /// An option without a value.
    fn flag<'v>(name: &'v str, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        Ok(heap.alloc((name, NoneType, false)))
    }

    /// An option with a value.
    fn opt<'v>(
        name: &'v str,
        r#type: Value<'v>,
        #[starlark(default = false)] required: bool,
        heap: Heap<'v>,
    ) -> starlark::Result<Value<'v>> {
        Ok(heap.alloc((name, r#type, required)))
    }

    /// Forbids every call with an argument that contains one of these.
    fn forbid_substrings<'v>(
        substrings: Items<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let draft = state::<Draft>(eval)?;
        draft.policy.borrow_mut().forbidden_substrings.extend(strings(substrings.items)?);
        Ok(NoneType)
    }

    /// Forbids every program whose name fits.
    fn forbid_program_regex<'v>(
        regex: &'v str,
        reason: &'v str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let draft = state::<Draft>(eval)?;
        let regex = Regex::new(regex).map_err(|error| bad(error.to_string()))?;
        draft.policy.borrow_mut().forbidden_programs.push((regex, reason.to_owned()));
        Ok(NoneType)
    }
}

fn list<'v>(values: NoneOr<Items<'v>>) -> Vec<Value<'v>> {
    values.into_option().map(|list| list.items).unwrap_or_default()
}

fn strings(values: Vec<Value<'_>>) -> starlark::Result<Vec<String>> {
    let string = |value: Value<'_>| {
        value
            .unpack_str()
            .map(str::to_owned)
            .ok_or_else(|| bad(format!("expected a string (got {})", value.get_type())))
    };
    values.into_iter().map(string).collect()
}

fn examples(values: Vec<Value<'_>>) -> starlark::Result<Vec<Vec<String>>> {
    let example = |value: Value<'_>| match Items::unpack_value(value)? {
        Some(words) => strings(words.items),
        None => Err(bad(format!("an example must be a list of strings (got {})", value.get_type()))),
    };
    values.into_iter().map(example).collect()
}

fn matcher(value: Value<'_>) -> starlark::Result<ArgMatcher> {
    if let Some(word) = value.unpack_str() {
        return Ok(ArgMatcher::Literal(word.to_owned()));
    }
    let constant = value.downcast_ref::<Tagged>().filter(|tagged| tagged.tag == MATCHER);
    constant
        .and_then(|tagged| CONSTANTS.iter().find(|(name, _)| *name == tagged.text))
        .map(|(_, matcher)| matcher.clone())
        .ok_or_else(|| {
            bad(format!("expected a string or one of the ARG_ constants (got {})", value.get_type()))
        })
}

fn option_specs(values: &[Value<'_>]) -> starlark::Result<BTreeMap<String, OptionSpec>> {
    let mut options = BTreeMap::new();
    for value in values {
        let Some((name, value_type, required)) = <(&str, Value<'_>, bool)>::unpack_value(*value)? else {
            return Err(bad(format!("options must be made by flag or opt (got {})", value.get_type())));
        };
        let value = if value_type.is_none() { None } else { Some(value_matcher(value_type)?) };
        if options
            .insert(name.to_owned(), OptionSpec { value: value.map(|one| one.arg_type()), required })
            .is_some()
        {
            return Err(bad(format!("duplicate option `{name}`")));
        }
    }
    Ok(options)
}

/// The type of an option's value, which is exactly one word.
fn value_matcher(value: Value<'_>) -> starlark::Result<ArgMatcher> {
    let matcher = matcher(value)?;
    if matcher.cardinality() == Cardinality::One {
        Ok(matcher)
    } else {
        Err(bad("the type of an option's value must stand for exactly one word".to_owned()))
    }
}
