//! One element of a rule's pattern, and whether one argument fits it.
//!
//! Elements compare bytes, case-sensitively and whole: there is no substring match. An element of a rule that
//! allows is read narrowly, one of a rule that asks or forbids widely, so that a doubtful argument is never
//! the one that is let through.

use std::fmt;

use globset::GlobBuilder;
use regex::bytes::{Regex, RegexBuilder};

use crate::decision::Decision;

/// Largest compiled expression, in bytes: far beyond any rule, and loading a thousand of them stays quick.
const MAX_EXPRESSION: usize = 1 << 18;

/// One position of a pattern: exactly one of these forms fits one argument.
#[derive(Clone, Debug)]
pub enum Element {
    /// This very word.
    Word(String),
    /// Any one of these (never empty, never nested).
    AnyOf(Vec<Element>),
    /// A regular expression or glob over the whole argument; matching takes linear time.
    Expression(Expression),
}

/// A compiled `regex("…")` or `glob("…")`.
#[derive(Clone, Debug)]
pub struct Expression {
    kind: ExpressionKind,
    source: String,
    compiled: Regex,
}

/// How an expression was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpressionKind {
    /// `regex("…")`
    Regex,
    /// `glob("…")`
    Glob,
}

/// Which mistake an element must not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The rule allows: in doubt, the argument does not fit.
    Narrow,
    /// The rule asks or forbids: in doubt, the argument fits.
    Wide,
}

impl From<Decision> for Reading {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Allow => Self::Narrow,
            Decision::Prompt | Decision::Forbidden => Self::Wide,
        }
    }
}

impl Expression {
    /// Compiles a regular expression (syntax of the `regex` crate) that must fit a whole argument.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub fn regex(source: &str) -> Result<Self, String> {
        Self::compile(ExpressionKind::Regex, source, &format!("^(?:{source})$"))
    }

    /// Compiles a glob: `*`, `?` and `[…]` stop at a slash, `**` does not, `{a,b}` is either.
    ///
    /// # Errors
    /// What is wrong with the glob.
    pub fn glob(source: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(source)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| error.to_string())?;
        Self::compile(ExpressionKind::Glob, source, glob.regex())
    }

    fn compile(kind: ExpressionKind, source: &str, expression: &str) -> Result<Self, String> {
        // A line break in an argument is an ordinary character: `$` and `.` must not stop at it.
        let compiled = RegexBuilder::new(expression)
            .dot_matches_new_line(true)
            .size_limit(MAX_EXPRESSION)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { kind, source: source.to_owned(), compiled })
    }

    pub(crate) fn matches(&self, argument: &[u8], reading: Reading) -> bool {
        match (self.kind, reading) {
            (ExpressionKind::Regex, Reading::Narrow) => self.compiled.is_match(argument),
            // `.` does not fit bytes that are not UTF-8, so such an argument would slip by.
            (ExpressionKind::Regex, Reading::Wide) => {
                self.compiled.is_match(argument)
                    || self.compiled.is_match(String::from_utf8_lossy(argument).as_bytes())
            }
            // `src/*` must not let `src/..` through, and `/etc/**` must not miss `/tmp/../etc/passwd`.
            (ExpressionKind::Glob, Reading::Narrow) => {
                !has_parent_component(argument) && self.compiled.is_match(argument)
            }
            (ExpressionKind::Glob, Reading::Wide) => {
                self.compiled.is_match(argument) || self.compiled.is_match(&normalised(argument))
            }
        }
    }
}

impl Element {
    /// Whether the argument fits an element of a rule that is read so.
    pub(crate) fn matches(&self, argument: &[u8], reading: Reading) -> bool {
        match self {
            Self::Word(word) => word.as_bytes() == argument,
            Self::AnyOf(alternatives) => {
                alternatives.iter().any(|element| element.matches(argument, reading))
            }
            Self::Expression(expression) => expression.matches(argument, reading),
        }
    }
}

impl Element {
    /// The plain words in this element, expressions left out.
    pub(crate) fn literals(&self) -> Vec<&str> {
        match self {
            Self::Word(word) => vec![word],
            Self::AnyOf(alternatives) => alternatives.iter().flat_map(Self::literals).collect(),
            Self::Expression(_) => Vec::new(),
        }
    }

