//! Words that are not options, assigned to a program's `args`: first those with a fixed place at the front,
//! then those at the end, then the variable part between.

use super::call::PositionalArg;
use super::error::CheckError;
use super::matcher::{ArgMatcher, Cardinality};
use super::outcome::MatchedArg;

/// The entries before, at and after the one that covers any number of words.
struct Layout<'m> {
    prefix: &'m [ArgMatcher],
    vararg: Option<&'m ArgMatcher>,
    suffix: &'m [ArgMatcher],
}

/// Assigns every word to an entry.
///
/// # Errors
/// The first thing that does not fit.
pub(super) fn resolve(
    program: &str,
    words: &[PositionalArg],
    matchers: &[ArgMatcher],
) -> Result<Vec<MatchedArg>, CheckError> {
    let layout = layout(program, matchers)?;
    let fixed = layout.prefix.len() + layout.suffix.len();
    let not_enough = || CheckError::NotEnoughArgs {
        program: program.to_owned(),
        args: words.to_vec(),
        arg_patterns: matchers.to_vec(),
    };
    let (front, rest) = words.split_at_checked(layout.prefix.len()).ok_or_else(not_enough)?;
    if words.len() < fixed {
        let overlaps = layout.vararg.is_some() && words.len() >= layout.suffix.len();
        return Err(if overlaps { CheckError::PrefixOverlapsSuffix {} } else { not_enough() });
    }
    let (middle, back) = match layout.vararg {
        Some(_) => rest.split_at_checked(rest.len() - layout.suffix.len()).ok_or_else(not_enough)?,
        None => (&[][..], rest),
    };
    let mut matched = Vec::with_capacity(words.len());
    for (word, matcher) in front.iter().zip(layout.prefix) {
        matched.push(matched_arg(word, matcher)?);
    }
    if let Some(vararg) = layout.vararg {
        if middle.is_empty() && vararg.cardinality() == Cardinality::AtLeastOne {
            let (program, matcher) = (program.to_owned(), vararg.clone());
            return Err(CheckError::VarargMatcherDidNotMatchAnything { program, matcher });
        }
        for word in middle {
            matched.push(matched_arg(word, vararg)?);
        }
    }
    for (word, matcher) in back.iter().zip(layout.suffix) {
        matched.push(matched_arg(word, matcher)?);
    }
    match words.get(matched.len()..) {
        Some(left_over) if !left_over.is_empty() => {
            Err(CheckError::UnexpectedArguments { program: program.to_owned(), args: left_over.to_vec() })
        }
        Some(_) | None => Ok(matched),
    }
}

fn layout<'m>(program: &str, matchers: &'m [ArgMatcher]) -> Result<Layout<'m>, CheckError> {
    let is_vararg = |matcher: &&ArgMatcher| matcher.cardinality() != Cardinality::One;
    let mut varargs = matchers.iter().filter(is_vararg);
    let first = varargs.next();
    if let (Some(first), Some(second)) = (first, varargs.next()) {
        return Err(CheckError::MultipleVarargPatterns {
            program: program.to_owned(),
            first: first.clone(),
            second: second.clone(),
        });
    }
    let at = matchers.iter().position(|matcher| is_vararg(&matcher)).unwrap_or(matchers.len());
    let (prefix, rest) = matchers.split_at(at);
    Ok(Layout { prefix, vararg: first, suffix: rest.get(1..).unwrap_or_default() })
}

fn matched_arg(word: &PositionalArg, matcher: &ArgMatcher) -> Result<MatchedArg, CheckError> {
    let r#type = matcher.arg_type();
    r#type.validate(&word.value)?;
    Ok(MatchedArg { index: word.index, r#type, value: word.value.clone() })
}
