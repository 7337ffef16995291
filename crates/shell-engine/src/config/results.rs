//! How results of tools are written: flags over the configuration file over the defaults.

use std::str::FromStr;

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

/// A word that names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no format of results; there are json and text")]
pub struct UnknownResultFormat(String);

impl FromStr for ResultFormat {
    type Err = UnknownResultFormat;

    fn from_str(word: &str) -> Result<ResultFormat, UnknownResultFormat> {
        match word {
            "json" => Ok(ResultFormat::Json),
            "text" => Ok(ResultFormat::Text),
            other => Err(UnknownResultFormat(other.to_owned())),
        }
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
