//! Control groups (cgroups(7), version 2) that bound what sandboxes use up together: memory, processor time, processes.
//!
//! A [`Group`] is made where this process may make one: in its own group, or in one above. Each session has a group of its own
//! in it, which its processes are put into before they begin, and never leave: what could be written for that is read-only
//! inside.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What groups of ours are called, before the number of their process.
const PREFIX: &str = "shell-sandboxes-";

/// The group that processes are put into which are in the way: a group with bounds for others has none itself.
const MAIN: &str = "shell-sandboxes-main";

/// In microseconds, what processor time is counted by (the kernel's own default).
const PERIOD: u64 = 100_000;

/// How often, and how far apart, it is tried to remove a group whose processes are just ending.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(4);

static NEXT: AtomicU64 = AtomicU64::new(1);

/// What the programs of all sandboxes of a group may use up together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of memory. Nothing of it is swapped.
    pub memory: Option<u64>,
    /// Thousandths of a processor.
    pub processor: Option<u32>,
    /// Processes and threads.
    pub processes: Option<u32>,
}

/// A control group with bounds. It is removed when it is dropped.
#[derive(Debug)]
pub struct Group {
    place: PathBuf,
    bounds: Bounds,
    sessions: AtomicU64,
}

/// What has happened in a group since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Processes that were killed because memory was used up.
    pub memory: u64,
    /// Processes that were not made.
    pub processes: u64,
}

/// Why there is no group with these bounds.
#[derive(Debug, thiserror::Error)]
pub enum NoGroup {
    /// Nothing manages control groups of version 2 here.
    #[error("there are no control groups of version 2 here (cgroup2 is not mounted)")]
    NotMounted,
    /// It cannot be told which one this process is in.
    #[error("it cannot be told which control group this process is in: {0}")]
    Unknown(#[source] io::Error),
    /// A controller is missing.
    #[error(
        "the control groups here do not have the controller {0}; version 1 may have it, and leaves it with cgroup_no_v1=all on the kernel's command line"
    )]
    NoController(&'static str),
    /// Others are in the way.
    #[error(
        "{place} has processes that are none of this server's; start it in a group of its own: systemd-run --user --scope -p Delegate=yes COMMAND"
    )]
    NotAlone {
        /// The group.
        place: String,
    },
    /// This user may not make any.
    #[error(
        "no control group can be made in {place} ({source}); start the server with systemd-run --user --scope -p Delegate=yes COMMAND, as a service with Delegate=yes, or in a container whose /sys/fs/cgroup is writable"
    )]
    NotDelegated {
        /// The group of this process.
        place: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Bounds {
    /// Whether nothing is bounded.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Bounds::default()
    }

    fn controllers(&self) -> Vec<&'static str> {
        let wanted = [
            ("memory", self.memory.is_some()),
            ("cpu", self.processor.is_some()),
            ("pids", self.processes.is_some()),
        ];
        wanted.into_iter().filter(|(_, is_wanted)| *is_wanted).map(|(name, _)| name).collect()
    }

    fn apply(&self, place: &Path) -> io::Result<()> {
        if let Some(bytes) = self.memory {
            fs::write(place.join("memory.max"), bytes.to_string())?;
            // Where nothing is swapped, there is no such file.
            match fs::write(place.join("memory.swap.max"), "0") {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if let Some(thousandths) = self.processor {
            let quota = u64::from(thousandths) * PERIOD / 1000;
            fs::write(place.join("cpu.max"), format!("{quota} {PERIOD}"))?;
        }
        if let Some(processes) = self.processes {
            fs::write(place.join("pids.max"), processes.to_string())?;
        }
        Ok(())
    }
}

impl Group {
    /// Makes one for sandboxes of this process.
    ///
    /// # Errors
    /// When this machine, or this user's place in it, has none with these bounds.
    pub fn make(bounds: Bounds) -> Result<Group, NoGroup> {
        let mount = mount_point().ok_or(NoGroup::NotMounted)?;
        let own = own_place(&mount).map_err(NoGroup::Unknown)?;
        let controllers = bounds.controllers();
        let mut refusal = None;
        // Its own group, where nobody else is; then those above; then its own, with whoever has started this process.
        let own_alone = is_alone(&own).then_some((own.as_path(), true));
        let above = own.ancestors().take_while(|place| place.starts_with(&mount)).map(|place| (place, false));
        for (place, may_move) in own_alone.into_iter().chain(above).chain([(own.as_path(), true)]) {
            match Group::make_in(place, bounds, &controllers, may_move) {
                Ok(group) => return Ok(group),
                Err(why) => drop(refusal.get_or_insert(why)),
            }
        }
        Err(refusal.unwrap_or(NoGroup::NotMounted))
    }

    fn make_in(
        place: &Path,
        bounds: Bounds,
        controllers: &[&'static str],
        may_move: bool,
    ) -> Result<Group, NoGroup> {
        let refused = |source| NoGroup::NotDelegated { place: place.display().to_string(), source };
        match enable(place, controllers) {
            Err(Enable::Busy) if may_move => {
                make_way(place)?;
                enable(place, controllers).map_err(|error| error.at(place))?;
            }
            other => other.map_err(|error| error.at(place))?,
        }
        remove_abandoned(place);
        let servers = place.join(format!("{PREFIX}{}", std::process::id()));
        make_folder(&servers).map_err(refused)?;
        enable(&servers, controllers).map_err(|error| error.at(&servers))?;
        let own = servers.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        make_folder(&own).map_err(refused)?;
        let group = Group { place: own, bounds, sessions: AtomicU64::new(0) };
        bounds.apply(&group.place).map_err(refused)?;
        Ok(group)
    }

    /// What it bounds.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// What has happened in it.
    #[must_use]
    pub fn reached(&self) -> Reached {
        Reached {
            memory: count(&self.place.join("memory.events"), "oom_kill"),
            processes: count(&self.place.join("pids.events"), "max"),
        }
    }

    /// Makes a group for one session in it.
    pub(crate) fn session(self: &Arc<Group>) -> io::Result<SessionGroup> {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        let place = self.place.join(number.to_string());
        fs::create_dir(&place)?;
        Ok(SessionGroup { place, _group: Arc::clone(self) })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.place);
        // While others of this process are in it, it stays.
        let _ = self.place.parent().map(fs::remove_dir);
    }
}

/// The group of one session. What is left in it ends with it.
#[derive(Debug)]
pub(crate) struct SessionGroup {
    place: PathBuf,
    /// It is in this one.
    _group: Arc<Group>,
}

impl SessionGroup {
    /// Where a process is put into it, by its number.
    pub(crate) fn entrance(&self) -> io::Result<OwnedFd> {
        File::options().write(true).open(self.place.join("cgroup.procs")).map(OwnedFd::from)
    }
}

impl Drop for SessionGroup {
    fn drop(&mut self) {
        for _ in 0..ATTEMPTS {
            match fs::remove_dir(&self.place) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    let _ = fs::write(self.place.join("cgroup.kill"), "1");
                    std::thread::sleep(PAUSE);
                }
                _ => return,
            }
        }
    }
}

