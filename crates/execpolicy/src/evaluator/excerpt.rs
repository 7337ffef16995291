//! Starlark's errors → message, position and an excerpt of the line with a mark under it.
//!
//! Drawn here because the library places the end of a file badly and leaves out the file when it knows no
//! position.

use std::path::Path;

use starlark::codemap::FileSpan;

use crate::errors::Problem;

/// Longest part of a line that is shown, in characters; generated files have very long lines.
const MAX_SHOWN: usize = 160;

/// Describes an error in one file's text. `last` is the statement that ran last, for errors that know no
/// position.
pub(super) fn problem(file: &Path, text: &str, error: &starlark::Error, last: Option<&FileSpan>) -> Problem {
    let span = error.span().or(last).map(|span| span.resolve().span);
    let message = error.without_diagnostic().to_string();
    let begin = span.map(|span| at_end_of_text(text, span.begin.line + 1, span.begin.column + 1));
    let end = span.map(|span| (span.end.line + 1, span.end.column + 1));
    // Of a call at the top of a file the excerpt says it all.
    let calls = error.call_stack();
    let mut rendered = if calls.frames.len() > 1 { calls.to_string() } else { String::new() };
    rendered.push_str(&render(file, text, &message, begin, end));
    Problem { message, position: begin, rendered }
}

/// A message with the place and an excerpt; lines and columns count from 1.
pub(super) fn render(
    file: &Path,
    text: &str,
    message: &str,
    begin: Option<(usize, usize)>,
    end: Option<(usize, usize)>,
) -> String {
    let Some((line, column)) = begin else { return format!("error: {message}\n --> {}", file.display()) };
    let shown = text.lines().nth(line - 1).unwrap_or_default();
    let skipped = column.saturating_sub(MAX_SHOWN / 2);
    let excerpt: String = shown.chars().skip(skipped).take(MAX_SHOWN).collect();
    let length = excerpt.chars().count();
    let mark_from = (column - 1).saturating_sub(skipped).min(length);
    let mark_to = match end {
        Some((end_line, end_column)) if end_line == line => {
            (end_column - 1).saturating_sub(skipped).min(length)
        }
        Some(_) => length,
        None => mark_from,
    };
    let marks = "^".repeat(mark_to.saturating_sub(mark_from).max(1));
    let gutter = " ".repeat(line.to_string().len());
    let indent = " ".repeat(mark_from);
    format!(
        "error: {message}\n{gutter}--> {}:{line}:{column}\n{gutter} |\n{line} | {excerpt}\n{gutter} | {indent}{marks}",
        file.display()
    )
}

/// Moves a position on the empty line after the text to the end of its last line that holds something.
fn at_end_of_text(text: &str, line: usize, column: usize) -> (usize, usize) {
    if text.lines().skip(line - 1).any(|rest| !rest.trim().is_empty()) {
        return (line, column);
    }
    let last = text.lines().enumerate().filter(|(_, content)| !content.trim().is_empty()).last();
    last.map_or((line, column), |(index, content)| {
        if index + 1 == line { (line, column) } else { (index + 1, content.trim_end().chars().count() + 1) }
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::dialect::read;

    fn rendered(text: &str) -> String {
        read(Path::new("/r/x.rules"), text, None).expect_err(text).rendered
    }

    #[test]
    fn the_mark_is_under_the_call() {
        let expected = "error: invalid decision: maybe; it is \"allow\", \"prompt\" or \"forbidden\"\n --> /r/x.rules:2:1\n  |\n2 | prefix_rule([\"a\"], \"maybe\")\n  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^";
        assert_eq!(rendered("\nprefix_rule([\"a\"], \"maybe\")\n"), expected);
    }

    #[test]
    fn an_unfinished_file_is_marked_at_its_end() {
        let text = rendered("\nprefix_rule([\"a\"]\n\n");
        assert!(text.contains("--> /r/x.rules:2:18\n"), "{text}");
    }

    #[test]
    fn an_error_without_a_position_gets_that_of_the_last_statement() {
        let text = rendered("x = 1\nfor i in range(100000):\n    [j for j in range(1000)]\n");
        assert!(text.contains("ticks"), "{text}");
        assert!(text.contains("--> /r/x.rules:3:5\n"), "{text}");
    }

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let text = rendered(&format!("x = [{}1]; prefix_rule([])", "1, ".repeat(1000)));
        assert!(text.contains("^^^^"), "{text}");
        assert!(text.len() < 1000, "{text}");
    }
}
