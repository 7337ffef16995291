//! `apply_patch`, the program: a patch as the only argument or on standard input.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::io::Errno;

use crate::patch::{MAX_PATCH_BYTES, Patch};
use crate::place::places;
use crate::report::Report;
use crate::turn::{LONGEST, Turn};

/// The names that the program is started by.
pub const NAMES: [&str; 2] = ["apply_patch", "applypatch"];

/// The argument by which the result is written as JSON.
pub const REPORT_ARGUMENT: &str = "--report";

/// What is printed before a patch's files are written, where the result is JSON.
pub const APPLYING: &str = "applying\n";

/// The argument by which nothing is written.
pub const CHECK_ARGUMENT: &str = "--check";

const HELP: &str = "\
Changes files as a patch says, all of them or none.

Usage: apply_patch [--check] [PATCH]     (without PATCH it is read from standard input)

  apply_patch <<'EOF'
  *** Begin Patch
  *** Update File: src/main.rs
  @@ fn main() {
  -    old();
  +    new();
  *** Add File: notes.txt
  +one line
  *** Delete File: old.txt
  *** End Patch
  EOF

Unified diffs are understood as well (git diff). `*** Move to: PATH` after `*** Update File:` renames. --check only says
whether the patch fits; --report answers as JSON, after a line `applying` where files are about to be written.
";

/// Exit codes: the patch was applied, it was not, the program was called wrongly.
const APPLIED: u8 = 0;
const REFUSED: u8 = 1;
const WRONG: u8 = 2;

/// The argument behind which a patch follows in parts, each as long as an argument may be: how the program shows a patch
/// to whoever watches what is executed, after it has read it.
const PARTS_ARGUMENT: &str = "--parts";

/// Bytes of one part. The kernel takes 128 KiB (`MAX_ARG_STRLEN`, execve(2)).
const PART: usize = 100 << 10;

/// The longest patch that is shown so: with the environment, arguments are at most a quarter of the stack's limit, which is
/// mostly 8 MiB (execve(2)).
const MOST_SHOWN: usize = 1 << 20;

/// What the program was told.
#[derive(Default)]
struct Told {
    parts: Vec<OsString>,
    is_check: bool,
    is_report: bool,
    /// It has been executed once more already.
    is_shown: bool,
    is_help: bool,
}

impl Told {
    fn read(&mut self, arguments: impl Iterator<Item = OsString>) -> Result<(), &'static str> {
        let mut only_patches = false;
        for argument in arguments {
            match argument.to_str() {
                Some("--help" | "-h") if !only_patches => self.is_help = true,
                Some(CHECK_ARGUMENT) if !only_patches => self.is_check = true,
                Some(REPORT_ARGUMENT) if !only_patches => self.is_report = true,
                Some(PARTS_ARGUMENT) if !only_patches => (self.is_shown, only_patches) = (true, true),
                Some("--") if !only_patches => only_patches = true,
                Some("-") if self.parts.is_empty() => {}
                _ if self.is_shown || self.parts.is_empty() => self.parts.push(argument),
                Some(_) | None => {
                    return Err("the patch is one argument; quote it: apply_patch \"$(cat FILE)\"");
                }
            }
        }
        Ok(())
    }

    fn text(&self) -> Vec<u8> {
        self.parts.iter().flat_map(|part| part.as_bytes()).copied().collect()
    }

    /// Executes the program once more, with the patch among its arguments. Returns when it is too long for that, or when the
    /// program was refused.
    fn show(&self, text: &[u8]) -> io::Result<()> {
        let Ok(program) = std::env::current_exe() else { return Ok(()) };
        if text.len() > MOST_SHOWN || text.is_empty() || text.contains(&0) {
            return Ok(());
        }
        let mut again = Command::new(program);
        again.arg0(NAMES[0]);
        again.arg(PARTS_ARGUMENT).args(text.chunks(PART).map(OsStr::from_bytes));
        let error = again.exec();
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            // The stack's limit is a small one.
            Some(Errno::TOOBIG) => Ok(()),
            Some(_) | None => Err(error),
        }
    }
}

/// Whether a program's own name, its first argument, is this program's.
#[must_use]
pub fn is_named(own: &OsStr) -> bool {
    Path::new(own).file_name().is_some_and(|name| NAMES.iter().any(|known| name == *known))
}