    /// The plain words that this element stands for; `None` when an expression is among them.
    pub(crate) fn words(&self) -> Option<Vec<&str>> {
        let has_expression = match self {
            Self::Word(_) => false,
            Self::AnyOf(alternatives) => alternatives.iter().any(|element| element.words().is_none()),
            Self::Expression(_) => true,
        };
        (!has_expression).then(|| self.literals())
    }
}

impl fmt::Display for Element {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => formatter.write_str(&quoted(word)),
            Self::AnyOf(alternatives) => {
                formatter.write_str("[")?;
                for (index, alternative) in alternatives.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(formatter, "{comma}{alternative}")?;
                }
                formatter.write_str("]")
            }
            Self::Expression(expression) => write!(formatter, "{expression}"),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = match self.kind {
            ExpressionKind::Regex => "regex",
            ExpressionKind::Glob => "glob",
        };
        write!(formatter, "{function}({})", quoted(&self.source))
    }
}

/// A string literal that JSON and Starlark read alike.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn has_parent_component(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|component| component == b"..")
}

/// The path without `.`, doubled slashes and `name/..`, by its letters alone.
pub(crate) fn normalised(path: &[u8]) -> Vec<u8> {
    let absolute = path.starts_with(b"/");
    let mut kept: Vec<&[u8]> = Vec::new();
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| *last != b"..") => {
                kept.pop();
            }
            b".." if absolute => {}
            _ => kept.push(component),
        }
    }
    let mut joined = if absolute { b"/".to_vec() } else { Vec::new() };
    joined.extend(kept.join(&b'/'));
    joined
}

#[cfg(test)]
mod tests {
    use super::{Element, Expression, Reading, normalised};

    fn word(text: &str) -> Element {
        Element::Word(text.into())
    }

    #[test]
    fn words_match_whole_and_by_case() {
        assert!(word("push").matches(b"push", Reading::Narrow));
        assert!(!word("push").matches(b"pus", Reading::Wide));
        assert!(!word("push").matches(b"PUSH", Reading::Wide));
    }

    #[test]
    fn alternatives_match_any_one() {
        let element = Element::AnyOf(vec![word("a"), word("b")]);
        assert!(element.matches(b"b", Reading::Narrow));
        assert!(!element.matches(b"ab", Reading::Narrow));
        assert_eq!(element.to_string(), r#"["a", "b"]"#);
    }

    #[test]
    fn expressions_cover_the_whole_argument() {
        let regex = Expression::regex("a|b+").unwrap();
        assert!(regex.matches(b"bb", Reading::Narrow));
        assert!(!regex.matches(b"ab", Reading::Wide));
        assert!(!regex.matches(b"a\n", Reading::Wide));
        assert_eq!(regex.to_string(), r#"regex("a|b+")"#);
        assert!(Expression::regex("x.*").unwrap().matches(b"x\xff", Reading::Wide));
        assert!(!Expression::regex("x.*").unwrap().matches(b"x\xff", Reading::Narrow));
        assert!(Expression::regex("(").is_err());
        assert!(Expression::regex("(a{1000}){1000}").is_err());
    }

    #[test]
    fn globs_stop_at_slashes_and_see_through_dots() {
        let glob = Expression::glob("src/*").unwrap();
        assert!(glob.matches(b"src/x", Reading::Narrow));
        assert!(!glob.matches(b"src/x/y", Reading::Wide));
        assert!(!glob.matches(b"src/..", Reading::Narrow));
        let deep = Expression::glob("/etc/**").unwrap();
        assert!(deep.matches(b"/etc/a/b", Reading::Narrow));
        assert!(deep.matches(b"/tmp/../etc/passwd", Reading::Wide));
        assert!(deep.matches(b"//etc/./passwd", Reading::Wide));
        assert!(!deep.matches(b"/etc/../home/x", Reading::Narrow));
    }

    #[test]
    fn paths_are_normalised_by_their_letters() {
        for (path, expected) in
            [("/a/../b", "/b"), ("/../a", "/a"), ("a/./b//c/..", "a/b"), ("../a", "../a"), ("..", "..")]
        {
            assert_eq!(normalised(path.as_bytes()), expected.as_bytes(), "{path}");
        }
    }
}
