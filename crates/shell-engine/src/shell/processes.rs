//! The processes of a call: which of them are alive, inside the sandbox and outside.

use std::sync::Arc;
use std::time::Duration;

use super::command_line::shown_with_command;
use crate::interception::{AliveOutside, Escalated};
use crate::sandboxes::{Process, Remaining};
use schemars::JsonSchema;
use serde::Serialize;

/// A process of a call. Clients are shown those that live on when it has returned, under the name that they know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "BackgroundProcess", description = "A process that lives on when its call has returned.")]
pub struct CallProcess {
    /// Its number, as commands in the same sandbox see it, or as the system has it when it runs outside.
    pub pid: i32,
    /// Its command line, or the beginning of it.
    pub command: String,
    /// It was escalated, or started by a program that was. Commands in the sandbox cannot end it, `background_kill`
    /// can.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub outside_sandbox: bool,
}

impl std::fmt::Display for CallProcess {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let outside = if self.outside_sandbox { " (outside the sandbox)" } else { "" };
        write!(formatter, "{} {}{outside}", self.pid, self.command)
    }
}

/// What a call has started, to be asked what is left of it.
#[derive(Clone, Debug)]
pub(super) struct CallProcesses {
    /// The shell, and what it has started inside the sandbox.
    pub(super) shell: Arc<Process>,
    /// What was started outside.
    pub(super) escalated: Escalated,
    /// The execve-wrapper, as its command lines begin.
    pub(super) wrapper: Arc<str>,
    /// The beginning of the command, which is not in its shell's command line.
    pub(super) command: Arc<str>,
}

/// How long that may take, also where there is no session outside yet; and between two looks.
const BECOMING: Duration = Duration::from_millis(60);
const STARTING: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(4);

/// As a call's shell is started, and forks of it look until they execute something.
const SHELL: &str = "bash -c -- ";

/// Processes of a call that are alive.
#[derive(Clone, Debug, Default)]
pub(super) struct Alive {
    /// How many there are.
    pub(super) total: usize,
    /// The first of them.
    pub(super) listed: Vec<CallProcess>,
    /// Among them is one that has yet to execute what it was forked for, or that is judged.
    pub(super) is_becoming: bool,
    /// Another one is about to start outside.
    pub(super) is_starting: bool,
}

impl CallProcesses {
    /// What is alive, inside and outside the sandbox.
    pub(super) async fn alive(&self) -> Alive {
        let outside = self.escalated.alive().await;
        let mut inside = self.shell.alive().await;
        for (_, line) in &mut inside.listed {
            if let Some(shown) = shown_with_command(line, &self.command) {
                *line = shown;
            }
        }
        together(inside, outside, &self.wrapper)
    }

