//! The functions that a rules file may call, and what their arguments must be.

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::{UnpackValue, Value};

use super::collector::Collector;
use super::examples::{Example, Pending};
use crate::decision::Decision;
use crate::errors::RuleError;
use crate::pattern::Element;
use crate::rule::{Origin, PrefixRule};

/// Rules that one file may make: generated files stay usable, runaway ones end.
const MAX_RULES: usize = 50_000;

/// The functions of the language.
#[starlark_module]
pub(super) fn rules(builder: &mut GlobalsBuilder) {
    /// Judges every command that begins with the pattern.
    fn prefix_rule<'v>(
        pattern: UnpackListOrTuple<Value<'v>>,
        #[starlark(default = NoneOr::None)] decision: NoneOr<&'v str>,
        #[starlark(default = NoneOr::None)] r#match: NoneOr<UnpackListOrTuple<Value<'v>>>,
        #[starlark(default = NoneOr::None)] not_match: NoneOr<UnpackListOrTuple<Value<'v>>>,
        #[starlark(default = NoneOr::None)] justification: NoneOr<&'v str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let collector = collector(eval)?;
        let call = PrefixCall {
            pattern: elements(&pattern.items)?,
            decision: parse_decision(decision.into_option().unwrap_or("allow"))?,
            justification: parse_justification(justification.into_option())?,
            origin: origin(eval, collector),
        };
        let matching = parse_examples(r#match.into_option())?;
        let not_matching = parse_examples(not_match.into_option())?;
        let mut declared = collector.declared.borrow_mut();
        let first = declared.rules.len();
        declared.rules.extend(call.into_rules());
        if declared.rules.len() > MAX_RULES {
            return Err(fail(RuleError::TooMany(MAX_RULES)));
        }
        let rules = first..declared.rules.len();
        let span = eval.call_stack_top_location();
        collector.pending.borrow_mut().push(Pending { span, rules, matching, not_matching });
        Ok(NoneType)
    }
}

/// A `prefix_rule` call whose arguments were understood.
struct PrefixCall {
    pattern: Vec<Element>,
    decision: Decision,
    justification: Option<String>,
    origin: Origin,
}

impl PrefixCall {
    /// One rule for each alternative in the first position.
    fn into_rules(self) -> Vec<PrefixRule> {
        let mut elements = self.pattern.into_iter();
        let programs = match elements.next() {
            Some(Element::AnyOf(programs)) => programs,
            Some(program) => vec![program],
            None => Vec::new(),
        };
        let arguments: Vec<Element> = elements.collect();
        programs
            .into_iter()
            .map(|program| PrefixRule {
                program,
                arguments: arguments.clone(),
                decision: self.decision,
                justification: self.justification.clone(),
                origin: self.origin.clone(),
            })
            .collect()
    }
}

fn fail(error: RuleError) -> starlark::Error {
    starlark::Error::new_other(error)
}

fn collector<'a>(eval: &Evaluator<'_, 'a, '_>) -> starlark::Result<&'a Collector> {
    eval.extra
        .and_then(|extra| extra.downcast_ref::<Collector>())
        .ok_or_else(|| fail(RuleError::Rule("called outside of a rules file".into())))
}

fn origin(eval: &Evaluator<'_, '_, '_>, collector: &Collector) -> Origin {
    let begin = eval.call_stack_top_location().map(|span| span.resolve().span.begin);
    let (line, column) = begin.map_or((0, 0), |begin| (begin.line + 1, begin.column + 1));
    Origin { file: collector.file.clone(), line, column }
}

fn elements(values: &[Value<'_>]) -> starlark::Result<Vec<Element>> {
    if values.is_empty() {
        return Err(fail(RuleError::Pattern("pattern cannot be empty".into())));
    }
    values.iter().map(|value| element(*value)).collect()
}

fn element(value: Value<'_>) -> starlark::Result<Element> {
    if let Some(word) = value.unpack_str() {
        return Ok(Element::Word(word.to_owned()));
    }
    let Some(list) = UnpackListOrTuple::<Value<'_>>::unpack_value(value)? else {
        let got = value.get_type();
        return Err(fail(RuleError::Pattern(format!(
            "pattern element must be a string or list of strings (got {got})"
        ))));
    };
    let mut alternatives: Vec<Element> =
        list.items.iter().map(|item| alternative(*item)).collect::<starlark::Result<_>>()?;
    match alternatives.len() {
        0 => Err(fail(RuleError::Pattern("pattern alternatives cannot be empty".into()))),
        1 => Ok(alternatives.swap_remove(0)),
        _ => Ok(Element::AnyOf(alternatives)),
    }
}

fn alternative(value: Value<'_>) -> starlark::Result<Element> {
    match value.unpack_str() {
        Some(word) => Ok(Element::Word(word.to_owned())),
        None => {
            let got = value.get_type();
            Err(fail(RuleError::Pattern(format!("pattern alternative must be a string (got {got})"))))
        }
    }
}

fn parse_decision(word: &str) -> starlark::Result<Decision> {
    Decision::from_word(word).ok_or_else(|| fail(RuleError::Decision(word.to_owned())))
}

fn parse_justification(text: Option<&str>) -> starlark::Result<Option<String>> {
    match text {
        Some(text) if text.trim().is_empty() => {
            Err(fail(RuleError::Rule("justification cannot be empty".into())))
        }
        text => Ok(text.map(str::to_owned)),
    }
}

fn parse_examples(values: Option<UnpackListOrTuple<Value<'_>>>) -> starlark::Result<Vec<Example>> {
    values.map_or_else(|| Ok(Vec::new()), |list| list.items.iter().map(|value| example(*value)).collect())
}

fn example(value: Value<'_>) -> starlark::Result<Example> {
    let invalid = |what: String| fail(RuleError::Example(what));
    if let Some(text) = value.unpack_str() {
        let words =
            shlex::split(text).ok_or_else(|| invalid("example string has invalid shell syntax".into()))?;
        if words.is_empty() {
            return Err(invalid("example cannot be an empty string".into()));
        }
        return Ok(Example { words });
    }
    let Some(list) = UnpackListOrTuple::<Value<'_>>::unpack_value(value)? else {
        return Err(invalid(format!(
            "example must be a string or list of strings (got {})",
            value.get_type()
        )));
    };
    if list.items.is_empty() {
        return Err(invalid("example cannot be an empty list".into()));
    }
    let word = |item: &Value<'_>| {
        item.unpack_str()
            .map(str::to_owned)
            .ok_or_else(|| invalid(format!("example tokens must be strings (got {})", item.get_type())))
    };
    Ok(Example { words: list.items.iter().map(word).collect::<starlark::Result<_>>()? })
}
