//! The rules in force, now. Files that changed are read again before the next program is judged: a good
//! change applies, a bad one leaves the last good rules in force.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use execpolicy::Policy;
use execpolicy::legacy::LegacyPolicy;
use tokio::sync::Mutex;

use super::doubts::doubts;
use super::legacy::read_legacy_policy;
use super::load::{LoadErrors, load, load_again, on_deep_stack};
use super::settings::RuleFiles;
use super::sources::RuleSource;
use super::stamps::Stamps;
use crate::sys::release_code;
use crate::visible::shortened;

/// Characters of the errors that results carry; the log has all of them.
const MAX_TROUBLE: usize = 4000;

/// How long rules are believed to be those of their files where looking each time would cost more than judging: no
/// person changes them faster.
const BELIEVED: Duration = Duration::from_millis(50);

/// How long files must be left alone before they are read again.
const PAUSE: Duration = Duration::from_millis(10);

/// After so many pauses they are read all the same.
const MOST_PAUSES: u32 = 20;

/// The rules of one server.
#[derive(Debug)]
pub struct Rules {
    sources: Vec<RuleSource>,
    /// What commands are kept from, free of links.
    kept: Vec<PathBuf>,
    in_force: Arc<Mutex<InForce>>,
    /// What is wrong with the files, for those who read results.
    trouble: RwLock<Option<Arc<str>>>,
    /// What was probably a mistake in them at the start, a line each.
    doubts: Vec<String>,
    legacy: Option<(PathBuf, LegacyPolicy)>,
    legacy_trouble: Option<Arc<str>>,
    /// What stands for rules that have been broken since the start.
    broken: Broken,
    /// Rules that a person has made for as long as the server lives, and what they are called.
    session: std::sync::Mutex<String>,
    session_name: PathBuf,
}

/// The last good rules.
#[derive(Debug)]
struct InForce {
    policy: Arc<Policy>,
    /// What the files looked like when they were last read, well or not.
    seen: Stamps,
    /// When that was last found to be so for those who cannot wait.
    looked: Instant,
}

/// What becomes of commands as long as the rules were never good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// None runs.
    Refuses,
    /// The good files count, and every program that they do not forbid is asked about.
    Asks,
}

impl Rules {
    /// Reads the rules for the first time. Broken ones are told in each call: of a server that does not
    /// start, a client says nothing but that the connection was closed.
    #[must_use]
    pub fn start(found: RuleFiles) -> Rules {
        let RuleFiles { sources, legacy: legacy_file, left_out, keep_going, session, kept } = found;
        let legacy = legacy_file.as_deref().map(read_legacy_policy).transpose();
        let (legacy, legacy_trouble) = match legacy {
            Ok(legacy) => (legacy_file.zip(legacy), None),
            Err(error) => {
                let text = format!(
                    "the legacy policy cannot be used, so no command runs; mend it and start the server again:\n{error}"
                );
                tracing::error!("{text}");
                (None, Some(text.into()))
            }
        };
        let broken = if keep_going { Broken::Asks } else { Broken::Refuses };
        // Stamped before reading: a change while the files are read is seen next time.
        let seen = Stamps::of(&sources);
        let (policy, errors) = load(&sources);
        let trouble = RwLock::new(errors.map(|errors| told(&errors, &policy, broken)));
        let doubts = doubts(&policy, &sources, &left_out);
        release_code();
        Rules {
            sources,
            kept,
            in_force: Arc::new(Mutex::new(InForce {
                policy: Arc::new(policy),
                seen,
                looked: Instant::now(),
            })),
            trouble,
            doubts,
            legacy,
            legacy_trouble,
            broken,
            session: std::sync::Mutex::default(),
            session_name: session,
        }
    }

