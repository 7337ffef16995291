//! Reads unified diffs: Git's, with modes and renames (git-diff(1), "Generating patch text with -p"), and plain ones with
//! `---` and `+++` (diff(1), "Unified Format"). What stands before them, as in mails, is passed over.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::patch::{Act, Format, Hunk, HunkLine, LineKind, NoPatch, Patch, Section};
use crate::text::without_return;

/// Where a hunk is, as its first line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HunkPlace {
    pub(crate) old_line: usize,
    old_count: usize,
    new_count: usize,
}

/// Reads what follows the first `@@` of a hunk's first line: `-1,3 +1,4 @@`.
pub(crate) fn hunk_place(text: &[u8]) -> Option<HunkPlace> {
    let text = std::str::from_utf8(text.trim_ascii_start()).ok()?;
    let (ranges, _) = text.split_once("@@")?;
    let (old, new) = ranges.trim().split_once(' ')?;
    let range = |text: &str| {
        let (line, count) = text.split_once(',').unwrap_or((text, "1"));
        Some((line.parse::<usize>().ok()?, count.parse::<usize>().ok()?))
    };
    let (old_line, old_count) = range(old.strip_prefix('-')?)?;
    let (_, new_count) = range(new.trim_start().strip_prefix('+')?)?;
    Some(HunkPlace { old_line, old_count, new_count })
}

/// Reads one.
pub(crate) fn read(text: &[u8]) -> Result<Patch, NoPatch> {
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let mut reader = Reader { lines: &lines, at: 0 };
    let mut sections = Vec::new();
    while let Some(section) = reader.section()? {
        sections.push(section);
    }
    if sections.is_empty() {
        return Err(NoPatch::whole(
            "this is no patch: it has neither `*** Begin Patch` nor `diff --git`, `---` and `+++`",
        ));
    }
    Ok(Patch { format: Format::Unified, sections })
}

/// What the lines before the hunks of one file say.
#[derive(Default)]
struct Head {
    line: usize,
    /// From `diff --git`, for files of which nothing else is said.
    named: Option<(PathBuf, PathBuf)>,
    old: Option<Name>,
    new: Option<Name>,
    is_new: bool,
    is_deleted: bool,
    renamed: Option<PathBuf>,
    to: Option<PathBuf>,
    is_copied: bool,
    old_mode: Option<u32>,
    new_mode: Option<u32>,
}

/// What stands behind `---` or `+++`.
struct Name {
    /// `None`: `/dev/null`.
    path: Option<PathBuf>,
    /// Its time is that of a file which does not exist: the beginning of 1970 (diff(1), `--new-file`).
    is_dated_nowhere: bool,
}

