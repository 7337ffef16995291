//! What Starlark must be able to hold for us: the state of an evaluation, and our own values.

#![expect(
    unsafe_code,
    reason = "the derive implements Starlark's unsafe marker trait; it derives the fact that it promises (the type without lifetimes)"
)]

use std::any::Any;
use std::cell::RefCell;
use std::fmt;

use allocative::Allocative;
use starlark::codemap::FileSpan;
use starlark::starlark_simple_value;
use starlark::values::{NoSerialize, ProvidesStaticType, StarlarkPagable, StarlarkValue, starlark_value};

/// What goes along with an evaluation.
#[derive(ProvidesStaticType)]
pub(super) struct Context {
    /// What the language's functions fill.
    pub(super) state: Box<dyn Any>,
    /// The statement that runs.
    pub(super) last: RefCell<Option<FileSpan>>,
}

/// A value that a file can only pass on: a word with a tag that says what it means.
#[derive(Debug, ProvidesStaticType, NoSerialize, Allocative, StarlarkPagable)]
pub(crate) struct Tagged {
    /// What kind of value it is; also its name in messages.
    pub(crate) tag: String,
    /// The value.
    pub(crate) text: String,
}

starlark_simple_value!(Tagged);

impl Tagged {
    pub(crate) fn new(tag: &str, text: &str) -> Self {
        Self { tag: tag.to_owned(), text: text.to_owned() }
    }
}

impl fmt::Display for Tagged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() {
            formatter.write_str(&self.tag)
        } else {
            write!(formatter, "{}({:?})", self.tag, self.text)
        }
    }
}

#[starlark_value(type = "tagged")]
impl<'v> StarlarkValue<'v> for Tagged {}
