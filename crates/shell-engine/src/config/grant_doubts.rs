//! Grants that are good by themselves, and open more on this machine than their author may think.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use execpolicy::Policy;
use execpolicy::rights::{Place, Surroundings};
use sandbox::Plan;
use sandbox::resolve::{has_protected_name, real_path, runs_outside};

use super::validated::Config;

/// What commands cannot write in the Git directory that `$REPO` stands for is told by its name in one.
const ANY_REPOSITORY: &str = ".git";

impl Config {
    /// What grants of rules and profiles open that may not be meant, a line each.
    #[must_use]
    pub fn grant_doubts(&self, policy: &Policy) -> Vec<String> {
        let home = self.sandboxing.home();
        // Without one nothing runs, which is said elsewhere.
        let Ok(plan) = self.sandboxing.plan(&self.sandboxing.wanted(&[], None)) else { return Vec::new() };
        let around = Around { home, codex_home: &self.codex_home, plan: &plan };
        let search_path = self.search_path();
        let mut found = Vec::new();
        for (whose, grants) in policy.written_grants() {
            let written = grants.write.iter().filter_map(|place| around.writes(place));
            let read = grants.read.iter().filter_map(|place| around.reads(place));
            let run = grants.may_run.iter().filter_map(|name| around.runs(name, &search_path));
            found.extend(written.chain(read).chain(run).map(|what| format!("{whose}: {what}")));
        }
        found.dedup();
        found
    }
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

    fn writes(&self, place: &Place) -> Option<String> {
        let path = self.path(place)?;
        let rules = real_path(self.codex_home);
        if rules.starts_with(&path) || path.starts_with(&rules) {
            return Some(format!("write `{place}`: the rules are there, so it gives everything"));
        }
        if self.home.is_some_and(|home| real_path(home).starts_with(&path)) {
            return Some(format!("write `{place}` gives all of your home; name what the program needs"));
        }
        let homes: Vec<PathBuf> = self.home.map(Path::to_owned).into_iter().collect();
        let in_repository = path.strip_prefix("/").is_ok_and(|path| path.starts_with(ANY_REPOSITORY));
        let is_obeyed = match in_repository {
            true => path.strip_prefix("/").is_ok_and(has_protected_name),
            false => self.plan.is_protected(&path) || runs_outside(&path, &homes),
        };
        is_obeyed.then(|| {
            format!("write `{place}`: what is there is run or obeyed outside, later and with all your rights")
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

    fn runs(&self, name: &str, search_path: &OsStr) -> Option<String> {
        let file = match name.starts_with('/') {
            true => Some(PathBuf::from(name)),
            false => {
                std::env::split_paths(search_path).map(|folder| folder.join(name)).find(|file| file.is_file())
            }
        };
        let file = real_path(&file?);
        let is_written = self.plan.mode.is_enforced() && self.plan.may_write(&file);
        is_written.then(|| format!("may_run `{name}`: commands can write it, so it is not executed"))
    }
}
