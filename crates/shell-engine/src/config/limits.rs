//! The bounds that calls keep: flags over the configuration file over the defaults.

use std::time::Duration;

use sandbox::Bounds;

use super::bounds::{Bytes, Processors};
use super::file::ShellToolTable;

/// Bytes of text for one token, roughly, as the successors of Codex's server count.
pub const BYTES_PER_TOKEN: u64 = 4;

/// Tokens of output in an answer when nothing else is said: with what is said about it, less than the 10,000 at which
/// Codex cuts.
pub const DEFAULT_TOKENS: u64 = 9_000;

/// The most that can be asked for: 1 MiB of text.
pub const MAX_TOKENS: u64 = (1 << 20) / BYTES_PER_TOKEN;

/// Commands that run at once when nothing else is said.
const DEFAULT_PLACES: usize = 64;

/// A command's timeout when the caller gives none; that of Codex's server, which agents know.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sessions that may run at once: as many as in Codex.
const DEFAULT_SESSIONS: usize = 64;

/// How long a session may be unused.
const DEFAULT_SESSION_IDLE: Duration = Duration::from_secs(60 * 60);

/// Enough for programs to save what they have at hand.
const GRACE: Duration = Duration::from_millis(500);

/// The bounds that calls keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A command's timeout when the caller gives none.
    pub default_timeout: Duration,
    /// The longest timeout that a caller gets.
    pub max_timeout: Option<Duration>,
    /// The time between asking a call's processes to end and killing them.
    pub grace: Duration,
    /// Tokens of output in an answer when the caller does not say.
    pub output_tokens: u64,
    /// What is kept of outputs that do not fit.
    pub spool: SpoolLimits,
    /// Commands that run at once; more wait.
    pub concurrent_calls: usize,
    /// What all commands together may use up.
    pub bounds: Bounds,
    /// What becomes of background processes.
    pub after_call: AfterCall,
    /// Sessions that may run at once.
    pub sessions: usize,
    /// How long one may be unused before it is ended.
    pub session_idle: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            default_timeout: DEFAULT_TIMEOUT,
            max_timeout: None,
            grace: GRACE,
            output_tokens: DEFAULT_TOKENS,
            spool: SpoolLimits::default(),
            concurrent_calls: DEFAULT_PLACES,
            bounds: Bounds::default(),
            after_call: AfterCall::default(),
            sessions: DEFAULT_SESSIONS,
            session_idle: DEFAULT_SESSION_IDLE,
        }
    }
}

/// How much is kept of outputs that do not fit into an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Bytes of one output.
    pub per_output: u64,
    /// Bytes of all outputs together.
    pub total: u64,
    /// Outputs that can be asked for; the oldest finished one goes first.
    pub outputs: usize,
}

impl Default for SpoolLimits {
    fn default() -> SpoolLimits {
        SpoolLimits { per_output: 64 << 20, total: 1 << 30, outputs: 256 }
    }
}

impl SpoolLimits {
    /// The same, of so many bytes together.
    fn of(self, total: u64) -> SpoolLimits {
        SpoolLimits { total, per_output: self.per_output.min(total), ..self }
    }
}

/// What becomes of the processes that a command leaves behind when its shell exits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterCall {
    /// They live on until the server ends.
    #[default]
    Live,
    /// They end with the call.
    End,
}

/// A word that says nothing about background processes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not say what becomes of background processes; the words are live and end")]
pub struct UnknownAfterCall(String);

impl std::str::FromStr for AfterCall {
    type Err = UnknownAfterCall;

    fn from_str(word: &str) -> Result<AfterCall, UnknownAfterCall> {
        match word {
            "live" => Ok(AfterCall::Live),
            "end" => Ok(AfterCall::End),
            _ => Err(UnknownAfterCall(word.to_owned())),
        }
    }
}

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
    /// How long a session may be unused before it is ended.
    pub session_idle: Option<Duration>,
    /// Memory of all commands together.
    pub memory_max: Option<Bytes>,
    /// Processors that all commands together may use.
    pub cpu_max: Option<Processors>,
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

/// The longest time that a session may be unused.
const MAX_SESSION_IDLE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

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
        bounds: bounds(settings, file),
        spool: file.max_kept_output.map_or(default.spool, |bytes| default.spool.of(bytes.number())),
        sessions: default.sessions,
        session_idle: settings
            .session_idle
            .or(file.session_idle_seconds.map(Duration::from_secs))
            .unwrap_or(default.session_idle),
    };
    let calls = u128::try_from(limits.concurrent_calls).unwrap_or(u128::MAX);
    let most_calls = u128::try_from(MAX_CALLS).unwrap_or(u128::MAX);
    for (what, given, least, most) in [
        ("max-output-tokens", limits.output_tokens.into(), 0, MAX_TOKENS.into()),
        ("max-calls", calls, 1, most_calls),
        ("session-idle", limits.session_idle.as_secs().into(), 1, MAX_SESSION_IDLE.as_secs().into()),
        ("grace_ms", limits.grace.as_millis(), 0, MAX_GRACE.as_millis()),
    ] {
        if !(least..=most).contains(&given) {
            return Err(LimitError::OutOfRange { what, given, least, most });
        }
    }
    Ok(limits)
}

/// Puts flags and file together. Whoever bounds memory or processors bounds all processes together, too, not those of each
/// sandbox alone.
fn bounds(settings: LimitSettings, file: &ShellToolTable) -> Bounds {
    let memory = settings.memory_max.or(file.memory_max).map(Bytes::number);
    let processor = settings.cpu_max.or(file.cpu_max).map(Processors::thousandths);
    let is_bounded = memory.is_some() || processor.is_some();
    let most = file.max_processes.unwrap_or(sandbox::Limits::default().processes);
    Bounds { memory, processor, processes: is_bounded.then_some(most) }
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

    #[test]
    fn kept_outputs_have_a_bound_of_their_own() {
        let file: ShellToolTable = toml::from_str("max_kept_output = \"32M\"").unwrap();
        let spool = limits(LimitSettings::default(), &file).unwrap().spool;
        assert_eq!((spool.total, spool.per_output), (32 << 20, 32 << 20));
    }

    #[test]
    fn the_file_has_numbers_or_words() {
        let read = |text: &str| toml::from_str::<ShellToolTable>(text).map_err(|error| error.to_string());
        for text in ["memory_max = \"512M\"\ncpu_max = 1.5", "memory_max = 536870912\ncpu_max = \"1.5\""] {
            let made = bounds(LimitSettings::default(), &read(text).unwrap());
            let expected = Bounds { memory: Some(512 << 20), processor: Some(1500), processes: Some(4096) };
            assert_eq!(made, expected, "{text}");
        }
        assert_eq!(bounds(LimitSettings::default(), &read("cpu_max = 2").unwrap()).processor, Some(2000));
        assert!(bounds(LimitSettings::default(), &read("max_processes = 7").unwrap()).is_none());
        assert!(read("memory_max = \"lots\"").unwrap_err().contains("no size"));
        assert!(read("cpu_max = -1").unwrap_err().contains("no cpu_max"));
    }
}
