//! Filters of Git's that a confined one cannot run: found before it starts. It would store what is to be filtered as it is,
//! and say nothing, or remove a file of the work tree that it cannot write anew.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sandbox::{Directory, Inherited, SpawnRequest};

use crate::judgement::{Exec, Outside, git_subcommand};
use crate::sandboxes::{Process, Sandbox};
use crate::visible::{code, shortened, visible};

/// Subcommands that convert content between the work tree and the repository.
const CONVERTING: &[&str] = &[
    "add",
    "am",
    "apply",
    "checkout",
    "checkout-index",
    "cherry-pick",
    "commit",
    "hash-object",
    "merge",
    "pull",
    "read-tree",
    "rebase",
    "reset",
    "restore",
    "revert",
    "stage",
    "stash",
    "switch",
    "update-index",
    "worktree",
];

/// Bytes that are read of what Git says.
const MOST: u64 = 64 << 10;

/// How long Git may take to say it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A driver that cannot run.
#[derive(Debug, PartialEq, Eq)]
struct Driver {
    name: OsString,
    command: OsString,
}

/// Says which filter stands in the way, or makes those that do not concern any file here ones that must not fail.
///
/// # Errors
///
/// The words for whoever asks.
pub(super) async fn settle(exec: &Exec, program: &mut Outside, sandbox: &Arc<Sandbox>) -> Result<(), String> {
    let Some(globals) = converts(program) else { return Ok(()) };
    let ask = |words: &[&OsStr]| {
        let arguments = program.argv.iter().take(1).cloned();
        let arguments: Vec<OsString> = arguments
            .chain(globals.iter().cloned())
            .chain(words.iter().map(|word| (*word).to_owned()))
            .collect();
        answer(program.program.path.clone(), arguments, program.env.clone(), exec.workdir.clone(), sandbox)
    };
    let listed =
        ["config", "--null", "--get-regexp", "^filter\\..*\\.(clean|smudge|process)$"].map(OsStr::new);
    let configured = ask(&listed).await;
    let unable = drivers(&configured, &program.executes.places, &program.env);
    for Driver { name, command } in &unable {
        let mut of_driver = OsString::from(":(attr:filter=");
        of_driver.push(name);
        of_driver.push(")");
        let words = ["ls-files", "-z", "-co", "--exclude-standard", "--full-name", "--"].map(OsStr::new);
        let words: Vec<&OsStr> = words.into_iter().chain([of_driver.as_os_str()]).collect();
        let files = ask(&words).await;
        if let Some(file) = files.split(|byte| *byte == 0).next().filter(|file| !file.is_empty()) {
            let shown = |bytes: &[u8]| code(&shortened(&visible(bytes), 200));
            return Err(format!(
                "{} is filtered by {}, which a confined git does not run, so it would not be stored as it should be; a person can name \
                 the program in `may_run` of a profile with base=\"git\", or let git run with run=\"outside\"",
                shown(file),
                shown(command.as_bytes())
            ));
        }
    }
    let names = unable.into_iter().map(|driver| driver.name);
    require(names, &mut program.env);
    Ok(())
}

/// The options before the subcommand, if that converts anything.
fn converts(program: &Outside) -> Option<Vec<OsString>> {
    if program.program.path.file_name() != Some(OsStr::new("git")) {
        return None;
    }
    let (options, name) = git_subcommand(program.argv.get(1..)?)?;
    CONVERTING.iter().any(|known| name == *known).then_some(options)
}

/// The drivers among `KEY\nVALUE\0…` whose program is not one of these.
fn drivers(configured: &[u8], executed: &[PathBuf], env: &[OsString]) -> Vec<Driver> {
    let mut found: Vec<Driver> = Vec::new();
    for entry in configured.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
        let mut parts = entry.splitn(2, |byte| *byte == b'\n');
        let (Some(key), Some(command)) = (parts.next(), parts.next()) else { continue };
        let name = key
            .strip_prefix(b"filter.")
            .and_then(|rest| rest.iter().rposition(|byte| *byte == b'.').and_then(|at| rest.get(..at)));
        let Some(name) = name else { continue };
        let is_known = found.iter().any(|driver| driver.name.as_bytes() == name);
        if !is_known && !command.is_empty() && !runs(command, executed, env) {
            let (name, command) = (OsString::from_vec(name.to_vec()), OsString::from_vec(command.to_vec()));
            found.push(Driver { name, command });
        }
    }
    found
}

