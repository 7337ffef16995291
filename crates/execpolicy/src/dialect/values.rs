//! `regex("…")` and `glob("…")` as values of the language.

#![expect(
    unsafe_code,
    reason = "the derive implements Starlark's unsafe marker trait; it derives the fact that it promises (the type without lifetimes)"
)]

use std::fmt;

use allocative::Allocative;
use starlark::starlark_simple_value;
use starlark::values::{NoSerialize, ProvidesStaticType, StarlarkPagable, StarlarkValue, starlark_value};

use crate::pattern::{Expression, ExpressionKind};

/// An expression on the Starlark heap, by its source: what lives there must be plain data.
#[derive(Debug, ProvidesStaticType, NoSerialize, Allocative, StarlarkPagable)]
pub(super) struct ExpressionValue {
    is_glob: bool,
    source: String,
}

starlark_simple_value!(ExpressionValue);

impl ExpressionValue {
    pub(super) fn new(kind: ExpressionKind, source: &str) -> Self {
        Self { is_glob: kind == ExpressionKind::Glob, source: source.to_owned() }
    }

    /// Compiles the expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn compile(&self) -> Result<Expression, String> {
        if self.is_glob { Expression::glob(&self.source) } else { Expression::regex(&self.source) }
    }
}

impl fmt::Display for ExpressionValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = if self.is_glob { "glob" } else { "regex" };
        write!(formatter, "{function}({:?})", self.source)
    }
}

#[starlark_value(type = "expression")]
impl<'v> StarlarkValue<'v> for ExpressionValue {}
