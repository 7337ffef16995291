//! Who listens on a Unix socket that has a path.

/// Who would be reached by connecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// A program of the session, which has bound it.
    Inside,
    /// A program of the host.
    Outside,
    /// Nobody, as far as can be seen: neither the session's network namespace has it, nor that of this
    /// process.
    Nobody,
}
