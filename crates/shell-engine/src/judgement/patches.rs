//! Judges patches: `apply_patch` that is about to be executed changes these files, and rules speak about files.
//!
//! Where the patch is: with the call that was made for it, or among the arguments. One that is read from standard input is
//! not known here; the program shows it among its arguments by executing itself once more, which the kernel's door sees.
//! What may be written at all is held by the sandbox, whatever is decided here.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use execpolicy::patch::PatchRule;
use execpolicy::{Decision, Policy};
use patches::Patch;
use patches::program::{is_check, is_named, patch_in};

use super::exec::Exec;
use super::verdict::{Approved, Judgement, SpokenRule, Unasked, Verdict};
use crate::approval::{Identity, Question};
use crate::visible::{code, inert, shortened, visible};

/// A patch that a call was made for.
#[derive(Debug)]
pub(crate) struct CallPatch {
    /// What it says.
    pub(crate) patch: Patch,
    /// The files that it changes, absolute and without links.
    pub(crate) places: Vec<PathBuf>,
    /// Those of them that are protected, and can be written in the call's sandbox for this patch's sake.
    pub(crate) protected: Vec<PathBuf>,
}

/// Whether a program is the one that applies patches.
pub(super) fn is_about(exec: &Exec) -> bool {
    is_named(exec.file.as_os_str()) || exec.argv.first().is_some_and(|name| is_named(name))
}

/// Files of a patch that are named in a question, and lines of it that are shown there.
const MOST_NAMED: usize = 5;
const MOST_LINES: usize = 56;
const LONGEST_LINE: usize = 200;

/// Judges the patch that a program is about to apply. `None`: no rule speaks about it, and nothing in it is protected.
pub(super) fn judge(
    policy: &Policy,
    exec: &Exec,
    call: Option<&CallPatch>,
    writable: &[PathBuf],
) -> Option<Judgement> {
    let unruled = policy.patch_rules().is_empty() && !policy.is_incomplete();
    if unruled && call.is_none_or(|call| call.protected.is_empty()) {
        return None;
    }
    let of_arguments;
    let (patch, places, protected) = match call {
        Some(call) => (&call.patch, &call.places, &call.protected[..]),
        // Nothing is written.
        None if is_check(exec.arguments()) => return None,
        None => {
            // What is no patch is for the program to say.
            let patch = Patch::read(&patch_in(exec.arguments())?).ok()?;
            let places = patches::places(&patch, &exec.workdir).ok()?;
            of_arguments = (patch, places);
            (&of_arguments.0, &of_arguments.1, &[][..])
        }
    };
    let mut judged = Judged { files: places.len(), ..Judged::default() };
    for place in places {
        let verdict = policy.patch(place, writable);
        let is_protected = protected.contains(place);
        let least = is_protected.then_some(Decision::Prompt);
        match verdict.decision.or(least) {
            None | Some(Decision::Allow) => {}
            Some(Decision::Prompt) => judged.asks(place, verdict.rule, is_protected),
            Some(Decision::Forbidden) => return Some(forbidden(place, verdict.rule)),
        }
    }
    (!judged.asked.is_empty()).then(|| judged.question(patch, exec, places))
}

fn forbidden(place: &Path, rule: Option<&PatchRule>) -> Judgement {
    let mut reason = format!("a patch may not change {}", shown(place));
    if let Some(rule) = rule {
        if let Some(why) = &rule.justification {
            reason.push_str(&format!(": {}", visible(why.as_bytes())));
        }
        reason.push_str(&format!(" (rule {})", rule.origin));
    }
    reason.push_str("; nothing was changed");
    Judgement {
        verdict: Verdict::Deny { reason },
        rule: None,
        patch_rule: rule.map(SpokenRule::of),
        about_input: None,
    }
}

/// What speaks for asking about a patch.
#[derive(Default)]
struct Judged<'r> {
    files: usize,
    /// The files that are asked about, and why.
    asked: Vec<(PathBuf, Option<&'r PatchRule>, bool)>,
}

impl<'r> Judged<'r> {
    fn asks(&mut self, place: &Path, rule: Option<&'r PatchRule>, is_protected: bool) {
        self.asked.push((place.to_owned(), rule, is_protected));
    }

    fn question(self, patch: &Patch, exec: &Exec, places: &[PathBuf]) -> Judgement {
        let named: Vec<String> =
            places.iter().take(MOST_NAMED).map(|place| shown_in(place, &exec.workdir)).collect();
        let more = self.files.saturating_sub(named.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let files = if self.files == 1 { "file" } else { "files" };
        let mut details = Vec::new();
        let mut cautions = Vec::new();
        for (place, _, _) in self.asked.iter().filter(|(_, _, is_protected)| *is_protected).take(MOST_NAMED) {
            cautions.push(format!("Careful: programs outside the sandbox obey {}.", shown(place)));
        }
        let rule = self.asked.iter().find_map(|(_, rule, _)| *rule);
        if let Some(rule) = rule {
            details.push(format!("Rule: {}", inert(&rule.origin.to_string())));
        }
        let lines: Vec<Vec<u8>> = patch.lines().collect();
        let of_line = |line: &Vec<u8>| shortened(&visible(line), LONGEST_LINE);
        details.extend(lines.iter().take(MOST_LINES).map(of_line));
        if lines.len() > MOST_LINES {
            details.push(format!("… {} more lines", lines.len() - MOST_LINES));
        }
        let why = match rule {
            Some(rule) => {
                rule.justification.clone().unwrap_or_else(|| "a rule asks about patches to it".into())
            }
            None if cautions.is_empty() => "some rule files are broken, so every patch is asked about".into(),
            None => "protected files are changed only when a person says so".into(),
        };
        let bound = places.iter().map(|place| place.as_os_str().as_bytes());
        let bound = bound.chain(lines.iter().map(Vec::as_slice)).chain(cautions.iter().map(String::as_bytes));
        let identity = Identity::of(bound.chain(details.iter().map(String::as_bytes)));
        let question = Question {
            program: exec.file.clone(),
            arguments: Vec::new(),
            workdir: exec.workdir.clone(),
            rule: None,
            danger: Some(why),
            identity,
            again: None,
            always: Vec::new(),
            scoped: Vec::new(),
            failed: None,
            gives_more: false,
            connection: None,
            // What was not shown whole counts for this once.
            once: !cautions.is_empty() || lines.len() > MOST_LINES,
            cautions,
            details,
            line: None,
            subject: Some(format!("change {} {files} ({}{more})", self.files, named.join(", "))),
        };
        let approved = Approved::Runs { why_inside: None };
        let verdict = Verdict::Ask { question: Box::new(question), approved, unasked: Unasked::Denies };
        Judgement { verdict, rule: None, patch_rule: rule.map(SpokenRule::of), about_input: None }
    }
}

fn shown(place: &Path) -> String {
    code(&shortened(&visible(place.as_os_str().as_bytes()), LONGEST_LINE))
}

/// A file as it is called from a folder.
fn shown_in(place: &Path, folder: &Path) -> String {
    shown(place.strip_prefix(folder).unwrap_or(place))
}
