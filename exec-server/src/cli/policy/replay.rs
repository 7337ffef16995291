//! `policy replay`: how other rules would have decided what is on record, as a diff.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use execpolicy::{Command, DecidedBy, Decision, Heuristics, Nested, Options, Policy};
use shell_engine::audit::{self, ActionKind};
use shell_engine::{Config, RuleSource, Settings, find_codex_home, load_rules};

use crate::cli::audit::since;

/// Says how other rules would have decided about what is on record, as a diff
///
/// Each program of the record is judged by the rules of FILE alone, and listed where something else comes of it: `-` what came of
/// it then, `+` what would. Environments are not on record, so conditions on them count as not known.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes:\n  0  done, whatever came of it\n  1  there is no record, or the rules are wrong\n  2  the \
    arguments are wrong"
)]
pub(super) struct ReplayArguments {
    /// A rules file, or a folder of them
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Only what this server has decided: its process, as `audit show` has it before the slash
    #[arg(long, value_name = "ID")]
    session: Option<u32>,

    /// Only what happened since then: yesterday, a time of yours or how long ago (1h, 2days)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<SystemTime>,

    /// The folder that the record is below; by default $CODEX_HOME, then ~/.codex
    #[arg(long, value_name = "FOLDER")]
    codex_home: Option<PathBuf>,
}

/// A command line that something else would come of, what came of it, and what would.
type Change = (String, String, String);

impl ReplayArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let policy = load_rules(&[RuleSource::Named(self.file)])?;
        let codex_home = find_codex_home(self.codex_home)?;
        let decisions = audit::recorded(&codex_home, self.session, self.since)?;
        let options =
            Config::new(Settings::default()).map(|config| config.policy_options()).unwrap_or_default();
        let mut changes: BTreeMap<Change, usize> = BTreeMap::new();
        let (mut judged, mut differing) = (0_usize, 0_usize);
        for decision in decisions.iter().filter(|decision| decision.cut.is_none()) {
            judged += 1;
            let (before, after) = (then(decision), now(&policy, options, decision));
            if before != after {
                differing += 1;
                *changes.entry((typed(decision), before, after)).or_default() += 1;
            }
        }
        let mut out = std::io::stdout().lock();
        for ((command, before, after), times) in &changes {
            let times = if *times > 1 { format!("  ({times} times)") } else { String::new() };
            writeln!(out, "- {before:<10} {command}{times}\n+ {after:<10} {command}")?;
        }
        writeln!(out, "{differing} of {judged} decisions would be others")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What came of it: denied, asked, or how it ran.
fn then(decision: &audit::Decision) -> String {
    let run = decision.rights.as_ref().map_or("outside", |rights| rights.run.as_str());
    match (decision.decision, &decision.asked) {
        (_, Some(_)) => "asked".to_owned(),
        (ActionKind::Deny, None) => "denied".to_owned(),
        (ActionKind::Run, None) => "inside".to_owned(),
        (ActionKind::Escalate, None) => run.to_owned(),
    }
}

/// What would come of it.
fn now(policy: &Policy, options: Options, decision: &audit::Decision) -> String {
    let words: Vec<&String> =
        std::iter::once(&decision.program).chain(decision.argv.iter().skip(1)).collect();
    let Some(command) = Command::from_words(&words) else { return "inside".to_owned() };
    let command = command.with_cwd(Path::new(&decision.cwd)).at(SystemTime::now());
    // Each program of a command is on record by itself; what looks dangerous is asked about where the shell does it.
    let heuristics = if decision.parent.is_none() { options.heuristics } else { Heuristics::NONE };
    let options = Options { nested: Nested::ExecutedLater, heuristics, ..options };
    let evaluation = policy.evaluate(&command, &options);
    match (evaluation.decision(), evaluation.decided_by()) {
        (Decision::Forbidden, _) => "denied".to_owned(),
        (Decision::Prompt, _) => "asked".to_owned(),
        (Decision::Allow, DecidedBy::Rule) => evaluation.rights().run.word().to_owned(),
        (Decision::Allow, _) => "inside".to_owned(),
    }
}

fn typed(decision: &audit::Decision) -> String {
    let arguments = decision.argv.iter().skip(1).map(String::as_str);
    let words: Vec<&str> = std::iter::once(decision.program.as_str()).chain(arguments).collect();
    let line = shlex::try_join(words.iter().copied()).unwrap_or_else(|_| words.join(" "));
    shell_engine::visible::visible(line.as_bytes())
}
