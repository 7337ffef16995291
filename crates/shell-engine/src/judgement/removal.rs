//! `rm -f` that can remove nothing but what commands may write in any case, and no more of it than it says: nobody is asked
//! about that.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use execpolicy::dangerous::Danger;
use execpolicy::{Evaluation, HeuristicMatch};
use sandbox::resolve::real_path;

use super::exec::Exec;
use super::trust::Trust;

/// Whether everything that was found dangerous is such a removal.
pub(super) fn is_of_the_commands_own(evaluation: &Evaluation, exec: &Exec, trust: &Trust) -> bool {
    let dangers = evaluation.dangers();
    !dangers.is_empty()
        && trust.is_enforced()
        && dangers.iter().all(|found| found.danger == Danger::ForcedRemove && is_harmless(found, exec, trust))
}

fn is_harmless(found: &HeuristicMatch, exec: &Exec, trust: &Trust) -> bool {
    let itself = found.command.iter().skip(1).eq(exec.arguments());
    // In a script inside, the shell still has to expand words, and may go elsewhere first.
    let is_plain =
        |operand: &OsStr| itself || !operand.as_bytes().iter().any(|byte| b"*?[]{}$`~".contains(byte));
    let is_seen_from_here = itself || !goes_elsewhere(exec);
    let operands: Vec<&OsStr> = operands(&found.command).collect();
    !operands.is_empty()
        && operands.into_iter().all(|operand| {
            is_plain(operand)
                && (is_seen_from_here || Path::new(operand).is_absolute())
                && trust.may_be_removed(&meant(&exec.workdir, operand))
        })
}

/// What rm(1) removes: all words that are no options.
fn operands(words: &[OsString]) -> impl Iterator<Item = &OsStr> {
    let mut only_operands = false;
    words.iter().skip(1).map(OsString::as_os_str).filter(move |word| {
        let is_end = !only_operands && *word == "--";
        only_operands |= is_end;
        !is_end && (only_operands || !word.as_bytes().starts_with(b"-") || *word == "-")
    })
}

/// Whether a script in the arguments may change its directory.
fn goes_elsewhere(exec: &Exec) -> bool {
    let separates = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b'_';
    let changes = |word: &[u8]| [&b"cd"[..], b"pushd", b"popd", b"chdir"].contains(&word);
    exec.arguments().iter().any(|argument| argument.as_bytes().split(separates).any(changes))
}

/// The file that an operand means: links on the way are followed, one in its place is removed itself.
fn meant(workdir: &Path, operand: &OsStr) -> PathBuf {
    let path = workdir.join(operand);
    let follows = operand.as_bytes().ends_with(b"/") || path.file_name().is_none();
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !follows => real_path(parent).join(name),
        _ => real_path(&path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_what_options_are_not() {
        let words = ["rm", "-rf", "a", "--verbose", "--", "-b", "c"].map(OsString::from);
        assert_eq!(operands(&words).collect::<Vec<_>>(), ["a", "-b", "c"]);
    }

    #[test]
    fn the_way_to_an_operand_is_followed_and_a_link_in_its_place_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir(base.join("real")).unwrap();
        std::os::unix::fs::symlink("real", base.join("link")).unwrap();
        let meant = |operand: &str| meant(&base, OsStr::new(operand));
        assert_eq!(meant("link"), base.join("link"));
        assert_eq!(meant("link/"), base.join("real"));
        assert_eq!(meant("link/x"), base.join("real/x"));
        assert_eq!(meant("real/.."), base);
    }
}
