//! How long a request waits for a command that may go on without it: Codex's limits, which models know.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::arguments::{ArgumentError, Arguments};

/// The argument's name.
pub(super) const YIELD: &str = "yield_time_ms";

/// Milliseconds that a request may wait which starts a command or writes to one.
pub(super) const SHORT: RangeInclusive<u64> = 250..=30_000;

/// Milliseconds that a request may wait which only asks.
pub(super) const POLL: RangeInclusive<u64> = 5_000..=300_000;

/// Reads how long to wait: what is out of range is brought into it, with a note. `None`: it is not said.
pub(super) fn read(
    arguments: Arguments<'_>,
    limits: &RangeInclusive<u64>,
    notes: &mut Vec<String>,
) -> Result<Option<Duration>, ArgumentError> {
    let wanted = match arguments.is_below_zero(YIELD) {
        true => Some(0),
        false => arguments.number(YIELD, "milliseconds", u64::MAX, *limits.start()).map_err(|error| {
            let (first, last) = (limits.start(), limits.end());
            error.expecting(format!("a whole number of milliseconds, from {first} to {last}"))
        })?,
    };
    let Some(wanted) = wanted else { return Ok(None) };
    let wait = wanted.clamp(*limits.start(), *limits.end());
    if wait != wanted {
        notes.push(format!(
            "{YIELD} was taken as {wait}: it is from {} to {} here",
            limits.start(),
            limits.end()
        ));
    }
    Ok(Some(Duration::from_millis(wait)))
}
