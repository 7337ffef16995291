//! The folders that are the server's own: its records and its sockets. No other user and no sandboxed command may reach
//! them.
//!
//! This module names them and makes them; hiding them from the sandbox is the business of whoever plans one, who asks
//! [`private_folders`].

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Below `$CODEX_HOME`, below the runtime folder, and where caches are.
pub(crate) const NAME: &str = "shell-tool-mcp";

/// Why a private folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFolderError {
    /// It is not there and cannot be made, or cannot be looked at.
    #[error("cannot make the private folder {}", path.display())]
    Make {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Something else has its name.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// Somebody else could have laid it out.
    #[error("{} belongs to another user", .0.display())]
    NotOurs(PathBuf),
}

/// The folders that must be hidden from every sandbox: what is in them is evidence, or answers questions.
#[must_use]
pub fn private_folders(codex_home: &Path) -> Vec<PathBuf> {
    let state = state_folder(codex_home);
    let elsewhere = runtime_folders(codex_home).into_iter().filter(|folder| !folder.starts_with(&state));
    std::iter::once(state.clone()).chain(elsewhere).collect()
}

/// Where what outlives the server is kept. Below `$CODEX_HOME`, like the rules: MCP clients start servers with few
/// variables, so that `$XDG_STATE_HOME` would mean one place there and another one in the user's terminal.
pub(crate) fn state_folder(codex_home: &Path) -> PathBuf {
    codex_home.join(NAME)
}

/// Where the sockets of running servers may be, the best place first: in `$XDG_RUNTIME_DIR`, or the place where it
/// usually points (for clients that do not pass it on); else below the state folder.
pub fn runtime_folders(codex_home: &Path) -> Vec<PathBuf> {
    let named = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let usual = || {
        let path = Path::new("/run/user").join(rustix::process::getuid().as_raw().to_string());
        is_ours_alone(&path).then_some(path)
    };
    let runtime = named.or_else(usual).map(|folder| folder.join(NAME));
    runtime.into_iter().chain([state_folder(codex_home).join("run")]).collect()
}

fn is_ours_alone(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| {
        metadata.is_dir()
            && metadata.uid() == rustix::process::geteuid().as_raw()
            && metadata.mode() & 0o077 == 0
    })
}

/// Makes sure that the folder is there, is ours, and is closed to everybody else.
///
/// # Errors
///
/// When it is not, and cannot be made so.
pub fn make_private(path: &Path) -> Result<(), PrivateFolderError> {
    let failed = |source| PrivateFolderError::Make { path: path.to_owned(), source };
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let metadata = match path.symlink_metadata() {
        Err(error) if missing(&error) => {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
            path.symlink_metadata()
        }
        other => other,
    }
    .map_err(failed)?;
    if !metadata.is_dir() {
        return Err(PrivateFolderError::NotAFolder(path.to_owned()));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(PrivateFolderError::NotOurs(path.to_owned()));
    }
    if metadata.mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_folder_is_made_and_an_open_one_is_closed() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("home/shell-tool-mcp/audit");
        make_private(&path).expect("made");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("opened");
        make_private(&path).expect("closed again");
        assert_eq!(path.metadata().expect("there").mode() & 0o7777, 0o700);
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let root = tempfile::tempdir().expect("a folder");
        let real = root.path().join("real");
        make_private(&real).expect("made");
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        assert!(matches!(make_private(&link), Err(PrivateFolderError::NotAFolder(_))));
        let file = root.path().join("file");
        std::fs::write(&file, "").expect("written");
        assert!(matches!(make_private(&file), Err(PrivateFolderError::NotAFolder(_))));
        assert!(matches!(make_private(&file.join("below")), Err(PrivateFolderError::Make { .. })));
    }
}
