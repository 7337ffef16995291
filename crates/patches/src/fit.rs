//! Fits hunks into a text, in time in proportion to it for each of them.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;

use crate::failure::{Nearest, nearest};
use crate::occurrences::Occurrences;
use crate::patch::{Format, Hunk, HunkLine, LineKind};
use crate::text::{BYTE_ORDER_MARK, LIKENESSES, Likeness, body, is_blank, lines, usual_end, without_return};

/// Why a hunk does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Which hunk of its file, from 1.
    pub(crate) hunk: usize,
    /// The patch's line on which it begins.
    pub(crate) line: usize,
    /// Why.
    pub(crate) reason: String,
    /// The lines of the text that are most like what it looks for.
    pub(crate) nearest: Vec<Nearest>,
}

/// The text with all hunks in it.
pub(crate) fn fit(text: &[u8], hunks: &[Hunk], format: Format) -> Result<Vec<u8>, Misfit> {
    let old = lines(text);
    let mut fitting = Fitting {
        format,
        bodies: old.iter().map(|line| body(line)).collect(),
        usual_end: usual_end(&old),
        numbered: Default::default(),
        old,
        done: 0,
        shift: 0,
        new: Vec::new(),
    };
    for (place, hunk) in hunks.iter().enumerate() {
        let found = fitting.find(hunk).map_err(|(reason, wanted)| Misfit {
            hunk: place + 1,
            line: hunk.line,
            reason,
            nearest: nearest(&fitting.bodies, &wanted),
        })?;
        fitting.replace(hunk, found);
    }
    Ok(fitting.finish())
}

/// Where a hunk's old lines are.
#[derive(Clone, Copy)]
struct Found {
    /// The first of them, from 0.
    at: usize,
    /// How many of them there are: a blank one at the end may be missing.
    count: usize,
}

struct Fitting<'a> {
    format: Format,
    old: Vec<&'a [u8]>,
    bodies: Vec<&'a [u8]>,
    /// The lines as numbers, for each likeness that was needed.
    numbered: [OnceCell<Numbered<'a>>; LIKENESSES.len()],
    usual_end: &'static [u8],
    /// Old lines that are done.
    done: usize,
    /// How much further down than expected the last hunk was.
    shift: isize,
    new: Vec<Vec<u8>>,
}

/// Lines as numbers: those that are alike have the same.
struct Numbered<'a> {
    numbers: HashMap<Cow<'a, [u8]>, u32>,
    lines: Vec<u32>,
}

impl<'a> Numbered<'a> {
    fn new(lines: &[&'a [u8]], likeness: Likeness) -> Numbered<'a> {
        let mut numbers = HashMap::new();
        let number = |line: &&'a [u8]| {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            *numbers.entry(likeness.key(line)).or_insert(next)
        };
        let lines = lines.iter().map(number).collect();
        Numbered { numbers, lines }
    }

    /// Other lines as these numbers; `None`: one of them is not there at all.
    fn of(&self, lines: &[&[u8]], likeness: Likeness) -> Option<Vec<u32>> {
        lines.iter().map(|line| self.numbers.get(&likeness.key(line)).copied()).collect()
    }
}

/// What a hunk's carriage returns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Returns {
    /// Those of the text: it says itself where there are some.
    Shown,
    /// The text has none where the hunk shows some: they have come on the way.
    Strange,
    /// It shows none.
    Unknown,
}

/// Why there is no place, and the lines that were looked for.
type Missing<'a> = (String, Vec<&'a [u8]>);

