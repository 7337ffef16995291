//! How often the kernel has found no route in this network namespace.

use rustix::fs::{Mode, OFlags, open};
use std::os::fd::OwnedFd;

/// More than either file has.
const MOST: usize = 16 << 10;

/// The kernel's counters, of IPv4 and of IPv6, open to be read again and again (proc_pid_net(5)).
pub(super) struct Routes([Option<OwnedFd>; 2]);

impl Routes {
    pub(super) fn open() -> Routes {
        let file = |path| open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok();
        Routes([file("/proc/net/snmp"), file("/proc/net/snmp6")])
    }

    /// Adds `OutNoRoutes` of both up.
    pub(super) fn refused(&self) -> u64 {
        let [older, newer] = self.0.each_ref().map(|file| file.as_ref().map(read).unwrap_or_default());
        let mut lines = older.lines().filter(|line| line.starts_with("Ip:"));
        let names = lines.next().unwrap_or_default().split_ascii_whitespace();
        let values = lines.next().unwrap_or_default().split_ascii_whitespace();
        let older = names.zip(values).filter(|(name, _)| *name == "OutNoRoutes");
        let newer = newer.lines().filter_map(|line| line.split_once(char::is_whitespace));
        let newer = newer.filter(|(name, _)| *name == "Ip6OutNoRoutes");
        older.chain(newer).filter_map(|(_, value)| value.trim().parse::<u64>().ok()).sum()
    }
}

/// With one read: the kernel writes the whole text anew for each that begins at its start.
fn read(file: &OwnedFd) -> String {
    let mut text = vec![0; MOST];
    let length = rustix::io::pread(file, &mut text, 0).unwrap_or_default();
    text.truncate(length);
    String::from_utf8(text).unwrap_or_default()
}
