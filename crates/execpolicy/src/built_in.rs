//! The profiles that come with the language: one short file for each tool, with its reasons.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::dialect;
use crate::rights::{Profile, Run};

/// What stands for the folder of these files where a profile was written.
pub const FOLDER: &str = "(built-in)";

/// One file of profiles, read when one of them is needed.
struct File {
    name: &'static str,
    text: &'static str,
    /// The profiles in it.
    profiles: &'static [&'static str],
    read: OnceLock<Vec<Arc<Profile>>>,
}

macro_rules! file {
    ($name:literal, $($profile:literal),+) => {
        File {
            name: concat!("(built-in)/", $name),
            text: include_str!(concat!("../profiles/", $name)),
            profiles: &[$($profile),+],
            read: OnceLock::new(),
        }
    };
}

static FILES: [File; 10] = [
    file!("cargo.rules", "cargo"),
    file!("docker.rules", "docker"),
    file!("gh.rules", "gh"),
    file!("git.rules", "git", "git-credential-store"),
    file!("gpg.rules", "gpg"),
    file!("go.rules", "go"),
    file!("kubectl.rules", "kubectl"),
    file!("npm.rules", "npm", "pnpm", "yarn"),
    file!("pip.rules", "pip", "pip3", "uv"),
    file!("ssh.rules", "ssh", "scp", "sftp", "ssh-keygen"),
];

/// Whether there is a profile of this name.
pub(crate) fn has(name: &str) -> bool {
    FILES.iter().any(|file| file.profiles.contains(&name))
}

/// The profile of this name.
pub(crate) fn profile(name: &str) -> Option<Arc<Profile>> {
    let file = FILES.iter().find(|file| file.profiles.contains(&name))?;
    file.profiles().iter().find(|profile| profile.name.as_str() == name).cloned()
}

/// The names of all profiles.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().flat_map(|file| file.profiles.iter().copied())
}

/// The file that defines a profile, as text.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    FILES.iter().find(|file| file.profiles.contains(&name)).map(|file| file.text)
}

impl File {
    fn profiles(&self) -> &[Arc<Profile>] {
        // A file that is wrong has no profiles, and whoever names one is told so; a test reads all of them.
        let read = || dialect::read(Path::new(self.name), self.text, None).unwrap_or_default();
        // What package managers run is the workspace's anyway, with the same rights.
        let with_variables = |mut profile: Profile| {
            if profile.run == Some(Run::Inside) {
                profile.grants.env.push("*".to_owned());
            }
            Arc::new(profile)
        };
        self.read.get_or_init(|| read().profiles.into_iter().map(with_variables).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rights::HostPattern;

    #[test]
    fn every_file_defines_what_it_is_said_to_and_names_no_public_host() {
        for file in &FILES {
            let declared = dialect::read(Path::new(file.name), file.text, None).unwrap();
            let names: Vec<&str> = declared.profiles.iter().map(|profile| profile.name.as_str()).collect();
            assert_eq!(names, file.profiles, "{}", file.name);
            assert!(declared.rules.is_empty());
            for profile in declared.profiles {
                // Where a server is what the arguments name, it may be any.
                let is_any = profile.grants.hosts.iter().all(HostPattern::is_everything);
                assert!(is_any, "{}", profile.name);
                assert!(profile.justification.is_some(), "{}", profile.name);
            }
        }
    }
}