/// Whether the program of a command line is one that is executed.
fn runs(command: &[u8], executed: &[PathBuf], env: &[OsString]) -> bool {
    let Some(words) = std::str::from_utf8(command).ok().and_then(shlex::split) else { return false };
    let Some(first) = words.first() else { return true };
    let path = env.iter().find_map(|entry| entry.as_bytes().strip_prefix(b"PATH=")).unwrap_or_default();
    let file = match first.contains('/') {
        true => Some(PathBuf::from(first)),
        false => std::env::split_paths(OsStr::from_bytes(path))
            .map(|folder| folder.join(first))
            .find(|file| file.is_file()),
    };
    let real = file.filter(|file| file.is_absolute()).and_then(|file| file.canonicalize().ok());
    real.is_some_and(|real| executed.iter().any(|place| real.starts_with(place)))
}

/// Adds settings by which a filter that does not run ends Git.
fn require(names: impl Iterator<Item = OsString>, env: &mut Vec<OsString>) {
    let count = env.iter().find_map(|entry| entry.as_bytes().strip_prefix(b"GIT_CONFIG_COUNT="));
    let count = count.and_then(|count| std::str::from_utf8(count).ok()?.parse::<usize>().ok()).unwrap_or(0);
    let mut next = count;
    for name in names {
        let mut key = OsString::from(format!("GIT_CONFIG_KEY_{next}=filter."));
        key.push(name);
        key.push(".required");
        env.push(key);
        env.push(format!("GIT_CONFIG_VALUE_{next}=true").into());
        next += 1;
    }
    if next > count {
        env.retain(|entry| !entry.as_bytes().starts_with(b"GIT_CONFIG_COUNT="));
        env.push(format!("GIT_CONFIG_COUNT={next}").into());
    }
}

/// What a program prints in the sandbox; nothing where it does not.
pub(super) async fn answer(
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<OsString>,
    workdir: PathBuf,
    sandbox: &Arc<Sandbox>,
) -> Vec<u8> {
    let Ok((out, into)) = std::io::pipe() else { return Vec::new() };
    let Ok(null) = File::options().read(true).write(true).open(Path::new("/dev/null")) else {
        return Vec::new();
    };
    let Ok(errors) = null.try_clone() else { return Vec::new() };
    let request = SpawnRequest {
        program,
        arguments,
        environment,
        directory: Directory::Path(workdir),
        descriptors: vec![(null.into(), 0), (into.into(), 1), (errors.into(), 2)],
        inherited: Inherited::default(),
        reported: false,
        reports_reading: false,
    };
    let Ok(process) = Process::start(request, sandbox).await else { return Vec::new() };
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        let _ = out.take(MOST).read_to_end(&mut bytes);
        bytes
    });
    let read = tokio::time::timeout(PATIENCE, reading).await;
    // What is still there has said enough.
    process.end(Duration::ZERO).await;
    read.ok().and_then(Result::ok).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_that_cannot_run_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::write(base.join("able"), "").unwrap();
        std::fs::write(base.join("other"), "").unwrap();
        let mut path = OsString::from("PATH=");
        path.push(&base);
        let configured = "filter.a.clean\nable --x\0filter.b.c.smudge\nother %f\0filter.b.c.clean\nother\0filter.d.clean\n\0";
        let found = drivers(configured.as_bytes(), &[base.join("able")], &[path]);
        assert_eq!(found, [Driver { name: "b.c".into(), command: "other %f".into() }]);
    }

    #[test]
    fn settings_are_added_behind_others() {
        let mut env: Vec<OsString> = vec!["A=b".into(), "GIT_CONFIG_COUNT=2".into()];
        require([OsString::from("x")].into_iter(), &mut env);
        let expected =
            ["A=b", "GIT_CONFIG_KEY_2=filter.x.required", "GIT_CONFIG_VALUE_2=true", "GIT_CONFIG_COUNT=3"];
        assert_eq!(env, expected.map(OsString::from));
        require(std::iter::empty(), &mut env);
        assert_eq!(env.len(), 4);
    }
}
