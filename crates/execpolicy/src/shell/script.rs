//! The commands in a script, and what leaves it in doubt.

use std::collections::{BTreeSet, HashMap, HashSet};

use tree_sitter::Node;

use super::characters::{has_strange_characters, is_reserved, is_space, line_end};
use super::constructs::{RESERVED, UNDERSTOOD};
use super::doubt::Doubt;
use super::words::{self, Word};
use super::{is_harmless, parse, redirect};

/// Most nodes of a syntax tree that are looked at; a script of the largest size has fewer unless it is a
/// puzzle.
const MAX_NODES: usize = 200_000;
/// Most commands that are listed; each is judged by all rules.
const MAX_COMMANDS: usize = 1_000;

/// What a script contains.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The commands in the order of the text, also those in loops, functions and substitutions.
    pub commands: Vec<ScriptCommand>,
    /// Why there may be more to it than its commands; `None` when there is not.
    pub doubt: Option<Doubt>,
}

/// One simple command.
#[derive(Clone, Debug, Default)]
pub struct ScriptCommand {
    /// The program and its arguments, never empty.
    pub words: Vec<Word>,
    /// What a here-document or here-string gives it to read.
    pub input: Option<Vec<u8>>,
}

/// Most places from which a script is read again.
const MAX_REREADS: usize = 16;
/// Most bytes of words that are listed: twice the longest script. Words with substitutions hold the text of
/// those inside them.
const MAX_WORDS: usize = 2 * parse::MAX_SCRIPT;

/// Lists the commands of a script.
#[must_use]
pub fn read(source: &[u8]) -> Script {
    let mut script = Script::default();
    if has_strange_characters(source) {
        script.doubt = Some(Doubt::StrangeCharacters);
    }
    // Where the grammar reads on over the end of a line, the text behind it is read once more by itself.
    let mut starts = BTreeSet::from([0]);
    let mut read = BTreeSet::new();
    while let Some(start) = starts.pop_first() {
        if !read.insert(start) {
            continue;
        }
        if read.len() > MAX_REREADS {
            script.doubt.get_or_insert(Doubt::TooLarge);
            break;
        }
        let text = source.get(start..).unwrap_or_default();
        let mut reader = ScriptReader {
            source: text,
            script,
            behind: HashMap::new(),
            overlooked: BTreeSet::new(),
            split: HashSet::new(),
            listed: 0,
        };
        match parse::parse(text) {
            Some(tree) => reader.walk(tree.root_node()),
            None => reader.doubt(Doubt::TooLarge),
        }
        starts.extend(reader.overlooked.iter().map(|index| start + index));
        script = reader.script;
    }
    script
}

struct ScriptReader<'s> {
    source: &'s [u8],
    script: Script,
    /// Where the shell begins a command, and the grammar does not.
    overlooked: BTreeSet<usize>,
    /// Words that were split there already.
    split: HashSet<usize>,
    /// Bytes of the words listed so far.
    listed: usize,
    /// Node of a command → what the redirections behind it give it.
    behind: HashMap<usize, ScriptCommand>,
}

