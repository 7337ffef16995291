//! Redirections: does this one write a file, and does it feed a script to its command?

use tree_sitter::Node;

use super::words;

/// Files that take output without keeping it.
const SINKS: &[&[u8]] = &[b"/dev/null", b"/dev/stdout", b"/dev/stderr"];

/// Whether a `file_redirect` may change a file. What is not recognised may.
pub(super) fn writes(node: Node<'_>, source: &[u8]) -> bool {
    let mut cursor = node.walk();
    let Some(operator) = node.children(&mut cursor).find(|child| !child.is_named()) else { return true };
    let destination = node.child_by_field_name("destination");
    match operator.kind() {
        "<" | "<&" | "<&-" | ">&-" => false,
        ">&" | ">" | ">>" | "&>" | "&>>" | ">|" => {
            let Some(destination) = destination else { return true };
            let word = words::read(destination, source);
            let duplicates = operator.kind() == ">&" && word.bytes.iter().all(u8::is_ascii_digit);
            !(word.certain && (duplicates || SINKS.contains(&word.bytes.as_slice())))
        }
        _ => true,
    }
}

/// The text that a here-document or here-string feeds to its command, when the shell leaves it as it is.
pub(super) fn input(redirect: Node<'_>, source: &[u8]) -> Option<Vec<u8>> {
    let mut cursor = redirect.walk();
    match redirect.kind() {
        "herestring_redirect" => {
            let word = words::read(redirect.named_children(&mut cursor).last()?, source);
            Some(word.bytes)
        }
        "heredoc_redirect" => {
            let body = redirect.named_children(&mut cursor).find(|child| child.kind() == "heredoc_body")?;
            Some(words::text(body, source).to_vec())
        }
        _ => None,
    }
}