struct Reader<'a> {
    lines: &'a [&'a [u8]],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a [u8]> {
        self.lines.get(self.at).copied()
    }

    /// The next file's section.
    fn section(&mut self) -> Result<Option<Section>, NoPatch> {
        let Some(head) = self.head()? else { return Ok(None) };
        let mut hunks = Vec::new();
        while self.peek().is_some_and(|line| line.starts_with(b"@@ ")) {
            hunks.push(self.hunk()?);
        }
        section(head, hunks).map(Some)
    }

    /// Reads up to the first hunk of the next file.
    fn head(&mut self) -> Result<Option<Head>, NoPatch> {
        while let Some(line) = self.peek() {
            let is_plain = line.starts_with(b"--- ")
                && self.lines.get(self.at + 1).is_some_and(|next| next.starts_with(b"+++ "));
            if line.starts_with(b"diff --git ") || is_plain {
                break;
            }
            if line.starts_with(b"@@ -") {
                return Err(NoPatch::at(
                    self.at + 1,
                    "a hunk without the `---` and `+++` that name its file",
                ));
            }
            self.at += 1;
        }
        let Some(first) = self.peek() else { return Ok(None) };
        let mut head = Head { line: self.at + 1, ..Head::default() };
        if let Some(names) = first.strip_prefix(b"diff --git ") {
            head.named = both_names(without_return(names));
            self.at += 1;
        }
        while let Some(line) = self.peek() {
            let number = self.at + 1;
            let line = without_return(line);
            if line.starts_with(b"diff --git ") || line.starts_with(b"@@ ") || line.is_empty() {
                break;
            }
            let value = |prefix: &[u8]| line.strip_prefix(prefix);
            let path = |text: &[u8]| name(text, number);
            let mode = |text: &[u8]| mode(text, number);
            if let Some(text) = value(b"--- ") {
                // Of a file without hunks, nothing of the next one is its own.
                if head.old.is_some() {
                    break;
                }
                head.old = Some(file_name(text, b"a/", number)?);
            } else if let Some(text) = value(b"+++ ") {
                head.new = Some(file_name(text, b"b/", number)?);
            } else if let Some(text) = value(b"new file mode ") {
                (head.is_new, head.new_mode) = (true, Some(mode(text)?));
            } else if let Some(text) = value(b"deleted file mode ") {
                mode(text)?;
                head.is_deleted = true;
            } else if let Some(text) = value(b"old mode ") {
                head.old_mode = Some(mode(text)?);
            } else if let Some(text) = value(b"new mode ") {
                head.new_mode = Some(mode(text)?);
            } else if let Some(text) = value(b"rename from ") {
                head.renamed = Some(path(text)?);
            } else if let Some(text) = value(b"copy from ") {
                (head.renamed, head.is_copied) = (Some(path(text)?), true);
            } else if let Some(text) = value(b"rename to ").or_else(|| value(b"copy to ")) {
                head.to = Some(path(text)?);
            } else if line.starts_with(b"GIT binary patch")
                || (line.starts_with(b"Binary files ") && line.ends_with(b" differ"))
            {
                return Err(NoPatch::at(number, "binary files cannot be patched; write them in another way"));
            } else if head.old.is_some() || head.new.is_some() {
                break;
            }
            self.at += 1;
        }
        Ok(Some(head))
    }

    fn hunk(&mut self) -> Result<Hunk, NoPatch> {
        let number = self.at + 1;
        let first = self.peek().and_then(|line| line.strip_prefix(b"@@"));
        let Some(HunkPlace { old_line, old_count, new_count }) = first.and_then(hunk_place) else {
            return Err(NoPatch::at(number, "a hunk begins with `@@ -LINE,COUNT +LINE,COUNT @@`"));
        };
        self.at += 1;
        let mut hunk = Hunk { expected: Some(old_line), line: number, ..Hunk::default() };
        let (mut old, mut new) = (0, 0);
        while let Some(line) = self.peek() {
            let (kind, text) = match line.split_first() {
                Some((b'\\', _)) => {
                    if let Some(last) = hunk.lines.last_mut() {
                        last.is_unended = true;
                    }
                    self.at += 1;
                    continue;
                }
                _ if old >= old_count && new >= new_count => break,
                Some((b' ', text)) => (LineKind::Context, text),
                Some((b'-', text)) => (LineKind::Remove, text),
                Some((b'+', text)) => (LineKind::Add, text),
                // An empty line of the text, whose space was lost on the way.
                None => (LineKind::Context, line),
                Some((b'\r', [])) => (LineKind::Context, line),
                Some(_) => break,
            };
            old += usize::from(kind != LineKind::Add);
            new += usize::from(kind != LineKind::Remove);
            hunk.lines.push(HunkLine::new(kind, text));
            self.at += 1;
        }
        if (old, new) != (old_count, new_count) {
            let line = self.at + 1;
            return Err(NoPatch::at(
                line,
                format!(
                    "the hunk of line {number} says that it has {old_count} old and {new_count} new lines, and has {old} and {new}; \
                     count them, or write the patch with `*** Begin Patch`, which counts nothing"
                ),
            ));
        }
        Ok(hunk)
    }
}

