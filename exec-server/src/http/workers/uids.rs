//! The users that principals' commands run as: a range of numbers that are nobody's.

use std::collections::BTreeSet;
use std::str::FromStr;

/// The first number that is not the system's (login.defs(5), `UID_MIN`).
const FIRST: u32 = 1000;

/// The user that stands for none (`nobody`), also where a number cannot be told.
const NOBODY: u32 = 65534;

/// A range of user numbers, first and last included. Groups have the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UidRange {
    first: u32,
    last: u32,
}

/// Why text is no range of user numbers.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no range of user numbers from {FIRST} up without {NOBODY}; an example: 200000-265533")]
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
                && range.first <= range.last
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

    /// The first of it.
    pub(super) fn first(self) -> u32 {
        self.first
    }

    /// The first that is not taken.
    pub(super) fn free(self, taken: &BTreeSet<u32>) -> Option<u32> {
        (self.first..=self.last).find(|uid| !taken.contains(uid))
    }

    /// The accounts (passwd(5)) that a number of it belongs to.
    pub(super) fn accounts(self, passwd: &str) -> Vec<&str> {
        let account = |line: &'_ str| {
            let mut fields = line.split(':');
            let (name, uid) = (fields.next()?, fields.nth(1)?.parse().ok()?);
            self.contains(uid).then_some(name.len())
        };
        passwd.lines().filter_map(|line| line.get(..account(line)?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_of_numbers_that_are_nobodys() {
        let range: UidRange = "200000-200002".parse().unwrap();
        assert_eq!(range.free(&BTreeSet::new()), Some(200_000));
        assert_eq!(range.free(&BTreeSet::from([200_000, 200_002])), Some(200_001));
        assert_eq!(range.free(&(200_000..=200_002).collect()), None);
        for text in ["", "5", "5-", "0-5", "999-2000", "3000-2000", "60000-70000", "1000-4294967295", "a-b"] {
            assert!(text.parse::<UidRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn accounts_in_a_range_are_found() {
        let passwd =
            "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbad\nbob:x:2000:1::/:/bin/sh\n";
        assert_eq!("1000-1999".parse::<UidRange>().unwrap().accounts(passwd), ["ann"]);
        assert!("200000-200002".parse::<UidRange>().unwrap().accounts(passwd).is_empty());
    }
}
