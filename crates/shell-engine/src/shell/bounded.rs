//! What bounds all commands of a shell together, and what a caller is told of it.

use std::sync::Arc;

use sandbox::{Bounds, Group, NoGroup, Reached};

use crate::sandboxes::Sandbox;

/// What bounds all commands of a shell together.
#[derive(Clone, Debug)]
pub(super) enum Bounded {
    /// Nothing, and nothing should.
    No,
    /// A control group.
    By(Arc<Group>),
    /// Nothing, although it should, for this reason.
    Not(Arc<NoGroup>),
}

impl Bounded {
    /// Sets these bounds.
    pub(super) fn by(bounds: Bounds) -> Bounded {
        if bounds.is_none() {
            return Bounded::No;
        }
        match Group::make(bounds) {
            Ok(group) => Bounded::By(Arc::new(group)),
            Err(why) => {
                tracing::warn!("{}", not_in_force(&why));
                Bounded::Not(Arc::new(why))
            }
        }
    }

    pub(super) fn group(&self) -> Option<Arc<Group>> {
        match self {
            Bounded::By(group) => Some(Arc::clone(group)),
            Bounded::No | Bounded::Not(_) => None,
        }
    }

    /// Why bounds are not in force that should be.
    pub(super) fn refusal(&self) -> Option<String> {
        match self {
            Bounded::Not(why) => Some(not_in_force(why)),
            Bounded::No | Bounded::By(_) => None,
        }
    }

    /// How often a bound was reached so far.
    pub(super) fn reached(&self) -> Reached {
        self.group().map(|group| group.reached()).unwrap_or_default()
    }

    /// What to say of a call in this sandbox that began when this had been reached: that bounds are not in force, once, and
    /// those that were reached while it ran.
    pub(super) fn notes(&self, before: Reached, sandbox: &Sandbox) -> Vec<String> {
        match self {
            Bounded::No => Vec::new(),
            Bounded::Not(why) => {
                Some(not_in_force(why)).filter(|words| sandbox.is_news(words)).into_iter().collect()
            }
            Bounded::By(group) => reached(group.bounds(), before, group.reached()),
        }
    }
}

fn reached(bounds: Bounds, before: Reached, now: Reached) -> Vec<String> {
    let killed = now.memory.saturating_sub(before.memory);
    let memory = bounds.memory.filter(|_| killed > 0).map(|bytes| {
        let (count, are) = if killed == 1 { ("a process".to_owned(), "was") } else { (format!("{killed} processes"), "were") };
        format!(
            "{count} {are} killed (SIGKILL) because all commands together had used up their memory: {} (memory_max of [shell_tool], --memory-max)",
            size(bytes)
        )
    });
    let refused = now.processes > before.processes;
    let processes = bounds.processes.filter(|_| refused).map(|most| {
        format!("processes could not be started because all commands together had as many as they may: {most} (max_processes of [shell_tool])")
    });
    memory.into_iter().chain(processes).collect()
}

fn not_in_force(why: &NoGroup) -> String {
    format!("memory_max and cpu_max are not in force: {why}")
}

fn size(bytes: u64) -> String {
    let units = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
    let unit = units.into_iter().find(|(shift, _)| bytes.trailing_zeros() >= *shift);
    unit.map_or_else(|| format!("{bytes} bytes"), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reached_is_named_with_its_setting() {
        let bounds = Bounds { memory: Some(512 << 20), processor: None, processes: Some(100) };
        let at = |memory, processes| Reached { memory, processes };
        assert!(reached(bounds, at(3, 4), at(3, 4)).is_empty());
        let said = reached(bounds, at(3, 4), at(4, 4));
        assert!(said.len() == 1 && said[0].contains("512M (memory_max"), "{said:?}");
        let said = reached(bounds, at(0, 4), at(2, 5));
        assert!(
            said[0].starts_with("2 processes were killed") && said[1].contains("100 (max_processes"),
            "{said:?}"
        );
        assert_eq!([1 << 30, 1000, 1536 << 20].map(size), ["1G", "1000 bytes", "1536M"]);
    }
}
