//! The users that principals' commands run as: a range of numbers that are nobody's.

use std::collections::BTreeSet;
use std::str::FromStr;

/// The first number that is not the system's (login.defs(5), `UID_MIN`).
const FIRST: u32 = 1000;

/// The user that stands for none (`nobody`), also where a number cannot be told.
const NOBODY: u32 = 65534;

/// A range that systems leave alone: those of accounts, of `useradd`'s subordinate numbers, and of systemd's containers are
/// elsewhere.
pub(super) const EXAMPLE: &str = "2000000000-2000065535";

/// A range of user numbers, first and last included. Groups have the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UidRange {
    first: u32,
    last: u32,
}

/// Why text is no range of user numbers.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no range of user numbers from {FIRST} up without {NOBODY}; an example: {EXAMPLE}")]
pub struct UidRangeError(String);

impl FromStr for UidRange {
    type Err = UidRangeError;

    fn from_str(text: &str) -> Result<UidRange, UidRangeError> {
        let wrong = || UidRangeError(text.to_owned());
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u32>().ok();
        let range = number(first).zip(number(last)).map(|(first, last)| UidRange { first, last });
        // The last number of all means "as it is" to the system.
        let is_one = |range: &UidRange| {
            FIRST <= range.first
                && range.first < range.last
                && range.last < u32::MAX
                && !range.contains(NOBODY)
        };
        range.filter(is_one).ok_or_else(wrong)
    }
}

impl UidRange {
    /// Whether a number is in it.
    pub(super) fn contains(self, uid: u32) -> bool {
        (self.first..=self.last).contains(&uid)
    }

    /// The last of it, which is nobody's: it is tried with.
    pub(super) fn last(self) -> u32 {
        self.last
    }

    /// The first that is not taken.
    pub(super) fn free(self, taken: &BTreeSet<u32>) -> Option<u32> {
        (self.first..self.last).find(|uid| !taken.contains(uid))
    }

    /// Whose numbers of it are: accounts (passwd(5)), groups (group(5)), and those whom an account can become (subuid(5),
    /// subgid(5)).
    pub(super) fn taken(self, read: impl Fn(&str) -> String) -> Vec<String> {
        let mut taken = Vec::new();
        for (path, is_sub) in
            [("/etc/passwd", false), ("/etc/group", false), ("/etc/subuid", true), ("/etc/subgid", true)]
        {
            for line in read(path).lines() {
                let mut fields = line.split(':');
                let name = fields.next().unwrap_or_default();
                let mut number = |at| fields.nth(at).and_then(|field| field.trim().parse::<u64>().ok());
                let found = if is_sub {
                    number(0).zip(number(0)).map(|(first, count)| (first, first.saturating_add(count)))
                } else {
                    number(1).map(|one| (one, one.saturating_add(1)))
                };
                if found
                    .is_some_and(|(first, end)| first <= u64::from(self.last) && u64::from(self.first) < end)
                {
                    taken.push(format!("{name} ({path})"));
                }
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_of_numbers_that_are_nobodys() {
        let range: UidRange = "200000-200002".parse().unwrap();
        assert_eq!(range.free(&BTreeSet::new()), Some(200_000));
        assert_eq!(range.free(&BTreeSet::from([200_000])), Some(200_001));
        assert_eq!(range.free(&BTreeSet::from([200_000, 200_001])), None, "the last is for trials");
        for text in [
            "",
            "5",
            "5000-5000",
            "5-",
            "0-5",
            "999-2000",
            "3000-2000",
            "60000-70000",
            "1000-4294967295",
            "a-b",
        ] {
            assert!(text.parse::<UidRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_that_somebody_has_or_can_become_are_found() {
        let files = |path: &str| {
            let text = match path {
                "/etc/passwd" => "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbad\n",
                "/etc/group" => "root:x:0:\nstaff:x:5000:ann\n",
                "/etc/subuid" => "ann:100000:65536\nbad:x:y\n",
                "/etc/subgid" => "ann:200000:65536\n",
                _ => panic!("{path}"),
            };
            text.to_owned()
        };
        let taken = |range: &str| range.parse::<UidRange>().unwrap().taken(files);
        assert_eq!(taken("1000-1999"), ["ann (/etc/passwd)"]);
        assert_eq!(taken("4000-6000"), ["staff (/etc/group)"]);
        assert_eq!(taken("165534-165535"), ["ann (/etc/subuid)"]);
        assert_eq!(taken("150000-210000").len(), 2);
        assert!(taken("165536-199999").is_empty() && taken(EXAMPLE).is_empty());
    }
}
