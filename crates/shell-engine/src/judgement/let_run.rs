//! Scripts that a person or a rule has let run, and that their first line leads to an interpreter by way of `env`.
//!
//! Such a script is executed twice: as what it is, and, by `env`, as its interpreter with the script's path. That is one
//! program, so it is judged once.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};

use super::exec::Exec;
use crate::programs::reopen;
use crate::programs::shebang::{Interpreter, interpreter, program_of_env};

/// Scripts of one call that are remembered.
const MOST: usize = 64;

/// The scripts of one call. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub(crate) struct LetRun(Arc<Mutex<Vec<Script>>>);

/// How `env` executes one.
#[derive(Debug, PartialEq, Eq)]
struct Script {
    interpreter: OsString,
    /// What follows the interpreter's own name: its options, the script, the script's arguments.
    words: Vec<OsString>,
}

impl LetRun {
    /// Takes note of what was let run.
    pub(super) fn note(&self, exec: &Exec) {
        let Some(script) = Script::of(exec) else { return };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < MOST && !all.contains(&script) {
            all.push(script);
        }
    }

    /// Whether an exec is that of the interpreter of such a script, with the script and its arguments.
    pub(super) fn goes_on(&self, exec: &Exec) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = exec.file.file_name();
        all.iter().any(|script| name == Some(&script.interpreter) && script.words == exec.arguments())
    }
}

impl Script {
    fn of(exec: &Exec) -> Option<Script> {
        let read = || exec.opened.as_ref().and_then(reopen).as_ref().and_then(interpreter);
        let Interpreter { path, argument } = exec.first_line.clone().unwrap_or_else(read)?;
        let argument = argument.filter(|_| path.file_name() == Some(OsStr::new("env")))?;
        let interpreter = program_of_env(&argument)?;
        let mut words = argument.as_bytes().split(u8::is_ascii_whitespace);
        let _ = words.find(|word| word.strip_prefix(b"-S").unwrap_or(word) == interpreter.as_bytes());
        let options = words.filter(|word| !word.is_empty()).map(|word| OsStr::from_bytes(word).to_owned());
        let script = exec.file.as_os_str().to_owned();
        let words = options.chain([script]).chain(exec.arguments().iter().cloned()).collect();
        Some(Script { interpreter, words })
    }
}
