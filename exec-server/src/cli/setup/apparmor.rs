//! The AppArmor profile that allows user namespaces to this program, where AppArmor restricts them to programs with
//! one.
//!
//! Of the form that Ubuntu ships for browsers and bubblewrap: it confines nothing, it only has the permission `userns`,
//! without which the kernel takes all capabilities away inside a new user namespace. AppArmor attaches it by the path
//! of the executed file, so a session's process (`/proc/self/exe`) has it like the server. What the server starts keeps
//! it (a profile with `unconfined` is left only for one that is attached to the next program), and in a session our own
//! seccomp filter forbids namespaces all the same.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use shell_engine::user_command;

/// Where the profile is installed, and its name.
const NAME: &str = "shell-tool-mcp";

/// Signs that mean something in a profile's attachment (apparmor.d(5), "Globbing"). No installer makes such a path, and
/// apparmor_parser 4.1 does not read all of them back when they are quoted.
const SPECIAL: &str = r#"\"*?[]{}^"#;

/// The installed program.
pub(super) struct Installed {
    program: PathBuf,
    /// What other users than root can change on the way to it, by which they can put another program in its place.
    exposed: Option<PathBuf>,
}

impl Installed {
    /// Finds the file that this process was executed from: no link is left in its path.
    pub(super) fn find() -> anyhow::Result<Installed> {
        let program = std::env::current_exe()?;
        anyhow::ensure!(
            program.is_file(),
            "{} is not there any more: it was replaced or removed while this program was started",
            program.display()
        );
        let exposed = program.ancestors().find(|path| is_exposed(path)).map(Path::to_owned);
        Ok(Installed { program, exposed })
    }
}

/// Whether somebody who is not root can change a file, or what lies in a folder.
fn is_exposed(path: &Path) -> bool {
    match path.metadata() {
        // In a sticky folder others cannot rename what is not theirs.
        Ok(metadata) => {
            let others = metadata.mode() & 0o022 != 0 && metadata.mode() & 0o1000 == 0;
            metadata.uid() != 0 || others
        }
        Err(_) => true,
    }
}

/// The profile, with comments that say how to install it and what it opens.
pub(super) fn profile(installed: &Installed) -> anyhow::Result<String> {
    let Installed { program, exposed } = installed;
    let path =
        program.to_str().filter(|path| !path.contains(|c: char| c.is_control() || SPECIAL.contains(c)));
    let path = path.ok_or_else(|| anyhow::anyhow!("no profile can name the path {}", program.display()))?;
    let warning = match exposed {
        None => String::new(),
        Some(exposed) => format!(
            "#\n\
             # WARNING: {} can be changed by a user who is not root. Whoever can change it can put any program in\n\
             # the place of this one, and that program can then make namespaces, which is what AppArmor is to prevent. Better\n\
             # install it where only root can write, such as by `sudo npm install --global shell-tool-mcp`.\n",
            exposed.display()
        ),
    };
    // A pipe's end does not tell that what was to fill it has failed.
    let file = format!("/etc/apparmor.d/{NAME}");
    Ok(format!(
        "# Lets shell-tool-mcp make user namespaces, which its sandbox is built from, where AppArmor restricts them\n\
         # (kernel.apparmor_restrict_unprivileged_userns). Needs AppArmor 4. Install it by this one line, and start the server anew:\n\
         #\n\
         #   {} setup apparmor | sudo sh -c 'cat > {file} && grep -q userns {file} && apparmor_parser -r {file}'\n\
         #\n\
         # What it opens: whoever can start this program can make user namespaces through it, and so can the programs that it\n\
         # starts outside its sandbox; those inside cannot. It names this path only: after an installation elsewhere it must be\n\
         # printed and installed anew.\n\
         {warning}\
         \n\
         abi <abi/4.0>,\n\
         \n\
         profile {NAME} \"{path}\" flags=(unconfined) {{\n  \
           userns,\n\
         }}\n",
        user_command(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(program: &str, exposed: Option<&str>) -> String {
        profile(&Installed { program: program.into(), exposed: exposed.map(PathBuf::from) }).unwrap()
    }

    #[test]
    fn the_profile_is_for_one_path_and_all_else_is_a_comment() {
        let text = printed("/usr/lib/node_modules/x/bin/exec-server", None);
        let rules: Vec<&str> =
            text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let attached =
            r#"profile shell-tool-mcp "/usr/lib/node_modules/x/bin/exec-server" flags=(unconfined) {"#;
        assert_eq!(rules, ["abi <abi/4.0>,", attached, "  userns,", "}"]);
        assert!(!text.contains("WARNING"), "{text}");
        assert!(text.contains("#   shell-tool-mcp setup apparmor | sudo sh -c"), "{text}");
    }

    #[test]
    fn a_path_that_others_can_change_is_warned_about() {
        let text = printed("/home/a/exec-server", Some("/home/a"));
        assert!(text.contains("# WARNING: /home/a can be changed"), "{text}");
        assert!(text.lines().all(|line| !line.contains("WARNING") || line.starts_with('#')), "{text}");
        let folder = tempfile::tempdir().unwrap();
        let exposed = |mode: u32| {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            is_exposed(folder.path())
        };
        let mine = rustix::process::geteuid().is_root();
        assert_eq!([0o755, 0o775, 0o777, 0o1777].map(exposed), [!mine, true, true, !mine]);
        assert!(is_exposed(Path::new("/nonexistent")));
    }

    #[test]
    fn a_path_is_named_as_it_is_or_not_at_all() {
        let text = printed("/a b/it's", None);
        assert!(text.contains(r#"profile shell-tool-mcp "/a b/it's" flags="#), "{text}");
        for path in ["/a\nb", "/a*", "/a\"b", "/@{HOME}/a"] {
            assert!(profile(&Installed { program: path.into(), exposed: None }).is_err(), "{path}");
        }
    }
}
