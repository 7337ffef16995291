//! `policy explain`: the answer for people.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use clap::Args;
use execpolicy::{Command, Heuristics, Nested, Options, Policy, ProgramToken};
use shell_engine::{Config, Settings, explain_host, find_program, preview, started_by};

use super::sources::SourceArguments;
use crate::cli::rules::HeuristicArguments;

/// Explains what the server would do with a command: which rule decides, where it is, and what would change
/// the answer
///
/// The command is judged as if it were executed in this folder, with this environment. It may be given as
/// words or, as agents give it, as one line of shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes:\n  0  the command was judged, whatever came of it\n  1  rules cannot be read, or are \
    wrong\n  2  the arguments are wrong"
)]
pub(super) struct ExplainArguments {
    #[command(flatten)]
    sources: SourceArguments,

    /// As the server's option of this name
    #[arg(long)]
    preserve_program_paths: bool,

    #[command(flatten)]
    heuristics: HeuristicArguments,

    /// What has started it, instead of the command's own shell: a command line, as in --by 'npm run x'. May be
    /// repeated, the nearest first. Behind the wrapper's door that is not known
    #[arg(long, value_name = "COMMAND")]
    by: Vec<String>,

    /// Instead of a command: what each rule that says nothing of rights gives now
    #[arg(long, conflicts_with_all = ["words", "by", "host"])]
    changes: bool,

    /// A host and a port that a program wants to connect to, instead of a command, as in packages.example.org:443; with
    /// --by, the programs that do. What rules grant to their own programs (`hosts`) is not looked at
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "words")]
    host: Option<String>,

    /// The program and its arguments
    #[arg(
        required_unless_present_any = ["changes", "host"],
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    words: Vec<OsString>,
}

impl ExplainArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let policy = self.sources.policy()?;
        if self.changes {
            return changes(&policy);
        }
        self.sources.warn(&policy)?;
        if let Some(host) = &self.host {
            let hosts = Config::new(Settings::default())?.hosts;
            let explained =
                explain_host(&policy, &hosts, host, &started_by(&self.by).map_err(anyhow::Error::msg)?)
                    .map_err(anyhow::Error::msg)?;
            writeln!(std::io::stdout().lock(), "{explained}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let config = Config::new(Settings::default());
        let Words { words, note } = understood(self.words);
        let (program, arguments) = words.split_first().context("no command was given")?;
        let found = find_program(program);
        let file = found.clone().unwrap_or_else(|| PathBuf::from(program));
        let cwd = std::env::current_dir().context("this folder is gone")?;
        let environment: Vec<_> = std::env::vars_os().collect();
        let ancestry = started_by(&self.by).map_err(anyhow::Error::msg)?;
        let command = Command::new(file.as_os_str(), arguments).with_cwd(&cwd).with_environment(&environment);
        let command = command.with_ancestry(&ancestry).at(SystemTime::now());
        let program_token =
            if self.preserve_program_paths { ProgramToken::FullPath } else { ProgramToken::Basename };
        // What a list of ours calls dangerous is asked about only where the command's own shell does it.
        let heuristics = if ancestry.is_the_shells() { self.heuristics.lists() } else { Heuristics::NONE };
        let nested = if ancestry.is_the_shells() { Nested::Judged } else { Nested::ExecutedLater };
        let plain = config.as_ref().map(|config| config.policy_options().plain).unwrap_or_default();
        let options = Options { program_token, heuristics, nested, plain };
        let mut out = std::io::stdout().lock();
        write!(out, "{}", policy.explain(&command, &options))?;
        let (outcome, here) = match config {
            Ok(config) => preview(&config, &policy, &options, (&file, arguments), &ancestry)
                .unwrap_or_else(|why| (why, Vec::new())),
            Err(error) => (format!("nothing runs: {error}"), Vec::new()),
        };
        writeln!(out, "in the server: {outcome}")?;
        for line in here {
            writeln!(out, "  {line}")?;
        }
        for note in note.iter().map(String::as_str).chain(found.is_none().then_some(NOT_FOUND)) {
            writeln!(out, "note: {note}")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Lists what existing rules mean, for whoever comes from a version in which each of them gave everything.
fn changes(policy: &Policy) -> anyhow::Result<ExitCode> {
    let options = Config::new(Settings::default()).map(|config| config.policy_options());
    let options = options.unwrap_or_default();
    let mut out = std::io::stdout().lock();
    let changes = policy.changes(&options);
    for (rule, rights) in &changes {
        writeln!(out, "{}: {rule}\n    runs {}", rule.origin, rights.in_words())?;
        if let Some(why) = rights.why() {
            writeln!(out, "    because it {why}")?;
        }
    }
    writeln!(out, "{} rules let something run and say nothing of rights", changes.len())?;
    Ok(ExitCode::SUCCESS)
}

const NOT_FOUND: &str = "the program was not found, so it was judged by its name alone";

/// A command's words, and what was made of those that were typed.
struct Words {
    words: Vec<OsString>,
    note: Option<String>,
}

/// Takes one word that holds several for a line of shell, which is what people copy from an agent.
fn understood(typed: Vec<OsString>) -> Words {
    let line = match &typed[..] {
        [line] => line
            .to_str()
            .filter(|line| line.trim().contains(char::is_whitespace) && !Path::new(line).exists()),
        _ => None,
    };
    let Some(line) = line else { return Words { words: typed, note: None } };
    let is_plain = !line
        .contains(['|', '&', ';', '<', '>', '(', ')', '$', '`', '\n', '*', '?', '[', '{', '~', '#', '=']);
    match shlex::split(line).filter(|_| is_plain) {
        Some(words) => Words {
            words: words.into_iter().map(OsString::from).collect(),
            note: Some("the one word was split as a shell splits it".into()),
        },
        None => Words {
            words: ["bash", "-c", line].map(OsString::from).into(),
            note: Some("the one word was taken for a script of Bash's; the server sees each program of it by itself, too".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_and_a_script_is_given_to_a_shell() {
        let words = |typed: &[&str]| understood(typed.iter().map(OsString::from).collect());
        assert_eq!(words(&["git push origin"]).words, ["git", "push", "origin"]);
        assert!(words(&["git push origin"]).note.is_some());
        assert_eq!(words(&["git commit -m 'a b'"]).words, ["git", "commit", "-m", "a b"]);
        assert_eq!(words(&["cd x && git push"]).words, ["bash", "-c", "cd x && git push"]);
        for plain in [&["git"][..], &["git", "push origin"]] {
            assert_eq!(words(plain).words, plain);
            assert_eq!(words(plain).note, None);
        }
    }
}
