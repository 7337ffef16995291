//! All profiles that are known, by layer, and what a name means to one rule.
//!
//! A rule sees the profiles of its own layer first, then those of the wider ones before it, the built-in ones last: so
//! a user's profile stands in for the built-in one of its name, and a project's changes nothing for the user's rules.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::answers::rank;
use crate::built_in;
use crate::origin::Origin;
use crate::rights::{Grants, Profile, Run, WholeProfile};

/// Longest chain of bases.
const MOST_BASES: usize = 16;

/// The profiles of all files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profiles {
    by_name: HashMap<String, Vec<Layered>>,
    /// The folder of each layer, in the order in which they were first read.
    layers: Vec<PathBuf>,
}

#[derive(Clone, Debug)]
struct Layered {
    layer: usize,
    profile: Arc<Profile>,
}

/// A profile that was found, and in which layer; built-in ones are below all layers.
type Found = (Option<usize>, Arc<Profile>);

impl Profiles {
    /// Remembers that files are read from here.
    pub(crate) fn note_layer(&mut self, file: &Path) -> usize {
        let folder = rank(file).unwrap_or_default();
        self.layer_of(&folder).unwrap_or_else(|| {
            self.layers.push(folder);
            self.layers.len() - 1
        })
    }

    fn layer_of(&self, folder: &Path) -> Option<usize> {
        self.layers.iter().position(|known| known == folder)
    }

    pub(crate) fn add(&mut self, profile: Profile) {
        let layer = self.note_layer(&profile.origin.file);
        let known = self.by_name.entry(profile.name.as_str().to_owned()).or_default();
        known.push(Layered { layer, profile: Arc::new(profile) });
    }

    /// Profiles of files, in no order.
    pub(crate) fn written(&self) -> impl Iterator<Item = &Profile> {
        self.by_name.values().flatten().map(|layered| layered.profile.as_ref())
    }

    /// What each name means to the narrowest layer, by name; those that are wrong are left out.
    pub(crate) fn in_force(&self) -> Vec<WholeProfile> {
        let mut names: BTreeSet<&str> = built_in::names().collect();
        names.extend(self.by_name.keys().map(String::as_str));
        let narrowest = self.layers.len().checked_sub(1);
        let found = names.into_iter().filter_map(|name| self.find(name, narrowest));
        found.filter_map(|found| self.with_bases(found).ok()).collect()
    }

    /// A second profile of a name in one layer, and the first.
    pub(crate) fn twice(&self) -> impl Iterator<Item = (&Profile, &Profile)> {
        self.by_name.values().flat_map(|all| {
            all.iter().enumerate().filter_map(|(place, second)| {
                let first = all.iter().take(place).find(|first| first.layer == second.layer)?;
                Some((second.profile.as_ref(), first.profile.as_ref()))
            })
        })
    }

    /// What a name means to what is written there, with all that the profile takes from others.
    ///
    /// # Errors
    /// A text for the author: what is missing.
    pub(crate) fn whole(&self, name: &str, origin: &Origin) -> Result<WholeProfile, String> {
        let layer = rank(&origin.file).and_then(|folder| self.layer_of(&folder));
        let found = self.find(name, layer).ok_or_else(|| format!("there is no profile \"{name}\""))?;
        self.with_bases(found)
    }

    /// The same where the profile may be missing; without a look at files where no profile has the name.
    pub(crate) fn of_program(&self, program: &str, origin: &Origin) -> Option<WholeProfile> {
        if !self.by_name.contains_key(program) && !built_in::has(program) {
            return None;
        }
        self.whole(program, origin).ok()
    }

    /// What the profile of a program's name means to the narrowest layer, if there is one.
    pub(crate) fn of_program_in_force(&self, program: &str) -> Option<WholeProfile> {
        if !self.by_name.contains_key(program) && !built_in::has(program) {
            return None;
        }
        self.with_bases(self.find(program, self.layers.len().checked_sub(1))?).ok()
    }

    /// The narrowest profile of a name, of these layers and below.
    fn find(&self, name: &str, layer: Option<usize>) -> Option<Found> {
        let in_layers = self.by_name.get(name).into_iter().flatten().rev();
        let mut seen = in_layers.filter(|layered| layer.is_some_and(|layer| layered.layer <= layer));
        let narrowest = seen.by_ref().max_by_key(|layered| layered.layer);
        match narrowest {
            Some(layered) => Some((Some(layered.layer), Arc::clone(&layered.profile))),
            None => built_in::profile(name).map(|profile| (None, profile)),
        }
    }

    /// What a profile stands in for, or adds to, as seen from it.
    fn below(&self, name: &str, (layer, profile): &Found) -> Option<Found> {
        if name != profile.name.as_str() {
            return self.find(name, *layer);
        }
        let wider = layer.as_ref()?.checked_sub(1);
        match wider {
            Some(wider) => self.find(name, Some(wider)),
            None => built_in::profile(name).map(|profile| (None, profile)),
        }
    }

