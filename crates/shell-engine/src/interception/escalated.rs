//! The programs of one call that were let out of the sandbox and still run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::sandboxes::{Process, Remaining};

/// Kept by their connections, each until nothing is left of it. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Escalated {
    programs: Arc<Mutex<Vec<Weak<Process>>>>,
}

/// What is alive outside the sandbox.
#[derive(Debug, Default)]
pub(crate) struct AliveOutside {
    /// All processes.
    pub(crate) remaining: Remaining,
    /// Programs that have not ended; each has a wrapper inside that waits for it.
    pub(crate) awaited: usize,
}

impl Escalated {
    /// Remembers a program.
    pub(super) fn add(&self, program: &Arc<Process>) {
        let mut programs = self.programs();
        programs.retain(|known| known.strong_count() > 0);
        programs.push(Arc::downgrade(program));
    }

    /// The processes of programs that have not ended. What others have left is ended with the shell.
    pub(crate) async fn alive(&self) -> AliveOutside {
        let mut alive = AliveOutside::default();
        for program in self.known().iter().filter(|program| !program.has_ended()) {
            alive.awaited += 1;
            let Remaining { total, listed } = program.alive().await;
            alive.remaining.total = alive.remaining.total.saturating_add(total);
            alive.remaining.listed.extend(listed);
        }
        alive
    }

    /// Waits until nothing is left of those that are known now.
    pub(crate) async fn gone(&self) {
        for program in self.known() {
            program.gone().await;
        }
    }

    fn known(&self) -> Vec<Arc<Process>> {
        self.programs().iter().filter_map(Weak::upgrade).collect()
    }

    fn programs(&self) -> MutexGuard<'_, Vec<Weak<Process>>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
