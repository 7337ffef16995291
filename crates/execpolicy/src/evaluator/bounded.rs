//! Keeps a rules file from running or growing without end.
//!
//! Three measures, all deterministic (no clock):
//! * Starlark's own counter of loop turns and calls, and its limit on the heap, which it checks once in a
//!   thousand turns;
//! * a check of the heap before every statement, because doubling a string needs only 40 turns;
//! * `range`, `*` and `+` refuse results larger than any rules file needs, because one of them alone can ask
//!   for terabytes.
//!
//! A rules file decides what may leave the sandbox, so it is not hostile: this guards against accidents, and
//! is no boundary.

use std::num::NonZeroI32;
use std::path::Path;

use starlark::codemap::FileSpanRef;
use starlark::environment::GlobalsBuilder;
use starlark::eval::{BeforeStmtFunc, BeforeStmtFuncDyn, Evaluator};
use starlark::starlark_module;
use starlark::values::range::Range;
use starlark::values::{Heap, Value};

use super::excerpt::render;
use super::values::Context;
use crate::errors::Problem;

/// Loop turns and calls of one file. A thousand generated rules need a few thousand; this many take about 0.1
/// s.
const MAX_TICKS: u64 = 1_000_000;
/// Bytes on the Starlark heap: a megabyte of rules needs about ten.
const MAX_HEAP: usize = 64 << 20;
/// Depth of calls; deeper ones in a rules file can only be runaway recursion.
const MAX_CALLS: usize = 100;
/// Longest list or string that `+`, `*` and `range` make.
const MAX_LENGTH: i64 = 1_000_000;
/// Deepest nesting of brackets: Starlark's parser and compiler recurse, and a deep file would overflow the
/// stack.
const MAX_NESTING: usize = 100;
/// Longest run of operators, or of keywords, in one statement, for the same reason.
const MAX_OPERATORS: usize = 500;
/// Widest indentation of a statement, for the same reason.
const MAX_INDENTATION: usize = 100;

/// Operators that are replaced by a function of this module.
pub(super) const OPERATORS: &[(&str, &str)] = &[("*", "__bounded_multiply"), ("+", "__bounded_add")];

#[derive(Debug, thiserror::Error)]
enum ExcessError {
    #[error("the step of range cannot be zero")]
    Step,
    #[error("a rules file may not make a list or string longer than {MAX_LENGTH}")]
    Length,
    #[error("this rules file uses more than {MAX_HEAP} bytes of memory")]
    Memory,
}

/// Sets the evaluator's limits.
pub(super) fn limit(evaluator: &mut Evaluator<'_, '_, '_>) -> starlark::Result<()> {
    evaluator.set_max_tick_count(MAX_TICKS)?;
    evaluator.set_max_heap_size(MAX_HEAP)?;
    evaluator.set_max_callstack_size(MAX_CALLS)?;
    // Marked as internal by the library; `Cargo.lock` pins the version, and the test of doubling fails if it
    // ceases to work.
    evaluator.before_stmt_for_dap(BeforeStmtFunc::from_dyn(Box::new(HeapCheck)));
    Ok(())
}

/// Checks the heap, and notes the statement for errors of limits, which know no position.
struct HeapCheck;

impl<'e> BeforeStmtFuncDyn<'e> for HeapCheck {
    fn call<'v>(
        &mut self,
        span: FileSpanRef,
        _continued: bool,
        evaluator: &mut Evaluator<'v, '_, 'e>,
    ) -> starlark::Result<()> {
        if let Some(context) = evaluator.extra.and_then(|extra| extra.downcast_ref::<Context>()) {
            context.last.replace(Some(span.to_file_span()));
        }
        if evaluator.heap().allocated_bytes() > MAX_HEAP {
            let mut error = starlark::Error::new_other(ExcessError::Memory);
            error.set_span(span.span, span.file);
            return Err(error);
        }
        Ok(())
    }
}

