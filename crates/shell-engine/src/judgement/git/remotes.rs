//! Whom Git would talk to: it runs the hooks and obeys the configuration of a repository on this machine.
//!
//! Git spells a path in many ways (`x` for `x.git`, `%`-escapes, names of files in `.git/remotes`), so nothing is
//! searched for here: only what is known to be on another machine, or out of the sandbox's reach, passes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::super::trust::Trust;
use super::arguments::{Invocation, quoted};
use super::repository::Repository;

/// A command that talks to others: its options that change nothing of whom it talks to.
struct Command {
    name: &'static str,
    /// Options without a value, or with one behind `=`.
    plain: &'static [&'static str],
    letters: &'static [u8],
    /// Options whose value is the next word.
    valued: &'static [&'static str],
}

const COMMANDS: &[Command] = &[
    Command {
        name: "push",
        plain: &[
            "--all",
            "--atomic",
            "--branches",
            "--delete",
            "--dry-run",
            "--follow-tags",
            "--force",
            "--force-if-includes",
            "--force-with-lease",
            "--no-progress",
            "--no-recurse-submodules",
            "--no-verify",
            "--porcelain",
            "--progress",
            "--prune",
            "--quiet",
            "--set-upstream",
            "--tags",
            "--verbose",
        ],
        letters: b"46dfnquv",
        valued: &["-o", "--push-option"],
    },
    Command {
        name: "fetch",
        plain: &[
            "--all",
            "--append",
            "--depth",
            "--dry-run",
            "--force",
            "--jobs",
            "--no-progress",
            "--no-recurse-submodules",
            "--no-tags",
            "--progress",
            "--prune",
            "--prune-tags",
            "--quiet",
            "--tags",
            "--unshallow",
            "--verbose",
        ],
        letters: b"46afknPpqtv",
        valued: &["-j", "--jobs", "--depth"],
    },
    Command {
        name: "pull",
        plain: &[
            "--all",
            "--autostash",
            "--depth",
            "--ff",
            "--ff-only",
            "--force",
            "--no-autostash",
            "--no-commit",
            "--no-edit",
            "--no-ff",
            "--no-rebase",
            "--no-recurse-submodules",
            "--no-stat",
            "--no-tags",
            "--prune",
            "--quiet",
            "--rebase",
            "--squash",
            "--tags",
            "--verbose",
        ],
        letters: b"46afknpqtv",
        valued: &["--depth"],
    },
    Command {
        name: "clone",
        plain: &[
            "--bare",
            "--branch",
            "--depth",
            "--mirror",
            "--no-checkout",
            "--no-single-branch",
            "--no-tags",
            "--progress",
            "--quiet",
            "--single-branch",
            "--verbose",
        ],
        letters: b"46nqv",
        valued: &["-b", "--branch", "--depth"],
    },
    Command {
        name: "ls-remote",
        plain: &["--branches", "--exit-code", "--heads", "--quiet", "--refs", "--sort", "--symref", "--tags"],
        letters: b"46bhqt",
        valued: &[],
    },
    Command { name: "remote", plain: &["--prune", "--verbose", "--dry-run"], letters: b"npv", valued: &[] },
];

/// Whom Git talks to, as far as it is known to be harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Nobody, or another machine.
    Far,
    /// Perhaps a repository on this machine that the sandbox cannot write.
    KeptHere,
}

/// Whether a subcommand talks to other repositories.
pub(super) fn talks(subcommand: &OsStr) -> bool {
    COMMANDS.iter().any(|command| subcommand == command.name)
}

