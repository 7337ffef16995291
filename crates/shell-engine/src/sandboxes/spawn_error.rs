//! Why a program did not start.

/// Why a program did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    /// The session that should start it does not.
    #[error("the sandbox cannot start it")]
    Session(#[from] sandbox::SessionError),
    /// The session ended or did not answer, and nothing of the program has run.
    #[error("the sandbox's own process ended or does not answer")]
    NotBegun,
    /// The session ended or did not answer; the program may have run.
    #[error("the sandbox's own process ended or does not answer; the program may have run all the same")]
    SessionLost,
    /// The new process cannot be watched, so it was killed.
    #[error("the new process cannot be watched")]
    Watch(#[source] std::io::Error),
    /// A step of starting it failed.
    #[error("failed to {step}")]
    NotStarted {
        /// The step, fit after "failed to".
        step: &'static str,
        /// Its reason.
        #[source]
        source: std::io::Error,
    },
}

impl SpawnError {
    /// The errno, where there is one.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            SpawnError::Session(_) | SpawnError::NotBegun | SpawnError::SessionLost => None,
            SpawnError::Watch(source) => source.raw_os_error(),
            SpawnError::NotStarted { source, .. } => source.raw_os_error(),
        }
    }
}