    /// Why no command may run: what is wrong with rules that have not been good since the start.
    pub async fn obstacle(self: &Arc<Self>) -> Option<String> {
        let refused = self.current().await.is_incomplete() && self.broken == Broken::Refuses;
        let trouble = if refused { self.trouble() } else { None };
        let told: Vec<&str> = trouble.iter().chain(&self.legacy_trouble).map(AsRef::as_ref).collect();
        (!told.is_empty()).then(|| told.join("\n"))
    }

    /// What was probably a mistake in the rules at the start, a line each.
    #[must_use]
    pub fn doubts(&self) -> &[String] {
        &self.doubts
    }

    /// The rules in force, after a look at their files. Takes microseconds; longer when a file has changed.
    pub async fn current(self: &Arc<Self>) -> Arc<Policy> {
        let mut in_force = Arc::clone(&self.in_force).lock_owned().await;
        let before = Arc::clone(&in_force.policy);
        if Stamps::of(&self.sources) == in_force.seen {
            in_force.looked = Instant::now();
            return before;
        }
        let rules = Arc::clone(self);
        // Beside the server's own work: a file may take a while. Others wait for it, and are judged by what
        // it says.
        let reading = tokio::task::spawn_blocking(move || {
            rules.read_again(&mut in_force);
            release_code();
            Arc::clone(&in_force.policy)
        });
        reading.await.unwrap_or_else(|error| {
            tracing::error!(%error, "reading the rules broke; those from before stay in force");
            before
        })
    }

    /// The rules in force, if nobody has to wait for them: their files are as they were, a moment ago at the latest.
    pub(crate) fn current_at_once(&self) -> Option<Arc<Policy>> {
        let mut in_force = self.in_force.try_lock().ok()?;
        if in_force.looked.elapsed() >= BELIEVED {
            if Stamps::of(&self.sources) != in_force.seen {
                return None;
            }
            in_force.looked = Instant::now();
        }
        Some(Arc::clone(&in_force.policy))
    }

    /// The rules in force, whatever their files look like now; waits while they are read again. Not for the runtime's
    /// threads.
    pub(crate) fn in_force(&self) -> Arc<Policy> {
        Arc::clone(&self.in_force.blocking_lock().policy)
    }

    /// Adds a rule that a person has made until the server ends.
    pub(crate) async fn add_for_session(self: &Arc<Self>, line: String) {
        let mut in_force = Arc::clone(&self.in_force).lock_owned().await;
        let rules = Arc::clone(self);
        let adding = tokio::task::spawn_blocking(move || {
            let mut session = rules.session.lock().unwrap_or_else(PoisonError::into_inner);
            let mut policy = (*in_force.policy).clone();
            match on_deep_stack(|| policy.add_text(&rules.session_name, &line, None)) {
                Ok(Ok(())) => {
                    session.push_str(&line);
                    session.push('\n');
                    in_force.policy = Arc::new(policy);
                }
                Ok(Err(error)) => tracing::error!(%error, "a rule for the session is none"),
                Err(error) => tracing::error!(%error, "a rule for the session was not read"),
            }
            release_code();
        });
        if let Err(error) = adding.await {
            tracing::error!(%error, "adding a rule for the session broke");
        }
    }

    /// The rules of the files with those of the session.
    fn with_session(&self, mut policy: Policy) -> Policy {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !session.is_empty()
            && let Ok(Err(error)) = on_deep_stack(|| policy.add_text(&self.session_name, &session, None))
        {
            tracing::error!(%error, "the rules for the session are none");
        }
        policy
    }