/// The bounded forms of what can ask for too much at once.
#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn __bounded_multiply<'v>(
        #[starlark(require = pos)] left: Value<'v>,
        #[starlark(require = pos)] right: Value<'v>,
        heap: Heap<'v>,
    ) -> starlark::Result<Value<'v>> {
        let grows = match (left.unpack_i32(), right.unpack_i32()) {
            (Some(times), None) => length(right) * i64::from(times),
            (None, Some(times)) => length(left) * i64::from(times),
            (Some(_), Some(_)) | (None, None) => 0,
        };
        refuse_longer(grows)?;
        left.mul(right, heap)
    }

    fn __bounded_add<'v>(
        #[starlark(require = pos)] left: Value<'v>,
        #[starlark(require = pos)] right: Value<'v>,
        heap: Heap<'v>,
    ) -> starlark::Result<Value<'v>> {
        refuse_longer(length(left) + length(right))?;
        left.add(right, heap)
    }

    /// The integers from start to stop.
    fn range(
        #[starlark(require = pos)] first: i32,
        #[starlark(require = pos)] second: Option<i32>,
        #[starlark(require = pos, default = 1)] step: i32,
    ) -> starlark::Result<Range> {
        let (start, stop) = second.map_or((0, first), |stop| (first, stop));
        let step = NonZeroI32::new(step).ok_or_else(|| starlark::Error::new_other(ExcessError::Step))?;
        refuse_longer((i64::from(stop) - i64::from(start)) / i64::from(step.get()))?;
        Ok(Range::new(start, stop, step))
    }
}

/// The length of a string, list or tuple; 0 for what has none.
fn length(value: Value<'_>) -> i64 {
    match value.unpack_str() {
        Some(text) => i64::try_from(text.len()).unwrap_or(i64::MAX / 2),
        None => value.length().map_or(0, i64::from),
    }
}

fn refuse_longer(length: i64) -> starlark::Result<()> {
    if length > MAX_LENGTH { Err(starlark::Error::new_other(ExcessError::Length)) } else { Ok(()) }
}

/// Refuses text whose mere shape would overflow the stack of Starlark's parser, before it is parsed.
///
/// A quick look at the characters, which knows comments and strings. It bounds everything that the grammar
/// nests: brackets, operators and keywords in one statement, indentation, and chains of `elif`.
///
/// # Errors
/// Names the line where the limit is passed.
pub(super) fn check_shape(file: &Path, text: &str) -> Result<(), Problem> {
    let mut shape = Nesting::default();
    let mut line = 1_usize;
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'#' => rest = rest.get(position(rest, b'\n')..).unwrap_or_default(),
            b'"' | b'\'' => {
                let (lines, after) = skip_string(*byte, rest);
                line += lines;
                rest = after;
            }
            b'\n' => {
                line += 1;
                shape.end_line(rest);
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let more =
                    rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
                let word =
                    text.as_bytes().get(text.len() - rest.len() - 1..).and_then(|from| from.get(..=more));
                shape.word(word.unwrap_or_default());
                rest = rest.get(more..).unwrap_or_default();
            }
            other => shape.punctuation(*other),
        }
        if let Some(what) = shape.excess() {
            let rendered = render(file, text, &what, Some((line, 1)), None);
            return Err(Problem { message: what, position: Some((line, 1)), rendered });
        }
    }
    Ok(())
}

/// How deep the text may nest at the current character.
#[derive(Default)]
struct Nesting {
    brackets: usize,
    operators: usize,
    keywords: usize,
    indentation: usize,
    elifs: usize,
}

impl Nesting {
    fn punctuation(&mut self, byte: u8) {
        match byte {
            b'(' | b'[' | b'{' => self.brackets += 1,
            b')' | b']' | b'}' => self.brackets = self.brackets.saturating_sub(1),
            b',' => self.operators = 0,
            b' ' | b'\t' | b'\r' | b'0'..=b'9' => {}
            _ => self.operators += 1,
        }
    }

    fn word(&mut self, word: &[u8]) {
        match word {
            b"and" | b"else" | b"for" | b"if" | b"in" | b"lambda" | b"not" | b"or" => self.keywords += 1,
            b"elif" => self.elifs += 1,
            _ => {}
        }
    }

    fn end_line(&mut self, next: &[u8]) {
        if self.brackets == 0 {
            self.operators = 0;
            self.keywords = 0;
            self.indentation = next.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        }
    }

    fn excess(&self) -> Option<String> {
        let Self { brackets, operators, keywords, indentation, elifs } = self;
        match () {
            () if *brackets > MAX_NESTING => Some(format!("brackets nest deeper than {MAX_NESTING}")),
            () if *indentation > MAX_INDENTATION => {
                Some(format!("a line is indented by more than {MAX_INDENTATION}"))
            }
            () if *operators > MAX_OPERATORS || *keywords > MAX_OPERATORS => {
                Some(format!("more than {MAX_OPERATORS} operators in one statement"))
            }
            () if *elifs > MAX_OPERATORS => Some(format!("more than {MAX_OPERATORS} uses of elif")),
            () => None,
        }
    }
}

fn position(bytes: &[u8], wanted: u8) -> usize {
    bytes.iter().position(|byte| *byte == wanted).unwrap_or(bytes.len())
}

