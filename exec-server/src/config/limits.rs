//! The bounds that calls keep: flags over the configuration file over the defaults.

use std::time::Duration;

use super::file::ShellToolTable;
use crate::shell::{AfterCall, Limits, MAX_TOKENS, UnknownAfterCall};

/// What was typed about the bounds of calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitSettings {
    /// A command's timeout when the caller gives none.
    pub default_timeout: Option<Duration>,
    /// The longest timeout that a caller gets.
    pub max_timeout: Option<Duration>,
    /// Tokens of output in an answer when the caller does not say.
    pub output_tokens: Option<u64>,
    /// Commands that run at once; more wait.
    pub concurrent_calls: Option<usize>,
    /// What becomes of background processes.
    pub after_call: Option<AfterCall>,
}

/// Why the bounds cannot be.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The configuration file's word is not one.
    #[error("background in the configuration file: {0}")]
    AfterCall(#[from] UnknownAfterCall),
    /// A number is out of range.
    #[error("{what} is {given}; it must be from {least} to {most}")]
    OutOfRange {
        /// The flag, which is also the key.
        what: &'static str,
        /// What was given.
        given: u128,
        /// The least.
        least: u128,
        /// The most.
        most: u128,
    },
}

/// The longest time between asking processes to end and killing them.
const MAX_GRACE: Duration = Duration::from_secs(60);

/// The most commands that can run at once.
const MAX_CALLS: usize = 4096;

/// Puts flags and file together.
pub(super) fn limits(settings: LimitSettings, file: &ShellToolTable) -> Result<Limits, LimitError> {
    let default = Limits::default();
    let milliseconds = |number: Option<u64>| number.map(Duration::from_millis);
    let after_call = file.background.as_deref().map(str::parse).transpose()?;
    let limits = Limits {
        default_timeout: settings
            .default_timeout
            .or(milliseconds(file.default_timeout_ms))
            .unwrap_or(default.default_timeout),
        max_timeout: settings.max_timeout.or(milliseconds(file.max_timeout_ms)),
        grace: milliseconds(file.grace_ms).unwrap_or(default.grace),
        output_tokens: settings.output_tokens.or(file.max_output_tokens).unwrap_or(default.output_tokens),
        concurrent_calls: settings.concurrent_calls.or(file.max_calls).unwrap_or(default.concurrent_calls),
        after_call: settings.after_call.or(after_call).unwrap_or_default(),
        spool: default.spool,
    };
    let calls = u128::try_from(limits.concurrent_calls).unwrap_or(u128::MAX);
    let most_calls = u128::try_from(MAX_CALLS).unwrap_or(u128::MAX);
    for (what, given, least, most) in [
        ("max-output-tokens", limits.output_tokens.into(), 0, MAX_TOKENS.into()),
        ("max-calls", calls, 1, most_calls),
        ("grace_ms", limits.grace.as_millis(), 0, MAX_GRACE.as_millis()),
    ] {
        if !(least..=most).contains(&given) {
            return Err(LimitError::OutOfRange { what, given, least, most });
        }
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_before_the_file_and_the_file_before_the_defaults() {
        let file = ShellToolTable {
            default_timeout_ms: Some(1000),
            max_output_tokens: Some(7),
            background: Some("end".into()),
            ..ShellToolTable::default()
        };
        let settings = LimitSettings { output_tokens: Some(8), ..LimitSettings::default() };
        let made = limits(settings, &file).unwrap();
        assert_eq!(
            made,
            Limits {
                default_timeout: Duration::from_secs(1),
                output_tokens: 8,
                after_call: AfterCall::End,
                ..Limits::default()
            }
        );
    }

    #[test]
    fn what_cannot_be_is_named() {
        let problem = |settings, file: &ShellToolTable| limits(settings, file).unwrap_err().to_string();
        let none = LimitSettings { concurrent_calls: Some(0), ..LimitSettings::default() };
        assert_eq!(problem(none, &ShellToolTable::default()), "max-calls is 0; it must be from 1 to 4096");
        let file = ShellToolTable { background: Some("die".into()), ..ShellToolTable::default() };
        assert!(problem(LimitSettings::default(), &file).contains("`die`"));
    }
}
