//! What the commands of one user may use up together: memory and processor time, in the words of flags and of the file.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// Less is not enough for the sandbox's own processes and a shell.
const LEAST_BYTES: u64 = 16 << 20;

/// The least part of a processor that the kernel can give, in thousandths.
const LEAST_PROCESSOR: u32 = 10;

/// Bytes: `536870912`, `512M`, `2G`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(u64);

impl Bytes {
    /// How many.
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

/// Processors, in thousandths: `1.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processors(u32);

impl Processors {
    /// How many thousandths.
    pub(super) fn thousandths(self) -> u32 {
        self.0
    }
}

/// Words that say no bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBound {
    /// They are no bytes.
    #[error("`{0}` is no size: bytes from 16M, such as 512M, 2G or 536870912")]
    Bytes(String),
    /// They are no processors.
    #[error("`{0}` is no cpu_max: processors from 0.01, such as 1.5")]
    Processors(String),
}

impl FromStr for Bytes {
    type Err = BadBound;

    fn from_str(word: &str) -> Result<Bytes, BadBound> {
        let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let shift = match word.get(digits.len()..).unwrap_or_default() {
            "" => Some(0),
            "K" => Some(10),
            "M" => Some(20),
            "G" => Some(30),
            "T" => Some(40),
            _ => None,
        };
        let bytes =
            digits.parse::<u64>().ok().zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
        let bytes = bytes.filter(|bytes| (LEAST_BYTES..=i64::MAX as u64).contains(bytes));
        bytes.map(Bytes).ok_or_else(|| BadBound::Bytes(word.to_owned()))
    }
}

impl FromStr for Processors {
    type Err = BadBound;

    fn from_str(word: &str) -> Result<Processors, BadBound> {
        let bad = || BadBound::Processors(word.to_owned());
        let (whole, part) = word.split_once('.').unwrap_or((word, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || whole.len() > 5 {
            return Err(bad());
        }
        let part = format!("{part:0<3}").get(..3).and_then(|part| part.parse::<u32>().ok());
        let thousandths = whole.parse::<u32>().ok().zip(part).map(|(whole, part)| whole * 1000 + part);
        thousandths.filter(|number| *number >= LEAST_PROCESSOR).map(Processors).ok_or_else(bad)
    }
}

impl<'d> Deserialize<'d> for Bytes {
    fn deserialize<D: serde::Deserializer<'d>>(deserializer: D) -> Result<Bytes, D::Error> {
        Written::deserialize(deserializer)?.to_string().parse().map_err(serde::de::Error::custom)
    }
}

impl<'d> Deserialize<'d> for Processors {
    fn deserialize<D: serde::Deserializer<'d>>(deserializer: D) -> Result<Processors, D::Error> {
        Written::deserialize(deserializer)?.to_string().parse().map_err(serde::de::Error::custom)
    }
}

/// A number or a word.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Whole(i64),
    Number(f64),
    Word(String),
}

impl fmt::Display for Written {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Written::Whole(number) => number.fmt(formatter),
            Written::Number(number) => number.fmt(formatter),
            Written::Word(word) => word.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_parts_are_read() {
        let bytes = |word: &str| word.parse::<Bytes>().ok().map(|bytes| bytes.0);
        assert_eq!(bytes("512M"), Some(512 << 20));
        assert_eq!(bytes("536870912"), bytes("512M"));
        assert_eq!(bytes("2G"), Some(2 << 30));
        for bad in ["", "M", "15M", "1.5G", "-1", "512 M", "512MB", "16777216T", "0x20000000", "512m"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
        let processors = |word: &str| word.parse::<Processors>().ok().map(|part| part.0);
        assert_eq!(
            ["1", "1.5", "0.25", "16", "0.0101"].map(processors),
            [1000, 1500, 250, 16_000, 10].map(Some)
        );
        for bad in ["", "0", ".5", "1.", "-1", "1e3", "0.001", "x", "inf", "999999"] {
            assert_eq!(processors(bad), None, "{bad}");
        }
    }
}
