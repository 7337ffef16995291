//! Why a policy cannot be resolved.

use std::io;
use std::path::PathBuf;

/// Says why a policy cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// A root that was asked for by name is not there.
    #[error("the writable root {path} cannot be used: {source}")]
    Root {
        /// The root, as given.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A relative path.
    #[error("`{0}` is a relative path; give an absolute one")]
    Relative(PathBuf),
    /// A root in `/proc`, `/sys` or `/dev`.
    #[error("{0} cannot be a writable root: it is a window into the kernel")]
    KernelFiles(PathBuf),
    /// Hidden and writable at once.
    #[error("{hidden} cannot be unreadable while {root} inside it is writable")]
    Contradiction {
        /// The place that was to be hidden.
        hidden: PathBuf,
        /// The root inside it.
        root: PathBuf,
    },
    /// The host's sockets cannot be listed, so they could not be covered.
    #[error("the Unix sockets of programs outside cannot be listed, so they could not be hidden: {0}")]
    Sockets(#[source] io::Error),
    /// Something that is no device to grant.
    #[error(
        "{0} is no device that commands can be given: a character device below /dev, or a folder of such; no disk, no memory, no terminal"
    )]
    Device(PathBuf),
    /// A pattern that is not one.
    #[error("`{pattern}` is not a glob pattern: {source}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        #[source]
        source: glob::PatternError,
    },
}
