//! Every name of what is about to run, for rules that ask or forbid: they must not be dodged by another spelling.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::judgement::exec::Exec;
use crate::programs::shebang::{Interpreter, MOST_INTERPRETERS, interpreter};
use crate::programs::{FileState, Programs, look_at, open, reopen, walk};
use crate::sys::path_of;

/// Names of one file that are tried: enough for every honest file. One that has more does not run.
const MOST_NAMES: usize = 512;

/// Another way to say what is about to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::judgement) struct OtherName {
    /// The program, as a path or as a bare name.
    pub(in crate::judgement) program: PathBuf,
    /// What comes before the command's own arguments: those of an interpreter.
    pub(in crate::judgement) before: Vec<OsString>,
}

impl OtherName {
    fn plain(program: impl Into<PathBuf>) -> OtherName {
        OtherName { program: program.into(), before: Vec::new() }
    }
}

/// Files whose names are remembered, and for how long: no person makes others faster. What a command gains by making
/// links meanwhile it has without them: a name that is not remembered is one that it need not have used.
const MOST_REMEMBERED: usize = 256;
const REMEMBERED: Duration = Duration::from_millis(100);

/// Names that were found for a file by a path, and when.
#[derive(Debug, Default)]
pub(super) struct Remembered(HashMap<(PathBuf, FileState), (Instant, Vec<OtherName>)>);

impl Remembered {
    fn get(&self, key: &(PathBuf, FileState)) -> Option<Vec<OtherName>> {
        let (found, names) = self.0.get(key)?;
        (found.elapsed() < REMEMBERED).then(|| names.clone())
    }

    fn keep(&mut self, key: (PathBuf, FileState), names: &[OtherName]) {
        if self.0.len() >= MOST_REMEMBERED {
            self.0.clear();
        }
        self.0.insert(key, (Instant::now(), names.to_vec()));
    }
}

/// All other names of what an exec asks for; `None` when there are more than anybody needs.
pub(super) fn of_exec(
    programs: &Programs,
    remembered: &Mutex<Remembered>,
    exec: &Exec,
) -> Option<Vec<OtherName>> {
    let mut names = Names::new(&exec.file);
    // Only where nobody has to read the file.
    let key = exec.seen.clone().filter(|_| exec.first_line.is_some()).map(|seen| (exec.file.clone(), seen));
    let lock = || remembered.lock().unwrap_or_else(PoisonError::into_inner);
    match key.as_ref().and_then(|key| lock().get(key)) {
        Some(found) => names.found = found,
        None => {
            names.add_of_file(programs, exec);
            if let Some(key) = key.filter(|_| !names.too_many) {
                lock().keep(key, &names.found);
            }
        }
    }
    names.add_called(exec);
    names.complete()
}

/// All other names of a program that a command would run.
pub(super) fn of_nested(programs: &Programs, program: &OsStr, workdir: &Path) -> Option<Vec<OtherName>> {
    // A bare name is looked up by whoever runs it, and has been judged as it stands.
    if !program.as_bytes().contains(&b'/') {
        return Some(Vec::new());
    }
    let path = workdir.join(program);
    let mut names = Names::new(&path);
    names.add_walk(&path);
    if let Some(state) = look_at(&path).filter(FileState::is_regular) {
        let file = open(&path);
        let canonical = path.canonicalize().ok();
        names.add_known(programs, canonical.as_deref(), &state, file.as_ref());
    }
    names.add_joined(&[base_name(program)]);
    names.complete()
}

struct Names<'g> {
    given: &'g Path,
    found: Vec<OtherName>,
    too_many: bool,
}

