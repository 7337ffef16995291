//! The programs of one call that were let out of the sandbox and still run.

use std::ffi::OsString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sandbox::LiveProcess;

use crate::sandboxes::{Process, Remaining};

/// Kept by their connections, each until nothing is left of it. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Escalated {
    programs: Arc<Mutex<Vec<Known>>>,
    /// How many are judged, or about to start.
    starting: Arc<AtomicUsize>,
}

/// A program that is judged, or about to start, while this is held.
#[derive(Debug)]
pub(in crate::interception) struct Starting(Arc<AtomicUsize>);

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Debug)]
struct Known {
    process: Weak<Process>,
    command_line: String,
    /// It runs where its wrapper does.
    is_inside: bool,
}

/// What is alive outside the sandbox.
#[derive(Debug, Default)]
pub(crate) struct AliveOutside {
    /// All processes.
    pub(crate) remaining: Remaining,
    /// Those of programs that run where their wrappers do.
    pub(crate) inside: Remaining,
    /// Programs that have not ended, by the command lines that they were started with; each has a wrapper inside that
    /// waits for it.
    pub(crate) awaited: Vec<String>,
    /// Another one is judged, or about to start.
    pub(crate) is_starting: bool,
}

impl Escalated {
    /// One is to be judged, and started if it may leave.
    pub(in crate::interception) fn starting(&self) -> Starting {
        self.starting.fetch_add(1, Ordering::Relaxed);
        Starting(Arc::clone(&self.starting))
    }

    /// Remembers a program.
    pub(super) fn add(&self, program: &Arc<Process>, argv: &[OsString], is_inside: bool) {
        let mut programs = self.programs();
        programs.retain(|known| known.process.strong_count() > 0);
        let command_line = LiveProcess::of(0, argv).display();
        programs.push(Known { process: Arc::downgrade(program), command_line, is_inside });
    }

    /// The processes of programs that have not ended. What others have left outside is ended with the shell.
    pub(crate) async fn alive(&self) -> AliveOutside {
        let is_starting = self.starting.load(Ordering::Relaxed) > 0;
        let mut alive = AliveOutside { is_starting, ..AliveOutside::default() };
        for (program, command_line, is_inside) in self.known() {
            if !program.has_ended() {
                alive.awaited.push(command_line);
            } else if !is_inside {
                continue;
            }
            let Remaining { total, listed } = program.alive().await;
            let those = if is_inside { &mut alive.inside } else { &mut alive.remaining };
            those.total = those.total.saturating_add(total);
            those.listed.extend(listed);
        }
        alive
    }

    /// Waits until nothing is left of those that are known now.
    pub(crate) async fn gone(&self) {
        for (program, ..) in self.known() {
            program.gone().await;
        }
    }

    fn known(&self) -> Vec<(Arc<Process>, String, bool)> {
        let programs = self.programs();
        let alive =
            |known: &Known| Some((known.process.upgrade()?, known.command_line.clone(), known.is_inside));
        programs.iter().filter_map(alive).collect()
    }

    fn programs(&self) -> MutexGuard<'_, Vec<Known>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
