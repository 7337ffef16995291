//! Text → syntax tree, within limits.

use std::ops::ControlFlow;

use tree_sitter::{ParseOptions, ParseState, Parser, Point, Tree};

/// Longest script that is read, in bytes. A longer one is left in doubt.
pub(crate) const MAX_SCRIPT: usize = 64 * 1024;

/// How often the parser may report progress. It does so every hundred operations; text that makes it try and
/// retry ends here rather than after minutes.
const MAX_PROGRESS: u32 = 20_000;

/// Parses a script; `None` when it is too long or takes the parser too much work.
pub(super) fn parse(script: &[u8]) -> Option<Tree> {
    if script.len() > MAX_SCRIPT {
        return None;
    }
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_bash::LANGUAGE.into()).ok()?;
    let mut reports = 0_u32;
    let mut progress = |_: &ParseState| {
        reports += 1;
        if reports > MAX_PROGRESS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut text = |offset: usize, _: Point| script.get(offset..).unwrap_or_default();
    parser.parse_with_options(&mut text, None, Some(ParseOptions::new().progress_callback(&mut progress)))
}
