//! The command by which the user calls this program, for every text that tells somebody to run it.
//!
//! npm's launcher starts the server with its own path as `argv[0]`, so that texts name what the user has installed
//! (`shell-tool-mcp`), and not a program that no `PATH` leads to. It is never `npx NAME`, which runs what a project has
//! planted, nor the command of a project's own `node_modules`, which commands may write: only this program itself is
//! kept from them there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What texts say in a program that embeds the server, whose own command has no subcommands of ours.
const PACKAGE: &str = "shell-tool-mcp";

static COMMAND: OnceLock<UserCommand> = OnceLock::new();

struct UserCommand {
    /// What has started this program by a name of its own, if anything has.
    launcher: Option<PathBuf>,
    /// Its absolute path, quoted for a shell.
    path: String,
    name: String,
}

/// Takes the command from this process's `argv[0]`. To be called by `main` before anything else, and before the working
/// directory changes.
pub fn learn_user_command() {
    let called = std::env::args_os().next().unwrap_or_default();
    let program = std::env::current_exe().ok();
    let path = located(&called).or_else(|| program.clone()).unwrap_or_else(|| PACKAGE.into());
    let mut command = UserCommand::at(&path);
    let is_itself =
        || path.canonicalize().ok() == program.as_ref().and_then(|program| program.canonicalize().ok());
    command.launcher = Some(path.clone()).filter(|path| path.is_absolute() && !is_itself());
    if may_be_planted(&path)
        && let Some(program) = program
    {
        command.path = UserCommand::at(&program).path;
    }
    let _ = COMMAND.set(command);
}

/// The command's absolute path, quoted as a shell needs it: what somebody can type in any folder.
#[must_use]
pub fn user_command() -> &'static str {
    COMMAND.get().map_or(PACKAGE, |command| &command.path)
}

/// The command's name, for titles and usage lines.
#[must_use]
pub fn user_command_name() -> &'static str {
    COMMAND.get().map_or(PACKAGE, |command| &command.name)
}

/// What has started this program by a name of its own, as npm's launcher does.
pub(crate) fn launcher() -> Option<PathBuf> {
    COMMAND.get().and_then(|command| command.launcher.clone())
}

impl UserCommand {
    fn at(path: &Path) -> UserCommand {
        let text = path.to_string_lossy();
        // Package managers whose shims are scripts show the launcher's module instead of their command.
        let name = path.file_name().filter(|_| path.extension() != Some(OsStr::new("js")));
        UserCommand {
            launcher: None,
            path: shlex::try_quote(&text).map_or_else(|_| PACKAGE.into(), Into::into),
            name: name.map_or_else(|| PACKAGE.into(), |name| name.to_string_lossy().into_owned()),
        }
    }
}

/// Whether a command may have put its own program there: packages lie in folders with this name, mostly in projects.
fn may_be_planted(path: &Path) -> bool {
    path.components().any(|component| component.as_os_str() == "node_modules")
}

/// The file that was meant by `argv[0]`: a path, or a name that a shell has looked up in `PATH`.
fn located(called: &OsStr) -> Option<PathBuf> {
    let runs = |path: &Path| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    if called.as_encoded_bytes().contains(&b'/') {
        return std::path::absolute(called).ok().filter(|path| runs(path));
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(called))
        .find(|path| runs(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_a_shell_needs_it() {
        let command = UserCommand::at(Path::new("/home/me/.local/bin/shell-tool-mcp"));
        assert_eq!(
            (&*command.path, &*command.name),
            ("/home/me/.local/bin/shell-tool-mcp", "shell-tool-mcp")
        );
        assert_eq!(UserCommand::at(Path::new("/home/a b/x")).path, "'/home/a b/x'");
    }

    #[test]
    fn the_launchers_module_has_the_packages_name() {
        let command = UserCommand::at(Path::new("/modules/shell-tool-mcp/lib/main.js"));
        assert_eq!(
            (&*command.path, &*command.name),
            ("/modules/shell-tool-mcp/lib/main.js", "shell-tool-mcp")
        );
    }

    #[test]
    fn what_a_project_has_installed_is_not_for_people_to_run() {
        assert!(may_be_planted(Path::new("/project/node_modules/.bin/shell-tool-mcp")));
        assert!(!may_be_planted(Path::new("/usr/local/bin/shell-tool-mcp")));
        assert!(!may_be_planted(Path::new("/my_node_modules/shell-tool-mcp")));
    }

    #[test]
    fn only_a_program_is_located() {
        assert_eq!(located(OsStr::new("/bin/sh")), Some("/bin/sh".into()));
        assert_eq!(located(OsStr::new("/bin")), None);
        assert_eq!(located(OsStr::new("/nowhere/shell-tool-mcp")), None);
        assert_eq!(located(OsStr::new("")), None);
        let named = located(OsStr::new("sh")).expect("sh is in PATH");
        assert!(named.is_absolute() && named.ends_with("sh"), "{named:?}");
    }

    #[test]
    fn a_program_that_embeds_the_server_is_not_named() {
        assert_eq!((user_command(), user_command_name()), ("shell-tool-mcp", "shell-tool-mcp"));
    }
}