impl ScriptReader<'_> {
    fn doubt(&mut self, doubt: Doubt) {
        self.script.doubt.get_or_insert(doubt);
    }

    /// Looks at every node, in the order of the text, without recursion: the text decides how deep a tree is.
    fn walk(&mut self, root: Node<'_>) {
        // Each with the kind of the node around it, which the tree itself finds only by a search from its
        // root.
        let mut waiting = vec![(root, "")];
        let mut seen = 0;
        // Up to where every byte belongs to a node or is space: what the grammar skips is not understood.
        let mut covered = 0;
        while let Some((node, around)) = waiting.pop() {
            seen += 1;
            if seen > MAX_NODES || self.script.commands.len() >= MAX_COMMANDS || self.listed > MAX_WORDS {
                self.doubt(Doubt::TooLarge);
                return;
            }
            self.look_at(node, around);
            if node.child_count() == 0 {
                let gap = self.source.get(covered..node.start_byte()).unwrap_or_default();
                // An escaped newline without a space joins what stands around it.
                if !is_space(gap)
                    || gap.starts_with(b"\\\n") && gap.iter().all(|byte| matches!(byte, b'\\' | b'\n'))
                {
                    self.doubt(Doubt::Syntax);
                }
                covered = node.end_byte().max(covered);
                self.overlooked_line_end(node);
            }
            let mut cursor = node.walk();
            let children: Vec<Node<'_>> = node.children(&mut cursor).collect();
            let kind = node.kind();
            waiting.extend(children.into_iter().rev().map(|child| (child, kind)));
        }
        if !is_space(self.source.get(covered..).unwrap_or_default()) {
            self.doubt(Doubt::Syntax);
        }
    }

    /// The grammar takes newlines before a backslash for a part of a word, where the shell begins another
    /// command. Unless that was seen to already, the text is read again from there.
    fn overlooked_line_end(&mut self, leaf: Node<'_>) {
        let is_word = matches!(leaf.kind(), "word" | "extglob_pattern" | "regex" | "variable_name");
        if !is_word || self.split.contains(&leaf.start_byte()) {
            return;
        }
        if let Some(index) = line_end(words::text(leaf, self.source)) {
            self.doubt(Doubt::Syntax);
            self.overlooked.insert(leaf.start_byte() + index + 1);
        }
    }

    fn look_at(&mut self, node: Node<'_>, around: &str) {
        if node.is_error() || node.is_missing() {
            return self.doubt(Doubt::Syntax);
        }
        if !node.is_named() {
            // The grammar takes `;;` for `;`, which no shell does.
            let misplaced = node.kind().starts_with(";;") && around != "case_item";
            // An empty substitution; the grammar takes it for a part of a word before it.
            if node.kind() == "``" {
                self.doubt(Doubt::DynamicProgram);
            }
            if misplaced || (is_reserved(node.kind()) && !self.stands_alone(node)) {
                self.doubt(Doubt::Syntax);
            }
            return;
        }
        match node.kind() {
            "command" => self.command(node),
            "redirected_statement" => {
                self.line_ends_within(node);
                self.redirected(node);
            }
            // To the shell a comment ends a command and its line, also behind a backslash.
            "comment" => {
                let text = words::text(node, self.source);
                let inside = matches!(around, "command" | "redirected_statement" | "file_redirect");
                if inside
                    || text.ends_with(b"\\")
                    || !matches!(self.source.get(node.end_byte()), None | Some(b'\n'))
                {
                    self.doubt(Doubt::Syntax);
                }
            }
            "heredoc_redirect" | "herestring_redirect" => {
                if self.has_split_descriptor(node) || redirect::has_joined_words(node) {
                    self.doubt(Doubt::Syntax);
                }
            }
            "file_redirect" => {
                if self.has_split_descriptor(node) || redirect::has_joined_words(node) {
                    self.doubt(Doubt::Syntax);
                }
                self.line_ends_within(node);
                if redirect::writes(node, self.source) {
                    self.doubt(Doubt::WritesFile);
                }
            }
            "variable_assignment" => {
                self.line_ends_within(node);
                self.assignment(node.child_by_field_name("name"));
            }
            "for_statement" => self.assignment(node.child_by_field_name("variable")),
            "declaration_command" | "unset_command" => {
                self.line_ends_within(node);
                self.doubt(Doubt::DefinesNames);
            }
            "function_definition" => self.doubt(Doubt::DefinesNames),
            "concatenation" => self.concatenation(node),
            "test_command" => self.test_command(node),
            // `${x:=value}`, `((x=1))` and `${x@P}` assign or evaluate.
            "expansion" => self.expansion(node),
            "postfix_expression" => self.doubt(Doubt::SetsVariables),
            kind if UNDERSTOOD.contains(&kind) => {}
            _ => self.doubt(Doubt::Construct),
        }
    }

    /// Where the grammar reads on over the end of a line between the parts of a node, the shell begins
    /// another command.
    fn line_ends_within(&mut self, node: Node<'_>) {
        let mut cursor = node.walk();
        let mut end = node.start_byte();
        for child in node.children(&mut cursor) {
            let gap = self.source.get(end..child.start_byte()).unwrap_or_default();
            if let Some(index) = line_end(gap) {
                self.doubt(Doubt::Syntax);
                self.overlooked.insert(end + index + 1);
            }
            end = child.end_byte();
        }
    }

    /// Whether the grammar took a redirection's descriptor (`2>`, `{fd}>`) for a word before it.
    fn has_split_descriptor(&self, redirect: Node<'_>) -> bool {
        let before = redirect.start_byte().checked_sub(1).and_then(|index| self.source.get(index));
        before.is_some_and(|byte| byte.is_ascii_digit() || *byte == b'}')
    }

    /// Whether a reserved word is a word of its own, as the shell demands: `!x` is a name.
    fn stands_alone(&self, node: Node<'_>) -> bool {
        let ends_word = |byte: Option<&u8>| byte.is_none_or(|byte| b" \t\n;&|()<>`".contains(byte));
        let before = node.start_byte().checked_sub(1).and_then(|index| self.source.get(index));
        ends_word(before) && ends_word(self.source.get(node.end_byte()))
    }

    fn assignment(&mut self, name: Option<Node<'_>>) {
        let harmless = name.is_some_and(|name| is_harmless(words::text(name, self.source)));
        if !harmless {
            self.doubt(Doubt::SetsVariables);
        }
    }

    /// The grammar sometimes joins words that the shell does not; the second may be a program.
    fn concatenation(&mut self, node: Node<'_>) {
        let mut end = node.start_byte();
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            if child.start_byte() != end {
                self.doubt(Doubt::Syntax);
                self.overlooked.insert(child.start_byte());
            }
            end = child.end_byte();
        }
    }

    /// `[` is a command like any other: what the grammar takes for operators inside it ends that command, and
    /// so does a line's end.
    fn test_command(&mut self, node: Node<'_>) {
        if words::text(node, self.source).starts_with(b"[[") {
            return;
        }
        let mut waiting = vec![node];
        let mut end = node.start_byte();
        while let Some(part) = waiting.pop() {
            let gap = self.source.get(end..part.start_byte()).unwrap_or_default();
            if let Some(index) = line_end(gap) {
                self.doubt(Doubt::Syntax);
                self.overlooked.insert(end + index + 1);
            }
            if matches!(part.kind(), "||" | "&&" | "<" | ">" | "(" | ")" | "|" | "&" | ";" | "\n") {
                self.doubt(Doubt::Syntax);
                self.overlooked.insert(part.end_byte());
            }
            let opens = matches!(
                part.kind(),
                "test_command"
                    | "unary_expression"
                    | "binary_expression"
                    | "parenthesized_expression"
                    | "ternary_expression"
            );
            let mut cursor = part.walk();
            let children: Vec<Node<'_>> = if opens && (part == node || part.kind() != "test_command") {
                part.children(&mut cursor).collect()
            } else {
                Vec::new()
            };
            end = if children.is_empty() { part.end_byte() } else { part.start_byte() };
            waiting.extend(children.into_iter().rev());
        }
    }

    fn expansion(&mut self, node: Node<'_>) {
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            match child.kind() {
                "=" | ":=" => self.doubt(Doubt::SetsVariables),
                "@" | "!" => self.doubt(Doubt::Construct),
                _ => {}
            }
        }
    }

    /// Remembers what redirections behind a command give it: input, and words that the grammar takes for
    /// files.
    fn redirected(&mut self, node: Node<'_>) {
        let mut cursor = node.walk();
        let redirects: Vec<Node<'_>> = node.children_by_field_name("redirect", &mut cursor).collect();
        let input = redirects.iter().find_map(|redirect| redirect::input(*redirect, self.source));
        let words: Vec<Word> =
            redirects.iter().flat_map(|redirect| redirect::words_behind(*redirect, self.source)).collect();
        if input.is_none() && words.is_empty() {
            return;
        }
        match node.child_by_field_name("body").and_then(redirect::last_command) {
            Some(command) => {
                let behind = self.behind.entry(command.id()).or_default();
                // Outer statements are looked at first, and their redirections stand last.
                behind.words.splice(0..0, words);
                behind.input = input.or(behind.input.take());
            }
            None => self.doubt(Doubt::Syntax),
        }
    }

    fn command(&mut self, node: Node<'_>) {
        let behind = self.behind.remove(&node.id()).unwrap_or_default();
        let mut command = ScriptCommand { words: Vec::new(), input: behind.input };
        let mut cursor = node.walk();
        let mut end = node.start_byte();
        for child in node.children(&mut cursor) {
            match self.source.get(end..child.start_byte()).unwrap_or_default() {
                // The grammar sometimes reads on after the end of a line, where the shell begins another
                // command.
                gap if line_end(gap).is_some() => {
                    self.doubt(Doubt::Syntax);
                    self.list(std::mem::take(&mut command));
                }
                // Two words without a space between them are one to the shell, also over an escaped newline.
                gap if child.start_byte() > node.start_byte()
                    && !gap.iter().any(|byte| matches!(byte, b' ' | b'\t')) =>
                {
                    self.doubt(Doubt::Syntax);
                }
                _ => {}
            }
            end = child.end_byte();
            match child.kind() {
                "variable_assignment" | "comment" => {}
                "file_redirect" => {
                    if !redirect::words_behind(child, self.source).is_empty() {
                        self.doubt(Doubt::Syntax);
                    }
                }
                "herestring_redirect" | "heredoc_redirect" => {
                    command.input = redirect::input(child, self.source);
                }
                // A part of the grammar's own punctuation, not a word.
                "(" | ")" => self.doubt(Doubt::Construct),
                // The grammar takes newlines before a backslash for a part of the word.
                "word" if line_end(words::text(child, self.source)).is_some() => {
                    self.doubt(Doubt::Syntax);
                    self.list(std::mem::take(&mut command));
                    self.split.insert(child.start_byte());
                    let text = words::text(child, self.source).trim_ascii_start();
                    command.words.push(words::read_unquoted(text));
                }
                // So it does here; what begins behind them is found when the text is read again from there.
                "concatenation" if line_end(words::text(child, self.source)) == Some(0) => {
                    self.doubt(Doubt::Syntax);
                    break;
                }
                _ => command.words.push(words::read(child, self.source)),
            }
        }
        command.words.extend(behind.words);
        self.list(command);
    }

    fn list(&mut self, mut command: ScriptCommand) {
        while let Some(first) = command.words.first() {
            let doubt = match (first.certain, RESERVED.contains(&first.bytes.as_slice())) {
                (false, _) => Doubt::DynamicProgram,
                // The grammar took a reserved word for a program.
                (true, true) => Doubt::Syntax,
                (true, false) => break,
            };
            self.doubt(doubt);
            // `$SUDO rm x` may well be `rm x`.
            command.words.remove(0);
        }
        if !command.words.is_empty() {
            self.listed += command.words.iter().map(|word| word.bytes.len()).sum::<usize>();
            self.script.commands.push(command);
        }
    }
}

#[cfg(test)]
mod tests;