/// Puts together what the head and the hunks say.
fn section(head: Head, hunks: Vec<Hunk>) -> Result<Section, NoPatch> {
    let Head { line, named, old, new, is_new, is_deleted, renamed, to, is_copied, old_mode, new_mode } = head;
    let is_nothing = |name: &Option<Name>| name.as_ref().is_some_and(|name| name.path.is_none());
    let is_dated_nowhere = |name: &Option<Name>| name.as_ref().is_some_and(|name| name.is_dated_nowhere);
    let only = |kind: LineKind| matches!(&*hunks, [hunk] if hunk.lines.iter().all(|line| line.kind == kind));
    let begins_empty = hunks.first().is_some_and(|hunk| hunk.expected == Some(0)) && only(LineKind::Add);
    let is_new = is_new || is_nothing(&old) || (is_dated_nowhere(&old) && begins_empty);
    let is_deleted =
        is_deleted || is_nothing(&new) || (!is_new && is_dated_nowhere(&new) && only(LineKind::Remove));
    let (first, second) = named.map_or((None, None), |(old, new)| (Some(old), Some(new)));
    let old = old.and_then(|name| name.path).or(first);
    let new = new.and_then(|name| name.path).or(second);
    let is_executable = |mode: u32| mode & 0o111 != 0;
    let unnamed = || NoPatch::at(line, "it is not said which file this is");
    if is_new && is_deleted {
        return Err(NoPatch::at(line, "a file is made and removed at once"));
    }
    if is_new {
        let mut content = Vec::new();
        if hunks.iter().any(|hunk| hunk.old().next().is_some()) {
            return Err(NoPatch::at(line, "a new file cannot have old lines"));
        }
        for added in hunks.iter().flat_map(Hunk::added) {
            content.extend_from_slice(&added.text);
            if !added.is_unended {
                content.push(b'\n');
            }
        }
        let act = Act::Add { content, executable: new_mode.is_some_and(is_executable) };
        let or = old.filter(|old| Some(old) != new.as_ref());
        return Ok(Section { path: new.ok_or_else(unnamed)?, or, act, line });
    }
    if is_deleted {
        if hunks.iter().any(|hunk| hunk.added().next().is_some()) {
            return Err(NoPatch::at(line, "a file that is removed cannot have new lines"));
        }
        let or = new.filter(|new| Some(new) != old.as_ref());
        return Ok(Section { path: old.ok_or_else(unnamed)?, or, act: Act::Delete { hunks }, line });
    }
    let executable = new_mode.map(is_executable).filter(|now| old_mode.map(is_executable) != Some(*now));
    let is_renamed = renamed.is_some();
    let path = renamed.or(old).ok_or_else(unnamed)?;
    let to = to.filter(|to| *to != path);
    // Two names alone move nothing: they are those of a file before and after, wherever these were.
    let or = new.filter(|new| !is_renamed && to.is_none() && *new != path);
    let act = Act::Update { hunks, to, is_copied, executable };
    Ok(Section { path, or, act, line })
}

/// The kinds of files that Git knows, in the mode's upper bits.
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

fn mode(text: &[u8], line: usize) -> Result<u32, NoPatch> {
    let parsed =
        std::str::from_utf8(text.trim_ascii()).ok().and_then(|text| u32::from_str_radix(text, 8).ok());
    let Some(mode) = parsed else {
        return Err(NoPatch::at(line, "a mode is an octal number, such as 100644"));
    };
    match mode & KIND {
        REGULAR => Ok(mode),
        LINK => Err(NoPatch::at(line, "symbolic links cannot be patched; make them with ln -s")),
        _ => Err(NoPatch::at(line, format!("only regular files can be patched, not mode {mode:o}"))),
    }
}

/// Reads a name behind `---` or `+++`: a time may follow after a tab.
fn file_name(text: &[u8], prefix: &[u8], line: usize) -> Result<Name, NoPatch> {
    let end = text.iter().rposition(|byte| *byte == b'\t').filter(|end| !text[*end..].contains(&b'"'));
    let (text, time) = text.split_at(end.unwrap_or(text.len()));
    let plain = unquoted(text.trim_ascii_end()).ok_or_else(|| bad_name(line))?;
    if plain == b"/dev/null" {
        return Ok(Name { path: None, is_dated_nowhere: true });
    }
    let plain = plain.strip_prefix(prefix).map(<[u8]>::to_vec).unwrap_or(plain);
    let is_dated_nowhere = std::str::from_utf8(time).is_ok_and(is_beginning);
    Ok(Name { path: Some(OsString::from_vec(plain).into()), is_dated_nowhere })
}

