//! Why a session could not be started or used.

use std::io;

/// Why a session could not be started or used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The plan could not be written down.
    #[error("could not encode the sandbox plan: {0}")]
    EncodePlan(#[source] serde_json::Error),
    /// A socket or memory file could not be made.
    #[error("could not make a channel to the sandbox: {0}")]
    Channel(#[source] io::Error),
    /// The launcher could not be executed.
    #[error("could not execute {program} to set the sandbox up: {source}")]
    Launch {
        /// The launcher's program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was asked for cannot be enforced here.
    #[error("the sandbox cannot be set up: {0}")]
    NotEnforceable(String),
    /// The session's processes ended or did not answer.
    #[error("the sandbox's own process ended or does not answer")]
    Lost,
    /// They said something that makes no sense.
    #[error("the sandbox's own process sent a malformed message")]
    Malformed,
    /// A request that can never work.
    #[error("bad start request: {0}")]
    BadRequest(&'static str),
}
