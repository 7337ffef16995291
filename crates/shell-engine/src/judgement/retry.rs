//! What a program is asked about once that failed inside, because of what the kernel refused to it, where its profile would
//! have given that.
//!
//! It runs where it is first. Only what its profile grants is offered, and of that only what was refused, or all of it
//! where the profile confines the program.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use execpolicy::amend::suggest_retries;
use execpolicy::rights::Place;
use execpolicy::{Policy, Rights, RuleMatch, Run};
use sandbox::Plan;
use sandbox::resolve::real_path;

use super::by_rules::{self, Grounds};
use super::exec::Exec;
use super::git_settings::subcommand;
use super::verdict::{Outside, Retry};
use super::wording;
use crate::approval::Question;
use crate::visible::{code, shortened, visible};

/// Subcommands of Git's that talk to another side, or change what is protected: the others need nothing that they lack. Not those that
/// do not begin again in a work tree that they have left half-changed.
const OF_GIT: &[&str] = &[
    "branch",
    "checkout",
    "clone",
    "config",
    "fetch",
    "ls-remote",
    "merge",
    "pull",
    "push",
    "remote",
    "reset",
    "restore",
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
pub(crate) struct Refusals {
    known: Arc<Mutex<Refused>>,
    /// Places that are hidden from it, and that its profile would show.
    hidden: Arc<[PathBuf]>,
}

#[derive(Clone, Debug, Default)]
struct Refused {
    network: bool,
    /// What it would have written.
    writes: BTreeSet<PathBuf>,
    /// What it would have read.
    reads: BTreeSet<PathBuf>,
}

impl Refusals {
    /// Whether it counts what is read.
    pub(crate) fn counts_reading(&self) -> bool {
        !self.hidden.is_empty()
    }

    /// A file or folder was opened to be read, by its full path: noted where that is hidden.
    pub(crate) fn note_read(&self, path: &Path) {
        if self.hidden.iter().any(|place| path.starts_with(place)) {
            let mut known = self.lock();
            if known.reads.len() < MOST_PATHS {
                known.reads.insert(path.to_owned());
            }
        }
    }

    /// A connection met no route.
    pub(crate) fn note_network(&self) {
        self.lock().network = true;
    }

    /// A file or folder could not be written.
    pub(crate) fn note_write(&self, path: PathBuf) {
        let mut known = self.lock();
        if known.writes.len() < MOST_PATHS {
            known.writes.insert(path);
        }
    }

    fn read(&self) -> Refused {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Refused> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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
        let gives = !granted.hosts.is_empty()
            || !granted.write.is_empty()
            || !granted.read.is_empty()
            || !granted.protected.is_empty();
        let is_held = outside.run == rights.run && concerns.cautions.is_empty();
        let home = grounds.environment.of_server("HOME").map(PathBuf::from);
        (gives && is_held).then(|| Retry { outside: Box::new(outside), concerns, rights, home })
    }

    /// What is refused to it from now on, in a sandbox with this plan.
    pub(crate) fn refusals(&self, plan: &Plan) -> Refusals {
        let covered = |real: &PathBuf| {
            plan.hidden
                .iter()
                .chain(&plan.emptied)
                .any(|hidden| real.starts_with(hidden) || hidden.starts_with(real))
        };
        let named = self.outside.granted.read.iter().map(|place| (place, real_path(place)));
        let hidden = named.filter(|(_, real)| covered(real)).flat_map(|(place, real)| [place.clone(), real]);
        Refusals { hidden: hidden.collect(), ..Refusals::default() }
    }

    /// The part of it that was refused, as it is told of; `None`: nothing was, that it would give.
    pub(super) fn for_what(mut self, exec: &Exec, refusals: &Refusals) -> Option<(Retry, String)> {
        let Refused { network, writes, mut reads } = refusals.read();
        reads.retain(|path| path.exists());
        let granted = &mut self.outside.granted;
        let has_network = network && !granted.hosts.is_empty() && granted.denied_hosts.is_empty();
        let refused_of = |granted: &[PathBuf], refused: &BTreeSet<PathBuf>| -> Vec<PathBuf> {
            let is_refused = |place: &&PathBuf| {
                let real = real_path(place);
                refused.iter().any(|path| path.starts_with(place) || path.starts_with(&real))
            };
            granted.iter().filter(is_refused).cloned().collect()
        };
        let written = refused_of(&granted.write, &writes);
        let read = refused_of(&granted.read, &reads);
        // Git replaces what it protects by way of NAME.lock.
        let unlocked = |path: &PathBuf| match path.extension() {
            Some(lock) if lock == "lock" => path.with_extension(""),
            Some(_) | None => path.clone(),
        };
        let lies_in = |path: &Path, name: &str| path.ancestors().any(|place| place.ends_with(name));
        let is_protected = |path: &PathBuf| granted.protected.iter().any(|name| lies_in(path, name));
        // A clone that is there is not made again; its files can be checked out.
        let is_clone = subcommand(exec.arguments()).is_some_and(|(_, name)| name == "clone");
        let may_help = |path: &PathBuf| !is_clone || path.iter().any(|part| part == ".git");
        let mut protected: Vec<PathBuf> = writes.iter().map(unlocked).filter(is_protected).collect();
        if !protected.iter().all(may_help) {
            return None;
        }
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
        let at_home = |paths: &[PathBuf]| -> Vec<PathBuf> {
            paths.iter().map(|path| tilde(path, self.home.as_deref())).collect()
        };
        let (read_at_home, written_at_home) = (at_home(&read), at_home(&written));
        let below: Vec<PathBuf> = protected.iter().map(|path| below(path, &exec.workdir)).collect();
        let paths: Vec<PathBuf> = written_at_home.iter().chain(&below).cloned().collect();
        let to_do =
            |what: &str, paths: &[PathBuf]| (!paths.is_empty()).then(|| format!("{what} {}", named(paths)));
        let parts = [has_network.then_some(hosts), to_do("reading", &read_at_home), to_do("writing", &paths)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let refused = match &*parts {
            [] => return None,
            [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
            _ => parts.concat(),
        };
        granted.protected.retain(|name| protected.iter().any(|path| lies_in(path, name)));
        self.rights.grants.protected.clone_from(&granted.protected);
        if self.outside.run == Run::Inside {
            granted.hosts.retain(|_| has_network);
            granted.write = written;
            granted.read = read;
            granted.protected.clear();
            let grants = &mut self.rights.grants;
            *grants = execpolicy::rights::Grants::default();
            grants.hosts = granted.hosts.clone();
            let places = |paths: &[PathBuf]| {
                paths.iter().filter_map(|path| Place::parse(path.to_str()?).ok()).collect()
            };
            (grants.read, grants.write) = (places(&read_at_home), places(&written_at_home));
            self.rights.profile = None;
            self.outside.profile = None;
        }
        Some((self, refused))
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
