//! `audit …`: reads the record of decisions. Nothing is run, nothing is changed.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use chrono::{Days, Local, NaiveDate, NaiveDateTime, NaiveTime};
use clap::{Args, Subcommand};
use shell_engine::audit::{self, CallName, Filter, ShowError, VerifyError};
use shell_engine::find_codex_home;

/// Shows or checks the record of decisions, $CODEX_HOME/shell-tool-mcp/audit
#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Show(ShowArguments),
    Tree(TreeArguments),
    Verify(VerifyArguments),
}

/// Shows what was decided, oldest first: which program, by which rule, who was asked, how it ended
#[derive(Debug, Args)]
struct ShowArguments {
    /// The log's lines as they are (JSON), for scripts
    #[arg(long)]
    json: bool,

    /// Only what happened since then: yesterday, a time of yours (2026-11-24, "2026-11-24 05:00:00") or how long ago
    /// (90m, 2days)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<SystemTime>,

    /// Columns that lines are broken at; by default the terminal's
    #[arg(long, value_name = "COLUMNS")]
    width: Option<usize>,

    /// Not the programs that simply ran inside the sandbox, which nobody was asked about
    #[arg(long)]
    without_runs: bool,

    #[command(flatten)]
    place: Place,
}

/// Draws a call's programs as a tree: who has started whom, and what was decided. Who that was is known behind the
/// kernel's door
#[derive(Debug, Args)]
struct TreeArguments {
    /// The call: SERVER/CALL as `audit show` has them (4711/3), or CALL of the newest server that has one
    #[arg(value_name = "ID")]
    call: CallName,

    #[command(flatten)]
    place: Place,
}

/// Checks that no line was changed, removed or added: each carries the hash of the one before. Exit codes: 0 unbroken,
/// 1 broken, 2 not known (no log, or it cannot be read), 3 unbroken, but decisions are missing (rotated away, cut off,
/// or never written)
#[derive(Debug, Args)]
struct VerifyArguments {
    /// Also check that a line with this hash is in the log: one that an earlier check printed. Tells whether the log
    /// was cut or written anew since
    #[arg(long, value_name = "HASH")]
    head: Option<String>,

    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Place {
    /// The folder that the log is below; by default $CODEX_HOME, then ~/.codex
    #[arg(long, value_name = "FOLDER")]
    codex_home: Option<PathBuf>,
}

/// What `audit verify` came to.
enum Verified {
    Broken = 1,
    Unknown = 2,
    Missing = 3,
}

impl From<Verified> for ExitCode {
    fn from(verified: Verified) -> ExitCode {
        ExitCode::from(verified as u8)
    }
}

impl AuditArguments {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Show(arguments) => arguments.run(),
            Action::Tree(arguments) => arguments.run(),
            Action::Verify(arguments) => arguments.run(),
        }
    }
}

impl ShowArguments {
    fn run(self) -> anyhow::Result<ExitCode> {
        let codex_home = find_codex_home(self.place.codex_home)?;
        let terminal = || {
            let size = io::stdout().is_terminal().then(|| ratatui::crossterm::terminal::size().ok());
            size.flatten().map(|(columns, _)| usize::from(columns))
        };
        let filter = Filter {
            since: self.since,
            without_runs: self.without_runs,
            json: self.json,
            width: self.width.or_else(terminal),
        };
        let shown = audit::show(&codex_home, filter, &mut BufWriter::new(io::stdout().lock()));
        seen(shown).map(|_| ExitCode::SUCCESS)
    }
}

/// Whoever has closed the output has seen enough.
fn seen<T>(shown: Result<T, ShowError>) -> anyhow::Result<Option<T>> {
    match shown {
        Ok(shown) => Ok(Some(shown)),
        Err(ShowError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl TreeArguments {
    fn run(self) -> anyhow::Result<ExitCode> {
        let codex_home = find_codex_home(self.place.codex_home)?;
        let drawn = audit::tree(&codex_home, &self.call, &mut BufWriter::new(io::stdout().lock()));
        match seen(drawn)? {
            Some(false) => anyhow::bail!("no such call is in the audit log; `audit show` has them"),
            Some(true) | None => Ok(ExitCode::SUCCESS),
        }
    }
}

impl VerifyArguments {
    fn run(self) -> anyhow::Result<ExitCode> {
        let verified = find_codex_home(self.place.codex_home)
            .map_err(anyhow::Error::from)
            .and_then(|codex_home| Ok(audit::verify(&codex_home, self.head.as_deref())?));
        let intact = match verified {
            Ok(intact) => intact,
            Err(error) => {
                crate::say::report(&error);
                let broken =
                    matches!(error.downcast_ref(), Some(VerifyError::Broken(_) | VerifyError::NoSuchLine(_)));
                return Ok(if broken { Verified::Broken } else { Verified::Unknown }.into());
            }
        };
        let mut output = io::stdout().lock();
        for (name, extent) in [("decisions", &intact.decisions), ("runs", &intact.runs)] {
            writeln!(output, "{name} unbroken: {} lines in {} files", extent.lines, extent.files)?;
        }
        if intact.runs.first > 1 {
            writeln!(output, "the runs before line {} were rotated away", intact.runs.first)?;
        }
        for missing in &intact.missing {
            writeln!(output, "missing: {missing}")?;
        }
        writeln!(output, "head: {}", intact.decisions.head)?;
        Ok(if intact.missing.is_empty() { ExitCode::SUCCESS } else { Verified::Missing.into() })
    }
}

/// A time of the user's, or how long ago it was.
pub(crate) fn since(text: &str) -> Result<SystemTime, String> {
    let today = Local::now().date_naive();
    let day = match text {
        "today" => Some(today),
        "yesterday" => today.checked_sub_days(Days::new(1)),
        _ => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok(),
    };
    let local = day
        .map(|day| day.and_time(NaiveTime::MIN))
        .or_else(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok())
        .or_else(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").ok());
    // An hour that the clock leaves out or has twice: the earlier one shows more.
    if let Some(time) = local.and_then(|local| local.and_local_timezone(Local).earliest()) {
        return Ok(time.into());
    }
    if let Ok(time) = humantime::parse_rfc3339(text) {
        return Ok(time);
    }
    let ago: Duration = humantime::parse_duration(text).map_err(|error| {
        format!("neither a time, as in yesterday or 2026-11-24, nor how long ago, as in 90m ({error})")
    })?;
    let epoch = SystemTime::UNIX_EPOCH;
    Ok(SystemTime::now().checked_sub(ago).map_or(epoch, |time| time.max(epoch)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_understands_times_and_how_long_ago() {
        let midnight = since("2026-11-24").expect("a date");
        assert_eq!(since("2026-11-24 00:00:00"), Ok(midnight));
        assert_eq!(since("2026-11-24 05:00"), Ok(midnight + Duration::from_secs(5 * 3600)));
        let in_utc = since("2026-11-24T00:00:00Z").expect("a time");
        assert_eq!(humantime::format_rfc3339(in_utc).to_string(), "2026-11-24T00:00:00Z");
        let (yesterday, today) = (since("yesterday").expect("a day"), since("today").expect("a day"));
        let day = today.duration_since(yesterday).expect("in order").as_secs() / 3600;
        assert!((23..=25).contains(&day), "{day} hours");
        assert!(today <= SystemTime::now());
        assert!(since("2h").expect("a duration") <= SystemTime::now() - Duration::from_secs(7200));
        assert!(since("tomorrow").unwrap_err().starts_with("neither a time"));
        assert_eq!(since("9999999years"), Ok(SystemTime::UNIX_EPOCH));
    }
}
