//! Trying the two programs that must be ours, before anything relies on them: each is started once, to say what it is.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use escalation_protocol::variables;

/// Why a program is not the one that it must be.
pub(crate) enum TrialError {
    /// It is another; it does this.
    NotOurs { what: &'static str, problem: &'static str },
    /// It cannot be started.
    NotStarted { what: &'static str, problem: String },
}

/// A Bash without our hook would run everything unjudged. Told to execute through a wrapper that is not there, ours
/// refuses (126); any other runs the program, which is the Bash itself: nothing else is on every machine.
pub(crate) fn try_bash(bash: &Path) -> Result<(), TrialError> {
    if !is_for_this_machine(bash) {
        let problem = "it was built for another kind of machine".to_owned();
        return Err(TrialError::NotStarted { what: "Bash", problem });
    }
    let status = Command::new(bash)
        .args(["-c", "\"$0\" -c :"])
        .arg(bash)
        .env_clear()
        .env(variables::WRAPPER, "/nonexistent/execve-wrapper")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(status) if status.code() == Some(126) => Ok(()),
        Ok(_) => {
            Err(TrialError::NotOurs { what: "the patched Bash", problem: "executes programs without asking" })
        }
        Err(error) => Err(TrialError::NotStarted { what: "Bash", problem: not_started(&error) }),
    }
}

/// Whether a Bash takes its command from a descriptor: ours does, Codex's does not. The command there is empty, the one
/// among the arguments fails.
pub(crate) fn takes_command_by_descriptor(bash: &Path) -> bool {
    let status = Command::new(bash)
        .args(["-c", "exit 1"])
        .env_clear()
        .env(variables::COMMAND_STRING, "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Something else in the wrapper's place would run in the place of every program. Without a program, ours says how it is
/// used.
pub(crate) fn try_wrapper(wrapper: &Path) -> Result<(), TrialError> {
    let output = Command::new(wrapper).env_clear().stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.stderr.starts_with(b"usage: execve-wrapper ") => Ok(()),
        Ok(_) => Err(TrialError::NotOurs { what: "the execve-wrapper", problem: "does not answer as one" }),
        Err(error) => Err(TrialError::NotStarted { what: "execve-wrapper", problem: not_started(&error) }),
    }
}

/// Why a program that is there could not be started.
fn not_started(error: &io::Error) -> String {
    if Path::new("/dev/null").exists() {
        error.to_string()
    } else {
        "there is no /dev/null here; give this root file system the usual /dev and /proc".to_owned()
    }
}

/// Bytes at the beginning of a program that say for which machine it is (`e_ident` to `e_machine`, elf(5)).
const MACHINE: usize = 20;

/// Whether a program is for this machine, as far as its beginning says. A shell may answer for one that is not, as
/// `execvp` has it run.
fn is_for_this_machine(program: &Path) -> bool {
    let beginning = |path: &Path| {
        let mut bytes = [0; MACHINE];
        let mut file = File::open(path).ok()?;
        file.read_exact(&mut bytes).ok()?;
        Some(bytes)
    };
    let own = std::env::current_exe().ok().and_then(|own| beginning(&own));
    match (beginning(program), own) {
        (Some(found), Some(own)) if found.starts_with(b"\x7fELF") && own.starts_with(b"\x7fELF") => {
            // The class and the byte order, and the machine; not the kind of file, nor whose system it was built for.
            found.get(4..6) == own.get(4..6) && found.get(18..) == own.get(18..)
        }
        (_, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_for_another_machine_is_known() {
        let own = std::env::current_exe().expect("a program");
        assert!(is_for_this_machine(&own));
        let folder = tempfile::tempdir().expect("a folder");
        let other = folder.path().join("bash");
        let mut bytes = vec![0; 64];
        File::open(own).expect("it is there").read_exact(&mut bytes).expect("read");
        if !bytes.starts_with(b"\x7fELF") {
            return; // Other systems have other programs.
        }
        bytes[18] ^= 1;
        std::fs::write(&other, &bytes).expect("written");
        assert!(!is_for_this_machine(&other));
    }
}
