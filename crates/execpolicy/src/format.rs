//! `policy fmt --check`: the shape of a rules file's text, nothing about its meaning.
//!
//! Four things only, each of which makes files differ without a difference: line ends, trailing spaces, tabs for indentation, and the end of the file.

use std::fmt;

/// Something to mend in a file's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untidy {
    /// The line, from 1.
    pub line: usize,
    /// What is untidy.
    pub what: What,
}

/// What is untidy about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It ends in a carriage return.
    CarriageReturn,
    /// It ends in spaces or tabs.
    TrailingSpace,
    /// It is indented with tabs.
    Tab,
    /// The file does not end in a newline.
    NoFinalNewline,
    /// The file ends in empty lines.
    FinalEmptyLines,
}

impl fmt::Display for Untidy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::CarriageReturn => "carriage return at the end of the line",
            What::TrailingSpace => "space at the end of the line",
            What::Tab => "tab in the indentation (use four spaces)",
            What::NoFinalNewline => "no newline at the end of the file",
            What::FinalEmptyLines => "empty lines at the end of the file",
        };
        write!(formatter, "{}: {what}", self.line)
    }
}

/// Lists what is untidy, from the top.
#[must_use]
pub fn check(text: &str) -> Vec<Untidy> {
    let mut found = Vec::new();
    for (index, content) in text.split('\n').enumerate() {
        let mut note = |what| found.push(Untidy { line: index + 1, what });
        let bare = content.strip_suffix('\r').unwrap_or(content);
        if bare.len() < content.len() {
            note(What::CarriageReturn);
        }
        if bare.ends_with([' ', '\t']) {
            note(What::TrailingSpace);
        }
        if bare
            .trim_end()
            .chars()
            .take_while(|character| character.is_whitespace())
            .any(|character| character == '\t')
        {
            note(What::Tab);
        }
    }
    let lines = text.lines().count();
    if !text.is_empty() && !text.ends_with('\n') {
        found.push(Untidy { line: lines, what: What::NoFinalNewline });
    }
    if text.lines().last().is_some_and(|last| last.trim().is_empty()) {
        found.push(Untidy { line: lines, what: What::FinalEmptyLines });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn untidy_lines_are_named() {
        assert_eq!(check("prefix_rule([\"a\"])\n\n# b\n"), []);
        assert_eq!(check(""), []);
        let found: Vec<String> = check("a \r\n\tb\nc\n\n").iter().map(ToString::to_string).collect();
        let expected = [
            "1: carriage return at the end of the line",
            "1: space at the end of the line",
            "2: tab in the indentation (use four spaces)",
            "4: empty lines at the end of the file",
        ];
        assert_eq!(found, expected);
        assert_eq!(check("a")[0].to_string(), "1: no newline at the end of the file");
    }
}