/// Whether a time, such as `1970-01-01 01:00:00.000000000 +0100`, is the beginning of 1970 in UTC.
fn is_beginning(time: &str) -> bool {
    let mut words = time.split_ascii_whitespace();
    let (Some(date), Some(clock), zone) = (words.next(), words.next(), words.next()) else { return false };
    let Some(days) = ["1969-12-31", "1970-01-01"].iter().position(|known| *known == date) else {
        return false;
    };
    let minutes =
        |hours: &str, minutes: &str| Some(hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?);
    let mut parts = clock.splitn(3, ':');
    let at = parts.next().zip(parts.next()).and_then(|(hours, rest)| minutes(hours, rest));
    let no_seconds = parts.next().is_none_or(|rest| rest.bytes().all(|byte| byte == b'0' || byte == b'.'));
    let east = match zone {
        None => Some(0),
        Some(zone) if zone.is_ascii() && zone.len() == 5 => {
            let (sign, digits) = zone.split_at(1);
            let size = minutes(&digits[..2], &digits[2..]);
            size.map(|size| if sign == "-" { -size } else { size })
        }
        Some(_) => None,
    };
    let days = i64::try_from(days).unwrap_or_default() - 1;
    no_seconds && at.zip(east).is_some_and(|(at, east)| days * 24 * 60 + at == east)
}

fn name(text: &[u8], line: usize) -> Result<PathBuf, NoPatch> {
    Ok(OsString::from_vec(unquoted(text.trim_ascii_end()).ok_or_else(|| bad_name(line))?).into())
}

fn bad_name(line: usize) -> NoPatch {
    NoPatch::at(line, "the file's name is not quoted as Git does it")
}

/// Both names of `diff --git a/NAME b/NAME`, where they can be told apart: they are the same, or quoted.
fn both_names(text: &[u8]) -> Option<(PathBuf, PathBuf)> {
    let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
    if text.starts_with(b"\"") {
        let end = text.windows(3).position(|three| three == b"\" \"" || three == b"\" b")? + 1;
        let (old, new) = (unquoted(text.get(..end)?)?, unquoted(text.get(end + 1..)?)?);
        return Some((path(old.strip_prefix(b"a/")?), path(new.strip_prefix(b"b/")?)));
    }
    // `a/X b/X`: both halves are as long as each other.
    let middle = text.len() / 2;
    let (old, new) = (text.get(..middle)?, text.get(middle + 1..)?);
    let (old, new) = (old.strip_prefix(b"a/").unwrap_or(old), new.strip_prefix(b"b/").unwrap_or(new));
    (text.get(middle) == Some(&b' ') && old == new).then(|| (path(old), path(new)))
}

