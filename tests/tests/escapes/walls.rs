//! The walls: which layer must stop an attempt in each form of the sandbox, and the errors that prove that it did.

use crate::place::Form;

/// What must happen to an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// This layer stops it; any of these errors is its own.
    By(&'static str, &'static [&'static str]),
    /// Nothing stops it, and the server says so in its log, in these words.
    Said(&'static str),
    /// This layer stops it, with one of these errors, from this Landlock ABI on; before, these words are said.
    Since(u32, &'static str, &'static [&'static str], &'static str),
}

/// What must happen in each form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wall {
    namespaces: Stop,
    landlock: Stop,
}

use Stop::{By, Said, Since};

const fn wall(namespaces: Stop, landlock: Stop) -> Wall {
    Wall { namespaces, landlock }
}

const fn both(stop: Stop) -> Wall {
    Wall { namespaces: stop, landlock: stop }
}

/// Writing outside the writable roots.
pub(crate) const OUTSIDE: Wall = wall(By("read-only mounts", &["EROFS"]), By("Landlock", &["EACCES"]));
/// Moving something across the boundary.
pub(crate) const ACROSS: Wall =
    wall(By("read-only mounts", &["EROFS", "EXDEV"]), By("Landlock", &["EACCES", "EXDEV"]));
/// Changing modes outside.
pub(crate) const MODES: Wall =
    wall(By("read-only mounts", &["EROFS"]), Said("modes, owners, times and attributes"));
/// Writing a protected place inside a writable root.
pub(crate) const PROTECTED: Wall =
    wall(By("read-only mounts", &["EROFS"]), Said("protected places inside writable folders"));
/// Making a name that a placeholder holds; with the kernel's door, its folder does.
pub(crate) const HELD: Wall =
    wall(By("held names", &["EEXIST", "EROFS"]), Said("protected places inside writable folders"));
/// Replacing what is a mount point.
pub(crate) const PINNED: Wall =
    wall(By("mount points", &["EBUSY", "EXDEV", "EROFS"]), Said("protected places inside writable folders"));
/// Reading what is hidden. Nobody but root gets to the file below a covered folder, and there it is not.
pub(crate) const HIDDEN: Wall =
    wall(By("covering mounts", &["EACCES", "ENOENT"]), By("Landlock", &["EACCES"]));
/// Looking into a process outside.
pub(crate) const PROCESS_FILES: Wall =
    wall(By("PID namespace", &["ENOENT"]), By("Landlock", &["EACCES", "ENOENT"]));
/// Seeing a command line outside.
pub(crate) const COMMAND_LINES: Wall =
    wall(By("PID namespace", &["ENOENT"]), Said("command lines of other processes"));
/// Signals to processes outside.
pub(crate) const SIGNALS: Wall = wall(
    By("PID namespace", &["ESRCH"]),
    Since(6, "Landlock", &["EPERM"], "other processes of the user can be signalled"),
);
/// System calls that the filter refuses everywhere.
pub(crate) const REFUSED: Wall = both(By("seccomp", &["EPERM"]));
/// System calls that the filter denies the existence of.
pub(crate) const UNKNOWN: Wall = both(By("seccomp", &["ENOSYS"]));
/// Kinds of sockets that the filter calls unsupported, as a kernel without them does.
pub(crate) const UNSUPPORTED: Wall = both(By("seccomp", &["EPROTONOSUPPORT"]));
/// Numbers of another processor.
pub(crate) const KILLED: Wall = both(By("seccomp", &["killed"]));
/// System V objects and message queues, which are nobody's files.
pub(crate) const IPC: Wall = wall(By("IPC namespace", &["ENOENT", "EINVAL"]), By("seccomp", &["EPERM"]));
/// TCP to a server of the host.
pub(crate) const TCP: Wall = wall(
    By("network namespace", &["ECONNREFUSED", "ENETUNREACH"]),
    By("kernel's door, or seccomp", &["ECONNREFUSED", "ENETUNREACH", "EPERM"]),
);
/// Landlock knows sockets by path since ABI 9; before, there are none but pairs.
const HOST_SOCKETS: Stop = By("Landlock, or seccomp", &["EACCES", "EPERM"]);
/// Unix sockets of the host.
pub(crate) const SOCKETS: Wall =
    wall(By("covering mounts", &["ECONNREFUSED", "EACCES", "ENOENT"]), HOST_SOCKETS);
/// Datagrams to sockets of the host: with the kernel's door there are none.
pub(crate) const DATAGRAMS: Wall =
    wall(By("covering mounts, or seccomp", &["ECONNREFUSED", "EACCES", "ENOENT", "EPERM"]), HOST_SOCKETS);
/// Unix sockets that were not there when the session started.
pub(crate) const LATE_SOCKETS: Wall = wall(
    Since(9, "Landlock", &["EACCES", "EPERM"], "Unix sockets that programs outside open from now on"),
    HOST_SOCKETS,
);
/// Named pipes outside, which a read-only mount lets through.
pub(crate) const PIPES: Wall = both(By("Landlock", &["EACCES"]));
/// Abstract sockets of the host.
pub(crate) const ABSTRACT: Wall =
    wall(By("network namespace", &["ECONNREFUSED", "EPERM"]), By("seccomp", &["EPERM"]));
/// Files of the kernel.
pub(crate) const KERNEL_FILES: Wall =
    wall(By("read-only mounts", &["EROFS", "EACCES"]), By("Landlock", &["EACCES"]));
/// Devices that no command needs. A group of control for devices (EPERM) is asked before Landlock.
pub(crate) const DEVICES: Wall = wall(By("own /dev", &["ENOENT"]), By("Landlock", &["EACCES", "EPERM"]));
/// Descriptors of the server.
pub(crate) const DESCRIPTORS: Wall = both(By("descriptors closed", &["ENOENT"]));
/// Sockets cannot be opened by name.
pub(crate) const NO_NAME: Wall = both(By("kernel", &["ENXIO", "EACCES", "ENOENT"]));
/// The wrapper cannot ask, so nothing runs. With the kernel's door none has to, and what runs is inside.
pub(crate) const NO_ANSWER: Wall = wall(
    By("interceptor, or read-only mounts", &["refused", "EROFS"]),
    By("interceptor, or Landlock", &["refused", "EACCES"]),
);

impl Wall {
    pub(crate) fn stop(&self, form: Form) -> Stop {
        match form {
            Form::Namespaces => self.namespaces,
            Form::Landlock => self.landlock,
        }
    }
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Result {
    /// Stopped by this layer, with this error.
    Stopped(&'static str, String),
    /// Not stopped, and said.
    OpenAndSaid,
    /// Not as it must be: how it was.
    Wrong(String),
}

impl Stop {
    /// Judges an attempt by its error, in a session with this Landlock ABI that has said so much.
    pub(crate) fn judge(self, error: &str, abi: u32, said: &str) -> Result {
        let by = |layer, errors: &[&str]| match errors.contains(&error) {
            true => Result::Stopped(layer, error.to_owned()),
            false => Result::Wrong(format!("{error}, where {layer} must stop it")),
        };
        let open = |words: &str| match said.contains(words) {
            true => Result::OpenAndSaid,
            false => Result::Wrong(format!("{error}, and nothing was said of {words}")),
        };
        match self {
            By(layer, errors) => by(layer, errors),
            Said(words) => open(words),
            Since(least, layer, errors, _) if abi >= least => by(layer, errors),
            Since(_, _, _, words) => open(words),
        }
    }
}
