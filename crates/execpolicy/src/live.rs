//! Rules that follow their files: a good change applies to the next command, a bad one leaves the last good rules in force.
//!
//! Changes are seen by asking for the files' metadata before each use, which takes microseconds; nothing watches and nothing runs in the background.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::errors::LoadErrors;
use crate::load::{RuleSource, load, rule_files};
use crate::policy::Policy;

/// The rules of some sources, as they are now.
#[derive(Debug)]
pub struct LiveRules {
    sources: Vec<RuleSource>,
    policy: Arc<Policy>,
    /// What the files looked like when they were last read.
    seen: Look,
    trouble: Option<LoadErrors>,
}

/// What the files looked like at one moment; two looks are equal when nothing was changed between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look(Vec<Stamp>);

/// What tells one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    file: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
    /// Device, inode and time of the last change of the inode: an editor that keeps length and time of a file still changes these.
    identity: (u64, u64, i64, i64),
}

impl LiveRules {
    /// Reads the sources for the first time.
    ///
    /// # Errors
    /// All errors of all files: a server does not start with broken rules.
    pub fn start(sources: Vec<RuleSource>) -> Result<Self, LoadErrors> {
        let seen = look(&sources);
        let policy = Arc::new(load(&sources).strict()?);
        Ok(Self { sources, policy, seen, trouble: None })
    }

    /// Reads the sources for the first time and goes on without the broken ones; until they are mended, nothing is allowed without asking.
    #[must_use]
    pub fn start_keeping_going(sources: Vec<RuleSource>) -> Self {
        let seen = look(&sources);
        let (policy, trouble) = load(&sources).keep_going();
        Self { sources, policy: Arc::new(policy), seen, trouble }
    }

    /// What the files look like now. Asks for metadata only, which takes microseconds.
    #[must_use]
    pub fn look(&self) -> Look {
        look(&self.sources)
    }

    /// Whether the files are no longer those that were read.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.look() != self.seen
    }

    /// The rules in force, after a look at the files. Returns whether they were read again, well or not.
    pub fn refresh(&mut self) -> bool {
        let now = self.look();
        if now == self.seen {
            return false;
        }
        // Stamped before reading: a change while the files are read is seen next time.
        self.seen = now;
        match load(&self.sources).strict() {
            Ok(policy) => {
                self.policy = Arc::new(policy);
                self.trouble = None;
            }
            Err(errors) => self.trouble = Some(errors),
        }
        true
    }

    /// The rules in force.
    #[must_use]
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// What is wrong with the files as they are now; `None` when the rules in force are theirs.
    #[must_use]
    pub fn trouble(&self) -> Option<&LoadErrors> {
        self.trouble.as_ref()
    }
}

fn look(sources: &[RuleSource]) -> Look {
    let mut stamps = Vec::new();
    for source in sources {
        match source {
            RuleSource::Folder(folder) => stamp_folder(folder, &mut stamps),
            RuleSource::Named(path) if path.is_dir() => stamp_folder(path, &mut stamps),
            RuleSource::File(file) | RuleSource::Named(file) | RuleSource::Requirements(file) => {
                stamps.push(stamp(file))
            }
        }
    }
    Look(stamps)
}

/// The folder itself too, so that one that appears, goes or turns into a file is a change.
fn stamp_folder(folder: &Path, stamps: &mut Vec<Stamp>) {
    let readable = rule_files(folder);
    stamps.push(Stamp {
        file: folder.to_owned(),
        length: u64::from(readable.is_ok()),
        modified: None,
        identity: (0, 0, 0, 0),
    });
    stamps.extend(readable.unwrap_or_default().iter().map(|file| stamp(file)));
}

fn stamp(file: &Path) -> Stamp {
    let metadata = fs::metadata(file).ok();
    Stamp {
        file: file.to_owned(),
        length: metadata.as_ref().map_or(u64::MAX, fs::Metadata::len),
        modified: metadata.as_ref().and_then(|metadata| metadata.modified().ok()),
        identity: metadata.as_ref().map_or((0, 0, 0, 0), identity),
    }
}

#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> (u64, u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> (u64, u64, i64, i64) {
    (0, 0, 0, 0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::LiveRules;
    use crate::load::RuleSource;
    use crate::{Command, Decision, Options};

    fn decide(rules: &LiveRules) -> Decision {
        let words = ["a"];
        rules.policy().evaluate(&Command::from_words(&words).unwrap(), &Options::default()).decision()
    }

    fn write(folder: &Path, text: &str) {
        // As editors do: a new file in place of the old one.
        fs::write(folder.join("new"), text).unwrap();
        fs::rename(folder.join("new"), folder.join("a.rules")).unwrap();
    }

    #[test]
    fn good_changes_apply_and_bad_ones_do_not() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("rules");
        let mut rules = LiveRules::start(vec![RuleSource::Folder(folder.clone())]).unwrap();
        assert!(!rules.refresh());
        fs::create_dir(&folder).unwrap();
        write(&folder, "prefix_rule([\"a\"], \"forbidden\")");
        assert!(rules.refresh());
        assert_eq!(decide(&rules), Decision::Forbidden);
        write(&folder, "prefix_rule([\"a\"], \"forbiden\")");
        assert!(rules.refresh());
        assert_eq!(decide(&rules), Decision::Forbidden);
        assert!(rules.trouble().unwrap().to_string().contains("a.rules:1:1"));
        assert!(!rules.refresh());
        write(&folder, "prefix_rule([\"a\"], \"prompt\")");
        assert!(rules.refresh());
        assert!(rules.trouble().is_none());
        assert_eq!(decide(&rules), Decision::Prompt);
        fs::remove_file(folder.join("a.rules")).unwrap();
        assert!(rules.refresh());
        assert_eq!(decide(&rules), Decision::Allow);
    }

    #[test]
    fn keeping_going_asks_about_everything_until_the_file_is_mended() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().to_owned();
        write(&folder, "nonsense(");
        let sources = vec![RuleSource::Folder(folder.clone())];
        assert!(LiveRules::start(sources.clone()).is_err());
        let mut rules = LiveRules::start_keeping_going(sources);
        assert_eq!(decide(&rules), Decision::Prompt);
        write(&folder, "prefix_rule([\"a\"])");
        assert!(rules.refresh());
        assert_eq!(decide(&rules), Decision::Allow);
    }
}