    /// What is alive when what was just forked has become what it is to be, outside the sandbox perhaps, or has ended.
    pub(super) async fn settled(&self) -> Alive {
        let begun = tokio::time::Instant::now();
        loop {
            let alive = self.alive().await;
            let may_take = if alive.is_starting { STARTING } else { BECOMING };
            if !(alive.is_becoming || alive.is_starting) || begun.elapsed() >= may_take {
                return alive;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until nothing is left.
    pub(super) async fn gone(&self) {
        self.shell.gone().await;
        self.escalated.gone().await;
    }
}

fn together(inside: Remaining, outside: AliveOutside, wrapper: &str) -> Alive {
    // Behind the kernel's door the wrapper has the command line of what it stands for.
    let is_wrapper = |(_, command): &(i32, String)| {
        wrapped(wrapper, command).is_some() || outside.awaited.contains(command)
    };
    let (wrappers, mut listed): (Vec<_>, Vec<_>) = inside.listed.into_iter().partition(is_wrapper);
    let before = listed.len();
    listed.retain(|(_, command)| !is_gits_own(command));
    let mut total = inside.total - (before - listed.len()).min(inside.total);
    total = total.saturating_add(outside.inside.total).saturating_add(outside.remaining.total);
    listed.extend(outside.inside.listed);
    let is_fork = |(_, command): &(i32, String)| command.starts_with(SHELL);
    let (is_starting, is_forked) = (outside.is_starting, listed.iter().any(is_fork));
    let is_becoming = is_forked || wrappers.len() > outside.awaited.len();
    if wrappers.len() <= outside.awaited.len() {
        // Each only waits for a program that is listed itself.
        total = total.saturating_sub(wrappers.len());
    } else {
        listed.extend(wrappers);
    }
    let named = |(pid, command): (i32, String), outside_sandbox| {
        let command = wrapped(wrapper, &command).map(str::to_owned).unwrap_or(command);
        CallProcess { pid, command, outside_sandbox }
    };
    let inside = listed.into_iter().map(|process| named(process, false));
    let outside = outside.remaining.listed.into_iter().map(|process| named(process, true));
    Alive { total, listed: inside.chain(outside).collect(), is_becoming, is_starting }
}

/// Git tidies up by itself, in the background where it is told to: nobody has started that and wants to end it.
fn is_gits_own(command: &str) -> bool {
    command.starts_with("git maintenance run ") && command.split(' ').any(|word| word == "--detach")
}

/// What the wrapper's command line (`WRAPPER FILE ARGV0 ARG…`) says that it wraps; it is being judged, or runs outside.
fn wrapped<'a>(wrapper: &str, command: &'a str) -> Option<&'a str> {
    let (_file, program) = command.strip_prefix(wrapper)?.strip_prefix(' ')?.split_once(' ')?;
    Some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remaining(processes: &[(i32, &str)]) -> Remaining {
        let listed = processes.iter().map(|(pid, command)| (*pid, (*command).to_owned())).collect();
        Remaining { total: processes.len(), listed }
    }

    #[test]
    fn a_program_outside_is_listed_once_and_one_that_is_judged_under_its_own_name() {
        let wrapper = "/with a blank/execve-wrapper";
        let waiting = format!("{wrapper} /bin/git git fetch");
        let inside = remaining(&[(3, "sleep 9"), (4, &waiting)]);
        let outside = AliveOutside {
            remaining: remaining(&[(70, "git fetch"), (71, "ssh")]),
            awaited: vec!["git fetch".into()],
            ..AliveOutside::default()
        };
        let Alive { total, listed, .. } = together(inside.clone(), outside, wrapper);
        let shown: Vec<_> =
            listed.iter().map(|one| (one.pid, one.command.as_str(), one.outside_sandbox)).collect();
        assert_eq!(
            (total, &shown[..]),
            (3, &[(3, "sleep 9", false), (70, "git fetch", true), (71, "ssh", true)][..])
        );
        let tidying = remaining(&[(3, "sleep 9"), (4, "git maintenance run --auto --quiet --detach")]);
        let Alive { total, listed, .. } = together(tidying, AliveOutside::default(), wrapper);
        assert_eq!((total, listed.len()), (1, 1));
        let same = remaining(&[(3, "sleep 9"), (4, "git fetch")]);
        let outside = AliveOutside {
            remaining: remaining(&[(70, "ssh")]),
            awaited: vec!["git fetch".into()],
            ..AliveOutside::default()
        };
        let Alive { total, listed, .. } = together(same, outside, wrapper);
        assert_eq!((total, listed[1].pid), (2, 70), "a wrapper that goes by the name of what it waits for");
        let tried = AliveOutside {
            inside: remaining(&[(5, "git fetch"), (6, "ssh")]),
            awaited: vec!["git fetch".into()],
            ..AliveOutside::default()
        };
        let Alive { total, listed, .. } = together(inside.clone(), tried, wrapper);
        let shown: Vec<_> = listed.iter().map(|one| (one.pid, one.outside_sandbox)).collect();
        assert_eq!((total, &shown[..]), (3, &[(3, false), (5, false), (6, false)][..]));
        let Alive { total, listed, .. } = together(inside, AliveOutside::default(), wrapper);
        assert_eq!((total, listed[1].command.as_str(), listed[1].outside_sandbox), (2, "git fetch", false));
        let becoming = |command: &str| {
            together(remaining(&[(4, command)]), AliveOutside::default(), wrapper).is_becoming
        };
        assert!(becoming("bash -c -- git fetch &") && becoming(&waiting) && !becoming("git fetch"));
    }
}
