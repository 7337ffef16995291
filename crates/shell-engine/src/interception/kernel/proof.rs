//! Whether what has been executed is what was judged.
//!
//! The kernel reads the arguments of a call that was let happen once more, and others may have changed by then what
//! they point to. At the stop after `execve` the new memory belongs to one thread that has not run an instruction, so
//! what is seen there stays so.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::beginnings::Beginnings;
use super::files::{self, Found, Reach};
use crate::programs::shebang::{Beginning, Interpreter, MOST_INTERPRETERS};
use crate::programs::{FileIdentity, FileState, look};

/// The longest argv that a process can have, see `memory`.
const MAX_ARGV: u64 = 6 << 20;

/// A file is not to be had without asking a file system.
#[derive(Debug)]
pub(super) struct Farther;

/// What must be seen after an `execve`.
#[derive(Debug)]
pub(super) struct Expected {
    program: FileIdentity,
    /// As `/proc/PID/cmdline` has it: each with its NUL.
    argv: Vec<u8>,
    /// The path of the folder where it starts, if that could be seen.
    directory: Option<PathBuf>,
    /// As `/proc/PID/environ` has it, where it was looked at.
    environment: Option<Vec<u8>>,
    /// It is the interpreter of a script. Others may have read another first line of that.
    pub(super) is_interpreter: bool,
}

impl Expected {
    /// What executing this file comes to, which is a program by itself.
    pub(super) fn of(program: FileIdentity, argv: &[OsString]) -> Expected {
        let (argv, directory, environment) = (joined(argv), None, None);
        Expected { program, argv, directory, environment, is_interpreter: false }
    }

    /// What executing a script comes to: the interpreter of its first line, or that one's. `None` where that cannot be
    /// told; an error where it is out of reach.
    pub(super) fn of_script(
        thread: (i32, Option<&OwnedFd>),
        first_line: Interpreter,
        name: &[u8],
        argv: &[OsString],
        directory: Option<&Path>,
        (beginnings, reach): (&mut Beginnings, Reach),
    ) -> Result<Option<Expected>, Farther> {
        let mut argv: Vec<OsString> = argv.to_vec();
        let mut name = OsStr::from_bytes(name).to_owned();
        let mut first_line = first_line;
        for _ in 0..=MOST_INTERPRETERS {
            let Interpreter { path, argument } = first_line;
            let found = match files::at_path(thread, path.as_os_str().as_bytes(), directory, reach) {
                Found::File(found) => found,
                Found::Farther => return Err(Farther),
                Found::Nothing(_) | Found::Unclear => return Ok(None),
            };
            let rest = argv.into_iter().skip(1);
            argv = std::iter::once(path.clone().into_os_string())
                .chain(argument)
                .chain([name])
                .chain(rest)
                .collect();
            name = path.into_os_string();
            let Some(state) = FileState::of(&found) else { return Ok(None) };
            let Some(next) = beginnings.of(&found, &state).and_then(Beginning::interpreter) else {
                let expected = Expected::of(state.identity(), &argv);
                return Ok(Some(Expected { is_interpreter: true, ..expected }));
            };
            first_line = next;
        }
        Ok(None)
    }

    /// The file that is expected to run.
    pub(super) fn program(&self) -> FileIdentity {
        self.program
    }

    /// A program as it is, whatever its arguments are.
    pub(super) fn is_program(process: i32, program: FileIdentity) -> bool {
        FileIdentity::at(&executable(process)) == Some(program)
    }

    /// The same, in the folder in which it was judged.
    pub(super) fn within(self, directory: Option<PathBuf>) -> Expected {
        Expected { directory, ..self }
    }

    /// From here on, its environment matters, too.
    pub(super) fn look_at_environment(&mut self, environment: &[OsString]) {
        self.environment = Some(if environment.is_empty() { Vec::new() } else { joined(environment) });
    }