/// Skips a string whose opening quote was read; returns the number of lines it spans and what follows.
fn skip_string(quote: u8, after_quote: &[u8]) -> (usize, &[u8]) {
    let triple = after_quote.starts_with(&[quote, quote]);
    let mut rest = if triple { after_quote.get(2..).unwrap_or_default() } else { after_quote };
    let mut lines = 0;
    while let Some((byte, after)) = rest.split_first() {
        let ends = *byte == quote && (!triple || after.starts_with(&[quote, quote]));
        if ends {
            return (lines, if triple { after.get(2..).unwrap_or_default() } else { after });
        }
        if *byte == b'\n' {
            if !triple {
                return (lines, rest);
            }
            lines += 1;
        }
        rest = if *byte == b'\\' { after.get(1..).unwrap_or_default() } else { after };
    }
    (lines, rest)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::dialect::read;

    fn error(text: &str) -> String {
        read(Path::new("test.rules"), text, None).expect_err(text).message
    }

    #[test]
    fn a_long_range_is_refused_at_once() {
        let message = error("for i in range(1000000000):\n    pass\n");
        assert!(message.contains("longer than 1000000"), "{message}");
    }

    #[test]
    fn nested_loops_end_by_counting() {
        let text = "for i in range(100000):\n    for j in range(100000):\n        pass\n";
        let message = error(text);
        assert!(message.contains("ticks"), "{message}");
    }

    #[test]
    fn growth_ends_with_an_error() {
        for text in [
            "s = \"a\"\nfor i in range(60):\n    s = s + s\n",
            "s = \"a\"\nfor i in range(60):\n    s += s\n",
            "s = [1]\nfor i in range(60):\n    s = s * 2\n",
            "s = \"a\" * 2000000000\n",
            "l = []\nfor i in range(1000000):\n    l.append(str(i) * 1000)\n",
        ] {
            let message = error(text);
            assert!(message.contains("longer than") || message.contains("bytes"), "{text}: {message}");
        }
    }

    #[test]
    fn endless_recursion_ends() {
        let message = error("def f(x):\n    return f(x)\nf(1)\n");
        assert!(message.contains("overflow") || message.contains("recurs"), "{message}");
    }

    #[test]
    fn deep_shapes_are_refused_before_they_are_parsed() {
        let blocks: String = (0..5_000).map(|depth| format!("{}if True:\n", " ".repeat(depth))).collect();
        for (text, expected) in [
            ("[".repeat(100_000), "nest"),
            (format!("x = 1{}\n", "+1".repeat(100_000)), "operators"),
            (format!("x = {}1\n", "-".repeat(100_000)), "operators"),
            (format!("x = {}1\n", "not ".repeat(100_000)), "operators"),
            (format!("x = {}1\n", "lambda a, b: ".repeat(100_000)), "operators"),
            (format!("x = {}1\n", "1 if x else ".repeat(100_000)), "operators"),
            (format!("if x:\n  pass\n{}", "elif x:\n  pass\n".repeat(100_000)), "elif"),
            (format!("x{}\n", ".a".repeat(100_000)), "operators"),
            (blocks, "indented"),
        ] {
            assert!(error(&text).contains(expected), "{expected}");
        }
    }

    #[test]
    fn shapes_at_the_limit_do_not_overflow_the_stack() {
        let blocks: String = (0..100).map(|depth| format!("{}if True:\n", " ".repeat(depth))).collect();
        for text in [
            format!("x = {}1{}\n", "[".repeat(100), "]".repeat(100)),
            format!("x = 1{}\n", "+1".repeat(490)),
            format!("x = {}1\n", "-".repeat(490)),
            format!("x = {}True\n", "not ".repeat(490)),
            format!("x = {}1\n", "lambda: ".repeat(490)),
            format!("x = 1\ny = {}1\n", "1 if x else ".repeat(240)),
            format!("x = 1\nif x:\n  pass\n{}", "elif x:\n  pass\n".repeat(490)),
            format!("{blocks}{}pass\n", " ".repeat(100)),
        ] {
            let shown = text.get(..40).unwrap_or(&text).to_owned();
            let thread = std::thread::Builder::new().stack_size(crate::STACK);
            let reading = thread.spawn(move || read(Path::new("test.rules"), &text, None)).unwrap();
            assert_eq!(reading.join().unwrap().err(), None, "{shown}");
        }
    }

    #[test]
    fn ordinary_files_pass() {
        let text = "# a [[[ comment\nx = [\"(\" + n for n in [\"a\", 'b']]\ny = \"\"\"\n((\n\"\"\"\nz = \"-\" * 20\n";
        assert!(read(Path::new("test.rules"), text, None).is_ok());
    }
}