    fn read_again(&self, in_force: &mut InForce) {
        in_force.seen = still(&self.sources);
        let trouble = match load_again(&self.sources, &self.kept) {
            Ok(policy) => {
                if self.trouble().is_some() {
                    tracing::warn!("the rule files are mended; their rules are in force");
                }
                in_force.policy = Arc::new(self.with_session(policy));
                None
            }
            Err(errors) => Some(told(&errors, &in_force.policy, self.broken)),
        };
        *self.trouble.write().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// What is wrong with the rule files as they are now; `None` when the rules in force are theirs.
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.trouble.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The legacy policy, if there is one.
    pub(crate) fn legacy(&self) -> Option<&LegacyPolicy> {
        self.legacy.as_ref().map(|(_, policy)| policy)
    }

    /// The rule files that are there now.
    pub fn files(&self) -> Vec<PathBuf> {
        let legacy = self.legacy.iter().map(|(file, _)| file.clone());
        self.sources.iter().flat_map(|source| source.files().unwrap_or_default()).chain(legacy).collect()
    }
}

/// Waits until the files are left alone, and returns what they look like: who writes a file in place empties
/// it first, and what is read in that moment are no rules of anybody's.
fn still(sources: &[RuleSource]) -> Stamps {
    let mut before = Stamps::of(sources);
    for _ in 0..MOST_PAUSES {
        std::thread::sleep(PAUSE);
        let now = Stamps::of(sources);
        if now == before {
            return now;
        }
        before = now;
    }
    before
}

/// Logs what is wrong with the files, and returns what results say about it.
fn told(errors: &LoadErrors, in_force: &Policy, broken: Broken) -> Arc<str> {
    let consequence = match (in_force.is_incomplete(), broken) {
        (true, Broken::Refuses) => {
            "no command runs until they are mended (the server need not be started again)"
        }
        (true, Broken::Asks) => "every program is asked about until they are mended",
        (false, _) => "the rules from before stay in force until they are mended",
    };
    let text = format!("some rule files are broken, so {consequence}:\n{errors}");
    tracing::error!("{text}");
    shortened(&text, MAX_TROUBLE).into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use execpolicy::{Command, DecidedBy, Decision, Options};

    use super::*;
    use crate::rules::RuleSettings;

    struct Home {
        root: tempfile::TempDir,
        settings: RuleSettings,
    }

    impl Home {
        fn new() -> Home {
            let root = tempfile::tempdir().expect("a folder");
            for folder in ["home/rules", "system/rules"] {
                fs::create_dir_all(root.path().join(folder)).expect("a folder");
            }
            let settings =
                RuleSettings { system_folder: Some(root.path().join("system")), ..RuleSettings::default() };
            Home { root, settings }
        }

        fn write(&self, file: &str, text: &str) {
            fs::write(self.root.path().join(file), text).expect("written");
        }

        fn find(&self) -> RuleFiles {
            self.settings.find(&self.root.path().join("home")).expect("a folder")
        }

        fn start(&self) -> Arc<Rules> {
            Arc::new(Rules::start(self.find()))
        }
    }

    async fn decide(rules: &Arc<Rules>, word: &str) -> (Decision, DecidedBy) {
        let words = [word];
        let command = Command::from_words(&words).expect("a word");
        let evaluation = rules.current().await.evaluate(&command, &Options::default());
        (evaluation.decision(), evaluation.decided_by())
    }

    #[tokio::test]
    async fn a_link_that_comes_later_and_leads_elsewhere_is_not_followed() {
        let home = Home::new();
        home.write("home/rules/a.rules", "prefix_rule([\"a\"], \"forbidden\")");
        let rules = home.start();
        home.write("elsewhere.rules", "");
        let link = home.root.path().join("home/rules/b.rules");
        std::os::unix::fs::symlink(home.root.path().join("elsewhere.rules"), &link).expect("a link");
        let rule_count = rules.current().await.rules().len();
        let trouble = rules.trouble().expect("it is said");
        assert!(rule_count == 1 && trouble.contains("elsewhere.rules, which was not there"), "{trouble}");
        // The twin: a file of its own, and after the next start the link.
        fs::remove_file(link).expect("it is there");
        home.write("home/rules/b.rules", "prefix_rule([\"b\"])");
        assert_eq!((rules.current().await.rules().len(), rules.trouble()), (2, None));
    }

    #[tokio::test]
    async fn all_layers_count_and_the_administrator_only_tightens() {
        let mut home = Home::new();
        home.write("system/rules/a.rules", "prefix_rule([\"a\"], \"forbidden\")\nprefix_rule([\"s\"])\n");
        home.write(
            "system/requirements.toml",
            "[rules]\nprefix_rules = [{ pattern = [{ token = \"r\" }], decision = \"prompt\" }]\n",
        );
        home.write(
            "home/rules/b.rules",
            "prefix_rule([\"a\"])\nprefix_rule([\"r\"])\nprefix_rule([\"h\"])\n",
        );
        home.write("c.rules", "prefix_rule([\"n\"])\n");
        home.settings.named = vec![home.root.path().join("c.rules")];
        let rules = home.start();
        assert_eq!(decide(&rules, "a").await.0, Decision::Forbidden);
        assert_eq!(decide(&rules, "r").await.0, Decision::Prompt);
        for word in ["s", "h", "n"] {
            assert_eq!(decide(&rules, word).await, (Decision::Allow, DecidedBy::Rule), "{word}");
        }
        let places = home.find().places();
        for place in ["system/rules", "system/requirements.toml", "home/rules/b.rules", "c.rules"] {
            assert!(places.contains(&home.root.path().join(place)), "{place} in {places:?}");
        }
    }

    #[tokio::test]
    async fn a_broken_change_leaves_the_last_good_rules_and_is_told_until_it_is_mended() {
        let home = Home::new();
        home.write("home/rules/a.rules", "prefix_rule([\"a\"], \"forbidden\")\n");
        let rules = home.start();
        assert_eq!(decide(&rules, "a").await.0, Decision::Forbidden);
        assert_eq!(rules.trouble(), None);
        home.write("home/rules/a.rules", "prefix_rule([\"a\"], \"prompt\"\n");
        assert_eq!(decide(&rules, "a").await.0, Decision::Forbidden);
        let trouble = rules.trouble().expect("it is broken");
        assert!(trouble.contains("stay in force") && trouble.contains("a.rules:"), "{trouble}");
        home.write("home/rules/a.rules", "prefix_rule([\"a\"], \"prompt\")\n");
        assert_eq!(decide(&rules, "a").await.0, Decision::Prompt);
        assert_eq!(rules.trouble(), None);
    }

    #[tokio::test]
    async fn what_was_never_good_is_said_at_once_and_stands_in_the_way_unless_told_to_keep_going() {
        let mut home = Home::new();
        home.write("home/rules/a.rules", "prefix_rule([])\n");
        home.write("system/rules/b.rules", "nonsense(\n");
        home.write("x.policy", "nonsense(\n");
        home.settings.legacy_policy = Some(home.root.path().join("x.policy"));
        let obstacle = home.start().obstacle().await.expect("all are broken");
        for name in ["a.rules:1:1", "b.rules:", "x.policy:", "no command runs"] {
            assert!(obstacle.contains(name), "{name} in {obstacle}");
        }
        home.settings.legacy_policy = None;
        let rules = home.start();
        assert!(rules.obstacle().await.is_some());
        home.settings.keep_going = true;
        let going = home.start();
        assert_eq!(going.obstacle().await, None);
        home.write("home/rules/a.rules", "prefix_rule([\"a\"])\n");
        home.write("system/rules/b.rules", "");
        assert_eq!(rules.obstacle().await, None, "mended while it runs");
        home.write("home/rules/a.rules", "nonsense(\n");
        assert_eq!(rules.obstacle().await, None, "the last good ones stay in force");
        home.write("system/rules/b.rules", "nonsense(\n");
        let rules = home.start();
        assert_eq!(decide(&rules, "a").await, (Decision::Prompt, DecidedBy::IncompleteRules));
        assert!(rules.trouble().expect("broken").contains("every program is asked about"));
        home.write("home/rules/a.rules", "");
        home.write("system/rules/b.rules", "");
        assert_eq!(decide(&rules, "a").await, (Decision::Allow, DecidedBy::Nothing));
        assert_eq!(rules.trouble(), None);
    }
}
