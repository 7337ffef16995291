//! What holds credentials or keys and is started by a confined `git`: it runs as Git itself runs it, and not otherwise. What a
//! repository says (a filter, an alias, `--upload-pack`) would else have `ssh`, `gpg` and `ssh-keygen` do anything with the
//! user's keys.

use std::ffi::OsStr;

use super::exec::{Below, Exec};
use super::git_connections;
use super::git_settings::{self, Purpose};
use super::trust::Trust;
use crate::visible::{code, shortened, visible};

/// The programs at the other side.
const SERVICES: &[&str] = &["git-upload-pack", "git-receive-pack", "git-upload-archive"];

/// Settings of ssh that choose nothing but a key, or how long to wait.
const HARMLESS: &[&str] = &["SendEnv=GIT_PROTOCOL", "IdentitiesOnly=yes", "BatchMode=yes"];

/// Processes between a helper and what needs it: what splits a command line into words.
const MOST_BETWEEN: usize = 4;

/// How a program below a confined `git` runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Helper<'e> {
    /// By the profile of this name.
    By(&'e str),
    /// It is none that holds anything.
    Other,
    /// Git does not run it so.
    Refused(String),
}

/// Judges what a confined program starts, by its name.
pub(super) fn helper<'e>(below: &Below, exec: &'e Exec, name: &'e str, trust: &Trust) -> Helper<'e> {
    if below.exec.file().file_name() != Some(OsStr::new("git")) {
        return Helper::Other;
    }
    let arguments: Vec<&str> = exec.arguments().iter().filter_map(|word| word.to_str()).collect();
    let is_text = arguments.len() == exec.arguments().len();
    let purpose = git_settings::purpose(below.exec.arguments());
    // Who would be told a password.
    let told = transport(exec);
    let (profile, is_allowed) = match (name, &*arguments) {
        ("ssh", words) => ("ssh", purpose.talks && is_ssh(words)),
        ("gpg", words) => ("gpg", is_gpg(words, purpose)),
        ("ssh-keygen", words) => ("ssh-keygen", is_ssh_keygen(words, purpose, exec, trust)),
        ("git-credential-store", words) => {
            ("git-credential-store", is_credential(words, purpose) && told.is_some())
        }
        ("git", ["credential-store", words @ ..]) => {
            ("git-credential-store", is_credential(words, purpose) && told.is_some())
        }
        ("gh", ["auth", "git-credential", "get" | "store" | "erase"]) => {
            ("gh", purpose.talks && told.is_some())
        }
        ("gh", _) => ("gh", false),
        _ => return Helper::Other,
    };
    let tells = ["git-credential-store", "gh"].contains(&profile);
    match (is_allowed && is_text, told.filter(|_| tells)) {
        (false, _) => Helper::Refused(refusal(below, exec, name)),
        (true, None) => Helper::By(profile),
        (true, Some(transport)) => match no_password(below, transport, trust) {
            None => Helper::By(profile),
            Some(why) => Helper::Refused(why),
        },
    }
}

/// Why no password is told for a transport: who would read it is said where a command can.
fn no_password(below: &Below, transport: i32, trust: &Trust) -> Option<String> {
    let led = || {
        git_connections::is_led_by_a_repository(transport, trust)
            .then(|| "the repository's own configuration, which commands can write, may say so".to_owned())
    };
    let why = below.no_password.clone().or_else(led)?;
    Some(format!(
        "git is told no password, because what it says could go by way of a proxy, or to whoever shows some certificate: {why}; a person \
         can set that up in ~/.gitconfig, or have git run with run=\"outside\""
    ))
}

/// Whether a confined program starts Git as the credential store.
pub(super) fn is_credential_store(exec: &Exec) -> bool {
    exec.confined().is_some()
        && exec.file().file_name() == Some(OsStr::new("git"))
        && exec.arguments().first().is_some_and(|word| word == "credential-store")
}

fn refusal(below: &Below, exec: &Exec, name: &str) -> String {
    let words: Vec<String> = exec.argv.iter().map(|word| visible(word.as_encoded_bytes())).collect();
    let profile = below.profile.as_ref().map_or("git", |profile| profile.as_str());
    format!(
        "{} is not how git itself runs {name} for this: the profile \"{profile}\" lets it have your credentials and keys only for what git \
         does with them; a person can allow more by a rule for {name}, or have git run with run=\"outside\"",
        code(&shortened(&words.join(" "), 200))
    )
}

/// `[-4|-6|-x …] [-p PORT] [-i KEY] [-o …] DESTINATION "SERVICE 'PATH'"`.
fn is_ssh(words: &[&str]) -> bool {
    match words {
        // These take something away, or say which protocol it is.
        ["-4" | "-6" | "-a" | "-q" | "-T" | "-x", rest @ ..] => is_ssh(rest),
        ["-p", port, rest @ ..] => port.parse::<u16>().is_ok() && is_ssh(rest),
        ["-i", _, rest @ ..] => is_ssh(rest),
        ["-o", option, rest @ ..] => HARMLESS.contains(option) && is_ssh(rest),
        [destination, command] => {
            !destination.starts_with('-') && !destination.is_empty() && is_service(command)
        }
        _ => false,
    }
}

/// One of the other side's programs with one argument, quoted as Git quotes.
fn is_service(command: &str) -> bool {
    let Some((service, quoted)) = command.split_once(' ') else { return false };
    let Some(inner) = quoted.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) else {
        return false;
    };
    // A quotation mark and an exclamation mark stand outside of the marks, escaped.
    let rest = inner.replace("'\\''", "").replace("'\\!'", "");
    SERVICES.contains(&service) && !rest.contains('\'')
}

