//! What a program is asked about once that failed inside, because of what the kernel refused to it, where its profile would
//! have given that.
//!
//! It runs where it is first. Only what its profile grants is offered, and of that only what was refused, or all of it
//! where the profile confines the program.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use execpolicy::amend::suggest_retries;
use execpolicy::rights::Place;
use execpolicy::{Policy, Rights, RuleMatch, Run};
use sandbox::resolve::real_path;

use super::by_rules::{self, Grounds};
use super::exec::Exec;
use super::git_settings::subcommand;
use super::verdict::{Outside, Retry};
use super::wording;
use crate::approval::Question;
use crate::visible::{code, shortened, visible};

/// Subcommands of Git's that talk to another side, or change what is protected: the others need nothing that they lack.
const OF_GIT: &[&str] = &[
    "branch",
    "checkout",
    "clone",
    "config",
    "fetch",
    "ls-remote",
    "pull",
    "push",
    "remote",
    "submodule",
    "switch",
    "worktree",
];

/// Paths that are remembered of one program.
const MOST_PATHS: usize = 64;

/// Paths that a question names.
const MOST_NAMED: usize = 4;

/// What the kernel has refused to one program and all that it has started. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals(Arc<Mutex<Refused>>);

#[derive(Clone, Debug, Default)]
struct Refused {
    network: bool,
    /// What it would have written.
    writes: BTreeSet<PathBuf>,
}

