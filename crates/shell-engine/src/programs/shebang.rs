//! `#!` lines, as the kernel reads them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Bytes of a first line that the kernel reads (`BINPRM_BUF_SIZE`, execve(2)).
const LINE_BYTES: usize = 256;

/// As many interpreters of interpreters as the kernel follows (execve(2)).
pub(crate) const MOST_INTERPRETERS: usize = 4;

/// The interpreter of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// Its path, as the script has it.
    pub(crate) path: PathBuf,
    /// The one argument that the line gives it: the kernel does not split it.
    pub(crate) argument: Option<OsString>,
}

/// Reads a file's `#!` line; `None` when it has none.
pub(crate) fn interpreter(file: &File) -> Option<Interpreter> {
    Beginning::of(file)?.interpreter()
}

/// What a file begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// A line that names an interpreter.
    Script(Interpreter),
    /// Text without such a line. The kernel does not execute it (`ENOEXEC`); shells then run it as a script of theirs.
    Text,
    /// Anything else.
    Program,
}

impl Beginning {
    /// Reads it; `None` where that is not possible.
    pub(crate) fn of(file: &File) -> Option<Beginning> {
        let mut line = [0; LINE_BYTES];
        let length = file.read_at(&mut line, 0).ok()?;
        Some(Beginning::from(line.get(..length)?))
    }

    /// The interpreter that it names.
    pub(crate) fn interpreter(self) -> Option<Interpreter> {
        match self {
            Beginning::Script(interpreter) => Some(interpreter),
            Beginning::Text | Beginning::Program => None,
        }
    }
}

impl From<&[u8]> for Beginning {
    fn from(bytes: &[u8]) -> Beginning {
        // What is no text to Bash, either: other formats, for which the kernel may have been given an interpreter.
        let is_binary = || bytes.split(|byte| *byte == b'\n').next().is_some_and(|line| line.contains(&0));
        match parse(bytes) {
            Some(interpreter) => Beginning::Script(interpreter),
            None if bytes.starts_with(b"\x7fELF") || is_binary() => Beginning::Program,
            None => Beginning::Text,
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Interpreter> {
    let rest = bytes.strip_prefix(b"#!")?;
    let line = rest.split(|byte| matches!(byte, b'\n' | 0)).next()?;
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let line = line.trim_ascii();
    let end = line.iter().position(is_blank).unwrap_or(line.len());
    let (path, argument) = line.split_at(end);
    let argument = argument.trim_ascii();
    let argument = (!argument.is_empty()).then(|| OsString::from_vec(argument.to_vec()));
    (!path.is_empty()).then(|| Interpreter { path: OsStr::from_bytes(path).into(), argument })
}

/// The program that `env` would run: the first word that is no option and no assignment. `None` where that is not
/// clear.
pub(crate) fn program_of_env(argument: &OsStr) -> Option<OsString> {
    let mut words = argument.as_bytes().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let first = words.next()?;
    let word = match first {
        b"-S" => words.find(|word| !word.contains(&b'='))?,
        word => word.strip_prefix(b"-S").unwrap_or(word),
    };
    let is_name = word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(byte));
    (is_name && !word.starts_with(b"-")).then(|| OsStr::from_bytes(word).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<(String, Option<String>)> {
        parse(line.as_bytes()).map(|found| {
            let text = |text: OsString| text.into_string().unwrap();
            (text(found.path.into_os_string()), found.argument.map(text))
        })
    }

    #[test]
    fn a_line_is_read_as_the_kernel_reads_it() {
        let found = |path: &str, argument: Option<&str>| Some((path.to_owned(), argument.map(str::to_owned)));
        assert_eq!(parsed("#!/bin/sh\nexit"), found("/bin/sh", None));
        assert_eq!(parsed("#! /bin/sh  -e -x \n"), found("/bin/sh", Some("-e -x")));
        assert_eq!(parsed("#!/bin/sh"), found("/bin/sh", None));
        assert_eq!(parsed("#!\n"), None);
        assert_eq!(parsed("\x7fELF"), None);
        assert_eq!(parsed(""), None);
    }

    #[test]
    fn text_is_told_from_programs() {
        assert_eq!(Beginning::from(b"\x7fELF\x02\x01".as_slice()), Beginning::Program);
        assert_eq!(Beginning::from(b"MZ\x90\0\x03\n".as_slice()), Beginning::Program);
        for text in ["", "echo\n\0", "#!\n", "# a remark"] {
            assert_eq!(Beginning::from(text.as_bytes()), Beginning::Text, "{text:?}");
        }
        assert!(matches!(Beginning::from(b"#!/bin/sh\n".as_slice()), Beginning::Script(_)));
    }

    #[test]
    fn what_env_would_run_is_a_plain_name_or_unclear() {
        let program =
            |argument: &str| program_of_env(OsStr::new(argument)).map(|name| name.into_string().unwrap());
        assert_eq!(program("python3").as_deref(), Some("python3"));
        assert_eq!(program("-S python3 -I").as_deref(), Some("python3"));
        assert_eq!(program("-S A=1 python3").as_deref(), Some("python3"));
        assert_eq!(program("-i python3"), None);
        assert_eq!(program("-S -i python3"), None);
        assert_eq!(program("./python3"), None);
        assert_eq!(program(""), None);
    }
}