/// The patch among the arguments of the program, if that is where it is.
#[must_use]
pub fn patch_in(arguments: &[OsString]) -> Option<Vec<u8>> {
    let mut told = Told::default();
    told.read(arguments.iter().cloned()).ok()?;
    (!told.parts.is_empty()).then(|| told.text())
}

/// Whether the program with these arguments only says whether a patch fits.
#[must_use]
pub fn is_check(arguments: &[OsString]) -> bool {
    let mut told = Told::default();
    told.read(arguments.iter().cloned()).is_ok() && told.is_check
}

/// Runs the program with these arguments, without its own name, and returns its exit code: 0 when the patch was applied, 1
/// when it was not, 2 when it was called wrongly.
pub fn run(arguments: impl Iterator<Item = OsString>) -> u8 {
    let mut told = Told::default();
    if let Err(what) = told.read(arguments) {
        return wrong(what);
    }
    if told.is_help {
        return print(HELP.as_bytes(), APPLIED);
    }
    let text = match told.parts.is_empty() {
        false => told.text(),
        true if io::stdin().is_terminal() => {
            return wrong("no patch: give it as the argument or on standard input");
        }
        true => match read_input() {
            Ok(text) => text,
            Err(error) => return wrong(&format!("standard input cannot be read: {error}")),
        },
    };
    if told.parts.is_empty() && !told.is_report && !told.is_check {
        // Nobody is asked about a patch that does not fit.
        let early = apply(&text, Path::new("."), true);
        if !early.is_applied() {
            complain(&early.to_string());
            return REFUSED;
        }
        if let Err(error) = told.show(&text) {
            complain(&format!("The patch was not applied: the program may not be executed: {error}\n"));
            return REFUSED;
        }
    }
    let begins = || {
        if told.is_report {
            print(APPLYING.as_bytes(), APPLIED);
        }
    };
    let report = apply_telling(&text, Path::new("."), told.is_check, begins);
    let code = if report.is_applied() { APPLIED } else { REFUSED };
    if told.is_report {
        return print(&serde_json::to_vec(&report).unwrap_or_default(), code);
    }
    match (report.is_applied(), told.is_check) {
        (true, true) => print(b"The patch fits.\n", code),
        (true, false) => print(report.to_string().as_bytes(), code),
        (false, _) => {
            complain(&report.to_string());
            code
        }
    }
}

/// Applies a patch in a folder, or only checks it. Patches that others apply there are waited for.
#[must_use]
pub fn apply(text: &[u8], folder: &Path, is_check: bool) -> Report {
    apply_telling(text, folder, is_check, || {})
}

/// The same; `begins` is called before anything is written.
fn apply_telling(text: &[u8], folder: &Path, is_check: bool, begins: impl FnOnce()) -> Report {
    let patch = match Patch::read(text) {
        Ok(patch) => patch,
        Err(error) => return Report::failed(error.to_string()),
    };
    let _turn = match places(&patch, folder) {
        Ok(places) if !is_check => Some(Turn::wait(&places, LONGEST)),
        // What is wrong with a path is found once more.
        Ok(_) | Err(_) => None,
    };
    let checked = match patch.check(folder) {
        Ok(checked) => checked,
        Err(failures) => return Report { failures, ..Report::default() },
    };
    let applied = if is_check {
        Ok(())
    } else {
        begins();
        checked.apply()
    };
    match applied {
        Ok(()) => Report { changes: checked.changes, ..Report::default() },
        Err(failure) => Report { failures: vec![failure], ..Report::default() },
    }
}

fn read_input() -> io::Result<Vec<u8>> {
    // One byte more than is read, for it to be refused.
    let most = u64::try_from(MAX_PATCH_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = Vec::new();
    io::stdin().lock().take(most).read_to_end(&mut text)?;
    Ok(text)
}

fn wrong(what: &str) -> u8 {
    complain(&format!("{what}\n`apply_patch --help` shows how a patch is written\n"));
    WRONG
}

fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

fn print(text: &[u8], code: u8) -> u8 {
    match io::stdout().write_all(text).and_then(|()| io::stdout().flush()) {
        Ok(()) => code,
        Err(_) => REFUSED,
    }
}
