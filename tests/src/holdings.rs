//! What a server holds: memory, descriptors, threads, processes.

use std::path::PathBuf;

/// What a server holds.
#[derive(Clone, Copy, Debug)]
pub struct Holdings {
    /// Its own memory.
    pub resident_kib: u64,
    /// Its own descriptors.
    pub descriptors: usize,
    /// Its own threads.
    pub threads: usize,
    /// Processes below it, dead or alive.
    pub descendants: usize,
    /// Memory of these, what they share with others divided among all who do.
    pub descendants_kib: u64,
}

impl Holdings {
    /// What this process holds.
    ///
    /// # Panics
    ///
    /// When it does not run.
    #[must_use]
    pub fn of(pid: u32) -> Holdings {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let count = |folder: &str| std::fs::read_dir(process.join(folder)).expect("it runs").count();
        let below = descendants(pid);
        Holdings {
            resident_kib: kib(pid, "status", "VmRSS:").expect("proc(5)"),
            descriptors: count("fd"),
            threads: count("task"),
            descendants: below.len(),
            descendants_kib: below.iter().filter_map(|pid| kib(*pid, "smaps_rollup", "Pss:")).sum(),
        }
    }
}

/// A line of a process's file, unless it has ended meanwhile.
fn kib(pid: u32, file: &str, begin: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    text.lines().find(|line| line.starts_with(begin))?.split_whitespace().nth(1)?.parse().ok()
}

/// Processes below this one (proc(5), `/proc/PID/task/TID/children`).
fn descendants(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists =
        tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
    let children: Vec<u32> =
        lists.flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect();
    let below: Vec<u32> = children.iter().flat_map(|child| descendants(*child)).collect();
    [children, below].concat()
}
