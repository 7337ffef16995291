//! Interpreters below a program with the user's rights, and whose code they run: there the kernel sees only a program of the
//! system's, which may be executed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use execpolicy::amend::code_options;

use super::exec::Exec;
use super::trust::Trust;
use crate::visible::{code, shortened, visible};

/// Says which code it runs that a command may have written. `top` is the program that was let out, which may be itself.
pub(super) fn found(exec: &Exec, top: &Exec, trust: &Trust) -> Option<String> {
    let name = exec.file.file_name()?.to_str()?;
    let options = code_options(name)?;
    let shown = |text: &OsStr| code(&shortened(&visible(text.as_bytes()), 200));
    let mut arguments = exec.arguments().iter().map(|argument| argument.as_os_str());
    while let Some(argument) = arguments.next() {
        if takes_code(argument, options) {
            let text = arguments.next().unwrap_or_default();
            return is_commands(text, exec, top, trust).then(|| format!("it runs {} as code", shown(text)));
        }
        if !argument.as_bytes().starts_with(b"-") {
            let script = exec.workdir.join(argument);
            let is_written = script.canonicalize().is_ok_and(|real| trust.may_be_written(&real));
            // Of awk and the like, the first word is the code itself.
            let is_code = options.is_empty() && is_commands(argument, exec, top, trust);
            return (is_written || is_code)
                .then(|| format!("it runs {}, which a command may have written", shown(argument)));
        }
    }
    top.reads_input.then(|| "it runs what it reads from the command".to_owned())
}

/// Whether what follows an argument is code: `-c`, or `-ec`.
fn takes_code(argument: &OsStr, options: &[&str]) -> bool {
    let bytes = argument.as_bytes();
    options.iter().any(|option| {
        let option = option.as_bytes();
        let is_letter = option.len() == 2 && option.first() == Some(&b'-') && option != b"--";
        let in_group = bytes.len() > 2 && !bytes.starts_with(b"--") && bytes.starts_with(b"-");
        bytes == option
            || is_letter
                && in_group
                && bytes.iter().skip(1).all(u8::is_ascii_alphabetic)
                && option.get(1).is_some_and(|letter| bytes.last() == Some(letter))
    })
}

/// Whether a text may be a command's: the program outside was told it, or has read something that commands can write.
fn is_commands(text: &OsStr, exec: &Exec, top: &Exec, trust: &Trust) -> bool {
    if std::ptr::eq(exec, top) || top.reads_input {
        return true;
    }
    let text = text.as_bytes().trim_ascii();
    let told = |argument: &[u8]| {
        !text.is_empty() && (holds(argument, text) || argument.len() > 3 && holds(text, argument))
    };
    let is_told = top.arguments().iter().any(|argument| told(argument.as_bytes()));
    let is_given = top.arguments().iter().any(|argument| {
        let path = top.workdir.join(Path::new(argument));
        path.is_file() && path.canonicalize().is_ok_and(|real| trust.may_be_written(&real))
    });
    is_told || is_given
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len().max(1)).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::Programs;
    use sandbox::{Mode, Network, Plan};
    use std::sync::Arc;

    fn exec(line: &str, workdir: &Path, reads_input: bool) -> Exec {
        let argv: Vec<_> = shlex::split(line).unwrap().into_iter().map(Into::into).collect();
        let file = Path::new("/usr/bin").join(&argv[0]);
        Exec::seen_in(workdir.to_owned(), &file, argv, None).with_input(reads_input)
    }

    #[test]
    fn code_of_a_commands_is_told_from_a_programs_own() {
        let folder = tempfile::tempdir().unwrap();
        let ws = folder.path().canonicalize().unwrap();
        std::fs::write(ws.join("script"), "").unwrap();
        let mut plan = Plan::unenforced(Mode::WorkspaceWrite, Network::Restricted);
        plan.writable = vec![ws.clone()];
        let trust = Trust::new(Arc::new(Programs::new(OsStr::new("/usr/bin"))), Arc::new(plan));
        for (top, below, reads, expected) in [
            ("sed '1e touch x'", "sh -c 'touch x'", false, true),
            ("find . -exec sh -c 'id; true' ';'", "sh -c 'id; true'", false, true),
            ("tool update", "sh -c 'ldconfig -p'", false, false),
            ("tool update", "sh -ec 'ldconfig -p'", true, true),
            ("tool -f script", "sh -c 'ldconfig -p'", false, true),
            ("tool update", "sh script", false, true),
            ("tool update", "sh /etc/profile", false, false),
            ("tool update", "sh", false, false),
            ("tool update", "sh", true, true),
            ("tool update", "ls script", false, false),
            ("tool 'BEGIN{system(1)}'", "awk 'BEGIN{system(1)}'", false, true),
        ] {
            let (top_exec, below_exec) = (exec(top, &ws, reads), exec(below, &ws, false));
            assert_eq!(found(&below_exec, &top_exec, &trust).is_some(), expected, "{top}: {below}");
        }
        let itself = exec("python3 -c 'x'", &ws, false);
        assert!(found(&itself, &itself, &trust).is_some());
    }
}