impl Refusals {
    /// A connection met no route.
    pub(crate) fn note_network(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).network = true;
    }

    /// A file or folder could not be written.
    pub(crate) fn note_write(&self, path: PathBuf) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.writes.len() < MOST_PATHS {
            known.writes.insert(path);
        }
    }

    fn read(&self) -> Refused {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether a program may be one that is run once more: a profile has its name, and it runs as commands do.
pub(super) fn may_be(policy: &Policy, exec: &Exec, rule: Option<&RuleMatch>) -> bool {
    let is_first = exec.below.is_none() && exec.kept_inside.is_none();
    is_first && rights(policy, exec, rule).is_some()
}

/// What the profile of a program's name gives.
fn rights(policy: &Policy, exec: &Exec, rule: Option<&RuleMatch>) -> Option<Rights> {
    let name = exec.file.file_name()?.to_str()?;
    if name == "git"
        && !subcommand(exec.arguments()).is_some_and(|(_, name)| OF_GIT.iter().any(|one| name == *one))
    {
        return None;
    }
    let rights = policy.rights_of_program(name, rule.map(|matched| &matched.rule.origin))?;
    matches!(rights.run, Run::Inside | Run::Confined).then_some(rights)
}

impl Retry {
    /// Of a program that its profile would give something, if it is the program of that name.
    pub(super) fn of(grounds: &Grounds<'_>, exec: &Exec, rule: Option<&RuleMatch>) -> Option<Retry> {
        let rights = by_rules::with_a_yes(rights(grounds.policy, exec, rule)?);
        let (outside, concerns) = by_rules::outside(grounds, exec, &[], &rights, &exec.variables()).ok()?;
        let granted = &outside.granted;
        let gives = !granted.hosts.is_empty() || !granted.write.is_empty() || !granted.protected.is_empty();
        let is_held = outside.run == rights.run && concerns.cautions.is_empty();
        let home = grounds.environment.of_server("HOME").map(PathBuf::from);
        (gives && is_held).then(|| Retry { outside: Box::new(outside), concerns, rights, home })
    }

    /// The part of it that was refused, as it is told of; `None`: nothing was, that it would give.
    pub(super) fn for_what(mut self, exec: &Exec, refusals: &Refusals) -> Option<(Retry, String)> {
        let Refused { network, writes } = refusals.read();
        let granted = &mut self.outside.granted;
        let has_network = network && !granted.hosts.is_empty() && granted.denied_hosts.is_empty();
        let is_refused = |place: &PathBuf| {
            let place = real_path(place);
            writes.iter().any(|path| path.starts_with(&place))
        };
        let written: Vec<PathBuf> = granted.write.iter().filter(|place| is_refused(place)).cloned().collect();
        // Git replaces what it protects by way of NAME.lock.
        let unlocked = |path: &PathBuf| match path.extension() {
            Some(lock) if lock == "lock" => path.with_extension(""),
            Some(_) | None => path.clone(),
        };
        let is_protected = |path: &PathBuf| granted.protected.iter().any(|name| path.ends_with(name));
        let mut protected: Vec<PathBuf> = writes.iter().map(unlocked).filter(is_protected).collect();
        protected.dedup();
        let hosts: Vec<String> = granted.hosts.iter().map(ToString::to_string).collect();
        let hosts = match granted.hosts.iter().any(execpolicy::rights::HostPattern::is_everything) {
            true => "the network".to_owned(),
            false => format!("the network to {}", listed(&hosts)),
        };
        let named = |paths: &[PathBuf]| {
            let shown = |path: &PathBuf| shortened(&visible(path.as_os_str().as_encoded_bytes()), 200);
            listed(&paths.iter().map(shown).collect::<Vec<_>>())
        };
        let at_home: Vec<PathBuf> = written.iter().map(|path| tilde(path, self.home.as_deref())).collect();
        let below: Vec<PathBuf> = protected.iter().map(|path| below(path, &exec.workdir)).collect();
        let paths: Vec<PathBuf> = at_home.iter().chain(&below).cloned().collect();
        let parts =
            [has_network.then_some(hosts), (!paths.is_empty()).then(|| format!("writing {}", named(&paths)))];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            return None;
        }
        granted.protected.retain(|name| protected.iter().any(|path| path.ends_with(name)));
        self.rights.grants.protected.clone_from(&granted.protected);
        if self.outside.run == Run::Inside {
            granted.hosts.retain(|_| has_network);
            granted.write = written;
            granted.read.clear();
            granted.protected.clear();
            let grants = &mut self.rights.grants;
            *grants = execpolicy::rights::Grants::default();
            grants.hosts = granted.hosts.clone();
            let places = at_home.iter().filter_map(|path| Place::parse(path.to_str()?).ok());
            grants.write = places.collect();
            self.rights.profile = None;
            self.outside.profile = None;
        }
        Some((self, parts.join(" and ")))
    }

    /// The question about what was refused.
    pub(super) fn question(&self, exec: &Exec, refused: &str) -> Question {
        let name = exec.file.file_name().unwrap_or_default().to_owned();
        let words: Vec<OsString> = std::iter::once(name).chain(exec.arguments().iter().cloned()).collect();
        let question = wording::retry(
            exec,
            (&self.outside, &self.concerns),
            &self.rights,
            (&command_line(&words), refused),
        );
        let always = match question.once {
            true => Vec::new(),
            false => suggest_retries(&words, &self.rights),
        };
        Question { always, ..question }
    }

    /// What is to run.
    pub(super) fn into_outside(self) -> Box<Outside> {
        self.outside
    }
}

/// The words of a command as the question names it.
fn command_line(words: &[OsString]) -> String {
    let quoted = |word: &OsString| {
        let bytes = word.as_encoded_bytes();
        shlex::bytes::try_quote(bytes).map_or_else(|_| visible(bytes), |quoted| visible(&quoted))
    };
    code(&shortened(&words.iter().map(quoted).collect::<Vec<_>>().join(" "), 1000))
}

fn tilde(path: &Path, home: Option<&Path>) -> PathBuf {
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) => Path::new("~").join(rest),
        None => path.to_owned(),
    }
}

fn below(path: &Path, folder: &Path) -> PathBuf {
    path.strip_prefix(folder).unwrap_or(path).to_owned()
}

fn listed(values: &[String]) -> String {
    let named = values.get(..MOST_NAMED.min(values.len())).unwrap_or_default();
    match (values.len() - named.len(), named) {
        (0, [first @ .., last]) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        (0, _) => named.join(", "),
        (more, _) => format!("{} and {more} more", named.join(", ")),
    }
}
