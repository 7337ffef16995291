//! Why a patch cannot be applied, in words that let its author mend it.

use std::collections::HashMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why one file of a patch stands in the way of all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The file, as the patch names it.
    pub path: String,
    /// Which of its hunks, from 1, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hunk: Option<usize>,
    /// The patch's line on which that begins, from 1; 0 when it is not known.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub line: usize,
    /// What is wrong.
    pub reason: String,
    /// The lines of the file that are most like what the hunk looks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<Nearest>,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nearest {
    /// Its number, from 1.
    pub line: usize,
    /// Its text, or the beginning of it.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.path)?;
        if let Some(hunk) = self.hunk {
            write!(formatter, ", hunk {hunk}")?;
        }
        if self.line > 0 {
            write!(formatter, " (line {} of the patch)", self.line)?;
        }
        write!(formatter, ": {}", self.reason)?;
        if !self.nearest.is_empty() {
            formatter.write_str("; nearest in the file:")?;
        }
        for Nearest { line, text } in &self.nearest {
            write!(formatter, "\n  {line}: {text}")?;
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_unknown(line: &usize) -> bool {
    *line == 0
}

/// Lines that are shown.
const MOST_SHOWN: usize = 8;

/// Bytes of a line that are shown.
const MOST_OF_A_LINE: usize = 200;

/// Places of equal lines that count.
const MOST_EQUAL: usize = 4;

/// Lines of a file that are compared letter by letter.
const MOST_COMPARED: usize = 5000;

/// How alike a line must be to be worth showing.
const ALIKE: f64 = 0.6;

/// The lines that are most like those that are wanted: where most of these are, else where one like the first is.
pub(crate) fn nearest(lines: &[&[u8]], wanted: &[&[u8]]) -> Vec<Nearest> {
    let Some(at) = most_of(lines, wanted).or_else(|| like_the_first(lines, wanted)) else {
        return Vec::new();
    };
    let shown = lines.iter().enumerate().skip(at).take(wanted.len().clamp(1, MOST_SHOWN));
    shown.map(|(place, line)| Nearest { line: place + 1, text: shown_part(line) }).collect()
}

fn shown_part(line: &[u8]) -> String {
    let part = line.get(..MOST_OF_A_LINE).unwrap_or(line);
    String::from_utf8_lossy(part)
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

/// Where most of the lines stand that are wanted, each in its place.
fn most_of(lines: &[&[u8]], wanted: &[&[u8]]) -> Option<usize> {
    let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (place, line) in wanted.iter().enumerate().take(64) {
        let line = line.trim_ascii();
        if !line.is_empty() {
            let places = places.entry(line).or_default();
            // Of lines that are everywhere, each would count as often everywhere.
            if places.len() < MOST_EQUAL {
                places.push(place);
            }
        }
    }
    let mut votes: HashMap<usize, usize> = HashMap::new();
    for (at, line) in lines.iter().enumerate() {
        for place in places.get(line.trim_ascii()).into_iter().flatten() {
            *votes.entry(at.saturating_sub(*place)).or_default() += 1;
        }
    }
    votes.into_iter().max_by_key(|(at, votes)| (*votes, usize::MAX - at)).map(|(at, _)| at)
}

/// Where a line stands that is like the first that is wanted.
fn like_the_first(lines: &[&[u8]], wanted: &[&[u8]]) -> Option<usize> {
    let text = |line: &[u8]| shown_part(line.trim_ascii());
    let first = wanted.iter().map(|line| text(line)).find(|line| !line.is_empty())?;
    let likeness = |line: &&[u8]| strsim::normalized_damerau_levenshtein(&first, &text(line));
    let best = lines.iter().take(MOST_COMPARED).map(likeness).enumerate();
    let (at, how) =
        best.max_by(|(one_at, one), (other_at, other)| one.total_cmp(other).then(other_at.cmp(one_at)))?;
    (how >= ALIKE).then_some(at)
}
