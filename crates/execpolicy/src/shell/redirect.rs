//! Redirections: does this one write a file, and does it feed a script to its command?

use tree_sitter::Node;

use super::words::{self, Word};

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

/// Words behind the file of a redirection, which the shell passes to the command: `rm >x -f y`.
pub(super) fn words_behind(redirect: Node<'_>, source: &[u8]) -> Vec<Word> {
    let mut cursor = redirect.walk();
    match redirect.kind() {
        "file_redirect" => {
            let destinations = redirect.children_by_field_name("destination", &mut cursor).skip(1);
            destinations.map(|node| words::read(node, source)).collect()
        }
        "heredoc_redirect" => {
            let mut nested = redirect.walk();
            let arguments = redirect
                .children_by_field_name("argument", &mut cursor)
                .map(|node| words::read(node, source));
            let redirects = redirect.children_by_field_name("redirect", &mut nested);
            arguments.chain(redirects.flat_map(|node| words_behind(node, source))).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether words of a redirection follow each other without a space, which makes them one to the shell.
pub(super) fn has_joined_words(redirect: Node<'_>) -> bool {
    let mut cursor = redirect.walk();
    let mut end = None;
    redirect.named_children(&mut cursor).any(|child| {
        let joined = end == Some(child.start_byte());
        let is_word =
            !matches!(child.kind(), "file_descriptor" | "heredoc_body" | "heredoc_end" | "heredoc_start");
        end = is_word.then_some(child.end_byte());
        joined
    })
}

/// The command that a redirection behind a statement belongs to; `None` for a group, which takes no words.
pub(super) fn last_command(statement: Node<'_>) -> Option<Node<'_>> {
    let mut node = statement;
    loop {
        node = match node.kind() {
            "command" => return Some(node),
            "redirected_statement" => node.child_by_field_name("body")?,
            "pipeline" | "list" | "negated_command" => {
                let last = node.child_count().checked_sub(1)?;
                node.child(u32::try_from(last).ok()?)?
            }
            _ => return None,
        };
    }
}
