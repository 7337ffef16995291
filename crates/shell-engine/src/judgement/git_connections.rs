//! How Git connects to another side: what says that it goes by way of a proxy, or that nobody's certificate is looked at, decides who
//! reads the password that is sent. Where a command may have said it, Git gets none.
//!
//! Git asks a helper for a password as it runs. So the configuration of the repository that the transport works on is looked at then,
//! whichever that is (a submodule's, a new clone's), and all others before Git starts.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::trust::Trust;

/// Asked of Git itself: each entry comes with the file that it stands in. The second is there in any case, so an empty answer is none.
pub(crate) const QUESTION: [&str; 5] = [
    "config",
    "--null",
    "--show-origin",
    "--get-regexp",
    "^(http\\..*|remote\\..*\\.proxy.*|core\\.fsmonitor)$",
];

/// Largest configuration that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Settings that say nothing about whom Git talks to, or who may read it.
const HARMLESS: &[&str] = &[
    "postbuffer",
    "lowspeedlimit",
    "lowspeedtime",
    "version",
    "maxrequests",
    "minsessions",
    "useragent",
    "extraheader",
    "emptyauth",
];

/// What in a repository's own configuration is enough to tell it no password: sections and files that may hold such a setting.
const IN_A_REPOSITORY: &[&str] = &["[http", "[include", "proxy"];

/// Which of these arguments says how Git connects, as a setting for this call or for a new clone.
pub(crate) fn in_arguments(arguments: &[OsString]) -> Option<String> {
    let words = arguments.iter().map(|word| word.to_string_lossy().to_lowercase());
    words.map(|word| word.trim_start_matches("-c").to_owned()).find(|word| {
        let setting = match word.strip_prefix("--") {
            Some(option) if option.starts_with("con") => {
                option.split_once('=').map_or("", |(_, setting)| setting)
            }
            Some(_) => "",
            None => word,
        };
        let (key, value) = setting.split_once('=').unwrap_or((setting, "true"));
        decides(key, value)
    })
}

/// Which entry of an answer to [`QUESTION`] a command may have written; an error where there is no answer.
pub(crate) fn in_configuration(answer: &[u8], trust: &Trust) -> Result<Option<String>, ()> {
    let mut parts = answer.split(|byte| *byte == 0);
    let mut is_whole = false;
    while let (Some(origin), Some(entry)) = (parts.next(), parts.next()) {
        let entry = String::from_utf8_lossy(entry);
        let (key, value) = entry.split_once('\n').unwrap_or((&entry, "true"));
        is_whole |= key == "core.fsmonitor";
        // What belongs to the repository has a relative name, and is looked at later.
        let file = origin.strip_prefix(b"file:").map(|path| Path::new(OsStr::from_bytes(path)));
        let is_written = file.is_some_and(|file| file.is_absolute() && may_be_written(file, trust));
        if is_written && decides(&key.to_lowercase(), &value.to_lowercase()) {
            return Ok(Some(key.to_owned()));
        }
    }
    if is_whole { Ok(None) } else { Err(()) }
}

/// Whether the configuration of the repository that a transport works on may say how it connects, and a command may have written that.
pub(super) fn is_led_by_a_repository(transport: i32, trust: &Trust) -> bool {
    let Some(folder) = repository_of(transport) else { return false };
    let common = std::fs::read_to_string(folder.join("commondir")).ok();
    let common = common.map(|name| folder.join(name.trim_end_matches('\n')));
    let folders = std::iter::once(folder).chain(common);
    let mut files = folders.flat_map(|folder| ["config", "config.worktree"].map(|name| folder.join(name)));
    files.any(|file| file.exists() && may_be_written(&file, trust) && says_something(&file))
}

/// `GIT_DIR`, which Git tells its transport; none outside of a repository.
fn repository_of(transport: i32) -> Option<PathBuf> {
    let mut variables = Vec::new();
    let file = std::fs::File::open(format!("/proc/{transport}/environ")).ok()?;
    file.take(MAX_FILE).read_to_end(&mut variables).ok()?;
    let folder = variables.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"GIT_DIR="))?;
    let workdir = std::fs::read_link(format!("/proc/{transport}/cwd")).ok()?;
    Some(workdir.join(OsStr::from_bytes(folder)))
}

fn may_be_written(file: &Path, trust: &Trust) -> bool {
    let real = file.canonicalize();
    real.as_deref().map_or(true, |real| trust.may_be_written(real)) || trust.may_be_written(file)
}

/// What cannot be read says something.
fn says_something(file: &Path) -> bool {
    let mut text = Vec::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text).to_lowercase();
    read.map_or(true, |length| length as u64 >= MAX_FILE)
        || IN_A_REPOSITORY.iter().any(|sign| text.contains(sign))
}

/// Whether a setting, in small letters, decides whom Git talks to or who reads it.
fn decides(key: &str, value: &str) -> bool {
    let name = key.rsplit('.').next().unwrap_or_default();
    let is_on = ["true", "yes", "on", "1"].contains(&value);
    match key.split('.').next() {
        _ if !key.contains('.') => false,
        Some("http") => !(HARMLESS.contains(&name) || name == "sslverify" && is_on),
        Some("remote") => name.starts_with("proxy"),
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_say_how_git_connects_are_found() {
        for (line, found) in [
            ("-c http.proxy=http://x fetch", true),
            ("-c HTTP.https://x/.SSLVerify=false fetch", true),
            ("--config-env=http.proxy=X fetch", true),
            ("--config-env http.proxy=X fetch", true),
            ("clone -chttp.curloptResolve=x https://h/x", true),
            ("clone --config=remote.origin.proxy=x https://h/x", true),
            ("clone --conf http.sslCAInfo=x https://h/x", true),
            ("fetch https://http.example.org/x", false),
            ("-c http.version=HTTP/1.1 -c http.sslVerify=true fetch origin", false),
            ("push origin http", false),
            ("-c user.name=x commit -m proxy", false),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(in_arguments(&words).is_some(), found, "{line}");
        }
    }

    #[test]
    fn a_repositorys_configuration_says_something_in_any_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        for (text, says) in [
            ("[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://x.test/y\n", false),
            ("[HTTP \"https://x.test\"] sslVerify = no\n", true),
            ("[includeIf \"gitdir:/\"]\n\tpath = x\n", true),
            ("[remote \"origin\"]\n\tProxy = x\n", true),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(says_something(&file), says, "{text}");
        }
        assert!(says_something(&folder.path().join("none")));
    }
}