/// Why controllers are not there for the groups in a group.
enum Enable {
    /// It has processes itself.
    Busy,
    No(NoGroup),
    Refused(io::Error),
}

impl Enable {
    fn at(self, place: &Path) -> NoGroup {
        let place = place.display().to_string();
        match self {
            Enable::Busy => NoGroup::NotAlone { place },
            Enable::No(why) => why,
            Enable::Refused(source) => NoGroup::NotDelegated { place, source },
        }
    }
}

/// Has the groups in a group have these controllers.
fn enable(place: &Path, controllers: &[&'static str]) -> Result<(), Enable> {
    let read = |name: &str| fs::read_to_string(place.join(name)).map_err(Enable::Refused);
    let (there, enabled) = (read("cgroup.controllers")?, read("cgroup.subtree_control")?);
    let has = |list: &str, name: &str| list.split_whitespace().any(|one| one == name);
    for controller in controllers.iter().copied().filter(|name| !has(&enabled, name)) {
        if !has(&there, controller) {
            return Err(Enable::No(NoGroup::NoController(controller)));
        }
        match fs::write(place.join("cgroup.subtree_control"), format!("+{controller}")) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Err(Enable::Busy),
            other => other.map_err(Enable::Refused)?,
        }
    }
    Ok(())
}

/// Moves this process, and those that have started it, out of the way; nobody else.
fn make_way(place: &Path) -> Result<(), NoGroup> {
    let refused = |source| NoGroup::NotDelegated { place: place.display().to_string(), source };
    let ancestors = ancestors();
    if processes(place).iter().any(|process| !ancestors.contains(process)) {
        return Err(NoGroup::NotAlone { place: place.display().to_string() });
    }
    let main = place.join(MAIN);
    make_folder(&main).map_err(refused)?;
    let entrance = main.join("cgroup.procs");
    processes(place).iter().try_for_each(|process| fs::write(&entrance, process.to_string())).map_err(refused)
}

/// Whether nobody else is in a group, but for the process that has started this one, such as a launcher.
fn is_alone(place: &Path) -> bool {
    let known: Vec<u32> = ancestors().into_iter().take(2).collect();
    processes(place).iter().all(|process| known.contains(process))
}

fn processes(place: &Path) -> Vec<u32> {
    let text = fs::read_to_string(place.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// This process, the one that has started it, and so on.
fn ancestors() -> Vec<u32> {
    let mut found = vec![std::process::id()];
    while let Some(parent) = found.last().and_then(|process| parent(*process)).filter(|parent| *parent != 0) {
        found.push(parent);
    }
    found
}

fn parent(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// Removes what servers have left that were killed. A group with processes is not removed by anybody.
fn remove_abandoned(place: &Path) {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let process = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|name| name.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            remove_groups(&entry.path());
        }
    }
}

fn remove_groups(place: &Path) {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().is_dir()).for_each(|entry| remove_groups(&entry.path()));
    let _ = fs::remove_dir(place);
}

fn make_folder(place: &Path) -> io::Result<()> {
    match fs::create_dir(place) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// A number of a file with names and numbers.
fn count(file: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let number = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    number.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// Where control groups of version 2 are mounted whole: its fields are those of proc_pid_mountinfo(5).
fn mount_point() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = mounts.lines().rfind(|line| line.contains(" - cgroup2 "))?;
    line.split(' ').nth(4).map(PathBuf::from)
}

/// The group that this process is in.
fn own_place(mount: &Path) -> io::Result<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup")?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
    // Outside of what is seen here, its path begins with `..`.
    let path = path.filter(|path| !path.starts_with(".."));
    path.map(|path| if path.is_empty() { mount.to_owned() } else { mount.join(path) })
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_whole_names() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "low 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n").unwrap();
        assert_eq!(["oom_kill", "max", "oom", "other"].map(|name| count(file.path(), name)), [2, 3, 1, 0]);
        assert_eq!(count(Path::new("/nonexistent"), "max"), 0);
    }

    #[test]
    fn a_process_knows_who_has_started_it() {
        let own = ancestors();
        assert_eq!(own[0], std::process::id());
        assert!(own.len() > 1, "{own:?}");
    }
}
