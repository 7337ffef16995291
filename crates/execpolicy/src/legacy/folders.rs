//! For callers that run what was verified: are the files where they may be?
//!
//! The only part of the legacy module that looks at the file system.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::CheckError;
use super::matcher::ArgType;
use super::outcome::MatchedCall;

/// Where a call may read and write.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    /// The folder that relative paths are relative to.
    pub cwd: Option<PathBuf>,
    /// Folders whose files may be read.
    pub readable: Vec<PathBuf>,
    /// Folders whose files may be written.
    pub writable: Vec<PathBuf>,
}

/// Checks that every file of a call lies in a folder where it may.
///
/// # Errors
/// The first file that does not, or that cannot be checked.
pub fn check_folders(call: &MatchedCall, folders: &Folders) -> Result<(), CheckError> {
    let args = call.args.iter().map(|arg| (&arg.r#type, &arg.value));
    let opts = call.opts.iter().map(|opt| (&opt.r#type, &opt.value));
    for (arg_type, value) in args.chain(opts) {
        match arg_type {
            ArgType::ReadableFile => {
                let file = canonical(value, folders)?;
                if !lies_in(&file, &folders.readable) {
                    let folders = folders.readable.clone();
                    return Err(CheckError::ReadablePathNotInReadableFolders { file, folders });
                }
            }
            // A word of unknown meaning may be a file that is written.
            ArgType::WriteableFile | ArgType::Unknown => {
                let file = canonical(value, folders)?;
                if !lies_in(&file, &folders.writable) {
                    let folders = folders.writable.clone();
                    return Err(CheckError::WriteablePathNotInWriteableFolders { file, folders });
                }
            }
            ArgType::Literal(_) | ArgType::OpaqueNonFile | ArgType::PositiveInteger | ArgType::SedCommand => {
            }
        }
    }
    Ok(())
}

fn lies_in(file: &Path, folders: &[PathBuf]) -> bool {
    folders.iter().any(|folder| file.starts_with(fs::canonicalize(folder).as_deref().unwrap_or(folder)))
}

/// The canonical path of a file that may not exist yet: that of its folder, and its name.
fn canonical(value: &str, folders: &Folders) -> Result<PathBuf, CheckError> {
    let given = PathBuf::from(value);
    let path = match (&folders.cwd, given.is_absolute()) {
        (_, true) => given,
        (Some(cwd), false) => cwd.join(given),
        (None, false) => return Err(CheckError::CannotCheckRelativePath { file: given }),
    };
    let failed = |error: std::io::Error| CheckError::CannotCanonicalizePath {
        file: path.display().to_string(),
        error: error.kind().to_string(),
    };
    match fs::canonicalize(&path) {
        Ok(canonical) => Ok(canonical),
        // A dangling symlink would be followed by whoever writes: only a name that does not exist at all is new.
        Err(error)
            if error.kind() == std::io::ErrorKind::NotFound && fs::symlink_metadata(&path).is_err() =>
        {
            match (path.parent(), path.file_name()) {
                (Some(folder), Some(name)) => Ok(fs::canonicalize(folder).map_err(failed)?.join(name)),
                _ => Err(failed(error)),
            }
        }
        Err(error) => Err(failed(error)),
    }
}
