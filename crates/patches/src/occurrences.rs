//! Where one row of numbers stands in another, in time in proportion to both, whatever they are (Knuth, Morris and Pratt).

/// All places where `wanted` stands in `all`, from the first on; they may overlap.
pub(crate) struct Occurrences<'a> {
    all: &'a [u32],
    wanted: &'a [u32],
    /// For each length of what was matched: how much of that is also a beginning of `wanted`.
    shorter: Vec<usize>,
    at: usize,
    matched: usize,
}

impl<'a> Occurrences<'a> {
    pub(crate) fn new(all: &'a [u32], wanted: &'a [u32]) -> Occurrences<'a> {
        let mut found = Occurrences { all, wanted, shorter: vec![0], at: 0, matched: 0 };
        for number in wanted.iter().skip(1) {
            found.matched = found.matched_with(*number);
            found.shorter.push(found.matched);
        }
        found.matched = 0;
        found
    }

    /// How much is matched once this number follows.
    fn matched_with(&self, number: u32) -> usize {
        let mut matched = self.matched;
        while matched > 0 && self.wanted.get(matched) != Some(&number) {
            matched = self.shorter.get(matched - 1).copied().unwrap_or_default();
        }
        matched + usize::from(self.wanted.get(matched) == Some(&number))
    }
}

impl Iterator for Occurrences<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.wanted.is_empty() {
            return None;
        }
        while let Some(number) = self.all.get(self.at) {
            self.matched = self.matched_with(*number);
            self.at += 1;
            if self.matched == self.wanted.len() {
                let found = self.at - self.matched;
                self.matched = self.shorter.last().copied().unwrap_or_default();
                return Some(found);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_places_are_found(all in prop::collection::vec(0..3_u32, 0..40), wanted in prop::collection::vec(0..3_u32, 1..6)) {
            let expected: Vec<usize> = all
                .windows(wanted.len())
                .enumerate()
                .filter(|(_, window)| *window == wanted)
                .map(|(at, _)| at)
                .collect();
            prop_assert_eq!(Occurrences::new(&all, &wanted).collect::<Vec<_>>(), expected);
        }
    }
}