/// A name without the quotation marks and escapes that Git gives to one with unusual bytes.
fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let Some(inner) = text.strip_prefix(b"\"") else { return Some(text.to_vec()) };
    let mut inner = inner.strip_suffix(b"\"")?.iter().copied();
    let mut plain = Vec::new();
    while let Some(byte) = inner.next() {
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        plain.push(match inner.next()? {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            escaped @ (b'"' | b'\\') => escaped,
            first @ b'0'..=b'3' => {
                let (second, third) = (inner.next()?, inner.next()?);
                let digit = |byte: u8| (b'0'..=b'7').contains(&byte).then(|| byte - b'0');
                digit(first)? * 64 + digit(second)? * 8 + digit(third)?
            }
            _ => return None,
        });
    }
    Some(plain)
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
    fn what_git_writes_is_read() {
        let text = "From: x\n\nSubject\n---\n a | 2 +-\n\ndiff --git a/a b/a\nindex 1..2 100644\n--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@ fn\n-x\n+y\n z\n\
                    diff --git a/n b/n\nnew file mode 100755\nindex 0..1\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+hi\n\\ No newline at end of file\n\
                    diff --git a/d b/d\ndeleted file mode 100644\nindex 1..0\n--- a/d\n+++ /dev/null\n@@ -1 +0,0 @@\n-bye\n\
                    diff --git a/o b/p\nsimilarity index 100%\nrename from o\nrename to p\n\
                    diff --git a/s b/s\nold mode 100644\nnew mode 100755\n\
                    diff --git a/e b/e\nnew file mode 100644\nindex 000..e69\n\
                    diff --git \"a/\\303\\244\" \"b/\\303\\244\"\n--- \"a/\\303\\244\"\n+++ \"b/\\303\\244\"\n@@ -1 +1 @@\n-1\n+2\n-- \n2.39\n";
        let found = sections(text);
        let paths: Vec<_> = found.iter().map(|section| section.path.to_str().unwrap()).collect();
        assert_eq!(paths, ["a", "n", "d", "o", "s", "e", "ä"]);
        assert!(matches!(&found[0].act, Act::Update { hunks, to: None, .. } if hunks[0].expected == Some(1)));
        assert_eq!(found[1].act, Act::Add { content: b"hi".to_vec(), executable: true });
        assert!(matches!(&found[2].act, Act::Delete { hunks } if hunks.len() == 1));
        assert!(
            matches!(&found[3].act, Act::Update { hunks, to: Some(to), .. } if hunks.is_empty() && to.to_str() == Some("p"))
        );
        assert!(matches!(&found[4].act, Act::Update { executable: Some(true), .. }));
        assert_eq!(found[5].act, Act::Add { content: Vec::new(), executable: false });
    }

    #[test]
    fn plain_diffs_are_read() {
        let text = "--- a.c\t2026-01-01 00:00:00\n+++ a.c\t2026-01-02\n@@ -3 +3 @@\n-x\n+y\n--- b.c\n+++ b.c\n@@ -1,0 +2 @@\n+--- z\n";
        let found = sections(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].path.to_str(), Some("b.c"));
    }

    #[test]
    fn two_names_are_one_file_unless_a_rename_is_said() {
        let text = "--- src/f\t2020-01-01 00:00:00 +0000\n+++ src.new/f\t2020-01-02 00:00:00 +0000\n@@ -1 +1 @@\n-1\n+2\n\
                    diff --git a/o b/p\nrename from o\nrename to p\n--- a/o\n+++ b/p\n@@ -1 +1 @@\n-1\n+2\n";
        let [plain, renamed] = &sections(text)[..] else { panic!("two") };
        assert_eq!((plain.path.to_str(), plain.or.as_deref()), (Some("src/f"), Some("src.new/f".as_ref())));
        assert!(matches!(&plain.act, Act::Update { to: None, .. }));
        assert_eq!((renamed.path.to_str(), &renamed.or), (Some("o"), &None));
        assert!(matches!(&renamed.act, Act::Update { to: Some(to), .. } if to.to_str() == Some("p")));
    }

    #[test]
    fn the_beginning_of_1970_is_no_file() {
        for (old, new, hunk, expected) in [
            ("1970-01-01 00:00:00.000000000 +0000", "2020-01-01", "@@ -0,0 +1 @@\n+hi", "add"),
            ("1970-01-01 01:00:00.000000000 +0100", "2020-01-01", "@@ -0,0 +1 @@\n+hi", "add"),
            ("1969-12-31 18:30:00 -0530", "2020-01-01", "@@ -0,0 +1 @@\n+hi", "add"),
            ("2020-01-01 00:00:00 +0000", "1970-01-01 00:00:00 +0000", "@@ -1 +0,0 @@\n-hi", "delete"),
            ("1970-01-01 00:00:01 +0000", "2020-01-01", "@@ -0,0 +1 @@\n+hi", "update"),
            ("1970-01-01 01:00:00 +0000", "2020-01-01", "@@ -0,0 +1 @@\n+hi", "update"),
            ("1970-01-01 00:00:00 +0000", "2020-01-01", "@@ -1 +1 @@\n-a\n+hi", "update"),
        ] {
            let found = sections(&format!("--- n\t{old}\n+++ n\t{new}\n{hunk}\n"));
            let word = match &found[0].act {
                Act::Add { content, .. } => {
                    assert_eq!(content, b"hi\n");
                    "add"
                }
                Act::Delete { .. } => "delete",
                Act::Update { .. } => "update",
            };
            assert_eq!(word, expected, "{old} {new}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, words) in [
            ("hello\n", "neither `*** Begin Patch` nor"),
            ("@@ -1 +1 @@\n-a\n+b\n", "line 1 of the patch: a hunk without"),
            ("--- a\n+++ a\n@@ -1,3 +1 @@\n-a\n+b\n", "has 1 and 1; count them"),
            ("--- a\n+++ a\n@@ x @@\n-a\n+b\n", "a hunk begins with `@@ -LINE"),
            ("diff --git a/a b/a\nindex 1..2\nBinary files a/a and b/a differ\n", "binary files cannot"),
            ("diff --git a/l b/l\nnew file mode 120000\n", "symbolic links cannot"),
            ("diff --git a/l b/l\nnew file mode 160000\n", "only regular files"),
            ("diff --git a/l b/m c\nold mode 100644\nnew mode 100755\n", "not said which file"),
        ] {
            assert!(problem(text).contains(words), "{text}: {}", problem(text));
        }
    }
}
