//! What was compared, as a chart of text: each ratio as a bar, with its goal.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

/// Columns of the longest bar, and the ratio that it stands for; longer ones are cut.
const COLUMNS: f64 = 40.0;
const LARGEST: f64 = 4.0;

static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

struct Row {
    what: String,
    ratio: f64,
    goal: f64,
}

/// Remembers one comparison: how often as long it took as plainly, and how often it may.
pub(crate) fn add(what: &str, ratio: f64, goal: f64) {
    let row = Row { what: what.to_owned(), ratio, goal };
    ROWS.lock().unwrap_or_else(PoisonError::into_inner).push(row);
}

/// Tells whether nothing was compared.
pub(crate) fn is_empty() -> bool {
    ROWS.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
}

/// Draws all of them. `|` is the goal.
pub(crate) fn draw() -> String {
    let rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut chart = format!("{}\n\n", machine());
    for Row { what, ratio, goal } in rows.iter() {
        let (length, mark) = (columns(*ratio), columns(*goal));
        let cell = |at: usize| match (at == mark, at < length) {
            (true, _) => '|',
            (false, true) => '#',
            (false, false) => ' ',
        };
        let bar: String = (0..=length.max(mark)).map(cell).collect();
        let _ = writeln!(chart, "{what:<44} {ratio:>5.2}  {}", bar.trim_end());
    }
    chart
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the width of a line"
)]
fn columns(ratio: f64) -> usize {
    (ratio.clamp(0.0, LARGEST) / LARGEST * COLUMNS).round() as usize
}

/// The machine, and when.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = read("/proc/loadavg");
    format!(
        "Linux {}, {cores} cores ({}), load {}",
        read("/proc/sys/kernel/osrelease").trim(),
        model.map_or("unknown", |(_, model)| model.trim()),
        load.split(' ').next().unwrap_or_default()
    )
}