impl<'a> Fitting<'a> {
    /// Looks for a hunk's place below those before it.
    fn find<'h>(&mut self, hunk: &'h Hunk) -> Result<Found, Missing<'h>> {
        let mut from = self.done;
        let mut label_at = None;
        for label in &hunk.labels {
            let at = self.find_label(label, from).ok_or_else(|| {
                let shown = String::from_utf8_lossy(without_return(label)).into_owned();
                (format!("there is no line `{}` for its `@@`", short(&shown)), vec![&**label])
            })?;
            (from, label_at) = (at + 1, Some(at));
        }
        let wanted: Vec<&[u8]> = hunk.old().map(|line| without_return(&line.text)).collect();
        if wanted.is_empty() {
            return self.insertion(hunk, label_at);
        }
        // The last line of the text may be shown by a blank one after it.
        let shorter = wanted.split_last().filter(|(last, rest)| is_blank(last) && !rest.is_empty());
        let candidates = [Some(&wanted[..]), shorter.map(|(_, rest)| rest)];
        let starts = [Some(from), label_at];
        for wanted in candidates.into_iter().flatten() {
            for from in starts.into_iter().flatten() {
                if let Some(at) = self.search(wanted, from, hunk) {
                    if let Some(expected) = hunk.expected {
                        self.shift = at.cast_signed() - expected.saturating_sub(1).cast_signed();
                    }
                    return Ok(Found { at, count: wanted.len() });
                }
            }
        }
        let where_else = match self.done {
            _ if hunk.is_at_end => " at its end, where `*** End of File` says they are",
            0 => "",
            _ if self.is_above(&wanted) => {
                "; they are above the hunk before it, so the hunks are in another order"
            }
            _ => " below the hunk before it",
        };
        Err((format!("its old lines are not in the file{where_else}"), wanted))
    }

    fn is_above(&self, wanted: &[&[u8]]) -> bool {
        let above = Numbered::new(self.bodies.get(..self.done).unwrap_or_default(), Likeness::Ends);
        let wanted = above.of(wanted, Likeness::Ends);
        wanted.is_some_and(|wanted| Occurrences::new(&above.lines, &wanted).next().is_some())
    }

    fn find_label(&self, label: &[u8], from: usize) -> Option<usize> {
        let label = without_return(label);
        let below = self.bodies.get(from..)?;
        let found = LIKENESSES.iter().find_map(|likeness| {
            let label = likeness.key(label);
            below.iter().position(|line| likeness.key(line) == label)
        });
        found.map(|at| from + at)
    }

    /// Where lines go that replace none: below the label, below the line that is said, else at the end.
    fn insertion<'h>(&mut self, hunk: &'h Hunk, label_at: Option<usize>) -> Result<Found, Missing<'h>> {
        let length = self.bodies.len();
        let at = match (label_at, hunk.expected) {
            (Some(label), _) if !hunk.is_at_end => label + 1,
            (None, Some(expected)) if self.format == Format::Unified => {
                expected.saturating_add_signed(self.shift)
            }
            _ => length,
        };
        if at < self.done || at > length {
            let reason = format!("it adds lines after line {at}, and the file has {length}");
            return Err((reason, Vec::new()));
        }
        Ok(Found { at, count: 0 })
    }

    /// The first place, or the one nearest to what is expected, where these lines are; those that are more alike come first.
    fn search(&self, wanted: &[&[u8]], from: usize, hunk: &Hunk) -> Option<usize> {
        let last = self.bodies.len().checked_sub(wanted.len())?;
        if from > last {
            return None;
        }
        let expected = hunk.expected.map(|line| line.saturating_sub(1).saturating_add_signed(self.shift));
        LIKENESSES.iter().zip(&self.numbered).find_map(|(likeness, numbered)| {
            let all = numbered.get_or_init(|| Numbered::new(&self.bodies, *likeness));
            let wanted = all.of(wanted, *likeness)?;
            let fits = |at: &usize| all.lines.get(*at..*at + wanted.len()) == Some(&*wanted);
            if hunk.is_at_end {
                // Blank lines after it are easily forgotten.
                let is_end = |at: &usize| {
                    *at == last || self.bodies.get(*at + wanted.len()).is_some_and(|line| is_blank(line))
                };
                return (from..=last).rev().take_while(is_end).find(fits);
            }
            let mut places = Occurrences::new(all.lines.get(from..)?, &wanted).map(|at| from + at);
            let Some(expected) = expected.map(|expected| expected.clamp(from, last)) else {
                return places.next();
            };
            if fits(&expected) {
                return Some(expected);
            }
            let mut up = None;
            let down = places.find(|at| {
                let is_up = *at < expected;
                up = if is_up { Some(*at) } else { up };
                !is_up
            });
            match (down, up) {
                (Some(down), Some(up)) if expected - up < down - expected => Some(up),
                (down, up) => down.or(up),
            }
        })
    }

    /// Puts a hunk's new lines in the place of its old ones. Lines that stay are those of the file.
    fn replace(&mut self, hunk: &Hunk, found: Found) {
        self.keep_until(found.at);
        let end = found.at + found.count;
        let shows_returns = hunk.old().any(|line| line.text.ends_with(b"\r"));
        let replaced = self.old.get(found.at..end).unwrap_or_default();
        let returns = match (shows_returns, replaced.iter().any(|line| line.ends_with(b"\r\n"))) {
            (true, true) => Returns::Shown,
            (true, false) => Returns::Strange,
            (false, _) => Returns::Unknown,
        };
        for line in &hunk.lines {
            match line.kind {
                LineKind::Context => self.keep_until((self.done + 1).min(end)),
                LineKind::Remove => self.done = (self.done + 1).min(end),
                LineKind::Add => {
                    let added = self.added(line, returns);
                    self.new.push(added);
                }
            }
        }
    }

    fn added(&self, line: &HunkLine, returns: Returns) -> Vec<u8> {
        let mut added = line.text.clone();
        let is_twice = match returns {
            Returns::Shown => false,
            Returns::Strange => true,
            Returns::Unknown => self.usual_end == b"\r\n",
        };
        if is_twice && added.ends_with(b"\r") {
            added.pop();
        }
        if !line.is_unended {
            added.extend_from_slice(if returns == Returns::Shown { b"\n" } else { self.usual_end });
        }
        added
    }

    fn keep_until(&mut self, until: usize) {
        let kept = self.old.get(self.done..until).unwrap_or_default();
        self.new.extend(kept.iter().map(|line| line.to_vec()));
        self.done = self.done.max(until);
    }

    fn finish(mut self) -> Vec<u8> {
        self.keep_until(self.old.len());
        let was_unended = self.old.last().is_some_and(|line| !line.ends_with(b"\n"));
        let end = self.usual_end;
        if let Some((last, others)) = self.new.split_last_mut() {
            for line in others.iter_mut().filter(|line| !line.ends_with(b"\n")) {
                line.extend_from_slice(end);
            }
            // This format has no word for it, so the file's end stays as it was.
            if was_unended && self.format == Format::Codex {
                last.truncate(body(last).len());
            }
        }
        let mut text = self.new.concat();
        let had_mark = self.old.first().is_some_and(|line| line.starts_with(BYTE_ORDER_MARK));
        if had_mark && !text.is_empty() && !text.starts_with(BYTE_ORDER_MARK) {
            text.splice(0..0, BYTE_ORDER_MARK.iter().copied());
        }
        text
    }
}

