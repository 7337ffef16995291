//! Reads patches as models of the Codex family write them.
//!
//! ```text
//! *** Begin Patch
//! *** Add File: PATH          then lines that begin with +
//! *** Delete File: PATH
//! *** Update File: PATH
//! *** Move to: PATH           optional
//! @@ LINE BEFORE IT           optional for the first hunk; several in a row go deeper
//!  context, -removed, +added
//! *** End of File             optional: the hunk is at the end
//! *** End Patch
//! ```
//!
//! White space around markers is passed over, as is a heredoc that the patch is still wrapped in.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::patch::{Act, Format, Hunk, HunkLine, LineKind, NoPatch, Patch, Section};
use crate::text::{is_blank, without_return};
use crate::unified::hunk_place;

const BEGIN: &[u8] = b"*** Begin Patch";
const END: &[u8] = b"*** End Patch";
const ADD: &[u8] = b"*** Add File:";
const DELETE: &[u8] = b"*** Delete File:";
const UPDATE: &[u8] = b"*** Update File:";
const MOVE: &[u8] = b"*** Move to:";
const END_OF_FILE: &[u8] = b"*** End of File";

/// Whether a text begins as such a patch does.
pub(crate) fn is_codex(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    match lines.next() {
        Some(line) if line.starts_with(b"<<") || line.starts_with(b"apply") => {
            lines.next().is_some_and(|line| line.starts_with(b"***"))
        }
        Some(line) => line.starts_with(b"*** ") && !line.ends_with(b" ****"),
        None => false,
    }
}

/// Reads one.
pub(crate) fn read(text: &[u8]) -> Result<Patch, NoPatch> {
    let all: Vec<(usize, &[u8])> =
        text.split(|byte| *byte == b'\n').enumerate().map(|(place, line)| (place + 1, line)).collect();
    let begins = all.iter().position(|(_, line)| line.trim_ascii() == BEGIN);
    let ends = all.iter().rposition(|(_, line)| line.trim_ascii() == END);
    let (begins, ends) = match (begins, ends) {
        (Some(begins), Some(ends)) if begins < ends => (begins, ends),
        (None, _) => return Err(NoPatch::at(1, "the first line of the patch must be `*** Begin Patch`")),
        (Some(_), _) => {
            return Err(NoPatch::at(all.len(), "the last line of the patch must be `*** End Patch`"));
        }
    };
    let after = all.get(ends + 1..).unwrap_or_default();
    if let Some((line, _)) = after.iter().find(|(_, line)| !is_blank(line) && !is_heredoc_end(line)) {
        return Err(NoPatch::at(*line, "nothing may follow `*** End Patch`"));
    }
    let lines = all.get(begins + 1..ends).unwrap_or_default();
    let mut reader = Reader { lines, ends: ends_of(lines) };
    let mut sections = Vec::new();
    while let Some(section) = reader.section()? {
        sections.push(section);
    }
    Ok(Patch { format: Format::Codex, sections })
}