/// Says whom Git talks to, or why that needs a person's eye.
pub(super) fn peer(
    invocation: &Invocation<'_>,
    repository: Option<&Repository>,
    trust: &Trust,
) -> Result<Peer, String> {
    let Some(command) = COMMANDS.iter().find(|command| invocation.subcommand == command.name) else {
        return Ok(Peer::Far);
    };
    let words = command.positionals(invocation.arguments)?;
    let configured = || Remotes::read(repository, trust);
    match (command.name, words.as_slice()) {
        ("clone", [address, ..]) => {
            // A folder of that name would be taken instead.
            let first = address.as_bytes().split(|byte| *byte == b'/').next().unwrap_or_default();
            let is_here = invocation.directory.join(OsStr::from_bytes(first)).symlink_metadata().is_ok();
            if !is_far(address.as_bytes()) || is_here {
                return Err(unknown(address));
            }
            let to =
                words.get(1).map_or_else(|| invocation.directory.clone(), |to| invocation.directory.join(to));
            let canonical = to.canonicalize().or_else(|_| to.parent().unwrap_or(&to).canonicalize());
            match canonical {
                Ok(to) if trust.may_be_written(&to) => Ok(Peer::Far),
                Ok(_) | Err(_) => Err(format!("{} cannot be written from inside the sandbox", to.display())),
            }
        }
        ("remote", []) => Ok(Peer::Far),
        ("remote", [verb, ..]) if *verb == "get-url" => Ok(Peer::Far),
        ("remote", [verb, names @ ..]) if ["update", "prune", "show"].iter().any(|fine| verb == fine) => {
            let configured = configured()?;
            match names {
                [] => configured.any(),
                names => {
                    names.iter().try_fold(Peer::Far, |peer, name| Ok(worse(peer, configured.named(name)?)))
                }
            }
        }
        ("remote", [verb, ..]) => Err(format!("`git remote {}` changes its configuration", quoted(verb))),
        (_, []) => configured()?.any(),
        // What is pulled is written into the work tree, so it has to come from where the user said.
        (name, [address, ..])
            if name != "pull" && is_far(address.as_bytes()) && address.as_bytes().contains(&b'/') =>
        {
            Ok(Peer::Far)
        }
        (_, [address, ..]) => configured()?.named(address),
    }
}

impl Command {
    /// What is no option; an option that is not known may hide it.
    fn positionals<'a>(&self, arguments: &'a [OsString]) -> Result<Vec<&'a OsStr>, String> {
        let mut words = Vec::new();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let bytes = argument.as_bytes();
            if bytes == b"--" {
                words.extend(rest.by_ref().map(OsString::as_os_str));
            } else if self.valued.iter().any(|valued| argument == valued) {
                rest.next();
            } else if bytes.starts_with(b"--") {
                let name = bytes.split(|byte| *byte == b'=').next().unwrap_or_default();
                if !self.plain.iter().any(|plain| plain.as_bytes() == name) {
                    return Err(self.option(argument));
                }
            } else if let Some(letters @ [_, ..]) = bytes.strip_prefix(b"-") {
                if !letters.iter().all(|letter| self.letters.contains(letter)) {
                    return Err(self.option(argument));
                }
            } else {
                words.push(argument.as_os_str());
            }
        }
        Ok(words)
    }

    fn option(&self, argument: &OsStr) -> String {
        format!("the option {} of `git {}` may change whom it talks to", quoted(argument), self.name)
    }
}

fn unknown(address: &OsStr) -> String {
    format!(
        "{} is neither an address of another machine (https://…, ssh://…, user@host:path) nor a remote of the repository's \
         configuration that has one; Git runs the hooks of a repository on this machine",
        quoted(address)
    )
}

fn worse(one: Peer, other: Peer) -> Peer {
    if one == Peer::KeptHere { one } else { other }
}

