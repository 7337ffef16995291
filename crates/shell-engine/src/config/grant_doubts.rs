//! Grants that are good by themselves, and open more on this machine than their author may think.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use execpolicy::Policy;
use execpolicy::rights::{Grants, Place, Surroundings};
use sandbox::Plan;
use sandbox::resolve::{devices, has_protected_name, is_systems, real_path, runs_outside};

use super::validated::Config;

/// What commands cannot write in the Git directory that `$REPO` stands for is told by its name in one.
const ANY_REPOSITORY: &str = ".git";

/// What grants open that a caller asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Opened {
    /// Why nobody is asked about it: it would give everything.
    pub(crate) everything: Option<String>,
    /// What else a person should know, a phrase each.
    pub(crate) cautions: Vec<String>,
}

impl Config {
    /// What grants of rules and profiles open that may not be meant, a line each.
    #[must_use]
    pub fn grant_doubts(&self, policy: &Policy) -> Vec<String> {
        // Without one nothing runs, which is said elsewhere.
        let Ok(plan) = self.sandboxing.plan(&self.sandboxing.wanted(&[], None)) else { return Vec::new() };
        let around = self.around(&plan);
        let search_path = self.search_path();
        let mut found = Vec::new();
        for (whose, grants) in policy.written_grants() {
            let written = grants.write.iter().filter_map(|place| around.writes(place));
            let read = grants.read.iter().filter_map(|place| around.reads(place));
            let run = grants.may_run.iter().filter_map(|name| around.runs(name, &search_path));
            let devices = grants.devices.iter().filter_map(|pattern| not_given(pattern));
            found
                .extend(written.chain(read).chain(run).chain(devices).map(|what| format!("{whose}: {what}")));
        }
        found.dedup();
        found
    }

    /// What grants open to a command under this plan.
    pub(crate) fn opened(&self, grants: &Grants, plan: &Plan) -> Opened {
        let around = self.around(plan);
        let written = grants.write.iter().filter_map(|place| around.writes(place));
        let read = grants.read.iter().chain(&grants.write).filter_map(|place| around.shows(place));
        Opened {
            everything: grants.write.iter().find_map(|place| around.gives_everything(place)),
            cautions: grants.opens().into_iter().chain(written).chain(read).collect(),
        }
    }

    fn around<'a>(&'a self, plan: &'a Plan) -> Around<'a> {
        Around { home: self.sandboxing.home(), codex_home: &self.codex_home, plan }
    }
}

/// Why devices that a pattern names are not given.
fn not_given(pattern: &str) -> Option<String> {
    let error = devices(pattern).err()?;
    Some(format!("{error}; what is granted it does not start"))
}

struct Around<'a> {
    home: Option<&'a Path>,
    codex_home: &'a Path,
    plan: &'a Plan,
}

impl Around<'_> {
    fn path(&self, place: &Place) -> Option<PathBuf> {
        let path = place.expand(&Surroundings {
            variable: &|name| std::env::var_os(name),
            home: self.home,
            repository: Some(Path::new("/").join(ANY_REPOSITORY).as_path()),
            configured: &|_| Vec::new(),
        });
        path.map(|path| real_path(&path))
    }

    fn gives_everything(&self, place: &Place) -> Option<String> {
        let path = self.path(place)?;
        let rules = real_path(self.codex_home);
        if rules.starts_with(&path) || path.starts_with(&rules) {
            return Some(format!("write `{place}`: the rules are there, so it gives everything"));
        }
        let is_home = self.home.is_some_and(|home| real_path(home).starts_with(&path));
        is_home.then(|| format!("write `{place}` gives all of your home; name what the program needs"))
    }

    fn writes(&self, place: &Place) -> Option<String> {
        if let Some(everything) = self.gives_everything(place) {
            return Some(everything);
        }
        let path = self.path(place)?;
        let homes: Vec<PathBuf> = self.home.map(Path::to_owned).into_iter().collect();
        let in_repository = path.strip_prefix("/").is_ok_and(|path| path.starts_with(ANY_REPOSITORY));
        let is_obeyed = match in_repository {
            true => path.strip_prefix("/").is_ok_and(has_protected_name),
            false => self.plan.is_protected(&path) || runs_outside(&path, &homes),
        };
        if is_obeyed {
            return Some(format!(
                "write `{place}`: what is there is run or obeyed outside, later and with all your rights"
            ));
        }
        is_systems(&path).then(|| {
            format!("write `{place}`: the system's programs, services and their settings are there, which others obey")
        })
    }

    fn reads(&self, place: &Place) -> Option<String> {
        let path = self.path(place)?;
        // These are told of without a look at this machine.
        if ["/", "~", "$HOME"].contains(&place.as_str()) {
            return None;
        }
        let all = self.home.is_some_and(|home| real_path(home).starts_with(&path));
        all.then(|| format!("read `{place}` shows every secret in your home: keys, tokens, histories"))
    }

    /// What somebody should know who is asked to show a place to a command.
    fn shows(&self, place: &Place) -> Option<String> {
        let path = self.path(place)?;
        let mut hidden = self.plan.hidden.iter().chain(&self.plan.emptied);
        let is_hidden = hidden.any(|hidden| hidden.starts_with(&path) || path.starts_with(hidden));
        self.reads(place).or_else(|| {
            is_hidden.then(|| {
                format!("`{place}` is hidden from commands, since keys, tokens or private files may be there")
            })
        })
    }

    fn runs(&self, name: &str, search_path: &OsStr) -> Option<String> {
        let file = match Place::parse(name) {
            Ok(place) => self.path(&place)?,
            Err(_) => {
                let mut files = std::env::split_paths(search_path).map(|folder| folder.join(name));
                real_path(&files.find(|file| file.is_file())?)
            }
        };
        let is_written = self.plan.mode.is_enforced() && self.plan.may_write(&file);
        is_written.then(|| format!("may_run `{name}`: commands can write it, so it is not executed"))
    }
}