    fn with_bases(&self, found: Found) -> Result<WholeProfile, String> {
        let name = found.1.name.clone();
        let origin = found.1.origin.clone();
        let justification = found.1.justification.clone();
        let mut run = None;
        let mut grants = Grants::default();
        let mut warnings = Vec::new();
        let mut next = Some(found);
        for _ in 0..MOST_BASES {
            let Some(current) = next else {
                let run = run.unwrap_or(Run::Inside);
                return Ok(WholeProfile { name, run, grants, warnings, justification, origin });
            };
            let profile = &current.1;
            run = run.or(profile.run);
            grants = grants.and(&profile.grants);
            warnings.extend(profile.warning.clone());
            next = match &profile.base {
                Some(base) => Some(self.below(base.as_str(), &current).ok_or_else(|| {
                    format!("the base of profile \"{}\", \"{base}\", is not there", profile.name)
                })?),
                None => {
                    let stands_for = self.below(profile.name.as_str(), &current);
                    run = run.or_else(|| self.with_bases(stands_for?).ok().map(|whole| whole.run));
                    None
                }
            };
        }
        Err(format!("profile \"{name}\" has more than {MOST_BASES} bases, or is its own"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::rights::Run;
    use crate::{Command, Options, Policy, Rights};

    const SYSTEM: &str = "/etc/codex/rules/a.rules";
    const USER: &str = "/home/u/.codex/shell-tool/rules/a.rules";
    const PROJECT: &str = "/w/.codex/rules/a.rules";

    fn rights(files: &[(&str, &str)], line: &str) -> Rights {
        let mut policy = Policy::empty();
        for (file, text) in files {
            policy.add_text(Path::new(file), text, None).unwrap();
        }
        let words: Vec<&str> = line.split(' ').collect();
        policy.evaluate(&Command::from_words(&words).unwrap(), &Options::default()).rights().clone()
    }

    fn hosts(rights: &Rights) -> Vec<String> {
        rights.grants.hosts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_rule_sees_its_own_layer_first_and_never_a_narrower_one() {
        let rule = "prefix_rule([\"t\"], profile=\"p\")\n";
        let profile = |host: &str| format!("profile(\"p\", run=\"confined\", hosts=[\"{host}\"])\n");
        let with_rule = |host: &str| profile(host) + rule;
        let found = rights(&[(SYSTEM, &profile("system.test")), (USER, &with_rule("user.test"))], "t");
        assert_eq!((found.run, hosts(&found)), (Run::Confined, vec!["user.test".to_owned()]));
        let found = rights(&[(SYSTEM, &profile("system.test")), (USER, rule)], "t");
        assert_eq!(hosts(&found), ["system.test"]);
        // What the project defines is nothing to the user's rules.
        let found = rights(&[(USER, &with_rule("user.test")), (PROJECT, &profile("project.test"))], "t");
        assert_eq!(hosts(&found), ["user.test"]);
        let found = rights(&[(USER, rule), (PROJECT, &profile("project.test"))], "t");
        assert!(found.is_none());
    }

    #[test]
    fn a_profile_adds_to_its_base_and_stands_in_for_the_one_of_its_name() {
        let text = "profile(\"a\", run=\"confined\", hosts=[\"a.test\"])\n\
                    profile(\"b\", base=\"a\", hosts=[\"b.test\"])\nprefix_rule([\"t\"], profile=\"b\")\n";
        let found = rights(&[(USER, text)], "t");
        assert_eq!(
            (found.run, hosts(&found)),
            (Run::Confined, vec!["b.test".to_owned(), "a.test".to_owned()])
        );
        let text =
            "profile(\"git\", base=\"git\", hosts=[\"a.test\"])\nprefix_rule([\"t\"], profile=\"git\")\n";
        let found = rights(&[(USER, text)], "t");
        let both = vec!["a.test".to_owned(), "*".to_owned()];
        assert_eq!((found.run, hosts(&found)), (Run::Confined, both));
        assert!(!found.grants.may_run.is_empty(), "{found:?}");
        // Without a base nothing is taken but the way to run.
        let text = "profile(\"git\", hosts=[\"a.test\"])\nprefix_rule([\"t\"], profile=\"git\")\n";
        let found = rights(&[(USER, text)], "t");
        assert_eq!((found.run, found.grants.may_run), (Run::Confined, Vec::new()));
    }

    #[test]
    fn circles_and_what_is_missing_are_errors() {
        for (text, expected) in [
            ("prefix_rule([\"t\"], profile=\"x\")\n", "there is no profile \"x\"\n --> x.rules:1:1"),
            ("prefix_rule([\"t\"], grants=\"x\")\n", "there is no profile \"x\""),
            (
                "\nprofile(\"a\", base=\"x\")\n",
                "the base of profile \"a\", \"x\", is not there\n --> x.rules:2:1",
            ),
            ("profile(\"a\", base=\"a\")\n", "is not there"),
            ("profile(\"a\", base=\"b\")\nprofile(\"b\", base=\"a\")\n", "or is its own"),
            (
                "profile(\"a\")\nprofile(\"a\")\n",
                "profile \"a\" is there already, at x.rules:1\n --> x.rules:2:1",
            ),
        ] {
            let mut policy = Policy::empty();
            policy.add_text(Path::new("x.rules"), text, None).unwrap();
            let problems: Vec<String> = policy.problems().iter().map(ToString::to_string).collect();
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{text}: {problems:?}");
        }
    }
}
