//! What the server would do with a command, for `policy explain`: the judgement of a real call, without the call.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use execpolicy::{Ancestor, Ancestry, Command, Options, Policy, Rights, Run};

use super::by_rules::{Grounds, judge};
use super::environment::Environment;
use super::exec::{Exec, Starter};
use super::executes::Executed;
use super::granted;
use super::let_run::LetRun;
use super::lineage::Lineage;
use super::trust::Trust;
use super::verdict::{Approved, Outside, Unasked, Verdict};
use crate::config::Config;
use crate::programs::{FileState, Programs, look};

/// Says in one sentence what the server would do with a command that is executed in this folder, with this environment,
/// in the sandbox of the user's configuration; and what it would be granted here, a line for each kind.
///
/// # Errors
///
/// When the sandbox of the configuration cannot be worked out, so the server would run nothing; the text says why.
pub fn preview(
    config: &Config,
    policy: &Policy,
    options: &Options,
    (file, arguments): (&Path, &[OsString]),
    ancestry: &Ancestry,
) -> Result<(String, Vec<String>), String> {
    let plan = config.sandboxing.plan(&config.sandboxing.wanted(&[], None));
    let plan = plan.map_err(|error| format!("nothing runs: {error}"))?;
    let exec = here(file, arguments, ancestry)
        .map_err(|error| format!("nothing runs: this folder is gone ({error})"))?;
    let trust = Trust::new(Arc::new(Programs::new(&config.search_path())), Arc::new(plan));
    let grounds = Grounds {
        policy,
        options,
        legacy: None,
        environment: &Environment::new(Arc::clone(&config.environment), &exec.env),
        trust: &trust,
        let_run: &LetRun::default(),
        executed: &Executed::default(),
    };
    let command = Command::new(&exec.file, arguments).with_cwd(&exec.workdir).with_ancestry(ancestry);
    let variables = exec.variables();
    let evaluation = policy.evaluate(&command.with_environment(&variables), options);
    let rights = evaluation.rights();
    let lines = if rights.run == Run::Unconfined {
        Vec::new()
    } else {
        lines(rights, &trust, (&exec.workdir, policy))
    };
    Ok((in_words(judge(&grounds, &exec).verdict), lines))
}

fn lines(rights: &Rights, trust: &Trust, (workdir, policy): (&Path, &Policy)) -> Vec<String> {
    granted::in_words(&granted::granted(rights, trust, &|name| std::env::var_os(name), workdir, policy))
}

/// The ancestry of what is executed below these command lines, the nearest first, and below nothing else.
///
/// # Errors
///
/// Names the one that is no command line.
pub fn started_by(lines: &[String]) -> Result<Ancestry, String> {
    let program = |line: &String| {
        let words = shlex::split(line).filter(|words| !words.is_empty());
        let word = words.and_then(|words| words.into_iter().next());
        let word = word.ok_or_else(|| format!("`{line}` is no command line"))?;
        let found = find_program(OsStr::new(&word)).unwrap_or_else(|| PathBuf::from(&word));
        Ok(Arc::new(Ancestor::named(found.as_os_str())))
    };
    Ok(Ancestry::whole(lines.iter().map(program).collect::<Result<_, String>>()?))
}

/// The program as if a shell here executed it, or what it has started.
fn here(file: &Path, arguments: &[OsString], ancestry: &Ancestry) -> std::io::Result<Exec> {
    let workdir = std::env::current_dir()?;
    let opened = look(file);
    let env = std::env::vars_os().map(|(mut entry, value)| {
        entry.push("=");
        entry.push(value);
        entry
    });
    Ok(Exec {
        file: workdir.join(file),
        argv: std::iter::once(file.as_os_str().to_owned()).chain(arguments.iter().cloned()).collect(),
        env: env.collect(),
        directory: None,
        workdir,
        seen: opened.as_ref().and_then(FileState::of),
        opened,
        first_line: None,
        starter: if ancestry.is_the_shells() { Starter::Shell } else { Starter::Program(Vec::new()) },
        below: None,
        kept_inside: None,
        runs_as: None,
        lineage: Lineage { ancestry: ancestry.clone(), place: None, process: None },
        is_far: false,
        reads_input: false,
    })
}

fn in_words(verdict: Verdict) -> String {
    match verdict {
        Verdict::Run { why_inside: None } | Verdict::Try => "it runs inside the sandbox, unasked".into(),
        Verdict::Run { why_inside: Some(why) } => {
            format!("a rule allows it, but it runs inside the sandbox: {why}")
        }
        Verdict::Escalate(outside) => format!("it runs {}, unasked", way(&outside)),
        Verdict::Ask { approved: Approved::Escalates(outside), unasked: Unasked::Denies, .. } => {
            format!("it is asked about; a yes runs it {}", way(&outside))
        }
        Verdict::Ask {
            approved: Approved::Escalates(outside),
            unasked: Unasked::Runs { why_inside },
            ..
        } => {
            format!(
                "it is asked about, because {why_inside}; a yes runs it {}; when nobody can be asked, it runs inside",
                way(&outside)
            )
        }
        Verdict::Ask { approved: Approved::Runs { why_inside: None }, .. } => {
            "it is asked about; a yes runs it inside the sandbox".into()
        }
        Verdict::Ask { approved: Approved::Runs { why_inside: Some(why) }, .. } => {
            format!("it is asked about; a yes runs it inside the sandbox: {why}")
        }
        Verdict::Deny { .. } => "it is refused".into(),
    }
}

fn way(outside: &Outside) -> &'static str {
    match outside.run {
        Run::Inside => "inside the sandbox, with what it is granted",
        Run::Confined => "confined",
        Run::Outside => "outside the sandbox, with your rights, executing nothing that commands can write",
        Run::Unconfined => "outside the sandbox, with your rights",
    }
}

/// The file that a shell here would execute: as given when it has a slash, else the first of that name in `PATH`.
#[must_use]
pub fn find_program(program: &OsStr) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return std::path::absolute(program).ok();
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|file| {
        file.is_absolute() && file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
    })
}