    /// Whether that is what a process has executed.
    pub(super) fn is_met(&self, process: i32) -> bool {
        let is_there =
            |directory: &PathBuf| files::path_of_working_directory(process).as_ref() == Some(directory);
        Expected::is_program(process, self.program)
            && self.has_argv(process) == Some(true)
            && self.directory.as_ref().is_none_or(is_there)
            && self.environment.as_ref().is_none_or(|environment| {
                read(&format!("/proc/{process}/environ")).as_ref() == Some(environment)
            })
    }
}

impl Expected {
    /// One read tells: the kernel gives as much as there is.
    fn has_argv(&self, process: i32) -> Option<bool> {
        let mut read = vec![0; self.argv.len() + 1];
        let length = File::open(format!("/proc/{process}/cmdline")).ok()?.read(&mut read).ok()?;
        Some(read.get(..length) == Some(&self.argv))
    }
}

/// What a process has executed in truth: its program, with the path that it has here, and its argv.
pub(super) fn truth(process: i32) -> Option<(PathBuf, OwnedFd, Vec<OsString>)> {
    let link = executable(process);
    let program = look(&link)?;
    let path = std::fs::read_link(&link).ok()?;
    let argv = argv(process)?;
    let argv = argv.strip_suffix(&[0]).unwrap_or(&argv).split(|byte| *byte == 0);
    Some((
        path,
        program.as_fd().try_clone_to_owned().ok()?,
        argv.map(|word| OsString::from_vec(word.to_vec())).collect(),
    ))
}

/// The environment that a process was executed with.
pub(super) fn environment(process: i32) -> Vec<OsString> {
    let read = read(&format!("/proc/{process}/environ")).unwrap_or_default();
    let entries = read.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
    entries.map(|entry| OsString::from_vec(entry.to_vec())).collect()
}

fn executable(process: i32) -> PathBuf {
    format!("/proc/{process}/exe").into()
}

fn argv(process: i32) -> Option<Vec<u8>> {
    read(&format!("/proc/{process}/cmdline"))
}

fn read(path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_ARGV).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The kernel gives a program without arguments an empty one (execve(2), Linux 5.18).
fn joined(argv: &[OsString]) -> Vec<u8> {
    if argv.is_empty() {
        return vec![0];
    }
    argv.iter().flat_map(|word| word.as_bytes().iter().copied().chain([0])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> i32 {
        std::process::id().try_into().unwrap()
    }

    #[test]
    fn a_process_is_what_it_has_executed_and_nothing_else() {
        let (_, program, argv) = truth(own()).unwrap();
        let expected = |argv: &[OsString]| Expected::of(FileIdentity::of(&program).unwrap(), argv);
        assert!(expected(&argv).is_met(own()));
        let mut all = expected(&argv).within(std::env::current_dir().ok());
        all.look_at_environment(&environment(own()));
        assert!(all.is_met(own()));
        all.look_at_environment(&["OTHER=x".into()]);
        assert!(!all.is_met(own()));
        assert!(!expected(&argv).within(Some("/".into())).is_met(own()));
        let more: Vec<OsString> = argv.iter().cloned().chain(["x".into()]).collect();
        assert!(!expected(&more).is_met(own()));
        let other = look(Path::new("/bin/sh")).unwrap();
        assert!(!Expected::of(FileIdentity::of(other).unwrap(), &argv).is_met(own()));
    }

    #[test]
    fn a_script_is_its_interpreter_with_the_scripts_name_in_the_place_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        std::fs::write(&script, "#!/bin/sh -eu\n").unwrap();
        let opened = look(&script).unwrap();
        let mut beginnings = Beginnings::default();
        let line = beginnings.of(&opened, &FileState::of(&opened).unwrap()).unwrap().interpreter().unwrap();
        let expected = Expected::of_script(
            (own(), None),
            line,
            b"./script",
            &["name".into(), "a".into()],
            Some(folder.path()),
            (&mut beginnings, Reach::FileSystems),
        )
        .unwrap()
        .unwrap();
        assert_eq!(expected.program, FileIdentity::of(look(Path::new("/bin/sh")).unwrap()).unwrap());
        assert_eq!(expected.argv, b"/bin/sh\0-eu\0./script\0a\0");
    }
}
