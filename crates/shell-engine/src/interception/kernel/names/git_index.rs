//! Whether the paths in a Git index (gitformat-index(5)) lie in the work tree. Git does not look at them when it reads an index: its
//! `checkout` writes them wherever they lead. Pure.
//!
//! It says yes only where Git cannot read another path than was read here, by whichever of the ways in which it finds entries.

use std::ops::Range;

/// Bytes of an entry before its object's name, which has a length of its own: times, device, inode, mode, owner, size.
const STATE: usize = 40;
/// Where the mode is in these.
const MODE: Range<usize> = 24..28;
/// What a mode says that is no regular file.
const KIND: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
/// A flag: there are two more bytes of flags.
const MORE_FLAGS: u16 = 0x4000;
/// The bits of the flags that are the length of the path, or all of them for a longer one.
const LENGTH: u16 = 0x0fff;

/// Where an entry was found.
struct Start {
    at: usize,
    /// It begins as the path before it does.
    continues: bool,
}

/// Tells whether an index in a repository whose objects' names have so many bytes names nothing but files of a work tree.
pub(super) fn is_of_a_work_tree(index: &[u8], hash: usize) -> bool {
    read(index, hash).is_some()
}

fn read(index: &[u8], hash: usize) -> Option<()> {
    let end = index.len().checked_sub(hash)?;
    let index = index.get(..end)?;
    let (signature, version, count) = (index.get(..4)?, number(index, 4)?, number(index, 8)?);
    if signature != b"DIRC" || !(2..=4).contains(&version) {
        return None;
    }
    let (mut at, mut starts, mut path) = (12, Vec::new(), Vec::new());
    let mut has_replaced = false;
    for _ in 0..count {
        let start = at;
        let mode = number(index.get(at..)?, MODE.start)?;
        let flags = index.get(at + STATE + hash..)?;
        let (flags, length) = (u16::from_be_bytes(flags.get(..2)?.try_into().ok()?), flags.len());
        let more = if flags & MORE_FLAGS == 0 { 2 } else { 4 };
        let name = index.len().checked_sub(length)? + more;
        let (kept, begins) = if version == 4 { kept_of(index, name, path.len())? } else { (0, name) };
        let rest = index.get(begins..)?;
        let rest = rest.get(..rest.iter().position(|byte| *byte == 0)?)?;
        path.truncate(kept);
        path.extend_from_slice(rest);
        let told = usize::from(flags & LENGTH);
        if told != path.len().min(usize::from(LENGTH)) {
            return None;
        }
        // In the part of an index that is split, for what another part names.
        has_replaced |= path.is_empty();
        if !path.is_empty() && !is_in_a_work_tree(&path, mode & KIND) {
            return None;
        }
        starts.push(Start { at: start, continues: kept != 0 });
        let length = begins + rest.len() - start;
        // Padded with one to eight zeros, but for the version that is meant to be short.
        at = start + if version == 4 { length + 1 } else { (length + 8) & !7 };
    }
    let is_split = extensions(index, at, &starts)?;
    // Git finds this one from the end.
    let last =
        index.len().checked_sub(8 + 4 + hash).filter(|last| *last >= at).and_then(|last| index.get(last..));
    let is_where_entries_end = |last: &[u8]| number(last, 8) == u32::try_from(at).ok();
    let is_honest = last.is_none_or(|last| !last.starts_with(b"EOIE") || is_where_entries_end(last));
    (is_honest && (is_split || !has_replaced)).then_some(())
}

/// How much of the path before one keeps, and where its rest begins.
fn kept_of(index: &[u8], at: usize, before: usize) -> Option<(usize, usize)> {
    let mut bytes = index.get(at..)?.iter().zip(at + 1..);
    let (first, mut next) = bytes.next()?;
    let (mut byte, mut removed) = (*first, usize::from(first & 0x7f));
    while byte & 0x80 != 0 {
        let (more, after) = bytes.next()?;
        removed = removed.checked_add(1)?.checked_mul(0x80)?.checked_add(usize::from(more & 0x7f))?;
        // Longer than any path.
        if removed > 1 << 24 {
            return None;
        }
        (byte, next) = (*more, after);
    }
    Some((before.checked_sub(removed)?, next))
}

/// Reads what comes after the entries; tells whether it is a part of a split index. None where Git could find an entry by it that was
/// not read.
fn extensions(index: &[u8], mut at: usize, starts: &[Start]) -> Option<bool> {
    let mut is_split = false;
    while at < index.len() {
        let (signature, size) = (index.get(at..at + 4)?, usize::try_from(number(index, at + 4)?).ok()?);
        let content = index.get(at + 8..at.checked_add(8)?.checked_add(size)?)?;
        match signature {
            b"link" => is_split = true,
            b"IEOT" => are_blocks(content, starts)?,
            b"sdir" => {}
            // What must be understood, and is not.
            [first, ..] if !first.is_ascii_uppercase() => return None,
            _ => {}
        }
        at += 8 + size;
    }
    Some(is_split)
}