/// Whether an address leads to another machine however Git reads it.
fn is_far(address: &[u8]) -> bool {
    if address.iter().any(|byte| byte.is_ascii_control() || byte.is_ascii_whitespace()) {
        return false;
    }
    let schemes: &[&[u8]] = &[b"https://", b"ssh://", b"http://", b"git://"];
    if let Some(rest) = schemes.iter().find_map(|scheme| address.strip_prefix(*scheme)) {
        return rest.first().is_some_and(u8::is_ascii_alphanumeric);
    }
    // `user@host:path`: no slash before the colon, else it is a path.
    let Some(colon) = address.iter().position(|byte| *byte == b':') else { return false };
    let (host, path) = address.split_at(colon);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"@._-".contains(byte);
    host.first().is_some_and(u8::is_ascii_alphanumeric)
        && host.iter().all(is_name)
        && host.contains(&b'@')
        && !path.starts_with(b"::")
}

/// Whether an address is a plain path out of the sandbox's reach, without links on the way.
fn is_kept_here(address: &str, trust: &Trust) -> bool {
    let path = Path::new(address);
    let is_plain = path.is_absolute() && path.canonicalize().is_ok_and(|canonical| canonical == path);
    let beside = [
        path.parent().unwrap_or(path).to_owned(),
        path.to_owned(),
        path.join(".git"),
        path.join("hooks"),
        path.join("config"),
    ];
    is_plain && !beside.iter().any(|place| trust.may_be_written(place))
}

/// The remotes that the configuration of a repository names.
struct Remotes {
    /// Those with an address, and whom it leads to.
    named: Vec<(String, Peer)>,
}

impl Remotes {
    fn read(repository: Option<&Repository>, trust: &Trust) -> Result<Remotes, String> {
        let texts = repository.map(Repository::configurations).unwrap_or_default();
        let mut named: Vec<(String, Peer)> = Vec::new();
        let mut defaults = Vec::new();
        for text in &texts {
            let (mut section, mut name) = (String::new(), String::new());
            for line in text.lines().map(str::trim) {
                let mut setting = line;
                if let Some((head, rest)) = line.strip_prefix('[').and_then(|line| line.rsplit_once(']')) {
                    let (first, second) = head.split_once([' ', '.', '\t']).unwrap_or((head, ""));
                    section = first.to_ascii_lowercase();
                    name = second.trim().trim_matches('"').to_owned();
                    setting = rest.trim();
                    if section == "url" {
                        return Err("its configuration rewrites addresses (`insteadOf`)".into());
                    }
                }
                let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
                let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
                match (section.as_str(), key.as_str()) {
                    ("remote", "url" | "pushurl") if !name.is_empty() => {
                        let peer = if is_far(value.as_bytes()) {
                            Peer::Far
                        } else if is_kept_here(value, trust) {
                            Peer::KeptHere
                        } else {
                            return Err(format!("of the remote `{name}`: {}", unknown(OsStr::new(value))));
                        };
                        // A remote with nothing but `pushurl` is looked for in files, too.
                        if key == "url" || peer == Peer::KeptHere {
                            named.push((name.clone(), peer));
                        }
                    }
                    ("remote", "vcs") => {
                        return Err(format!("the remote `{name}` has a transport helper"));
                    }
                    ("branch", "remote" | "pushremote") | ("remote", "pushdefault") => {
                        defaults.push(value.trim_matches('"').to_owned());
                    }
                    _ => (),
                }
            }
        }
        let remotes = Remotes { named };
        for default in defaults.iter().filter(|default| *default != "." && !is_far(default.as_bytes())) {
            remotes.named(OsStr::new(default))?;
        }
        Ok(remotes)
    }

    /// Whom a name means.
    fn named(&self, name: &OsStr) -> Result<Peer, String> {
        let found = self.named.iter().filter(|(known, _)| name == known.as_str());
        found.map(|(_, peer)| *peer).reduce(worse).ok_or_else(|| unknown(name))
    }

    /// Whom a command without a name may mean: `origin` is what is left when nothing else is said.
    fn any(&self) -> Result<Peer, String> {
        self.named(OsStr::new("origin"))?;
        Ok(self.named.iter().map(|(_, peer)| *peer).fold(Peer::Far, worse))
    }
}