impl<'g> Names<'g> {
    fn new(given: &'g Path) -> Names<'g> {
        Names { given, found: Vec::new(), too_many: false }
    }

    fn add(&mut self, name: OtherName) {
        let is_new = (name.program != self.given || !name.before.is_empty()) && !self.found.contains(&name);
        match self.found.len() < MOST_NAMES {
            true if is_new => self.found.push(name),
            true => {}
            false => self.too_many |= is_new,
        }
    }

    /// The names that a file has, whatever it is called.
    fn add_of_file(&mut self, programs: &Programs, exec: &Exec) {
        // What the descriptor shows is what the kernel will run; the path may mean something else out here.
        let shown = exec.opened.as_ref();
        self.add_walk(&exec.file);
        let real = shown.and_then(path_of).filter(|path| path.is_absolute());
        if let Some(real) = &real {
            self.add_walk(real);
        }
        let Some(state) = exec.seen.as_ref().filter(|state| state.is_regular()) else { return };
        // Not opened where all that could be read of it is known.
        let is_known = exec.first_line.is_some() && !programs.may_be_a_copy(state);
        let file = if is_known { None } else { shown.and_then(reopen) };
        // Its path is trusted to name it only where it does.
        let canonical = real.as_deref().filter(|path| look_at(path).as_ref() == Some(state));
        self.add_known(programs, canonical, state, file.as_ref());
        let first_line = || file.as_ref().and_then(interpreter);
        if let Some(first_line) = exec.first_line.clone().unwrap_or_else(first_line) {
            self.add_interpreters(programs, &exec.file, first_line, 0);
        }
    }

    /// One file may be many programs, and goes by this.
    fn add_called(&mut self, exec: &Exec) {
        let called = exec.argv.first().map(|word| base_name(word)).unwrap_or_default();
        let called = called.strip_prefix(b"-").unwrap_or(called);
        let given = base_name(exec.file.as_os_str());
        if !called.is_empty() && called != given {
            self.add(OtherName::plain(OsStr::from_bytes(called)));
        }
        self.add_joined(&[called, given]);
    }

    fn complete(self) -> Option<Vec<OtherName>> {
        (!self.too_many).then_some(self.found)
    }

    /// A program of many that is told which one by its name (`git-push`) is also the program with that as its first
    /// argument, if it has the name before the hyphen, too.
    fn add_joined(&mut self, called: &[&[u8]]) {
        let own: Vec<OsString> = std::iter::once(self.given)
            .chain(self.found.iter().map(|name| name.program.as_path()))
            .filter_map(Path::file_name)
            .map(OsStr::to_owned)
            .collect();
        for own in own {
            for called in called {
                let rest = called.strip_prefix(own.as_bytes()).and_then(|rest| rest.strip_prefix(b"-"));
                if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
                    let before = vec![OsStr::from_bytes(rest).to_owned()];
                    self.add(OtherName { program: own.clone().into(), before });
                }
            }
        }
    }

    fn add_walk(&mut self, path: &Path) {
        for spelling in walk(path).map(|walk| walk.spellings).unwrap_or_default() {
            self.add(OtherName::plain(spelling));
        }
    }

    fn add_known(
        &mut self,
        programs: &Programs,
        canonical: Option<&Path>,
        state: &FileState,
        file: Option<&File>,
    ) {
        for known in programs.recognise(canonical, state, file) {
            for name in known.names() {
                self.add(OtherName::plain(name));
            }
        }
    }

    /// A script is its interpreter with one argument more.
    fn add_interpreters(
        &mut self,
        programs: &Programs,
        script: &Path,
        first_line: Interpreter,
        depth: usize,
    ) {
        let Interpreter { path, argument } = first_line;
        if depth >= MOST_INTERPRETERS {
            return;
        }
        let before: Vec<OsString> = argument.into_iter().chain([script.as_os_str().to_owned()]).collect();
        let mut spellings = vec![path.clone()];
        spellings.extend(walk(&path).map(|walk| walk.spellings).unwrap_or_default());
        let opened = open(&path);
        if let (Some(state), Some(opened)) = (opened.as_ref().and_then(FileState::of), &opened) {
            let canonical = path.canonicalize().ok();
            let known = programs.recognise(canonical.as_deref(), &state, Some(opened));
            spellings.extend(known.iter().flat_map(|known| known.names().cloned()));
        }
        for program in spellings {
            self.add(OtherName { program, before: before.clone() });
        }
        if let Some(next) = opened.as_ref().and_then(interpreter) {
            self.add_interpreters(programs, &path, next, depth + 1);
        }
    }
}

/// What follows the last slash.
fn base_name(path: &OsStr) -> &[u8] {
    path.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

impl OtherName {
    /// The name as words: program, then what comes before the command's own arguments.
    pub(in crate::judgement) fn shown(&self) -> OsString {
        let words = std::iter::once(self.program.as_os_str().as_bytes());
        let words: Vec<&[u8]> = words.chain(self.before.iter().map(|word| word.as_bytes())).collect();
        OsString::from_vec(words.join(&b' '))
    }
}
