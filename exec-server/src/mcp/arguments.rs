//! A tool's arguments, read one by one. Each mistake names the argument, what is wrong with its value, and a correct
//! example, so that an agent can mend its call.

use rmcp::model::JsonObject;
use serde_json::{Value, json};

use shell_engine::shell::RequestError;
use shell_engine::visible::{shortened, visible};

/// Characters of a wrong value that are repeated.
const MAX_SHOWN: usize = 80;

/// Names of unknown arguments that are repeated.
const MAX_UNKNOWN: usize = 10;

/// Why a call's arguments cannot be used; the texts are for the agent.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArgumentError {
    /// One that must be given is not.
    #[error("{name} is missing; example: {example}")]
    Missing { name: &'static str, example: String },
    /// One is not what it must be.
    #[error("{name} must be {expected}, got {got}; example: {example}")]
    Value { name: &'static str, expected: String, got: String, example: String },
    /// The command cannot be run as it is.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The same of a tool that has another name for the command.
    #[error("{}", .0.to_string().replacen("command", "cmd", 1))]
    Cmd(RequestError),
}

impl ArgumentError {
    /// The same, with other words for what it must be.
    pub(super) fn expecting(self, words: String) -> ArgumentError {
        match self {
            ArgumentError::Value { name, got, example, .. } => {
                ArgumentError::Value { name, expected: words, got, example }
            }
            ArgumentError::Missing { .. } | ArgumentError::Request(_) | ArgumentError::Cmd(_) => self,
        }
    }
}

/// The arguments of one call. `null` means absent, as Codex's server has it.
#[derive(Clone, Copy)]
pub(super) struct Arguments<'a> {
    given: Option<&'a JsonObject>,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(given: Option<&'a JsonObject>) -> Arguments<'a> {
        Arguments { given }
    }

    fn get(self, name: &str) -> Option<&'a Value> {
        self.given.and_then(|given| given.get(name)).filter(|value| !value.is_null())
    }

    /// Text, if it is given.
    pub(super) fn text(self, name: &'static str, example: &str) -> Result<Option<&'a str>, ArgumentError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, "a string", other, &json!({name: example}))),
        }
    }

    /// Text that must be given; `example` shows the whole call.
    pub(super) fn required(self, name: &'static str, example: &Value) -> Result<&'a str, ArgumentError> {
        match self.get(name) {
            None => Err(ArgumentError::Missing { name, example: example.to_string() }),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(wrong(name, "a string", other, example)),
        }
    }

    /// The name of something, which must be given; a number is one, too.
    pub(super) fn required_name(self, name: &'static str, example: &Value) -> Result<String, ArgumentError> {
        match self.get(name) {
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(_) | None => self.required(name, example).map(str::to_owned),
        }
    }

    /// A whole number from 0 to `most`, if it is given; `what` says of what.
    pub(super) fn number(
        self,
        name: &'static str,
        what: &str,
        most: u64,
        example: u64,
    ) -> Result<Option<u64>, ArgumentError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match whole(value).filter(|number| *number <= most) {
            Some(number) => Ok(Some(number)),
            None => {
                let expected = format!("a whole number of {what}, from 0 to {most}");
                Err(wrong(name, expected, value, &json!({name: example})))
            }
        }
    }

    /// Whether it is a number below zero, for those that are brought into their limits.
    pub(super) fn is_below_zero(self, name: &str) -> bool {
        self.get(name).and_then(Value::as_f64).is_some_and(|number| number < 0.0)
    }

    /// Yes or no, if it is given.
    pub(super) fn flag(self, name: &'static str) -> Result<Option<bool>, ArgumentError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_bool() {
            Some(flag) => Ok(Some(flag)),
            None => Err(wrong(name, "true or false", value, &json!({name: false}))),
        }
    }

    /// A sentence about the arguments that are not among `known`, if there are any.
    pub(super) fn unknown(self, known: &[&str]) -> Option<String> {
        let names = self.given?.keys().filter(|name| !known.contains(&name.as_str()));
        let names: Vec<String> = names.map(|name| shortened(&visible(name.as_bytes()), MAX_SHOWN)).collect();
        if names.is_empty() {
            return None;
        }
        let mut listed = names.iter().take(MAX_UNKNOWN).cloned().collect::<Vec<_>>().join(", ");
        if names.len() > MAX_UNKNOWN {
            listed.push_str(&format!(" and {} more", names.len() - MAX_UNKNOWN));
        }
        Some(format!("unknown arguments were ignored: {listed}; known are {}", known.join(", ")))
    }
}