/// Whether blocks of entries, which Git reads each by itself, begin where entries do that do not continue those before.
fn are_blocks(content: &[u8], starts: &[Start]) -> Option<()> {
    let mut first: usize = 0;
    for block in content.get(4..)?.chunks_exact(8) {
        let start = starts.get(first)?;
        let is_one = usize::try_from(number(block, 0)?).ok()? == start.at && !start.continues;
        first = first.checked_add(usize::try_from(number(block, 4)?).ok()?).filter(|_| is_one)?;
    }
    (first == starts.len()).then_some(())
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Whether Git would take it for the path of a file in a work tree if it looked: it does when one is added.
fn is_in_a_work_tree(path: &[u8], kind: u32) -> bool {
    // A folder of which not all is there (sparse-checkout).
    let path = if kind == FOLDER { path.strip_suffix(b"/").unwrap_or(path) } else { path };
    let is_plain = |part: &[u8]| {
        !matches!(part, b"" | b"." | b"..")
            && !part.split(|byte| *byte == b'\\').any(|part| is_called(part, ".git"))
    };
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    path.split(|byte| *byte == b'/').all(is_plain) && !(kind == LINK && is_called(last, ".gitmodules"))
}

/// Whether a file of this name can be found by another name, which is small, somewhere: where the case of letters does not count, where
/// what is not seen does not, or by Windows' rules.
fn is_called(part: &[u8], name: &str) -> bool {
    let part = String::from_utf8_lossy(part);
    let seen: String = part.chars().filter(|letter| !is_ignored(*letter)).collect();
    let is_name = |spelled: &str| spelled.eq_ignore_ascii_case(name);
    let file = part.split(':').next().unwrap_or_default().trim_end_matches([' ', '.']);
    is_name(&seen) || is_name(file) || name == ".git" && file.eq_ignore_ascii_case("git~1")
}

/// Whether a letter is nothing to a file system that compares by meaning (Unicode's `Default_Ignorable_Code_Point`).
fn is_ignored(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const HASH: usize = 20;

    fn entry(path: &[u8], mode: u32) -> Vec<u8> {
        let mut entry = vec![0; STATE + HASH];
        entry[MODE].copy_from_slice(&mode.to_be_bytes());
        entry.extend_from_slice(&u16::try_from(path.len()).unwrap().min(LENGTH).to_be_bytes());
        entry.extend_from_slice(path);
        entry.resize((entry.len() + 8) & !7, 0);
        entry
    }

    fn index(version: u32, entries: &[Vec<u8>], extensions: &[u8]) -> Vec<u8> {
        let count = u32::try_from(entries.len()).unwrap();
        let head = [b"DIRC".as_slice(), &version.to_be_bytes(), &count.to_be_bytes()].concat();
        [head, entries.concat(), extensions.to_vec(), vec![0; HASH]].concat()
    }

    fn extension(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [name.as_slice(), &u32::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
    }

    fn is_good(index: &[u8]) -> bool {
        is_of_a_work_tree(index, HASH)
    }

    fn one(path: &str) -> bool {
        is_good(&index(2, &[entry(path.as_bytes(), 0o100_644)], &[]))
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for path in [
            "a",
            "src/a.rs",
            ".gitignore",
            ".github/x",
            "git",
            "a.git/x",
            ".giT ignore",
            "d/.gité",
            "x~1",
            "a\\b",
            "...",
        ] {
            assert!(one(path), "{path}");
        }
        for path in [
            ".git/hooks/x",
            ".GIT/config",
            "a/.git/hooks/x",
            "a/.Git",
            "../x",
            "a/../../x",
            "/etc/x",
            "a//b",
            "./a",
            "a/",
            "..",
            ".git ",
            ".git./x",
            "git~1/x",
            "GIT~1",
            ".git::$INDEX_ALLOCATION/x",
            ".g\u{200c}it/x",
            ".g\u{ad}it/x",
            "a\\.git\\hooks\\x",
        ] {
            assert!(!one(path), "{path}");
        }
        let long = "d/".repeat(3000) + "x";
        assert!(one(&long) && !one(&(long + "/.git/y")));
        assert!(!is_good(&index(2, &[entry(b".gitmodules", LINK)], &[])));
        assert!(is_good(&index(
            2,
            &[entry(b".gitmodules", 0o100_644), entry(b"d/", FOLDER), entry(b"l", LINK)],
            &[]
        )));
    }

    #[test]
    fn what_is_not_an_index_is_refused() {
        let good = index(2, &[entry(b"a", 0o100_644), entry(b"b", 0o100_644)], &extension(b"TREE", b"x"));
        assert!(is_good(&good));
        // Without what comes after the entries it is one.
        let shorter = good.len() - extension(b"TREE", b"x").len();
        assert!((0..good.len()).all(|length| is_good(&good[..length]) == (length == shorter)));
        assert!(!is_good(b"") && !is_good(&index(5, &[], &[])) && is_good(&index(2, &[], &[])));
        assert!(!is_good(&index(2, &[entry(b"a", 0)], &extension(b"evil", b""))));
        // A path that ends before its length, or goes on.
        let mut short = entry(b"a", 0o100_644);
        short[STATE + HASH + 1] = 3;
        assert!(!is_good(&index(2, &[short], &[])));
        let mut hidden = entry(b"a\0.git/x", 0o100_644);
        hidden[STATE + HASH + 1] = 8;
        assert!(!is_good(&index(2, &[hidden], &[])));
        assert!(!is_good(&index(2, &[entry(b"", 0)], &[])), "a part of a split one only");
        assert!(is_good(&index(2, &[entry(b"", 0)], &extension(b"link", &[0; HASH]))));
    }

    #[test]
    fn git_finds_no_entries_elsewhere() {
        let entries = [entry(b"a", 0o100_644), entry(b"b", 0o100_644)];
        let second = u32::try_from(12 + entries[0].len()).unwrap();
        let end = u32::try_from(12 + entries.concat().len()).unwrap();
        let blocks = |blocks: &[(u32, u32)]| {
            let blocks =
                blocks.iter().flat_map(|(at, count)| [at.to_be_bytes(), count.to_be_bytes()].concat());
            extension(b"IEOT", &[1_u32.to_be_bytes().to_vec(), blocks.collect()].concat())
        };
        let ends = |at: u32| extension(b"EOIE", &[at.to_be_bytes().as_slice(), &[0; HASH]].concat());
        let with = |extensions: &[Vec<u8>]| is_good(&index(2, &entries, &extensions.concat()));
        assert!(with(&[blocks(&[(12, 1), (second, 1)]), ends(end)]) && with(&[blocks(&[(12, 2)])]));
        assert!(
            !with(&[blocks(&[(12, 1), (second + 8, 1)])])
                && !with(&[blocks(&[(12, 1)])])
                && !with(&[blocks(&[(12, 3)])])
        );
        assert!(!with(&[ends(end + 8)]));
        // In another one's content, where Git looks for it.
        assert!(!with(&[extension(b"FSMN", &ends(end + 8))]));
    }

    #[test]
    fn the_short_version_is_read_as_git_does() {
        let short = |removed: &[u8], rest: &str, length: u16| {
            let mut entry = vec![0; STATE + HASH];
            entry[MODE].copy_from_slice(&0o100_644_u32.to_be_bytes());
            [entry, length.to_be_bytes().to_vec(), removed.to_vec(), rest.as_bytes().to_vec(), vec![0]]
                .concat()
        };
        let two = |removed: &[u8], rest: &str, length| {
            index(4, &[short(&[0], ".gitX", 5), short(removed, rest, length)], &[])
        };
        assert!(is_good(&two(&[5], "a", 1)) && is_good(&two(&[0], "/a", 7)));
        assert!(!is_good(&two(&[1], "/a", 6)), ".git/a");
        assert!(!is_good(&two(&[6], "a", 1)) && !is_good(&two(&[0x80; 9], "a", 1)));
        // Read by itself, the second would be another path.
        let (first, second) = (short(&[0], "a", 1), short(&[0], ".git/x", 7));
        let at = u32::try_from(12 + first.len()).unwrap();
        let blocks: Vec<u8> = [1_u32, 12, 1, at, 1].iter().flat_map(|number| number.to_be_bytes()).collect();
        assert!(is_good(&index(4, &[first.clone(), second.clone()], &[])), "a.git/x");
        assert!(!is_good(&index(4, &[first, second], &extension(b"IEOT", &blocks))));
    }

    #[test]
    fn what_git_writes_is_good() {
        for (format, hash) in [("sha1", 20), ("sha256", 32)] {
            for settings in [
                "",
                "-c index.version=4",
                "-c core.splitIndex=true",
                "-c index.threads=2 -c index.recordOffsetTable=true -c index.version=4 -c index.recordEndOfIndexEntries=true",
            ] {
                let folder = tempfile::tempdir().unwrap();
                let script = format!(
                    "git init -q --object-format={format} . && mkdir -p a/b && for i in $(seq 300); do echo $i > a/b/file$i; done
                     ln -s x l; touch u; git {settings} add a l && git {settings} add -N u && git {settings} update-index --refresh || true"
                );
                let made =
                    Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
                assert!(made.status.success(), "{made:?}");
                for entry in std::fs::read_dir(folder.path().join(".git")).unwrap().flatten() {
                    if entry.file_name().to_string_lossy().contains("index") {
                        let read = std::fs::read(entry.path()).unwrap();
                        assert!(is_of_a_work_tree(&read, hash), "{format} {settings:?} {entry:?}");
                    }
                }
            }
        }
    }
}
