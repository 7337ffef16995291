//! A patch in lines, for people who decide about it: what it says, whichever format it was written in.

use crate::patch::{Act, Hunk, LineKind, Patch, Section};

impl Patch {
    /// Its lines, as they may be shown once nothing in them hides.
    pub fn lines(&self) -> impl Iterator<Item = Vec<u8>> {
        self.sections.iter().flat_map(Section::lines)
    }
}

impl Section {
    fn lines(&self) -> Vec<Vec<u8>> {
        let or = self.or.as_ref().map(|or| format!(" or {}", or.display())).unwrap_or_default();
        let head = |words: &str| format!("{words} {}{or}", self.path.display()).into_bytes();
        match &self.act {
            Act::Add { content, executable } => {
                let words = if *executable { "Add executable file" } else { "Add file" };
                let content = content.strip_suffix(b"\n").unwrap_or(content);
                let lines = content.split(|byte| *byte == b'\n').filter(|_| !content.is_empty());
                std::iter::once(head(words)).chain(lines.map(|line| [b"+", line].concat())).collect()
            }
            Act::Delete { hunks } => {
                std::iter::once(head("Delete file")).chain(hunks.iter().flat_map(Hunk::shown)).collect()
            }
            Act::Update { hunks, to, is_copied, executable } => {
                let mut first = head(if *is_copied { "Copy file" } else { "Update file" });
                if let Some(to) = to {
                    first.extend_from_slice(format!(", to {}", to.display()).as_bytes());
                }
                match executable {
                    Some(true) => first.extend_from_slice(b", to be executable"),
                    Some(false) => first.extend_from_slice(b", to be executable no more"),
                    None => {}
                }
                std::iter::once(first).chain(hunks.iter().flat_map(Hunk::shown)).collect()
            }
        }
    }
}

impl Hunk {
    fn shown(&self) -> Vec<Vec<u8>> {
        let labels = self.labels.iter().map(|label| [b"@@ ", &**label].concat());
        let lines = self.lines.iter().map(|line| {
            let mark = match line.kind {
                LineKind::Context => b" ",
                LineKind::Remove => b"-",
                LineKind::Add => b"+",
            };
            [mark, &*line.text].concat()
        });
        labels.chain(lines).collect()
    }
}
