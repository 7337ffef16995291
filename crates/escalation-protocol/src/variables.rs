//! The environment variables that carry the interceptor from the server through Bash to the wrapper.
//!
//! Bash takes them out of its environment before it reads the first line of script, keeps them where no script reaches,
//! and puts them into the environment of the wrapper alone (`bash-patches/README.md`). The wrapper takes them out
//! again.

/// The absolute path of the wrapper.
pub const WRAPPER: &str = "BASH_EXEC_WRAPPER";

/// The number of the inherited socket on which connections open.
pub const SOCKET: &str = "CODEX_ESCALATE_SOCKET";

/// The path of the patched Bash, which reports failed executions and runs files without `#!`.
pub const SHELL: &str = "BASH_EXEC_SHELL";

/// What Bash needs to report an error as the shell that met it; opaque to the wrapper.
pub const CONTEXT: &str = "BASH_EXEC_CONTEXT";

/// Set by the wrapper alone: the errno with which execve(2) failed, in decimal.
pub const FAILED: &str = "BASH_EXEC_FAILED";

/// The number of a descriptor from which Bash reads the command string of `-c`, with a wrapper and without one.
pub const COMMAND_STRING: &str = "BASH_COMMAND_STRING_FD";

/// All of them: no program but the wrapper and the patched Bash may see one.
pub const ALL: [&str; 6] = [WRAPPER, SOCKET, SHELL, CONTEXT, FAILED, COMMAND_STRING];
