//! `policy learn`: rules that would have answered as people and rules have, from the record of decisions.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use execpolicy::Decision;
use execpolicy::amend::{Observed, learn};
use shell_engine::audit::{self, ActionKind, AnswerKind, RightsRecord};
use shell_engine::{find_codex_home, find_program};

use crate::cli::audit::since;

/// Prints the smallest rules that would have decided as it was decided
///
/// Read from the record of decisions: what rules let out, what people have allowed, and what was refused. Programs that simply ran
/// inside the sandbox need no rule. Each rule has examples from the record; those that allow more than was seen are marked. Put
/// what you want to keep into $CODEX_HOME/shell-tool/rules/.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes:\n  0  done\n  1  there is no record, or it cannot be read\n  2  the arguments are wrong"
)]
pub(super) struct LearnArguments {
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

impl LearnArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let codex_home = find_codex_home(self.codex_home)?;
        let decisions = audit::recorded(&codex_home, self.session, self.since)?;
        if let Some(session) = self.session.filter(|_| decisions.is_empty()) {
            anyhow::bail!(
                "the record has no decision of a server {session}; `audit show` lists them, ID/CALL"
            );
        }
        let observed: Vec<Observed> = decisions.iter().filter_map(observed).collect();
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "# Learned from {} of {} recorded decisions. Read before use.",
            observed.len(),
            decisions.len()
        )?;
        for rule in learn(&observed) {
            writeln!(out, "{rule}")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The name of a program where that means this one to the user, else its path.
fn named(program: &str) -> String {
    let name = Path::new(program).file_name().filter(|name| {
        find_program(name)
            .is_some_and(|found| found.canonicalize().ok() == Path::new(program).canonicalize().ok())
    });
    name.map_or_else(|| program.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// What can be learned from a decision; nothing where nobody has decided, or the command line is not known whole.
fn observed(decision: &audit::Decision) -> Option<Observed> {
    let answer = decision.asked.as_ref().map(|asked| asked.answer);
    let decided = match (decision.decision, answer) {
        // What a program's profile has it start is no rule's.
        (ActionKind::Escalate, None) if decision.rule.is_none() => return None,
        (ActionKind::Escalate, _) => Decision::Allow,
        (
            ActionKind::Run,
            Some(AnswerKind::Once | AnswerKind::Inside | AnswerKind::Session | AnswerKind::Always),
        ) => Decision::Allow,
        (ActionKind::Deny, Some(AnswerKind::Declined)) => Decision::Forbidden,
        (ActionKind::Deny, None) if decision.rule.is_some() => Decision::Forbidden,
        (ActionKind::Deny, Some(AnswerKind::Nobody)) => Decision::Prompt,
        (ActionKind::Run | ActionKind::Deny, _) => return None,
    };
    if decision.cut.is_some() {
        return None;
    }
    let arguments = decision.argv.iter().skip(1).cloned();
    let words = std::iter::once(named(&decision.program)).chain(arguments).collect();
    let rights = match (&decision.rights, decision.decision) {
        (Some(rights), _) => rights.as_arguments(),
        (None, ActionKind::Run) => RightsRecord::inside().as_arguments(),
        (None, ActionKind::Escalate | ActionKind::Deny) => String::new(),
    };
    Some(Observed { words, decision: decided, rights })
}
