//! Devices of the host that the user grants to commands: a graphics card, virtual machines.

use super::error::ResolveError;
use crate::plan::Plan;
use std::path::{Path, PathBuf};

/// What the usual ones open, for the user.
const OPENS: &[(&str, &str)] = &[
    ("/dev/dri", "programs on the graphics card, whose memory may hold what other programs have drawn"),
    (
        "/dev/nvidia",
        "programs on the graphics card, whose memory may hold what other programs have left there",
    ),
    ("/dev/kfd", "as /dev/dri"),
    ("/dev/kvm", "virtual machines, and with them a large part of the kernel"),
    ("/dev/fuse", "file systems in programs; mounting them stays refused"),
    ("/dev/net/tun", "network interfaces, where a capability allows them"),
    ("/dev/snd", "listening by microphone, and playing"),
    ("/dev/video", "looking through the camera"),
];

/// More than a machine has.
const MOST: usize = 200;

/// Adds the devices that the patterns name and that are there.
pub(super) fn add(plan: &mut Plan, patterns: &[String]) -> Result<(), ResolveError> {
    for pattern in patterns {
        let found = devices(pattern)?;
        if found.is_empty() {
            plan.notes.push(format!("there is no device {pattern}"));
        }
        for real in found {
            if !plan.devices.contains(&real) {
                let opens = OPENS.iter().find(|(start, _)| real.to_string_lossy().starts_with(start));
                let opens = opens.map_or("what its driver can do", |(_, opens)| opens);
                plan.notes.push(format!("commands may use {}, which opens {opens}", real.display()));
                plan.devices.push(real);
            }
        }
    }
    Ok(())
}

/// The devices that a pattern names and that are there.
///
/// # Errors
///
/// The pattern cannot be read, or it names one of a disk, of memory, or a terminal, which are no devices to grant.
pub fn devices(pattern: &str) -> Result<Vec<PathBuf>, ResolveError> {
    let wrong = |source| ResolveError::Pattern { pattern: pattern.to_owned(), source };
    let found = glob::glob(pattern).map_err(wrong)?.flatten().take(MOST).map(|path| {
        // A link (`/dev/disk/by-id/…`) stands for what it leads to.
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if may_be_granted(&real) { Ok(real) } else { Err(ResolveError::Device(path)) }
    });
    found.collect()
}

/// Whether a path is a character device, or a folder with nothing but such, below `/dev`, and not one behind which the whole machine
/// lies.
fn may_be_granted(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    const NEVER: &[&str] =
        &["/dev/mem", "/dev/kmem", "/dev/port", "/dev/shm", "/dev/pts", "/dev/console", "/dev/tty"];
    let is_never =
        NEVER.iter().any(|never| path.starts_with(never)) || path.to_string_lossy().starts_with("/dev/tty");
    let Ok(metadata) = path.symlink_metadata() else { return false };
    let below_dev = path.starts_with("/dev") && path != Path::new("/dev");
    let entries = || std::fs::read_dir(path).into_iter().flatten().flatten();
    let is_folder_of_devices = || {
        metadata.is_dir() && entries().all(|entry| entry.path().is_symlink() || may_be_granted(&entry.path()))
    };
    below_dev && !is_never && (metadata.file_type().is_char_device() || is_folder_of_devices())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, Network};

    #[test]
    fn what_is_there_and_is_a_device_is_granted_and_said() {
        let mut plan = Plan::unenforced(Mode::ReadOnly, Network::Restricted);
        add(&mut plan, &["/dev/nul*".to_owned(), "/dev/not-there*".to_owned()]).unwrap();
        assert_eq!(plan.devices, [PathBuf::from("/dev/null")]);
        assert!(
            plan.notes.iter().any(|note| note.starts_with("commands may use /dev/null")),
            "{:?}",
            plan.notes
        );
        assert!(
            plan.notes.iter().any(|note| note == "there is no device /dev/not-there*"),
            "{:?}",
            plan.notes
        );
        for never in ["/dev", "/dev/mem", "/dev/shm", "/dev/pts", "/etc/passwd", "/"] {
            if Path::new(never).exists() {
                assert!(add(&mut plan, &[never.to_owned()]).is_err(), "{never}");
            }
        }
    }
}
