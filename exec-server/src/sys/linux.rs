//! Linux.

use std::path::{Path, PathBuf};

/// The directory in which the descriptors of open directories lead on to what is in those.
pub(crate) const WAY_THROUGH_DESCRIPTORS: Option<&str> = Some("/proc/self/fd");

/// Tells whether a process is more confined than this one. None where that cannot be found out.
pub(crate) fn is_more_confined(process: Option<i32>) -> Option<bool> {
    let pid = process.filter(|pid| *pid > 0)?;
    Some(!Confinement::of(&pid.to_string())?.is_within(&Confinement::of("self")?))
}

/// What a sandbox leaves on a process, which it cannot take off.
#[derive(Debug, PartialEq, Eq)]
struct Confinement {
    no_new_privileges: u64,
    filters: u64,
    user_namespace: PathBuf,
}

impl Confinement {
    fn of(process: &str) -> Option<Confinement> {
        let folder = Path::new("/proc").join(process);
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

#[cfg(test)]
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
