//! What a confined program executes: itself, its own helpers, and what its profile names. The kernel lets it execute
//! nothing else.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sandbox::Plan;

use super::trust::{Program, Trust};
use crate::programs::shebang::{MOST_INTERPRETERS, interpreter, program_of_env};
use crate::programs::{loader, open};

/// Folders of programs' own helpers, below the folder that holds the `bin` with the program.
const HELPERS: &[(&str, &[&str])] = &[
    // `git --exec-path`.
    ("git", &["lib/git-core", "libexec/git-core"]),
    // ssh-keysign, ssh-sk-helper, ssh-pkcs11-helper.
    ("ssh", &["lib/openssh", "libexec/openssh", "lib/ssh", "libexec"]),
    // keyboxd, gpg-protect-tool, scdaemon.
    ("gpg", &["lib/gnupg", "lib/gnupg2", "libexec", "libexec/gnupg"]),
    // Subcommands that are programs (`docker compose`).
    ("docker", &["lib/docker/cli-plugins", "libexec/docker/cli-plugins"]),
];

/// Files of a folder that are looked at.
const MOST_ENTRIES: usize = 256;

/// Folders that hold helpers of many programs: only those that begin with the program's name are its own.
const SHARED: &str = "libexec";

/// Files that a confined program executes, and folders of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Executes {
    /// All of them; what starts dynamic programs is among them.
    pub(crate) places: Vec<PathBuf>,
    /// What starts dynamic programs: not to be executed itself, for it would start any file.
    pub(crate) loaders: Vec<PathBuf>,
    /// The system's shell is among them.
    pub(crate) shell: bool,
    /// What its profile names.
    pub(crate) named: Vec<PathBuf>,
    /// What runs scripts that the profile names, and is not named itself: it runs nothing else, or it would run any code.
    pub(crate) interpreters: Vec<PathBuf>,
}

/// How long it is remembered what a program executes: for calls in a row, and for all that is asked about one exec. Who
/// changes it is the user, for commands can write none of it.
const REMEMBERED: Duration = Duration::from_secs(1);

/// Programs that are remembered.
const MOST_REMEMBERED: usize = 32;

/// What programs execute, as it was found a moment ago. Clones are the same memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Executed(Arc<Mutex<Vec<Found>>>);

#[derive(Debug)]
struct Found {
    of: Of,
    at: Instant,
    executes: Executes,
}

/// What it depends on, besides files that commands cannot write.
#[derive(Debug)]
struct Of {
    program: PathBuf,
    /// What it may run, and whether that runs apart.
    may_run: Vec<(String, bool)>,
    plan: Arc<Plan>,
}

impl Of {
    fn is(&self, other: &Of) -> bool {
        Arc::ptr_eq(&self.plan, &other.plan) && self.program == other.program && self.may_run == other.may_run
    }
}

impl Executed {
    fn or_found(&self, of: Of, find: impl FnOnce(&Of) -> Executes) -> Executes {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().iter().find(|found| found.of.is(&of) && found.at.elapsed() < REMEMBERED) {
            return found.executes.clone();
        }
        let executes = find(&of);
        let mut all = lock();
        all.retain(|found| found.at.elapsed() < REMEMBERED && !found.of.is(&of));
        if all.len() < MOST_REMEMBERED {
            all.push(Found { of, at: Instant::now(), executes: executes.clone() });
        }
        executes
    }
}

impl Executes {
    /// Of a program whose profile names others that it may run, by name or full path. `runs_apart` tells which of them have rights of
    /// their own: a script among these (a version manager's shim) starts where those are, and brings no shell in here.
    pub(super) fn of(
        program: &Program,
        may_run: &[String],
        trust: &Trust,
        executed: &Executed,
        runs_apart: impl Fn(&str) -> bool,
    ) -> Executes {
        let of = Of {
            program: program.canonical.clone(),
            may_run: may_run.iter().map(|name| (name.clone(), runs_apart(name))).collect(),
            plan: Arc::clone(trust.plan()),
        };
        executed.or_found(of, |of| Executes::found(of, trust))
    }

    fn found(Of { program, may_run, .. }: &Of, trust: &Trust) -> Executes {
        let mut executes = Executes::default();
        executes.add(program, 0, trust);
        for (name, runs_apart) in may_run {
            executes.shell |= ["sh", "/bin/sh"].contains(&name.as_str());
            let found = match name.starts_with('/') {
                true => Some(PathBuf::from(name)),
                false => trust.meaning_outside(OsStr::new(name)).map(|(path, _)| path),
            };
            // What commands can write is executed by nobody here, whoever names it.
            let found = found.and_then(|path| path.canonicalize().ok());
            let is_script = |found: &Path| open(found).is_some_and(|file| interpreter(&file).is_some());
            let stays_out = |found: &PathBuf| *runs_apart && is_script(found);
            if let Some(found) = found.filter(|found| !trust.may_be_written(found) && !stays_out(found)) {
                executes.add(&found, 0, trust);
                executes.named.push(found);
            }
        }
        let is_named = |path: &PathBuf| path == program || executes.named.contains(path);
        let interpreters = executes.interpreters.iter().filter(|path| !is_named(path)).cloned().collect();
        Executes { interpreters, ..executes }
    }