fn short(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::Act;

    fn patched(text: &str, hunks: &str) -> Result<String, Misfit> {
        let patch = format!("*** Begin Patch\n*** Update File: f\n{hunks}\n*** End Patch\n");
        let patch = crate::codex::read(patch.as_bytes()).unwrap();
        let Act::Update { hunks, .. } = &patch.sections[0].act else { panic!("an update") };
        fit(text.as_bytes(), hunks, Format::Codex).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn hunks_go_where_their_lines_are() {
        for (text, hunks, expected) in [
            ("a\nb\nc\n", "@@\n a\n-b\n+B", "a\nB\nc\n"),
            ("a\nb\na\nb\n", "@@\n a\n-b\n+B\n@@\n a\n-b\n+C", "a\nB\na\nC\n"),
            // Below a label; the label may be shown again; labels go deeper.
            ("x\nf1\nx\nf2\nx\n", "@@ f2\n-x\n+y", "x\nf1\nx\nf2\ny\n"),
            ("x\nf1\nx\nf2\nx\n", "@@ f2\n f2\n-x\n+y", "x\nf1\nx\nf2\ny\n"),
            ("A\nf\nx\nB\nf\nx\n", "@@ B\n@@ f\n-x\n+y", "A\nf\nx\nB\nf\ny\n"),
            // Nothing old: at the end, or below the label.
            ("a\nb\n", "@@\n+c", "a\nb\nc\n"),
            ("a\nb\n", "@@ a\n+c", "a\nc\nb\n"),
            ("", "@@\n+c", "c\n"),
            // At the end rather than before.
            ("x\ny\nx\n", "@@\n-x\n+z\n*** End of File", "x\ny\nz\n"),
            ("x\ny\n\n\n", "@@\n-y\n+z\n*** End of File", "x\nz\n\n\n"),
            // White space and typography differ; what stays is the file's.
            ("  a  \n\tb\n", "@@\n a\n-b\n+c", "  a  \nc\n"),
            (
                "say \u{201c}hi\u{201d} \u{2014} now\nb\n",
                "@@\n say \"hi\" - now\n-b\n+c",
                "say \u{201c}hi\u{201d} \u{2014} now\nc\n",
            ),
            // A blank line at the end that the file does not have.
            ("a\nb\n", "@@\n a\n-b\n+c\n \n*** End of File", "a\nc\n"),
            ("a\nb", "@@\n-a\n+A", "A\nb"),
            ("a\nb", "@@\n-b\n+B", "a\nB"),
            ("a\nb", "@@\n+c", "a\nb\nc"),
            ("a\r\nb\r\n", "@@\n-a\n+A\n+x", "A\r\nx\r\nb\r\n"),
            ("a\r\nb\r\n", "@@\r\n-a\r\n+A\r", "A\r\nb\r\n"),
            // Carriage returns that the file does not have.
            ("a\nb\n", "@@\r\n a\r\n-b\r\n+B\r", "a\nB\n"),
            ("\u{feff}a\nb\n", "@@\n-a\n+A", "\u{feff}A\nb\n"),
            ("a\nb\nc\n", "@@ -2,1 +2,1 @@\n-b\n+B", "a\nB\nc\n"),
            ("a\n", "@@\n-a", ""),
        ] {
            assert_eq!(patched(text, hunks).as_deref(), Ok(expected), "{text:?} {hunks:?}");
        }
    }

    #[test]
    fn a_misfit_says_which_hunk_why_and_what_is_there() {
        let misfit = patched("one\ntwo\nthree\n", "@@\n-one\n+1\n@@\n-tow\n+2").unwrap_err();
        assert_eq!((misfit.hunk, misfit.line), (2, 6));
        assert!(misfit.reason.contains("not in the file below"), "{misfit:?}");
        assert!(misfit.nearest.iter().any(|near| near.line == 2 && near.text == "two"), "{misfit:?}");
        let misfit = patched("one\n", "@@ fn x\n-one\n+1").unwrap_err();
        assert!(misfit.reason.contains("no line `fn x`"), "{misfit:?}");
        let misfit = patched("a\nb\nz\n", "@@\n-b\n+B\n*** End of File").unwrap_err();
        assert!(misfit.reason.contains("not in the file at its end"), "{misfit:?}");
        let misfit = patched("a\nb\n", "@@\n-b\n+B\n@@\n-a\n+A").unwrap_err();
        assert!(misfit.reason.contains("another order"), "{misfit:?}");
    }
    #[test]
    fn many_equal_lines_take_no_longer_than_others() {
        // Each place has all lines but the last; comparing them one by one would take 400 million comparisons, four times.
        let text = "a\n".repeat(200_000);
        let hunk = format!("@@\n{}-b\n+c", " a\n".repeat(2000));
        assert!(patched(&text, &hunk).is_err());
        let with_b = format!("{text}b\n");
        assert!(patched(&with_b, &hunk).is_ok_and(|text| text.ends_with("a\nc\n")));
        assert!(patched(&text, &format!("@@\n{} a\n*** End of File", "\n".repeat(200_000))).is_err());
    }
}
