//! What a patch says, whichever format it was written in. Nothing here has looked at any file.

use std::path::PathBuf;

/// A patch, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// How it was written.
    pub format: Format,
    /// What it does to files, in its order.
    pub sections: Vec<Section>,
}

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `*** Begin Patch`.
    Codex,
    /// `diff --git`, or `---` with `+++`.
    Unified,
}

/// What a patch does to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The file, as the patch names it.
    pub path: PathBuf,
    /// Another name of it, of which plain diffs have two: one is meant, as patch(1) chooses among them.
    pub or: Option<PathBuf>,
    /// What becomes of it.
    pub act: Act,
    /// The patch's line on which the section begins, from 1.
    pub line: usize,
}

/// What becomes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// It is made; it must not exist.
    Add {
        /// All that will be in it.
        content: Vec<u8>,
        /// Whether it can be executed.
        executable: bool,
    },
    /// It is removed.
    Delete {
        /// What must be in it, where the patch says so.
        hunks: Vec<Hunk>,
    },
    /// Its text changes, or its name or mode.
    Update {
        /// The changes of its text, from top to bottom.
        hunks: Vec<Hunk>,
        /// Another name that it gets.
        to: Option<PathBuf>,
        /// The file stays under its old name, too.
        is_copied: bool,
        /// Whether it can be executed from then on, if that changes.
        executable: Option<bool>,
    },
}

/// One change of a text: lines that are there, and what becomes of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hunk {
    /// Lines that come before it, one after the other, such as the heads of a class and of a method.
    pub labels: Vec<Vec<u8>>,
    /// The line, from 1, at which it is expected; with no old lines, the one after which lines are added.
    pub expected: Option<usize>,
    /// Its lines.
    pub lines: Vec<HunkLine>,
    /// It ends where the text does.
    pub is_at_end: bool,
    /// The patch's line on which it begins, from 1.
    pub line: usize,
}

/// One line of a hunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HunkLine {
    /// What becomes of it.
    pub kind: LineKind,
    /// Its text, without the line feed.
    pub text: Vec<u8>,
    /// No line feed follows: the text ends here (`\ No newline at end of file`).
    pub is_unended: bool,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// It stays.
    Context,
    /// It goes.
    Remove,
    /// It comes.
    Add,
}

impl HunkLine {
    /// A line that ends with a line feed.
    #[must_use]
    pub fn new(kind: LineKind, text: &[u8]) -> HunkLine {
        HunkLine { kind, text: text.to_vec(), is_unended: false }
    }
}

impl Hunk {
    /// The lines that must be there.
    pub(crate) fn old(&self) -> impl Iterator<Item = &HunkLine> {
        self.lines.iter().filter(|line| line.kind != LineKind::Add)
    }

    /// The lines that come.
    pub(crate) fn added(&self) -> impl Iterator<Item = &HunkLine> {
        self.lines.iter().filter(|line| line.kind == LineKind::Add)
    }
}

/// Why a text is no patch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", .line.map(|line| format!("line {line} of the patch: ")).unwrap_or_default())]
pub struct NoPatch {
    /// The patch's line that is wrong, from 1.
    pub line: Option<usize>,
    /// What is wrong, and what is right.
    pub problem: String,
}

impl NoPatch {
    pub(crate) fn at(line: usize, problem: impl Into<String>) -> NoPatch {
        NoPatch { line: Some(line), problem: problem.into() }
    }

    pub(crate) fn whole(problem: impl Into<String>) -> NoPatch {
        NoPatch { line: None, problem: problem.into() }
    }
}

/// The longest patch, in bytes.
pub const MAX_PATCH_BYTES: usize = 32 << 20;

/// Files that one patch may name.
pub const MAX_SECTIONS: usize = 100_000;

impl Patch {
    /// Reads a patch in either format.
    ///
    /// # Errors
    ///
    /// When it is none; the text says what was expected where.
    pub fn read(text: &[u8]) -> Result<Patch, NoPatch> {
        if text.len() > MAX_PATCH_BYTES {
            let length = text.len();
            return Err(NoPatch::whole(format!(
                "the patch is {length} bytes long, and at most {MAX_PATCH_BYTES} are read"
            )));
        }
        let text = crate::text::with_line_feeds(text);
        let patch = match crate::codex::is_codex(&text) {
            true => crate::codex::read(&text)?,
            false => crate::unified::read(&text)?,
        };
        match patch.sections.len() {
            0 => Err(NoPatch::whole("the patch changes no file")),
            more if more > MAX_SECTIONS => {
                Err(NoPatch::whole(format!("the patch names more than {MAX_SECTIONS} files")))
            }
            _ => Ok(patch),
        }
    }
}