    fn add(&mut self, canonical: &Path, depth: usize, trust: &Trust) {
        if self.places.iter().any(|place| place == canonical) || depth > MOST_INTERPRETERS {
            return;
        }
        self.places.push(canonical.to_owned());
        if canonical.is_dir() {
            // What its scripts and programs need to start.
            let entries = std::fs::read_dir(canonical).into_iter().flatten().flatten().take(MOST_ENTRIES);
            let files = entries.filter_map(|entry| entry.path().canonicalize().ok());
            files.filter(|file| file.is_file()).for_each(|file| self.add_what_starts(&file, depth, trust));
            return;
        }
        self.places.extend(helpers(canonical));
        self.add_what_starts(canonical, depth, trust);
    }

    fn add_what_starts(&mut self, canonical: &Path, depth: usize, trust: &Trust) {
        let Some(file) = open(canonical) else { return };
        if let Some(loader) = loader(&file).and_then(|path| path.canonicalize().ok()) {
            for list in [&mut self.places, &mut self.loaders] {
                if !list.contains(&loader) {
                    list.push(loader.clone());
                }
            }
        }
        let Some(line) = interpreter(&file) else { return };
        // It looks for another one.
        let of_env = line.argument.as_deref().filter(|_| line.path.file_name() == Some(OsStr::new("env")));
        let of_env = of_env.and_then(program_of_env).and_then(|name| trust.meaning_outside(&name));
        let of_env = of_env.map(|(path, _)| path);
        for found in
            [Some(line.path), of_env].into_iter().flatten().filter_map(|path| path.canonicalize().ok())
        {
            if trust.may_be_written(&found) {
                continue;
            }
            // A script of the user's needs the real one.
            self.shell |= Path::new("/bin/sh").canonicalize().is_ok_and(|shell| shell == found);
            self.add(&found, depth + 1, trust);
            self.interpreters.push(found);
        }
    }
}

/// Whether a subcommand of Git's is a script of its own, such as `git submodule`.
pub(super) fn is_script_of_git(git: &Path, subcommand: &OsStr) -> bool {
    let mut name = OsString::from("git-");
    name.push(subcommand);
    let is_name = !subcommand.as_encoded_bytes().contains(&b'/');
    let mut files = helpers(git).into_iter().map(|folder| folder.join(&name));
    is_name && files.any(|file| open(&file).is_some_and(|file| interpreter(&file).is_some()))
}

fn helpers(program: &Path) -> Vec<PathBuf> {
    let name = program.file_name().unwrap_or_default();
    let folders = HELPERS.iter().find(|(of, _)| name == *of).map(|(_, folders)| *folders).unwrap_or_default();
    let Some(prefix) = program.parent().and_then(Path::parent) else { return Vec::new() };
    // Scripts of Git's start the one that lies among its helpers.
    let among =
        |folder: &&&str| **folder != SHARED && program.parent().is_some_and(|own| own.ends_with(folder));
    let found = folders.iter().flat_map(|folder| {
        let path = prefix.join(folder);
        match *folder == SHARED {
            true => own_files(&path, name),
            false => vec![path],
        }
    });
    let own = folders.iter().find(among).and(program.parent()).map(Path::to_owned);
    found.chain(own).filter_map(|path| path.canonicalize().ok()).collect()
}

fn own_files(folder: &Path, name: &OsStr) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_own = |file: &OsStr| {
        let rest = file.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"-"))
    };
    entries.filter(|entry| is_own(&entry.file_name())).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_lie_beside_the_folder_of_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().canonicalize().unwrap();
        for made in ["bin", "libexec/git-core", "lib/openssh"] {
            std::fs::create_dir_all(prefix.join(made)).unwrap();
        }
        for file in ["libexec/ssh-keysign", "libexec/sshd", "libexec/other"] {
            std::fs::write(prefix.join(file), "").unwrap();
        }
        for git in ["bin/git", "libexec/git-core/git"] {
            assert_eq!(helpers(&prefix.join(git)), [prefix.join("libexec/git-core")]);
        }
        std::fs::write(prefix.join("libexec/git-core/git-submodule"), "#!/bin/sh\n").unwrap();
        std::fs::write(prefix.join("libexec/git-core/git-gc"), "\u{7f}ELF").unwrap();
        for (name, is_script) in
            [("submodule", true), ("gc", false), ("status", false), ("../git-core/git-submodule", false)]
        {
            assert_eq!(is_script_of_git(&prefix.join("bin/git"), OsStr::new(name)), is_script, "{name}");
        }
        let of_ssh = [prefix.join("lib/openssh"), prefix.join("libexec/ssh-keysign")];
        assert_eq!(helpers(&prefix.join("bin/ssh")), of_ssh);
        assert_eq!(helpers(&prefix.join("bin/other")), Vec::<PathBuf>::new());
    }
}