fn is_gpg(words: &[&str], purpose: Purpose) -> bool {
    let is_status = |word: &str| ["--status-fd=1", "--status-fd=2"].contains(&word);
    match words {
        [status, "-bsau", _] => purpose.signs && is_status(status),
        ["--keyid-format=long", rest @ ..] => is_gpg(rest, Purpose { signs: false, ..purpose }),
        [status, "--verify", file, "-"] => is_status(status) && !file.starts_with('-'),
        _ => false,
    }
}

fn is_ssh_keygen(words: &[&str], purpose: Purpose, exec: &Exec, trust: &Trust) -> bool {
    match words {
        ["-Y", "sign", "-n", "git", "-f", _, rest @ ..] => {
            let rest = rest.strip_prefix(&["-U"]).unwrap_or(rest);
            purpose.signs && matches!(rest, [file] if !file.starts_with('-'))
        }
        ["-Y", "find-principals" | "check-novalidate" | "verify", rest @ ..] => {
            is_verification(rest, &|file| is_users(file, exec, trust))
        }
        _ => false,
    }
}

/// Options of what verifies, each with a value; who may sign is nothing that commands say.
fn is_verification(words: &[&str], is_users: &dyn Fn(&str) -> bool) -> bool {
    match words {
        [] => true,
        ["-n", "git", rest @ ..] => is_verification(rest, is_users),
        ["-f" | "-r", file, rest @ ..] => is_users(file) && is_verification(rest, is_users),
        ["-s" | "-I", _, rest @ ..] => is_verification(rest, is_users),
        [time, rest @ ..] => time.starts_with("-Overify-time=") && is_verification(rest, is_users),
    }
}

fn is_users(file: &str, exec: &Exec, trust: &Trust) -> bool {
    let path = exec.workdir.join(file);
    path.canonicalize().is_ok_and(|real| !trust.may_be_written(&real))
}

/// `[--file=FILE] get|store|erase`, for a git that talks to another side.
fn is_credential(words: &[&str], purpose: Purpose) -> bool {
    let words = match words {
        ["--file", _, rest @ ..] => rest,
        [file, rest @ ..] if file.starts_with("--file=") => rest,
        _ => words,
    };
    purpose.talks && matches!(words, ["get" | "store" | "erase"])
}

/// The process that has it started and speaks to another side for Git, which keeps what it is told for that side.
fn transport(exec: &Exec) -> Option<i32> {
    let mut next = exec.lineage.process;
    for _ in 0..MOST_BETWEEN {
        let process = next?;
        let file = crate::sys::file_of_process(process)?;
        let name = file.file_name().unwrap_or_default().as_encoded_bytes();
        if name.starts_with(b"git-remote-http") || name.starts_with(b"git-remote-ftp") {
            return Some(process);
        }
        if name.starts_with(b"git") {
            return None;
        }
        next = crate::sys::parent_of_process(process);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Purpose = Purpose { talks: true, signs: true };

    #[test]
    fn ssh_runs_as_git_calls_it() {
        for (line, is_so) in [
            ("git@host|git-upload-pack 'a/b.git'", true),
            ("-o|SendEnv=GIT_PROTOCOL|-p|2222|git@host|git-receive-pack '/it'\\''s'\\!'.git'", true),
            ("-6|-i|/home/u/.ssh/other|host|git-upload-archive 'x'", true),
            ("host|git-upload-pack 'a'; id; 'b'", false),
            ("host|git-upload-pack a", false),
            ("host|git-upload-pack", false),
            ("-x|host|git-upload-pack 'a'", true),
            ("host|id", false),
            ("host", false),
            ("-oProxyCommand=x|git-upload-pack 'a'", false),
            ("-o|StrictHostKeyChecking=no|host|git-upload-pack 'a'", false),
            ("-F|/home/u/.ssh/id|host|git-upload-pack 'a'", false),
            ("-p|x|host|git-upload-pack 'a'", false),
        ] {
            let words: Vec<&str> = line.split('|').collect();
            assert_eq!(is_ssh(&words), is_so, "{line}");
        }
    }

    #[test]
    fn gpg_signs_where_git_does_and_verifies() {
        let reads = Purpose { talks: false, signs: false };
        for (line, signing, reading) in [
            ("--status-fd=2 -bsau KEY", true, false),
            ("--keyid-format=long --status-fd=1 --verify /t/x -", true, true),
            ("--status-fd=1 --verify --output -", false, false),
            ("-o /t/k --enarmor /k", false, false),
            ("--status-fd=2 -bsau KEY more", false, false),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!((is_gpg(&words, ALL), is_gpg(&words, reads)), (signing, reading), "{line}");
        }
    }

    #[test]
    fn credentials_are_asked_for_in_one_way() {
        for (line, is_so) in [
            ("get", true),
            ("--file=/x store", true),
            ("--file /x erase", true),
            ("get get", false),
            ("", false),
        ] {
            let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
            assert_eq!(is_credential(&words, ALL), is_so, "{line}");
        }
        assert!(!is_credential(&["get"], Purpose { talks: false, signs: true }));
    }

    #[test]
    fn who_may_sign_is_said_by_the_user() {
        let users = |file: &str| file == "/home/u/signers";
        let check = |line: &str| is_verification(&line.split(' ').collect::<Vec<_>>(), &users);
        assert!(check("-f /home/u/signers -Overify-time=20260101 -s /t/sig"));
        assert!(check("-n git -f /home/u/signers -I me -s /t/sig"));
        assert!(!check("-n git -f /ws/signers -I me -s /t/sig"));
        assert!(!check("-p -P x -f /home/u/signers"));
    }
}