/// The word that ends a heredoc, which some callers leave around the patch.
fn is_heredoc_end(line: &[u8]) -> bool {
    let word = line.trim_ascii();
    !word.is_empty()
        && word.len() <= 32
        && word.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// For each line whether nothing but blank lines stands between it and the next marker, or the end.
fn ends_of(lines: &[(usize, &[u8])]) -> Vec<bool> {
    let mut ends = vec![true; lines.len()];
    let mut is_end = true;
    for ((_, line), end) in lines.iter().zip(&mut ends).rev() {
        is_end = if is_blank(line) { is_end } else { is_marker(line) };
        *end = is_end;
    }
    ends
}

struct Reader<'a> {
    lines: &'a [(usize, &'a [u8])],
    /// What `ends_of` says of all lines.
    ends: Vec<bool>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<(usize, &'a [u8])> {
        self.lines.first().copied()
    }

    fn skip(&mut self) {
        self.lines = self.lines.get(1..).unwrap_or_default();
    }

    /// The path behind a marker on the next line, which is then read.
    fn marked(&mut self, marker: &[u8]) -> Result<Option<PathBuf>, NoPatch> {
        let Some((number, line)) = self.peek() else { return Ok(None) };
        let Some(path) = line.trim_ascii().strip_prefix(marker) else { return Ok(None) };
        let path = path.trim_ascii();
        if path.is_empty() {
            let marker = String::from_utf8_lossy(marker);
            return Err(NoPatch::at(number, format!("`{marker}` must be followed by a path")));
        }
        self.skip();
        Ok(Some(OsStr::from_bytes(path).into()))
    }

    fn section(&mut self) -> Result<Option<Section>, NoPatch> {
        while self.peek().is_some_and(|(_, line)| is_blank(line)) {
            self.skip();
        }
        let Some((line, text)) = self.peek() else { return Ok(None) };
        if let Some(path) = self.marked(ADD)? {
            return Ok(Some(Section { path, or: None, act: self.addition()?, line }));
        }
        if let Some(path) = self.marked(DELETE)? {
            return Ok(Some(Section { path, or: None, act: Act::Delete { hunks: Vec::new() }, line }));
        }
        if let Some(path) = self.marked(UPDATE)? {
            return Ok(Some(Section { path, or: None, act: self.update(line)?, line }));
        }
        let found = String::from_utf8_lossy(text.get(..text.len().min(80)).unwrap_or_default());
        Err(NoPatch::at(
            line,
            format!(
                "expected `*** Add File: PATH`, `*** Update File: PATH` or `*** Delete File: PATH`, found `{}`",
                found.trim_end()
            ),
        ))
    }

    fn addition(&mut self) -> Result<Act, NoPatch> {
        let mut content = Vec::new();
        while let Some((number, line)) = self.peek() {
            if let Some(text) = line.strip_prefix(b"+") {
                content.extend_from_slice(text);
                content.push(b'\n');
            } else if line.trim_ascii().starts_with(b"*** ") || (is_blank(line) && self.ends_here()) {
                break;
            } else {
                return Err(NoPatch::at(number, "each line of a new file must begin with `+`"));
            }
            self.skip();
        }
        Ok(Act::Add { content, executable: false })
    }

    /// Whether nothing but blank lines stands before the next marker.
    fn ends_here(&self) -> bool {
        self.ends.get(self.ends.len() - self.lines.len()).copied().unwrap_or(true)
    }

    fn update(&mut self, section: usize) -> Result<Act, NoPatch> {
        let to = self.marked(MOVE)?;
        let mut hunks = Vec::new();
        while let Some(hunk) = self.hunk(hunks.is_empty())? {
            hunks.push(hunk);
        }
        if hunks.is_empty() && to.is_none() {
            return Err(NoPatch::at(
                section,
                "an update needs a hunk: `@@`, then lines that begin with a space, `-` or `+`",
            ));
        }
        Ok(Act::Update { hunks, to, is_copied: false, executable: None })
    }

    fn hunk(&mut self, is_first: bool) -> Result<Option<Hunk>, NoPatch> {
        if self.ends_here() && self.peek().is_none_or(|(_, line)| is_blank(line)) {
            while self.peek().is_some_and(|(_, line)| is_blank(line)) {
                self.skip();
            }
            return Ok(None);
        }
        let Some((number, first)) = self.peek() else { return Ok(None) };
        if is_marker(first) {
            return Ok(None);
        }
        let mut hunk = Hunk { line: number, ..Hunk::default() };
        while let Some(label) = self.peek().and_then(|(_, line)| line.trim_ascii_end().strip_prefix(b"@@")) {
            self.label(label, &mut hunk);
        }
        if hunk.labels.is_empty() && hunk.expected.is_none() && !is_first && !first.starts_with(b"@@") {
            return Err(NoPatch::at(
                number,
                "a hunk begins with `@@`, and its lines with a space, `-` or `+`",
            ));
        }
        self.body(&mut hunk)?;
        if hunk.lines.is_empty() {
            return Err(NoPatch::at(number, "the hunk has no lines"));
        }
        Ok(Some(hunk))
    }

    /// A line that begins with `@@`: nothing, a line of the text, or what unified diffs have there.
    fn label(&mut self, label: &[u8], hunk: &mut Hunk) {
        self.skip();
        if let Some(place) = hunk_place(label) {
            hunk.expected = Some(place.old_line);
            return;
        }
        let label = label.strip_prefix(b" ").unwrap_or(label);
        let label = label.strip_suffix(b" @@").unwrap_or(label);
        if !is_blank(label) && label != b"@@" {
            hunk.labels.push(label.to_vec());
        }
    }

    fn body(&mut self, hunk: &mut Hunk) -> Result<(), NoPatch> {
        while let Some((number, line)) = self.peek() {
            if line.trim_ascii() == END_OF_FILE {
                hunk.is_at_end = true;
                self.skip();
                return Ok(());
            }
            if line.starts_with(b"@@") || is_marker(line) || (is_blank(line) && self.ends_here()) {
                return Ok(());
            }
            let line = match line.split_first() {
                Some((b' ', text)) => HunkLine::new(LineKind::Context, text),
                Some((b'-', text)) => HunkLine::new(LineKind::Remove, text),
                Some((b'+', text)) => HunkLine::new(LineKind::Add, text),
                // An empty line of the text, whose space was lost on the way.
                None => HunkLine::new(LineKind::Context, b""),
                Some((b'\r', [])) => HunkLine::new(LineKind::Context, b"\r"),
                Some((b'\\', _)) => {
                    if let Some(last) = hunk.lines.last_mut() {
                        last.is_unended = true;
                    }
                    self.skip();
                    continue;
                }
                Some(_) => {
                    let text =
                        String::from_utf8_lossy(without_return(line)).chars().take(80).collect::<String>();
                    return Err(NoPatch::at(
                        number,
                        format!("a line of a hunk begins with a space, `-` or `+`; found `{text}`"),
                    ));
                }
            };
            hunk.lines.push(line);
            self.skip();
        }
        Ok(())
    }
}

