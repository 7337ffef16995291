//! How results of tools are written: flags over the configuration file over the defaults.

use std::str::FromStr;

use super::word::{UnknownWord, meaning};

/// How results of tools are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResultFormat {
    /// As JSON, in the text and as structured content.
    #[default]
    Json,
    /// As the bare output, with a line about how it ended where there is something to say; without structured content.
    Text,
}

impl FromStr for ResultFormat {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<ResultFormat, UnknownWord> {
        let words = [("json", ResultFormat::Json), ("text", ResultFormat::Text)];
        meaning(word, "format of results", &words)
    }
}

/// What was typed about results.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResultSettings {
    /// How they are written.
    pub format: Option<ResultFormat>,
    /// A result with more output than it shows has a link to all of it (`resource_link`), which some clients cannot
    /// read.
    pub links: bool,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// Their format.
    pub format: ResultFormat,
    /// Whether a result with more output than it shows has a link to all of it.
    pub links: bool,
}

/// Puts flags and file together.
pub(super) fn results(
    settings: ResultSettings,
    format: Option<ResultFormat>,
    links: Option<bool>,
) -> Results {
    Results {
        format: settings.format.or(format).unwrap_or_default(),
        links: settings.links || links == Some(true),
    }
}