/// The largest number up to which every whole one can be written as floating point.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// A whole number, also one that is written as `5000.0` or `5e3`, which is an integer too (JSON Schema 2020-12, section
/// 4.2.3).
fn whole(value: &Value) -> Option<u64> {
    let written =
        || value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=MAX_EXACT).contains(number));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole and within the range"
    )]
    value.as_u64().or_else(|| written().map(|number| number as u64))
}

/// An argument that is not what it must be.
pub(super) fn wrong(
    name: &'static str,
    expected: impl Into<String>,
    got: &Value,
    example: &Value,
) -> ArgumentError {
    let got = shortened(&got.to_string(), MAX_SHOWN);
    ArgumentError::Value { name, expected: expected.into(), got, example: example.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(value: &Value) -> Arguments<'_> {
        Arguments::new(value.as_object())
    }

    #[test]
    fn null_is_absent() {
        let value = json!({"text": null, "number": null, "flag": null});
        assert_eq!(given(&value).text("text", "x").unwrap(), None);
        assert_eq!(given(&value).number("number", "bytes", 9, 1).unwrap(), None);
        assert_eq!(given(&value).flag("flag").unwrap(), None);
    }

    #[test]
    fn numbers_have_bounds() {
        let value = json!({"limit": 10});
        assert_eq!(given(&value).number("limit", "bytes", 10, 1).unwrap(), Some(10));
        let error = given(&value).number("limit", "bytes", 9, 5).unwrap_err().to_string();
        assert_eq!(
            error,
            "limit must be a whole number of bytes, from 0 to 9, got 10; example: {\"limit\":5}"
        );
    }

    #[test]
    fn whole_numbers_may_be_written_as_clients_write_them() {
        let number = |text: &str| {
            let value: Value = serde_json::from_str(&format!("{{\"offset\":{text}}}")).unwrap();
            given(&value).number("offset", "bytes", u64::MAX, 1).map_err(|error| error.to_string())
        };
        for (text, meant) in
            [("5000", 5000), ("5000.0", 5000), ("5e3", 5000), ("-0", 0), ("18446744073709551615", u64::MAX)]
        {
            assert_eq!(number(text), Ok(Some(meant)), "{text}");
        }
        for text in ["18446744073709551616", "1e300", "-1", "1.5", "\"5\"", "true", "[1]"] {
            let error = number(text).unwrap_err();
            assert!(
                error.starts_with(
                    "offset must be a whole number of bytes, from 0 to 18446744073709551615, got "
                ),
                "{error}"
            );
            assert!(error.ends_with("; example: {\"offset\":1}"), "{error}");
        }
    }

    #[test]
    fn unknown_names_are_listed_and_long_ones_cut() {
        let value = json!({"command": "x", "cwd": "/", "\u{1b}[2K": 1});
        let note = given(&value).unknown(&["command", "workdir"]).unwrap();
        assert_eq!(note, "unknown arguments were ignored: cwd, \\u{1b}[2K; known are command, workdir");
        assert_eq!(given(&value).unknown(&["command", "cwd", "\u{1b}[2K"]), None);
        let many: JsonObject =
            (0..20).map(|number| (format!("{}{number}", "x".repeat(100)), json!(1))).collect();
        let note = Arguments::new(Some(&many)).unknown(&[]).unwrap();
        assert!(note.contains("and 10 more") && note.len() < 1200, "{note}");
    }
}