fn is_marker(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    [ADD, DELETE, UPDATE, MOVE].iter().any(|marker| line.starts_with(marker)) || line == END
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections(text: &str) -> Vec<Section> {
        read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}\n{error}")).sections
    }

    fn problem(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn each_kind_of_section_is_read() {
        let text = "*** Begin Patch\n*** Add File: a b.txt\n+one\n+\n*** Delete File: old\n*** Update File: x.rs\n\
                    *** Move to: y.rs\n@@ class A\n@@ fn b\n keep\n-gone\n+new\n\n*** End of File\n*** End Patch\n";
        let [add, delete, update] = &sections(text)[..] else { panic!("three") };
        assert_eq!(add.act, Act::Add { content: b"one\n\n".to_vec(), executable: false });
        assert_eq!((add.path.to_str(), add.line), (Some("a b.txt"), 2));
        assert_eq!(delete.act, Act::Delete { hunks: Vec::new() });
        let Act::Update { hunks, to, .. } = &update.act else { panic!("an update") };
        assert_eq!(to.as_ref().unwrap().to_str(), Some("y.rs"));
        let [hunk] = &hunks[..] else { panic!("one hunk: {hunks:?}") };
        assert_eq!(hunk.labels, [b"class A".to_vec(), b"fn b".to_vec()]);
        assert_eq!(hunk.lines.len(), 4, "{hunk:?}");
        assert!(hunk.is_at_end);
    }

    #[test]
    fn what_is_around_the_patch_is_passed_over() {
        for text in [
            "<<'EOF'\n*** Begin Patch\n*** Delete File: a\n*** End Patch\nEOF\n",
            "\n  *** Begin Patch  \n  *** Delete File:  a  \n *** End Patch",
            "*** Begin Patch\r\n*** Delete File: a\r\n*** End Patch\r\n",
        ] {
            assert!(is_codex(text.as_bytes()), "{text}");
            assert_eq!(sections(text)[0].path.to_str(), Some("a"), "{text}");
        }
        let text = "*** Begin Patch\n*** Update File: a\n+x\n*** End Patch";
        assert!(matches!(&sections(text)[0].act, Act::Update { hunks, .. } if hunks.len() == 1));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, words) in [
            ("*** Add File: a\n+x\n", "`*** Begin Patch`"),
            ("*** Begin Patch\n*** Add File: a\n+x\n", "`*** End Patch`"),
            (
                "*** Begin Patch\n*** Add File: a\nx\n*** End Patch",
                "line 3 of the patch: each line of a new file",
            ),
            ("*** Begin Patch\n*** Update File: a\n*** End Patch", "an update needs a hunk"),
            (
                "*** Begin Patch\n*** Rename File: a\n*** End Patch",
                "line 2 of the patch: expected `*** Add File",
            ),
            ("*** Begin Patch\n*** Add File:\n*** End Patch", "must be followed by a path"),
            ("*** Begin Patch\n*** Update File: a\n@@\nx\n*** End Patch", "a line of a hunk begins with"),
            ("*** Begin Patch\n*** Update File: a\n@@ x\n*** End Patch", "the hunk has no lines"),
            ("*** Begin Patch\n*** End Patch\n*** Add", "nothing may follow"),
        ] {
            assert!(problem(text).contains(words), "{text}: {}", problem(text));
        }
    }
}
