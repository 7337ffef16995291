//! Who is at the other end of a socket.
//!
//! The folder is hidden from the sandbox. Should a sandboxed process reach a socket all the same, it is known by what it
//! cannot get rid of: it is more confined than the server.

use tokio::net::UnixStream;

/// Why the other end is not spoken to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stranger {
    #[error("it cannot be found out who is at the other end")]
    Unknown,
    #[error("the other end belongs to another user")]
    OtherUser,
    #[cfg(target_os = "linux")]
    #[error("the other end runs in a sandbox")]
    Confined,
}

/// Makes sure that the other end belongs to the same user.
pub(super) fn same_user(stream: &UnixStream) -> Result<(), Stranger> {
    let peer = stream.peer_cred().map_err(|_| Stranger::Unknown)?;
    if peer.uid() == rustix::process::geteuid().as_raw() { Ok(()) } else { Err(Stranger::OtherUser) }
}

/// Makes sure that the other end is not more confined than this process.
#[cfg(target_os = "linux")]
pub(super) fn as_free_as_we_are(stream: &UnixStream) -> Result<(), Stranger> {
    let peer = stream.peer_cred().map_err(|_| Stranger::Unknown)?;
    let pid = peer.pid().filter(|pid| *pid > 0).ok_or(Stranger::Unknown)?;
    let theirs = Confinement::of(&pid.to_string()).ok_or(Stranger::Unknown)?;
    let ours = Confinement::of("self").ok_or(Stranger::Unknown)?;
    if theirs.is_within(&ours) { Ok(()) } else { Err(Stranger::Confined) }
}

/// Elsewhere the sandbox has no network, sockets of this kind included.
#[cfg(not(target_os = "linux"))]
pub(super) fn as_free_as_we_are(_stream: &UnixStream) -> Result<(), Stranger> {
    Ok(())
}

/// What a sandbox leaves on a process, which it cannot take off.
#[cfg(target_os = "linux")]
#[derive(Debug, PartialEq, Eq)]
struct Confinement {
    no_new_privileges: u64,
    filters: u64,
    user_namespace: std::path::PathBuf,
}

#[cfg(target_os = "linux")]
impl Confinement {
    fn of(process: &str) -> Option<Confinement> {
        let folder = std::path::Path::new("/proc").join(process);
        let status = std::fs::read_to_string(folder.join("status")).ok()?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|value| value.trim().parse().ok())
        };
        Some(Confinement {
            no_new_privileges: number("NoNewPrivs")?,
            // Kernels before 5.9 tell only whether there are any.
            filters: number("Seccomp_filters").or_else(|| number("Seccomp")).unwrap_or_default(),
            user_namespace: std::fs::read_link(folder.join("ns/user")).ok()?,
        })
    }

    fn is_within(&self, ours: &Confinement) -> bool {
        self.no_new_privileges <= ours.no_new_privileges
            && self.filters <= ours.filters
            && self.user_namespace == ours.user_namespace
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn confinement() -> Confinement {
        Confinement { no_new_privileges: 0, filters: 1, user_namespace: "user:[1]".into() }
    }

    #[test]
    fn this_process_is_as_free_as_itself() {
        let ours = Confinement::of("self").expect("known");
        assert!(ours.is_within(&ours));
        assert_eq!(Confinement::of(&std::process::id().to_string()), Some(ours));
    }

    #[test]
    fn whoever_is_more_confined_is_known_by_it() {
        assert!(confinement().is_within(&confinement()));
        assert!(Confinement { filters: 0, ..confinement() }.is_within(&confinement()));
        for confined in [
            Confinement { no_new_privileges: 1, ..confinement() },
            Confinement { filters: 2, ..confinement() },
            Confinement { user_namespace: "user:[2]".into(), ..confinement() },
        ] {
            assert!(!confined.is_within(&confinement()), "{confined:?}");
        }
    }
}
