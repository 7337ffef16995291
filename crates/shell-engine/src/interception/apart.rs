//! A program that runs in a sandbox of its own, with the rights that a rule gives, and all that it starts there.
//!
//! What it starts has its rights by the kernel, and is judged by its call's judge at a door of its own.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use execpolicy::Run;
use sandbox::Execution;

use crate::judgement::{Below, Exec, Outside};
use crate::programs::FileIdentity;
use crate::sandboxes::Sandbox;

/// The program that a door begins with, where that is not the call's shell.
pub(crate) struct Apart {
    /// What was judged.
    pub(super) program: Arc<Below>,
    /// What is executed there.
    execution: Execution,
    /// What starts dynamic programs, and would start any file.
    loaders: Vec<FileIdentity>,
    /// What runs scripts that the profile names, and nothing else.
    interpreters: Vec<FileIdentity>,
    /// What the profile names.
    named: Vec<PathBuf>,
}

impl Apart {
    pub(super) fn new(exec: &Arc<Exec>, program: &Outside, sandbox: &Sandbox) -> Apart {
        let files = |paths: &[PathBuf]| paths.iter().filter_map(|path| FileIdentity::at(path)).collect();
        let (loaders, interpreters) =
            (files(&program.executes.loaders), files(&program.executes.interpreters));
        let named = program.executes.named.clone();
        let program = Below {
            exec: Arc::clone(exec),
            run: program.run,
            may_run: program.granted.may_run.clone(),
            origin: program.origin.clone(),
            profile: program.profile.clone(),
            no_password: program.no_password.clone(),
        };
        Apart {
            program: Arc::new(program),
            execution: sandbox.plan().execution.clone(),
            loaders,
            interpreters,
            named,
        }
    }

    /// A program that runs where its wrapper does, with nothing more than that.
    pub(super) fn beside(exec: &Arc<Exec>) -> Apart {
        let program = Below {
            exec: Arc::clone(exec),
            run: Run::Inside,
            may_run: Vec::new(),
            origin: None,
            profile: None,
            no_password: None,
        };
        Apart {
            program: Arc::new(program),
            execution: Execution::default(),
            loaders: Vec::new(),
            interpreters: Vec::new(),
            named: Vec::new(),
        }
    }

    /// Whether a file is not executed by itself where only some files are: what starts dynamic programs, and what is there
    /// for scripts alone, unless it is told to run one of these, or, as a shell, one command of plain words.
    pub(super) fn refuses(&self, exec: &Exec) -> bool {
        let is = |files: &[FileIdentity]| files.iter().any(|file| exec.is(*file));
        is(&self.loaders) || is(&self.interpreters) && !self.runs_named(&exec.argv)
    }

    fn runs_named(&self, argv: &[OsString]) -> bool {
        let is_script = |path: &OsString| {
            let real = Path::new(path).canonicalize();
            real.is_ok_and(|real| self.named.iter().any(|named| real.starts_with(named)))
        };
        match argv {
            [_, option, text, ..] if option == "-c" => {
                let word = text.to_str().and_then(first_of_plain_words);
                word.is_some_and(|word| self.program.may_run.iter().any(|known| known == word))
            }
            [_, script, ..] => is_script(script),
            _ => false,
        }
    }

    /// Why the kernel does not execute a file there, as far as the plan says.
    fn why_not(&self, file: &Path) -> Option<NotExecuted> {
        // What lies there is another thing to each process.
        if file.starts_with("/proc") {
            return None;
        }
        let real = file.canonicalize().ok()?;
        // Another program is found there.
        if self.execution.shell.as_ref().is_some_and(|shell| shell.place == real) {
            return None;
        }
        let is_listed = |only: &Vec<PathBuf>| only.iter().any(|place| real.starts_with(place));
        if self.execution.is_never_in(&real) {
            return Some(NotExecuted::Writable);
        }
        self.execution.only.as_ref().is_some_and(|only| !is_listed(only)).then_some(NotExecuted::NotListed)
    }
}

/// The first word of a shell's text that is nothing but words, and perhaps the arguments that it is given.
fn first_of_plain_words(text: &str) -> Option<&str> {
    let words = text.strip_suffix("\"$@\"").unwrap_or(text);
    let is_plain = |character: char| character.is_ascii_alphanumeric() || " _./:@%+,-".contains(character);
    words.split(' ').find(|word| !word.is_empty()).filter(|_| words.chars().all(is_plain))
}

/// Why a file is not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NotExecuted {
    /// Commands can write it.
    Writable,
    /// It is not one of those that a confined program executes.
    NotListed,
}

/// What was not executed by programs of one call that have other rights than commands. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unexecuted(Arc<Mutex<BTreeSet<(PathBuf, NotExecuted)>>>);

/// So many are named.
const MOST: usize = 5;

impl Unexecuted {
    /// Takes note of a file, if the kernel does not execute it there.
    pub(super) fn note(&self, apart: &Apart, file: &Path) {
        if let Some(why) = apart.why_not(file) {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() < MOST {
                all.insert((file.components().collect(), why));
            }
        }
    }

    /// All of them, one sentence each, with what would change that.
    pub(crate) fn read(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sentence = |(file, why): &(PathBuf, NotExecuted)| {
            let file = crate::visible::visible(file.as_os_str().as_encoded_bytes());
            match why {
                NotExecuted::Writable => format!(
                    "{file} was not executed (Permission denied): commands can write it, and a program with more rights than they \
                     have executes nothing of theirs. Let it run inside (run=\"inside\" with grants), or, where a person trusts \
                     what commands write, give its rule run=\"unconfined\""
                ),
                NotExecuted::NotListed => format!(
                    "{file} was not executed (Permission denied): a confined program executes its own helpers only. If it has to, \
                     a person can name it in `may_run` of the profile"
                ),
            }
        };
        all.iter().map(sentence).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(execution: Execution) -> Apart {
        let exec = Exec::seen_in("/".into(), Path::new("/usr/bin/git"), vec!["git".into()], None);
        let program = Below {
            exec: Arc::new(exec),
            run: Run::Confined,
            may_run: Vec::new(),
            origin: None,
            profile: None,
            no_password: None,
        };
        Apart {
            program: Arc::new(program),
            execution,
            loaders: Vec::new(),
            interpreters: Vec::new(),
            named: Vec::new(),
        }
    }

    #[test]
    fn a_shell_that_is_there_for_scripts_runs_plain_words() {
        for (text, expected) in [
            ("gh auth git-credential \"$@\"", Some("gh")),
            (" ssh -x", Some("ssh")),
            ("gh; id", None),
            ("gh $(id)", None),
            ("gh \"$1\"", None),
            ("read x < key", None),
            ("gh\nid", None),
            ("", None),
        ] {
            assert_eq!(first_of_plain_words(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_executed_is_named_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for name in ["written", "listed", "other"] {
            std::fs::write(base.join(name), "").unwrap();
        }
        let noted = Unexecuted::default();
        let apart = apart(Execution {
            never_in: vec![base.join("written")],
            only: Some(vec![base.join("listed")]),
            shell: None,
        });
        for name in ["written", "listed", "other", "missing"] {
            noted.note(&apart, &base.join(name));
        }
        let [listed, writable] = <[String; 2]>::try_from(noted.read()).unwrap();
        assert!(listed.contains("/other was not executed") && listed.contains("may_run"), "{listed}");
        assert!(writable.contains("/written was") && writable.contains("unconfined"), "{writable}");
    }
}
